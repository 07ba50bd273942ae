//! What is measured: one table, from which everything else about a metric is made.
//!
//! The stack is the namespace. Whatever tells one value from another but makes no series of its own (a task, a worker, a
//! kind of request) is a property of the line that a value is written in, which costs nothing.

use std::fmt;

/// A unit, as CloudWatch names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// So many of something.
    Count,
    /// Hundredths of something.
    Percent,
    /// Thousandths of a second.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Something that CloudWatch has no unit for: US dollars, or yes (1) and no (0).
    None,
}

impl Unit {
    /// The unit as it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Percent => "Percent",
            Self::Milliseconds => "Milliseconds",
            Self::Seconds => "Seconds",
            Self::None => "None",
        }
    }
}

/// By what the series of a metric are told apart. Each value makes a series, and each series is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// The pool.
    Pool,
    /// The EC2 instance type.
    InstanceType,
    /// What a worker does.
    State,
    /// A stage of a machine's boot.
    Stage,
    /// What became of a task.
    Outcome,
    /// What became of a start.
    Start,
    /// Why a request was not let in.
    Refusal,
    /// Whose tick it was.
    Tick,
    /// Where a model came from.
    Source,
}

impl Dimension {
    /// The dimension as it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pool => "Pool",
            Self::InstanceType => "InstanceType",
            Self::State => "State",
            Self::Stage => "Stage",
            Self::Outcome => "Outcome",
            Self::Start => "Start",
            Self::Refusal => "Refusal",
            Self::Tick => "Tick",
            Self::Source => "Source",
        }
    }

    /// The values that there are; none where a studio has as many as it has pools, or instance types.
    pub const fn values(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Pool | Self::InstanceType => None,
            Self::State => Some(&["coming", "ready", "busy", "draining", "failed"]),
            Self::Stage => Some(&[
                "machine",
                "kernel",
                "userland",
                "driver",
                "comfyui",
                "warm_up",
                "first_picture",
            ]),
            Self::Outcome => Some(&["succeeded", "failed", "canceled", "expired"]),
            Self::Start => Some(&["came_up", "failed", "no_capacity"]),
            Self::Refusal => Some(&["request", "rate", "budget", "pool"]),
            Self::Tick => Some(&["lifecycle", "idle-reaper"]),
            Self::Source => Some(&["memory", "disk", "shared", "bucket"]),
        }
    }

    /// Whether this is a value of it.
    pub fn has(self, value: &str) -> bool {
        // What CloudWatch takes: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Dimension.html
        let fits = || (1..=255).contains(&value.len()) && value.bytes().all(|it| it.is_ascii_graphic());
        self.values()
            .map_or_else(|| fits() && !value.starts_with(':'), |values| values.contains(&value))
    }
}

/// When values come, which is when a series is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rhythm {
    /// Once a minute.
    Tick,
    /// Only while somebody paints or a machine is up.
    Work,
}

/// A row of the table of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its name in CloudWatch.
    pub name: &'static str,
    /// What its values are.
    pub unit: Unit,
    /// When they come.
    pub rhythm: Rhythm,
    /// What its series are told apart by.
    pub dimensions: &'static [Dimension],
    /// What it says: Markdown, in one line.
    pub meaning: &'static str,
}

impl Row {
    /// How many series a studio has of it, with so many pools, each of so many instance types.
    pub fn series(&self, pools: usize, types: usize) -> usize {
        let each = self.dimensions.iter().map(|it| match it {
            Dimension::Pool => pools,
            Dimension::InstanceType => types,
            it => it.values().map_or(1, <[_]>::len),
        });
        each.product()
    }
}

/// A row of a Markdown table: name, unit, dimensions, meaning.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.dimensions.iter().map(|it| format!("`{}`", it.word()));
        let of = of.collect::<Vec<_>>().join(", ");
        let of = if of.is_empty() { "–" } else { &of };
        let unit = match self.unit {
            Unit::None => "–",
            unit => unit.word(),
        };
        write!(f, "| `{}` | {unit} | {of} | {} |", self.name, self.meaning)
    }
}

