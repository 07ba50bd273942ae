//! The assumptions: how long machines take, what goes wrong, how painters behave. Each has its source, and each that
//! carries a result is varied by `--sensitivity`.

use serde::Serialize;

/// A uniform distribution, seconds.
pub type Range = (f64, f64);

/// Everything that a policy cannot choose.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct World {
    /// From the start of an instance until its worker registers. EC2 instances of this size answer 60 to 120 s after
    /// `StartInstances`. All of it is counted as paid, though EC2 bills from `running` on only.
    pub start_s: Range,
    /// The warm-up graph, with the first checkpoint read from the file system.
    pub warm_up_s: Range,
    /// From the stop until the instance can be started again; not billed.
    pub stop_s: Range,
    /// One picture of 30 steps on an A10G (SD1.5 at 768² to SDXL at 1024²).
    pub picture_s: Range,
    /// A checkpoint from the instance's disk or page cache into VRAM: 2 to 7 GB, read sequentially.
    pub load_s: Range,
    /// Multiplies every service time.
    pub service_factor: f64,
    /// Main models that stay in VRAM, the last used ones: two SDXL checkpoints beside activations in 24 GB. LoRAs,
    /// control nets and upscalers come and go, and a worker does not report them.
    pub vram_models: usize,
    /// Where models lie; none: the machine image has them all, and `load_s` says how long they take.
    pub files: Option<Files>,
    /// Submit to claim on a warm worker (measured on the local stack: under 0.1 s).
    pub overhead_s: f64,
    /// From the word that a run is taken back until its worker claims the next: up to two steps of [`Self::picture_s`] until its
    /// sampler looks, and twice [`Self::overhead_s`].
    pub interrupt_s: Range,
    /// Share of starts and launches without capacity (ICE).
    pub no_capacity: f64,
    /// Share of starts whose worker never registers.
    pub launch_fails: f64,
    /// Lost workers for each hour of a worker's life (Spot would be more).
    pub lost_per_hour: f64,
    /// A request whose rendering has not begun after this long has timed out, and its painter gives it up.
    pub patience_s: f64,
    /// Painters' signs of presence.
    pub painters: Painters,
    /// On-demand price of the instance: g5.xlarge, us-east-1.
    pub price_hour: f64,
    /// Most workers of the pool.
    pub max_workers: u32,
    /// Decides every draw.
    pub seed: u64,
}

/// Models that are brought to machines as they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Files {
    /// Sizes of checkpoints, GB, by turns: SD1.5 and SDXL in half precision, as they are published.
    pub sizes_gb: [f64; 2],
    /// What a machine's disk has room for, GB: four fifths of a g5.xlarge's own 250 GB, which is empty after each stop.
    pub disk_gb: f64,
    /// A GB from the disk into the GPU, seconds: what `model::guess` says before anything was learned.
    pub disk_s: f64,
    /// A GB from the bucket onto the disk, seconds: 300 MB/s, as `ops storage` assumes.
    pub bucket_s: f64,
    /// A read takes this share more or less.
    pub spread: f64,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            sizes_gb: [2.1, 6.9],
            disk_gb: 200.0,
            disk_s: 1.0,
            bucket_s: 1.0 / 0.3,
            spread: 0.2,
        }
    }
}

impl Files {
    /// Size of this model, bytes.
    pub fn bytes(&self, model: u32) -> u64 {
        (self.sizes_gb[model as usize % 2] * 1e9) as u64
    }
}

/// How painters show that they are there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Painters {
    /// Activity begins this long before a request, unless it never ended.
    pub lead_s: Range,
    /// Activity goes on this long after the last request.
    pub linger_s: f64,
    /// Times without any sign while they are there.
    pub pauses: Pauses,
    /// Stays without any request, as a share of those with one.
    pub false_alarms: f64,
    /// After a gap longer than this the painter has started Krita again: what a client that only signals at its start
    /// shows.
    pub restart_s: f64,
}

/// Painters look, think, talk and fetch references. Nobody has recorded that yet: all of it is guessed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pauses {
    /// Activity between two pauses: exponential, with this mean.
    pub every_s: f64,
    /// Half of the pauses are longer than this: log-normal.
    pub median_s: f64,
    /// Standard deviation of the logarithm of a pause: with the median of a minute and a half, one of a hundred is longer than
    /// ten minutes.
    pub sigma: f64,
    /// The longest.
    pub most_s: f64,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            every_s: 180.0,
            median_s: 90.0,
            sigma: 0.8,
            most_s: 600.0,
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self {
            start_s: (60.0, 120.0),
            warm_up_s: (20.0, 40.0),
            stop_s: (20.0, 60.0),
            picture_s: (3.0, 8.0),
            load_s: (2.0, 6.0),
            service_factor: 1.0,
            vram_models: 2,
            files: None,
            overhead_s: 0.1,
            interrupt_s: (0.2, 0.8),
            no_capacity: 0.02,
            launch_fails: 0.001,
            lost_per_hour: 0.001,
            patience_s: 60.0,
            painters: Painters::default(),
            price_hour: 1.006,
            max_workers: 4,
            seed: 1,
        }
    }
}

impl Default for Painters {
    fn default() -> Self {
        Self {
            lead_s: (120.0, 240.0),
            linger_s: 30.0,
            pauses: Pauses::default(),
            false_alarms: 0.02,
            restart_s: 1800.0,
        }
    }
}
