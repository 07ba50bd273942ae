//! A machine's disk of model files.

use model::worker_api::{Read, Source};

use crate::{chance::Chance, world::Files};

/// What lies there, latest used first, and when each came.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Vec<(u32, u64)>);

impl Disk {
    /// The models that are there now.
    pub(super) fn models(&self, now: u64) -> impl Iterator<Item = u32> + '_ {
        self.0
            .iter()
            .filter(move |(_, since)| *since <= now)
            .map(|(model, _)| *model)
    }

    pub(super) fn has(&self, model: u32, now: u64) -> bool {
        self.models(now).any(|it| it == model)
    }

    /// A model is used, or comes at this time; what was not used for longest makes room.
    pub(super) fn put(&mut self, model: u32, at: u64, files: &Files) {
        let since = self
            .0
            .iter()
            .find(|(it, _)| *it == model)
            .map_or(at, |(_, since)| at.min(*since));
        self.0.retain(|(it, _)| *it != model);
        self.0.insert(0, (model, since));
        let mut room = (files.disk_gb * 1e9) as u64;
        self.0.retain(|(it, _)| {
            let fits = files.bytes(*it) <= room;
            room = room.saturating_sub(files.bytes(*it));
            fits
        });
    }
}

/// What a machine reads to have a model in its GPU, and how long that takes, seconds.
pub(super) fn reads(files: &Files, model: u32, is_there: bool, chance: &mut Chance) -> (Vec<Read>, f64) {
    let bytes = files.bytes(model);
    let mut read = |from, seconds_per_gb: f64| {
        let spread = chance.between(1.0 - files.spread, 1.0 + files.spread);
        let seconds = bytes as f64 / 1e9 * seconds_per_gb * spread;
        Read {
            from,
            bytes,
            ms: (seconds * 1000.0) as u64,
        }
    };
    let mut reads = Vec::new();
    if !is_there {
        reads.push(read(Source::Bucket, files.bucket_s));
    }
    reads.push(read(Source::Disk, files.disk_s));
    let seconds = reads.iter().map(|it| it.ms as f64 / 1000.0).sum();
    (reads, seconds)
}