/// A metric of this many dimensions.
#[derive(Debug, Clone, Copy)]
pub struct Metric<const N: usize>(&'static Row);

impl<const N: usize> Metric<N> {
    /// A value of the series with these values of its dimensions, in the order of the table.
    pub fn sample(self, of: [&str; N], value: f64) -> Sample {
        Sample {
            row: self.0,
            of: of.map(str::to_owned).to_vec(),
            value,
        }
    }

    /// Its row.
    pub const fn row(self) -> &'static Row {
        self.0
    }
}

impl Metric<0> {
    /// A value of it.
    pub fn of(self, value: f64) -> Sample {
        self.sample([], value)
    }

    /// 1 or 0.
    pub fn whether(self, it: bool) -> Sample {
        self.of(if it { 1.0 } else { 0.0 })
    }
}

/// A value of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Of which metric.
    pub row: &'static Row,
    /// The values of its dimensions.
    pub of: Vec<String>,
    /// The value, in the metric's unit.
    pub value: f64,
}

impl Sample {
    /// Whether it may be sent: a number that is not negative, of a series that the table knows.
    pub fn is_sound(&self) -> bool {
        let known = self.row.dimensions.iter().zip(&self.of);
        self.value.is_finite() && self.value >= 0.0 && known.into_iter().all(|(it, value)| it.has(value))
    }
}

