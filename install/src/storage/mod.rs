//! `ops storage`: what a store of model files costs in a month, by a stated profile of when its files were last read.

mod draw;
mod month;

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context, Result};
use model::MicroUsd;

pub use self::{
    draw::bars,
    month::{Class, Month, Profile, ProfileError, Worth},
};
use crate::prices::{
    BUCKET_ARCHIVE_GIB_MONTH, BUCKET_GIB_MONTH, BUCKET_INFREQUENT_GIB_MONTH, BUCKET_WATCH_THOUSAND_MONTH,
    EFS_ARCHIVE_GIB, EFS_ARCHIVE_GIB_MONTH, EFS_GIB_MONTH, EFS_INFREQUENT_GIB, EFS_INFREQUENT_GIB_MONTH, EFS_READ_GIB,
    EFS_WRITE_GIB, TIERS_SOURCE, in_words,
};

/// `ops storage`.
#[derive(Debug, Clone, clap::Args)]
pub struct Storage {
    /// The profile, a JSON file such as docs/storage/seed.json.
    #[arg(long)]
    profile: PathBuf,
    /// Draw the costs as bars into this file.
    #[arg(long)]
    svg: Option<PathBuf>,
}

/// Says what the profile costs, and draws it if asked to.
pub fn run(told: &Storage) -> Result<String> {
    let path = told.profile.display();
    let text = fs::read_to_string(&told.profile).with_context(|| format!("{path} cannot be read"))?;
    let profile = Profile::parse(&text)
        .with_context(|| format!("{path} is no profile of a store such as docs/storage/seed.json"))?;
    if let Some(svg) = &told.svg {
        fs::write(svg, bars(&profile.title, &profile.month()))
            .with_context(|| format!("{} cannot be written", svg.display()))?;
    }
    Ok(words(&profile))
}

/// The costs in words: by class, in all, and by which formula.
pub fn words(profile: &Profile) -> String {
    let percent = |part: u32, class: &Class| format!("{:.1} %", 100.0 * f64::from(part) / class.parts() as f64);
    let mut text = format!(
        "{}: US$ a month\n\n{:<20}{:>8}{:>8}{:>8}{:>8}{:>8}{:>12}{:>12}{:>12}{:>12}\n",
        profile.title, "", "files", "GiB", "hot", "warm", "cold", "bucket", "in tiers", "EFS", "in tiers"
    );
    for class in &profile.classes {
        let _ = write!(text, "{:<20}{:>8}{:>8}", class.name, class.files, class.gib);
        for part in [class.hot, class.warm, class.cold] {
            let _ = write!(text, "{:>8}", percent(part, class));
        }
        line(&mut text, &class.month());
    }
    let month = profile.month();
    let _ = write!(text, "{:<60}", "in all");
    line(&mut text, &month);
    let _ = writeln!(
        text,
        "{:<60}{:>24}{:>24}",
        "saved by tiers",
        saved_in_words(month.bucket, month.bucket_tiers),
        saved_in_words(month.efs, month.efs_tiers)
    );
    let _ = write!(text, "\n{}\n\n{}", worth_in_words(profile, &month), formula());
    text
}

fn line(text: &mut String, month: &Month) {
    for price in [month.bucket, month.bucket_tiers, month.efs, month.efs_tiers] {
        let _ = write!(text, "{:>12}", in_words(price));
    }
    text.push('\n');
}

/// By how much it is less, in percent.
fn saved_in_words(without: MicroUsd, with: MicroUsd) -> String {
    if without.0 == 0 {
        return "–".to_owned();
    }
    format!("{:.1} %", 100.0 * (1.0 - with.0 as f64 / without.0 as f64))
}

fn worth_in_words(profile: &Profile, month: &Month) -> String {
    let worth = profile.worth(month);
    format!(
        "A copy on EFS costs {} more.\n\
         At {} MB/s from it and {} MB/s from the bucket it saves {} of the time of a {}: it {}.\n\
         Both grow with the store, so that does not depend on its size.\n\
         It would pay where a machine gets less than {:.1} MB/s from the bucket.",
        in_words(month.efs_tiers),
        profile.efs_mb_per_second,
        profile.bucket_mb_per_second,
        in_words(worth.saved),
        profile.instance_type,
        if worth.saved > month.efs_tiers {
            "pays"
        } else {
            "does not pay"
        },
        worth.pays_below,
    )
}

fn formula() -> String {
    let usd = |price: MicroUsd| price.0 as f64 / 1e6;
    format!(
        "hot: read within 30 days, warm: within 90, cold: not for longer.\n\
         By {TIERS_SOURCE}:\n\
         bucket    GiB × {}\n\
         in tiers  hot × {} + warm × {} + cold × {} + files × {:.7}\n\
         EFS       GiB × {} + read GiB × {} + new GiB × {}\n\
         in tiers  hot × {} + warm × {} + cold × {} + read and new as before, and for what is read again\n          \
         warm × {} × 2 (reading it, and its way back into the tier) + cold × ({} × 2 + {})\n\
         read GiB  hot × fetches + (warm + cold) × back",
        usd(BUCKET_GIB_MONTH),
        usd(BUCKET_GIB_MONTH),
        usd(BUCKET_INFREQUENT_GIB_MONTH),
        usd(BUCKET_ARCHIVE_GIB_MONTH),
        usd(BUCKET_WATCH_THOUSAND_MONTH) / 1000.0,
        usd(EFS_GIB_MONTH),
        usd(EFS_READ_GIB),
        usd(EFS_WRITE_GIB),
        usd(EFS_GIB_MONTH),
        usd(EFS_INFREQUENT_GIB_MONTH),
        usd(EFS_ARCHIVE_GIB_MONTH),
        usd(EFS_INFREQUENT_GIB),
        usd(EFS_ARCHIVE_GIB),
        usd(EFS_INFREQUENT_GIB),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = include_str!("../../../docs/storage/seed.json");

    #[test]
    fn tiers_save_what_the_documentation_says() {
        let words = words(&Profile::parse(SEED).unwrap());
        let (_, page) = include_str!("../../../docs/models.md")
            .split_once("$ ops storage")
            .unwrap();
        let (page, _) = page.split_once("\n```\n").unwrap();
        let (_, page) = page.split_once('\n').unwrap();
        assert_eq!(
            words.trim_end(),
            page.trim_end(),
            "put what it says into docs/models.md"
        );
    }

    #[test]
    fn the_picture_is_that_of_the_profile() {
        let profile = Profile::parse(SEED).unwrap();
        let drawn = bars(&profile.title, &profile.month());
        let kept = include_str!("../../../docs/storage/seed.svg");
        assert_eq!(
            drawn, kept,
            "ops storage --profile docs/storage/seed.json --svg docs/storage/seed.svg"
        );
    }
}
