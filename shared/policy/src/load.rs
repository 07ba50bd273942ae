//! How long a worker takes until it has a model in its GPU: the size of the file over the rate of where it lies.

use std::time::Duration;

use model::{
    Estimates, Worker, guess,
    worker_api::{ModelFile, Read, Source},
};

use crate::estimate;

const MB: f64 = 1e6;
/// Most models whose size is remembered: the item stays small.
const SIZES: usize = 64;
/// Of smaller reads the delays show more than the rate, bytes.
const SMALL: u64 = 64_000_000;
/// Most reads of a run that count: a run has one main model and some LoRAs.
pub(crate) const READS: usize = 16;
/// A wild rate must not become a wild time, milliseconds for a megabyte.
const SLOWEST: f64 = 1000.0;

/// Where a model lies, as seen from a worker: each takes longer than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In its GPU, or none is needed.
    Gpu,
    /// On its own disk, as what the machine image has always is.
    Disk,
    /// On the file system that the machines share.
    Shared,
    /// Only in the bucket.
    Bucket,
}

impl Place {
    /// Where this model is for this worker.
    pub fn of(model: Option<&str>, worker: &Worker) -> Self {
        let Some(model) = model else { return Self::Gpu };
        let has = |files: &[String], mark: &str| files.iter().any(|it| it == mark);
        match ModelFile::mark(model) {
            _ if has(&worker.models, model) => Self::Gpu,
            None => Self::Disk,
            Some(mark) if has(&worker.on_disk, mark) => Self::Disk,
            Some(mark) if has(&worker.on_shared, mark) => Self::Shared,
            Some(_) => Self::Bucket,
        }
    }
}

/// How long this worker takes until it has the model in its GPU. What is fetched is read from the disk afterwards.
pub fn time(estimates: &Estimates, model: Option<&str>, worker: &Worker) -> Duration {
    let bytes = model.and_then(|it| estimates.sizes.get(it)).copied();
    let rates = |sources: &[Source]| sources.iter().map(|it| rate(estimates, *it)).sum::<f64>();
    let ms_per_mb = match Place::of(model, worker) {
        Place::Gpu => return Duration::ZERO,
        Place::Disk => rates(&[Source::Disk]),
        Place::Shared => rates(&[Source::Shared, Source::Disk]),
        Place::Bucket => rates(&[Source::Bucket, Source::Disk]),
    };
    let ms = bytes.unwrap_or(guess::MODEL_BYTES) as f64 / MB * ms_per_mb;
    // Whole milliseconds: two times that differ by less are the same.
    Duration::from_millis(ms.clamp(0.0, 1e9) as u64)
}

/// How long a run may fetch its files, beside the time that it has for rendering. What only the machine image has needs none, and
/// LoRAs are small. Whoever gets less than 7 GB in it is replaced: that is 4 MB/s.
pub fn fetch_limit(model: Option<&str>) -> Duration {
    let stored = model.is_some_and(|it| ModelFile::mark(it).is_some());
    if stored { FETCH_LIMIT } else { Duration::ZERO }
}

const FETCH_LIMIT: Duration = Duration::from_mins(30);

/// Milliseconds for a megabyte: as learned, else as stated.
fn rate(estimates: &Estimates, source: Source) -> f64 {
    let learned = estimates.reads.get(&source).filter(|it| it.samples > 0);
    let learned = learned.map(|it| it.mean).filter(|it| it.is_finite() && *it > 0.0);
    let stated = match source {
        Source::Disk => guess::DISK_MS,
        Source::Shared => guess::SHARED_MS,
        Source::Bucket => guess::BUCKET_MS,
    };
    learned.unwrap_or(stated).min(SLOWEST)
}

/// Takes what a worker has read.
pub fn learn(estimates: &mut Estimates, reads: &[Read]) {
    for read in reads.iter().take(READS).filter(|it| it.bytes >= SMALL) {
        let sample = (read.ms as f64 / (read.bytes as f64 / MB)).min(SLOWEST);
        estimate::learn(estimates.reads.entry(read.from).or_default(), sample);
    }
}

