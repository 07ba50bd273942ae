//! What the files of a profile cost in a month, in the bucket and on EFS, with tiers and without. Pure.

use model::MicroUsd;
use policy::price;
use serde::Deserialize;

use crate::prices::{
    BUCKET_ARCHIVE_GIB_MONTH, BUCKET_GIB_MONTH, BUCKET_INFREQUENT_GIB_MONTH, BUCKET_WATCH_THOUSAND_MONTH,
    EFS_ARCHIVE_GIB, EFS_ARCHIVE_GIB_MONTH, EFS_GIB_MONTH, EFS_INFREQUENT_GIB, EFS_INFREQUENT_GIB_MONTH, EFS_READ_GIB,
    EFS_WRITE_GIB,
};

/// Most GiB and files of a class, an exbibyte: far above any studio, and so little that no product below overflows.
const MOST: u64 = 1 << 30;
/// Most fetches of a file in a month: one every half minute.
const MOST_FETCHES: u32 = 100_000;
/// MB of a GiB.
const GIB_MB: f64 = 1_073.741_824;

/// A store by when its files were last read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What store it is, for headings.
    pub title: String,
    /// MB/s that a machine gets from the bucket; an assumption.
    pub bucket_mb_per_second: u32,
    /// MB/s that a machine gets from EFS; an assumption.
    pub efs_mb_per_second: u32,
    /// What machines fetch, for the price of their time.
    pub instance_type: String,
    /// What lies in it.
    pub classes: Vec<Class>,
}

/// Files of one kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// As a studio calls them.
    pub name: String,
    /// How many.
    pub files: u64,
    /// Their size together, GiB.
    pub gib: u64,
    /// Of all parts of that size, those that were read within the last 30 days.
    pub hot: u32,
    /// Those that were read within 90 days, and not within 30.
    pub warm: u32,
    /// Those that were not read for longer.
    pub cold: u32,
    /// How many times in a month a hot file is fetched by a machine that has not got it on its disk.
    pub fetches: u32,
    /// Percent of the warm and cold ones that are read again in a month, and then are hot.
    pub back_percent: u8,
    /// What is added in a month, GiB.
    pub new_gib: u64,
}

/// Why a profile is none.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is not JSON, or fields are missing, unknown or of another kind.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Nothing lies in the store.
    #[error("it has no classes")]
    Empty,
    /// A class does not say when its files were read.
    #[error("hot, warm and cold of {class:?} are all 0")]
    NoAges {
        /// Its name.
        class: String,
    },
    /// A number beyond any store.
    #[error("{field} of {class:?} is more than {most}")]
    TooMuch {
        /// The class's name.
        class: String,
        /// Which number.
        field: &'static str,
        /// The most that is taken.
        most: u64,
    },
    /// Nothing would ever come.
    #[error("a rate is 0 MB/s")]
    NoRate,
}

/// What is paid for in a month. Amounts that are larger than can be held are the largest.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    /// The masters in the bucket, all in S3 Standard.
    pub bucket: MicroUsd,
    /// The same in Intelligent-Tiering.
    pub bucket_tiers: MicroUsd,
    /// A copy of all of it on EFS, in Standard, with what reading and writing cost.
    pub efs: MicroUsd,
    /// The same in its tiers.
    pub efs_tiers: MicroUsd,
    /// What machines read, GiB.
    pub read_gib: u64,
}

/// What a copy on EFS is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worth {
    /// Machine time that it saves in a month.
    pub saved: MicroUsd,
    /// It is worth its price where a machine gets less than this from the bucket, MB/s.
    pub pays_below: f64,
}

fn total(prices: impl IntoIterator<Item = MicroUsd>) -> MicroUsd {
    MicroUsd(prices.into_iter().fold(0, |sum, it| sum.saturating_add(it.0)))
}

impl Profile {
    /// From JSON.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let profile: Self = serde_json::from_str(text)?;
        if profile.classes.is_empty() {
            return Err(ProfileError::Empty);
        }
        if profile.bucket_mb_per_second == 0 || profile.efs_mb_per_second == 0 {
            return Err(ProfileError::NoRate);
        }
        profile.classes.iter().try_for_each(Class::check)?;
        Ok(profile)
    }

    /// What all of it costs in a month.
    pub fn month(&self) -> Month {
        self.classes.iter().map(Class::month).fold(Month::default(), Month::and)
    }

    /// What a copy on EFS is worth, where the profile costs so much.
    pub fn worth(&self, month: &Month) -> Worth {
        let hour = price::hour(None, Some(&self.instance_type)).0 as f64;
        let seconds = |mb_per_second: u32| GIB_MB / f64::from(mb_per_second);
        let read = month.read_gib as f64;
        let sooner = seconds(self.bucket_mb_per_second) - seconds(self.efs_mb_per_second);
        // Seconds of machine time that a GiB on EFS costs; nothing that is not read saves any.
        let price = month.efs_tiers.0 as f64 * 3600.0 / (read * hour);
        Worth {
            saved: MicroUsd((read * sooner.max(0.0) * hour / 3600.0) as u64),
            pays_below: if read > 0.0 {
                GIB_MB / (price + seconds(self.efs_mb_per_second))
            } else {
                0.0
            },
        }
    }
}

