//! What an operator may set: one table, from which everything else about a setting is made.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{MicroUsd, guess};

/// A kind of value, as it is written in `key=value`.
trait Value: Sized {
    fn read(text: &str) -> Option<Self>;
    fn text(&self) -> String;
}

impl Value for Duration {
    fn read(text: &str) -> Option<Self> {
        humantime::parse_duration(text).ok()
    }
    fn text(&self) -> String {
        // Without the spaces that part settings.
        humantime::format_duration(*self).to_string().replace(' ', "")
    }
}

impl Value for u32 {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn text(&self) -> String {
        self.to_string()
    }
}

impl Value for u64 {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn text(&self) -> String {
        self.to_string()
    }
}

/// Dollars.
impl Value for MicroUsd {
    fn read(text: &str) -> Option<Self> {
        // No exponent, and none of the words that a number may be.
        let plain = text.chars().all(|it| it.is_ascii_digit() || it == '.');
        let usd: f64 = plain.then(|| text.parse().ok()).flatten()?;
        (0.0..=1e6).contains(&usd).then(|| Self((usd * 1e6).round() as u64))
    }
    fn text(&self) -> String {
        (self.0 as f64 / 1e6).to_string()
    }
}

/// A row of the table of settings.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its key.
    pub name: &'static str,
    /// What it is for: Markdown, in one line.
    pub meaning: &'static str,
    get: fn(&Settings) -> String,
    set: fn(&mut Settings, &str) -> Option<()>,
}

impl Setting {
    /// Its value in these settings, as it is written.
    pub fn of(&self, settings: &Settings) -> String {
        (self.get)(settings)
    }
}

/// A row of a Markdown table: name, default, meaning.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = self.of(&Settings::default());
        write!(f, "| `{}` | {default} | {} |", self.name, self.meaning)
    }
}