/// Takes the size of a model's file, as the catalogue says it.
pub fn learn_size(estimates: &mut Estimates, model: &str, bytes: u64) {
    let sizes = &mut estimates.sizes;
    if sizes.len() >= SIZES && !sizes.contains_key(model) {
        // Rather one that nobody asks for lately.
        let wanted = &estimates.demand;
        let spare = sizes.keys().find(|it| !wanted.contains_key(*it)).cloned();
        if let Some(spare) = spare {
            sizes.remove(&spare);
        }
    }
    if sizes.len() < SIZES {
        sizes.insert(model.to_owned(), bytes);
    }
}

#[cfg(test)]
mod tests {
    use model::{Millis, PoolId, WorkerId};
    use proptest::prelude::*;

    use super::*;

    fn file(number: u32) -> String {
        format!("atelier/studio/{number:08x}.safetensors")
    }

    fn worker() -> Worker {
        Worker::launching(WorkerId::new("w"), PoolId::new("pool"), Millis(0))
    }

    #[test]
    fn what_lies_further_takes_longer_and_what_is_larger_too() {
        let mut estimates = Estimates::default();
        learn_size(&mut estimates, &file(1), 2_000_000_000);
        learn_size(&mut estimates, &file(2), 7_000_000_000);
        let mut worker = worker();
        let of = |worker: &Worker, number| time(&estimates, Some(&file(number)), worker).as_millis();
        assert_eq!((of(&worker, 1), of(&worker, 2)), (8_666, 30_333), "from the bucket");
        worker.on_shared = vec!["00000001".into(), "00000002".into()];
        assert_eq!(
            (of(&worker, 1), of(&worker, 2)),
            (3_333, 11_666),
            "from the shared folder"
        );
        worker.on_disk = vec!["00000002".into()];
        assert_eq!(
            (of(&worker, 1), of(&worker, 2)),
            (3_333, 7_000),
            "a small one is nearer there than a large one on disk"
        );
        worker.models = vec![file(2)];
        assert_eq!((of(&worker, 1), of(&worker, 2)), (3_333, 0));
        // What the machine image has, and what is not known.
        assert_eq!(time(&estimates, Some("baked.safetensors"), &worker), guess::LOAD);
        assert_eq!(time(&estimates, None, &worker), Duration::ZERO);
        assert_eq!(of(&worker, 3), 21_666);
    }

    #[test]
    fn what_was_measured_replaces_what_was_stated() {
        let mut estimates = Estimates::default();
        let read = |from, ms| Read {
            from,
            bytes: 1_000_000_000,
            ms,
        };
        learn(&mut estimates, &[read(Source::Bucket, 10_000), read(Source::Disk, 500)]);
        assert_eq!(time(&estimates, Some(&file(1)), &worker()).as_millis(), 52_500);
        // What is small shows no rate.
        learn(
            &mut estimates,
            &[Read {
                from: Source::Bucket,
                bytes: 1000,
                ms: 60_000,
            }],
        );
        assert_eq!(time(&estimates, Some(&file(1)), &worker()).as_millis(), 52_500);
    }

    proptest! {
        #[test]
        fn whatever_a_worker_says_no_time_is_wild_and_the_item_stays_small(
            reads in prop::collection::vec((0..3_u8, any::<u64>(), any::<u64>()), 0..40),
            sizes in prop::collection::vec((0_u32..200, any::<u64>()), 0..200), asked in 0_u32..200,
        ) {
            let mut estimates = Estimates::default();
            let source = |it| [Source::Disk, Source::Shared, Source::Bucket][usize::from(it)];
            let reads: Vec<_> = reads.iter().map(|(from, bytes, ms)| Read { from: source(*from), bytes: *bytes, ms: *ms }).collect();
            learn(&mut estimates, &reads);
            for (number, bytes) in &sizes {
                learn_size(&mut estimates, &file(*number), *bytes);
            }
            prop_assert!(estimates.sizes.len() <= SIZES && estimates.reads.len() <= 3);
            prop_assert!(time(&estimates, Some(&file(asked)), &worker()) <= Duration::from_secs(1_000_000));
        }
    }
}