impl Class {
    fn check(&self) -> Result<(), ProfileError> {
        let limits = [
            ("files", self.files, MOST),
            ("gib", self.gib, MOST),
            ("new_gib", self.new_gib, MOST),
            ("fetches", u64::from(self.fetches), u64::from(MOST_FETCHES)),
            ("back_percent", u64::from(self.back_percent), 100),
        ];
        let class = self.name.clone();
        if let Some((field, _, most)) = limits.into_iter().find(|(_, value, most)| value > most) {
            return Err(ProfileError::TooMuch { class, field, most });
        }
        if self.parts() == 0 {
            return Err(ProfileError::NoAges { class });
        }
        Ok(())
    }

    /// How many parts there are of its size.
    pub fn parts(&self) -> u64 {
        [self.hot, self.warm, self.cold].map(u64::from).iter().sum()
    }

    /// What it costs in a month.
    pub fn month(&self) -> Month {
        // In hundredths of a part of a GiB, so that nothing is rounded before it is a price.
        let of = |part: u32, hundredths: u128| u128::from(self.gib) * u128::from(part) * hundredths;
        let whole = u128::from(self.parts()) * 100;
        let usd = |lines: &[(u128, MicroUsd)]| {
            total(lines.iter().map(|(amount, gib)| {
                let price = amount * u128::from(gib.0) / whole;
                MicroUsd(u64::try_from(price).unwrap_or(u64::MAX))
            }))
        };
        let (hot, warm, cold) = (of(self.hot, 100), of(self.warm, 100), of(self.cold, 100));
        let back = u128::from(self.back_percent);
        let (warm_back, cold_back) = (of(self.warm, back), of(self.cold, back));
        let read = of(self.hot, 100 * u128::from(self.fetches)) + warm_back + cold_back;
        let moved = usd(&[(read, EFS_READ_GIB), (u128::from(self.new_gib) * whole, EFS_WRITE_GIB)]);
        let watched = MicroUsd(self.files * BUCKET_WATCH_THOUSAND_MONTH.0 / 1000);
        let bucket_tiers = usd(&[
            (hot, BUCKET_GIB_MONTH),
            (warm, BUCKET_INFREQUENT_GIB_MONTH),
            (cold, BUCKET_ARCHIVE_GIB_MONTH),
        ]);
        let efs_tiers = usd(&[
            (hot, EFS_GIB_MONTH),
            (warm, EFS_INFREQUENT_GIB_MONTH),
            (cold, EFS_ARCHIVE_GIB_MONTH),
            // Read there, and on its way back.
            (2 * warm_back, EFS_INFREQUENT_GIB),
            (2 * cold_back, EFS_ARCHIVE_GIB),
            (cold_back, EFS_INFREQUENT_GIB),
        ]);
        Month {
            bucket: usd(&[(hot + warm + cold, BUCKET_GIB_MONTH)]),
            bucket_tiers: total([bucket_tiers, watched]),
            efs: total([usd(&[(hot + warm + cold, EFS_GIB_MONTH)]), moved]),
            efs_tiers: total([efs_tiers, moved]),
            read_gib: u64::try_from(read / whole).unwrap_or(u64::MAX),
        }
    }
}