/// `/// meaning`, then `name: type = default;`.
macro_rules! settings {
    ($($(#[doc = $meaning:literal])+ $name:ident: $kind:ty = $default:expr;)+) => {
        /// Every duration and limit that an operator may set. `key=value` pairs, durations as `30s`, `5m`, `500ms`.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        pub struct Settings {
            $($(#[doc = $meaning])+ pub $name: $kind,)+
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Settings {
            /// Every setting.
            pub const TABLE: &'static [Setting] = &[$(Setting {
                name: stringify!($name),
                meaning: concat!($($meaning),+).trim_ascii(),
                get: |settings| settings.$name.text(),
                set: |settings, text| Value::read(text).map(|value| settings.$name = value),
            },)+];
        }
    };
}

const MIB: u64 = 1024 * 1024;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn minutes(n: u64) -> Duration {
    Duration::from_mins(n)
}

settings! {
    /// How long a run is held without a heartbeat. Keep it at several times `heartbeat_busy`.
    lease: Duration = seconds(30);
    /// Heartbeat of a worker that renders. Told at registration.
    heartbeat_busy: Duration = seconds(5);
    /// Heartbeat of a worker that does not render, and its claim without a wake. Told at registration.
    heartbeat_ready: Duration = seconds(15);
    /// A worker not heard of for this long has failed. Keep it above `heartbeat_ready` and `lease`.
    worker_silent: Duration = seconds(90);
    /// Most time in `booting`, and again in `warming`; most time that a start or a stop counts as under way. A worker
    /// that takes longer has failed.
    boot_limit: Duration = minutes(10);
    /// A ready worker without a run for this long, with a quiet GPU and no wanted task, stops whatever anybody says.
    /// Keep it below `dead_man`.
    idle_stop: Duration = minutes(30);
    /// The same after this long where nobody is present, and clients show only when they call.
    idle_blind: Duration = minutes(10);
    /// The same after this long where every painter of the last hour has a client that reports the canvas, and for a
    /// second worker: the time in which idling has cost as much as the next start (break-even).
    idle_watched: Duration = minutes(2);
    /// Most workers that the hourly forecast starts and keeps up ahead of demand, as far as its credit goes; `0`: it starts
    /// none.
    forecast_workers: u32 = 0;
    /// Dollars that it is worth to spare a painter the wait for a start. Once the pool knows its painters' pauses, the first
    /// worker is kept, or started ahead of a request, where that costs less; until then by `idle_watched` and `idle_blind`.
    wait_worth: MicroUsd = MicroUsd(250_000);
    /// How long a painter counts as present after the last sign of it.
    presence: Duration = minutes(5);
    /// Longest predicted wait that needs no further worker.
    wait_target: Duration = seconds(20);
    /// How far, in GPU time of one user, a task whose model is loaded may overtake.
    look_ahead: Duration = minutes(1);
    /// How often a run of a task of the batch lane is taken back, and begun anew later, for somebody who waits at the canvas while
    /// nobody is free; `0`: never.
    preemptions: u64 = 8;
    /// A task that has waited this long is not overtaken.
    pass_over: Duration = seconds(20);
    /// GPU use, percent, above which a worker counts as hot.
    hot_percent: u32 = 95;
    /// A worker hot for this long asks for another one, if the wait is long.
    hot_for: Duration = minutes(5);
    /// After starts failed too often nothing is started for this long; then one is tried.
    breaker_pause: Duration = minutes(5);
    /// A machine is not stopped earlier than this after it was asked for, since it is paid for anyway; except by
    /// `idle_stop`.
    min_billing: Duration = minutes(1);
    /// Least time between two requests of a painter, in the long run; `0s`: no limit.
    rate_interval: Duration = Duration::from_millis(400);
    /// How many requests a painter may send at once.
    rate_burst: u32 = 60;
    /// Least time between two requests of a team, in the long run; `0s`: no limit, since with one all its submits write
    /// one item.
    team_rate_interval: Duration = Duration::ZERO;
    /// How many requests a team may send at once.
    team_rate_burst: u32 = 240;
    /// Least time from the decision to drain to the stop: the second look.
    drain_confirm: Duration = seconds(50);
    /// GPU use, percent, below which it counts as quiet; unknown use is quiet too.
    gpu_quiet_percent: u32 = 5;
    /// An instance that could not be started, or a launch that failed in every zone, is not tried again for this long.
    capacity_pause: Duration = minutes(3);
    /// Most time from submit to the end of a task, waiting and rendering.
    task_expiry: Duration = minutes(60);
    /// The same for a task of the batch lane. Uploaded pictures are deleted after a day: keep it below.
    batch_expiry: Duration = minutes(720);
    /// Most variants of one request, 96 at most: all of them are let in by one transaction.
    max_variants: u32 = 96;
    /// A waiting task that its owner has not asked for this long starts no worker.
    owner_absent: Duration = minutes(1);
    /// A waiting task that its owner has not asked for this long expires.
    owner_gone: Duration = minutes(5);
    /// A run may take at least this long before it is given up.
    run_floor: Duration = guess::LIMIT.fixed;
    /// What it may take on top of `run_floor` for each unit of work (sampling step × megapixel, the whole batch).
    run_per_work: Duration = guess::LIMIT.per_work;
    /// How long a call is kept open for a picture that is about to be done; `0s`: never.
    hold: Duration = seconds(2);
    /// How old a pool's line may be by which a submit tells the painter's place and the time left; `0s`: read for each.
    line_age: Duration = seconds(1);
    /// How many functions the account may run at once (Lambda's concurrent executions; a new account has 10). At most a
    /// third of them are calls that are kept open.
    concurrency: u32 = 10;
    /// How long a task stays in the table after its record was written. Keep it at several days: what is newer than a few
    /// days is listed from there.
    task_life: Duration = minutes(7 * 24 * 60);
    /// Life of presigned URLs; they may die earlier with the credentials that signed them.
    url_life: Duration = minutes(60);
    /// Most worker time of a painter in a month that ends without a picture by their own doing, as by a cancel; `0s`: no
    /// limit.
    max_unpaid: Duration = minutes(600);
    /// Life of the address that a request's pictures are uploaded to, which is used at once.
    upload_life: Duration = minutes(10);
    /// Most such addresses of a painter that live and that no request has used.
    max_open_uploads: u32 = 60;
    /// Life of a worker's token, renewed by heartbeat at half of it.
    worker_token: Duration = minutes(60);
    /// A host that has no work, or no answer to its heartbeats, for this long shuts itself down. Told at registration.
    dead_man: Duration = minutes(60);
    /// Largest uploaded blob, bytes.
    max_upload: u64 = 64 * MIB;
    /// Largest LoRA that a painter may upload, bytes; S3 takes 5 GiB in one PUT.
    max_lora: u64 = 1024 * MIB;
    /// Most uploaded LoRAs of a team; 999 at most.
    max_team_loras: u64 = 200;
    /// Most bytes of a team's uploaded LoRAs together.
    max_team_lora_bytes: u64 = 50 * 1024 * MIB;
    /// Largest model file, bytes.
    max_model: u64 = 24 * 1024 * MIB;
    /// Most bytes of a team's own models together.
    max_team_model_bytes: u64 = 1024 * 1024 * MIB;
    /// Largest result of a run, bytes. S3 takes 5 GiB in one PUT.
    max_result: u64 = 1024 * MIB;
}

/// A setting that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not `key=value`.
    #[error("`{0}` is not key=value")]
    NoPair(String),
    /// No such setting.
    #[error("there is no setting `{0}`")]
    Unknown(String),
    /// The value does not fit.
    #[error("`{value}` is no value for the setting `{key}`")]
    Value {
        /// The setting.
        key: String,
        /// What was given.
        value: String,
    },
}

impl Settings {
    /// Reads `key=value` pairs, parted by commas or spaces, over the defaults.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for pair in text.split([',', ' ']).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| SettingsError::NoPair(pair.to_owned()))?;
            let row = Self::TABLE.iter().find(|row| row.name == key);
            let row = row.ok_or_else(|| SettingsError::Unknown(key.to_owned()))?;
            (row.set)(&mut settings, value).ok_or_else(|| SettingsError::Value {
                key: key.to_owned(),
                value: value.to_owned(),
            })?;
        }
        Ok(settings)
    }

    /// How long a run of this much work may take, whatever was learned.
    pub fn run_limit(&self, work: f64) -> Duration {
        let limit = guess::Guess {
            fixed: self.run_floor,
            per_work: self.run_per_work,
        };
        limit.time(work)
    }
}