/// `/// meaning`, then `NAME = "Name": Unit, Rhythm, [Dimension, …];`.
macro_rules! metrics {
    ($($(#[doc = $meaning:literal])+ $name:ident = $word:literal: $unit:ident, $rhythm:ident, [$($dimension:ident),*];)+) => {
        $($(#[doc = $meaning])+
        pub const $name: Metric<{ <[Dimension]>::len(&[$(Dimension::$dimension),*]) }> = Metric(&Row {
            name: $word,
            unit: Unit::$unit,
            rhythm: Rhythm::$rhythm,
            dimensions: &[$(Dimension::$dimension),*],
            meaning: concat!($($meaning),+).trim_ascii(),
        });)+

        /// Every metric.
        pub const TABLE: &[&Row] = &[$($name.row()),+];
    };
}

metrics! {
    /// Workers whose machine is (about to be) up, by what they do.
    WORKERS = "Workers": Count, Work, [Pool, State];
    /// GPU use, each time that a machine says so.
    GPU_USE = "GpuUse": Percent, Work, [Pool];
    /// GPU memory in use.
    VRAM_USE = "VramUse": Percent, Work, [Pool];
    /// A machine's memory in use.
    RAM_USE = "RamUse": Percent, Work, [Pool];
    /// A machine's disk in use, where its models lie.
    DISK_USE = "DiskUse": Percent, Work, [Pool];
    /// ComfyUI was started again on a machine that was up.
    COMFYUI_RESTARTS = "ComfyUiRestarts": Count, Work, [];
    /// How long the stages of a boot took. `machine`: from when it was asked for until its kernel began;
    /// `first_picture`: from when it was asked for until its first picture.
    BOOT_TIME = "BootTime": Milliseconds, Work, [Stage];
    /// Starts and launches, by what became of them.
    STARTS = "Starts": Count, Work, [Start];
    /// Machine time, a minute for each machine that is up at a tick.
    MACHINE_TIME = "MachineTime": Seconds, Work, [InstanceType];
    /// What that costs, US$, by the pool's prices.
    MACHINE_COST = "MachineCost": None, Work, [];
    /// How long the models of a picture took to come, by where each came from; the count of its values is the count of reads.
    /// `memory`: the GPU had it, which takes none; `disk`: into ComfyUI; `shared`, `bucket`: onto the machine's disk.
    LOAD_TIME = "LoadTime": Milliseconds, Work, [Source];

    /// Tasks that were let in.
    SUBMITS = "Submits": Count, Work, [];
    /// Requests that were not.
    REFUSALS = "Refusals": Count, Work, [Refusal];
    /// Tasks that are over.
    TASKS = "Tasks": Count, Work, [Outcome];
    /// 1 for a task that failed through no fault of its request, 0 for one that succeeded.
    TASK_FAILED = "TaskFailed": None, Work, [];
    /// From submit until the run that delivered was claimed.
    TASK_WAIT = "TaskWait": Milliseconds, Work, [];
    /// From submit to the picture.
    TASK_TIME = "TaskTime": Milliseconds, Work, [];
    /// By how much the time was off that the painter was told at submit.
    ETA_ERROR = "EtaError": Milliseconds, Work, [];
    /// Credits spent, for each task that succeeded.
    CREDITS = "Credits": Count, Work, [];
    /// US$ of machine time for each picture.
    PICTURE_COST = "PictureCost": None, Work, [];
    /// Tasks that wait.
    QUEUE_LENGTH = "QueueLength": Count, Work, [Pool];
    /// Runs of the batch lane that were taken back for somebody who waited.
    PREEMPTIONS = "Preemptions": Count, Work, [];
    /// How long the one that waits longest has waited.
    OLDEST_WAIT = "OldestWait": Seconds, Work, [Pool];
    /// Painters who are at their canvas.
    PAINTERS = "Painters": Count, Work, [Pool];

    /// 1 while starts are paused, since too many failed.
    BREAKER_OPEN = "BreakerOpen": None, Tick, [];
    /// Starts of the last day that failed, at most the last 20; 0 unless two did.
    STARTS_FAILED = "StartsFailed": Percent, Tick, [];
    /// 1 while a GPU has been at its limit for `hot_for` and the pool has as many machines as it may have.
    SATURATED = "Saturated": None, Tick, [];
    /// Tasks that have waited for five minutes while no machine serves them or comes.
    STRANDED = "Stranded": Count, Tick, [];
    /// Machines that have been up for an hour without work.
    IDLE_MACHINES = "IdleMachines": Count, Tick, [];
    /// How much of its monthly limit a pool has used; absent without one.
    LIMIT_USED = "LimitUsed": Percent, Tick, [];
    /// Mean pinball loss, in tasks an hour, of the forecaster that acts, over the last 14 days; absent while none does.
    FORECAST_LOSS = "ForecastLoss": None, Tick, [Pool];
    /// Hours of the last 14 days that stayed below its ninth of ten: 90 is meant.
    FORECAST_COVERAGE = "ForecastCoverage": Percent, Tick, [Pool];
    /// Forecasts that were not made, since what was learned is damaged or of another release. The training of the next night
    /// makes it anew; until then the rules of the minute act alone.
    FORECASTS_DAMAGED = "ForecastsDamaged": Count, Work, [];
    /// How long a tick took.
    TICK_TIME = "TickTime": Milliseconds, Tick, [Tick];

    /// Read-decide-write cycles that began again after a conflict.
    RETRIES = "Retries": Count, Work, [];
    /// Writes that met somebody else's.
    CONFLICTS = "Conflicts": Count, Work, [];
    /// Calls that AWS refused as too many, after the SDK's own repetitions.
    THROTTLES = "Throttles": Count, Work, [];
    /// Calls whose token was no good, or whose bearer is out, and sign-ins that were refused.
    REFUSED_LOGINS = "RefusedLogins": Count, Work, [];
    /// Model files whose bytes were not those of their hash, by where a machine found them so. They are fetched anew.
    DAMAGED_FILES = "DamagedFiles": Count, Work, [Source];
    /// Values that were dropped, since they were no number, negative, or of a series that is not in this table.
    VALUES_DROPPED = "ValuesDropped": Count, Work, [];
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_a_series_is_one_of_the_table() {
        let names: BTreeSet<_> = TABLE.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), TABLE.len());
        assert!(WORKERS.sample(["main", "busy"], 1.0).is_sound());
        for unsound in [
            WORKERS.sample(["main", "asleep"], 1.0),
            WORKERS.sample(["", "busy"], 1.0),
            TASK_WAIT.of(f64::NAN),
            TASK_WAIT.of(f64::INFINITY),
            TASK_WAIT.of(-0.5),
        ] {
            assert!(!unsound.is_sound(), "{unsound:?}");
        }
        assert_eq!((WORKERS.row().series(2, 3), MACHINE_TIME.row().series(2, 3)), (10, 3));
    }
}