impl Month {
    fn and(self, other: Self) -> Self {
        Self {
            bucket: total([self.bucket, other.bucket]),
            bucket_tiers: total([self.bucket_tiers, other.bucket_tiers]),
            efs: total([self.efs, other.efs]),
            efs_tiers: total([self.efs_tiers, other.efs_tiers]),
            read_gib: self.read_gib.saturating_add(other.read_gib),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn class() -> Class {
        Class {
            name: "checkpoints".to_owned(),
            files: 1000,
            gib: 1000,
            hot: 1,
            warm: 1,
            cold: 2,
            fetches: 10,
            back_percent: 10,
            new_gib: 5,
        }
    }

    #[test]
    fn a_class_costs_what_its_formula_says() {
        let month = class().month();
        assert_eq!(month.bucket, MicroUsd(23_000_000));
        // 250 × 0.023 + 250 × 0.0125 + 500 × 0.004 + 1000 × 0.0000025
        assert_eq!(month.bucket_tiers, MicroUsd(10_877_500));
        // 250 × 10 + 750 × 10 %
        assert_eq!(month.read_gib, 2575);
        // 1000 × 0.30 + 2575 × 0.03 + 5 × 0.06
        assert_eq!(month.efs, MicroUsd(377_550_000));
        // 250 × 0.30 + 250 × 0.016 + 500 × 0.008 + 25 × 0.01 × 2 + 50 × (0.03 × 2 + 0.01) + 2575 × 0.03 + 5 × 0.06
        assert_eq!(month.efs_tiers, MicroUsd(164_550_000));
    }

    #[test]
    fn efs_pays_where_the_bucket_is_slow_and_never_where_nothing_is_read() {
        let of = |bucket_mb_per_second, class| Profile {
            title: String::new(),
            bucket_mb_per_second,
            efs_mb_per_second: 1500,
            instance_type: "g5.xlarge".to_owned(),
            classes: vec![class],
        };
        let profile = of(300, class());
        let month = profile.month();
        let edge = profile.worth(&month).pays_below;
        assert!((1.0..100.0).contains(&edge), "{edge}");
        assert!(profile.worth(&month).saved < month.efs_tiers);
        let slower = of(edge.floor() as u32, class());
        assert!(slower.worth(&month).saved > month.efs_tiers);
        let faster = of(edge.ceil() as u32, class());
        assert!(faster.worth(&month).saved < month.efs_tiers);
        let unread = Class {
            fetches: 0,
            back_percent: 0,
            ..class()
        };
        let unread = of(300, unread);
        let worth = unread.worth(&unread.month());
        assert_eq!((worth.saved, worth.pays_below), (MicroUsd(0), 0.0));
    }

    #[test]
    fn what_is_no_profile_is_refused_in_words() {
        let good = json!({
            "title": "x", "bucket_mb_per_second": 300, "efs_mb_per_second": 1500, "instance_type": "g5.xlarge",
            "classes": [{ "name": "a", "files": 1, "gib": 1, "hot": 1, "warm": 0, "cold": 0, "fetches": 1, "back_percent": 0,
                "new_gib": 0 }],
        });
        assert!(Profile::parse(&good.to_string()).is_ok());
        let with = |pointer: &str, value: serde_json::Value| {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            Profile::parse(&bad.to_string()).unwrap_err().to_string()
        };
        for (said, expected) in [
            (with("/classes", json!([])), "it has no classes"),
            (
                with("/classes/0/hot", json!(0)),
                "hot, warm and cold of \"a\" are all 0",
            ),
            (
                with("/classes/0/gib", json!(u64::MAX)),
                "gib of \"a\" is more than 1073741824",
            ),
            (
                with("/classes/0/fetches", json!(100_001)),
                "fetches of \"a\" is more than 100000",
            ),
            (
                with("/classes/0/back_percent", json!(101)),
                "back_percent of \"a\" is more than 100",
            ),
            (with("/classes/0/gib", json!(-1)), "invalid value"),
            (with("/classes/0/gib", json!(1.5)), "invalid type"),
            (with("/classes/0/hot", json!("1")), "invalid type"),
            (with("/efs_mb_per_second", json!(0)), "a rate is 0 MB/s"),
        ] {
            assert!(said.contains(expected), "{said}");
        }
        assert!(Profile::parse("").is_err() && Profile::parse("[]").is_err());
        let more = good.to_string().replacen('{', "{\"more\":1,", 1);
        assert!(Profile::parse(&more).unwrap_err().to_string().contains("unknown field"));
    }

    proptest! {
        #[test]
        fn tiers_cost_nothing_but_watching_and_no_sum_overflows(
            (files, gib, new_gib) in (0..=MOST, 0..=MOST, 0..=MOST),
            (hot, warm, cold) in (any::<u32>(), any::<u32>(), 1..=u32::MAX),
            (fetches, back_percent) in (0..=MOST_FETCHES, 0..=100u8),
        ) {
            let class = Class { name: String::new(), files, gib, hot, warm, cold, fetches, back_percent, new_gib };
            prop_assert!(class.check().is_ok());
            let month = class.month();
            let watched = files * BUCKET_WATCH_THOUSAND_MONTH.0 / 1000;
            prop_assert!(month.bucket_tiers.0 <= month.bucket.0 + watched);
            prop_assert!(month.bucket <= month.efs && month.efs_tiers <= month.efs);
        }
    }
}
