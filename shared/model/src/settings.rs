use std::time::Duration;

use serde::Serialize;

/// Every duration and limit that an operator may set. `key=value` pairs, durations as `30s`, `5m`, `500ms`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// How long a run is held without a heartbeat.
    pub lease: Duration,
    /// Heartbeat while rendering.
    pub heartbeat_busy: Duration,
    /// Heartbeat, and claim without a wake, while ready.
    pub heartbeat_ready: Duration,
    /// A worker not heard of for this long has failed.
    pub worker_silent: Duration,
    /// A worker that does not get from start to ready in this time has failed.
    pub boot_limit: Duration,
    /// A ready worker without a run for this long, with a quiet GPU, stops.
    pub idle_stop: Duration,
    /// The same where nobody present is known to be, and clients only show when they call.
    pub idle_blind: Duration,
    /// The same where every painter of the last hour has a client that reports the canvas, and for a second worker: the
    /// time in which idling has cost as much as the next start (break-even).
    pub idle_watched: Duration,
    /// How long a painter counts as present after the last sign of it.
    pub presence: Duration,
    /// Longest predicted wait that needs no further worker.
    pub wait_target: Duration,
    /// How far, in GPU time of one user, a task whose model is loaded may overtake.
    pub look_ahead: Duration,
    /// A task that has waited this long is not overtaken.
    pub pass_over: Duration,
    /// GPU utilisation, percent, above which a worker counts as hot.
    pub hot_percent: u32,
    /// A worker hot for this long asks for another one.
    pub hot_for: Duration,
    /// After launches failed too often nothing is started for this long; then one is tried.
    pub breaker_pause: Duration,
    /// A machine is not stopped earlier than this after it was asked for, since it is paid for anyway.
    pub min_billing: Duration,
    /// Least time between two requests of a painter, in the long run.
    pub rate_interval: Duration,
    /// How many requests a painter may send at once.
    pub rate_burst: u32,
    /// Least time between two requests of a team, in the long run.
    pub team_rate_interval: Duration,
    /// How many requests a team may send at once.
    pub team_rate_burst: u32,
    /// Least time between the decision to drain and the stop: the second look.
    pub drain_confirm: Duration,
    /// GPU utilisation, percent, below which it counts as quiet.
    pub gpu_quiet_percent: u32,
    /// After an offering had no capacity nothing is started for this long.
    pub capacity_pause: Duration,
    /// How long a task may wait and run altogether.
    pub task_expiry: Duration,
    /// A task whose owner has not asked for it for this long starts no machine.
    pub owner_absent: Duration,
    /// A task whose owner has not asked for it for this long expires.
    pub owner_gone: Duration,
    /// Least time a run may take before the worker gives up.
    pub run_floor: Duration,
    /// Time a run may take per unit of work (step × megapixel) on top of [`Self::run_floor`].
    pub run_per_work: Duration,
    /// How long a call is kept open for a picture that is about to be done; 0s: never.
    pub hold: Duration,
    /// How long presigned URLs are good for.
    pub url_life: Duration,
    /// How long a worker's token is good for.
    pub worker_token: Duration,
    /// A host that has no work, or no answer to its heartbeats, for this long shuts itself down.
    pub dead_man: Duration,
    /// Largest input blob, bytes.
    pub max_upload: u64,
    /// Largest LoRA that a painter may upload, bytes. S3 takes 5 GiB in one PUT.
    pub max_lora: u64,
    /// Most uploaded LoRAs of a team.
    pub max_team_loras: u64,
    /// Most bytes of a team's uploaded LoRAs together.
    pub max_team_lora_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        const fn minutes(n: u64) -> Duration {
            Duration::from_secs(60 * n)
        }
        Self {
            lease: Duration::from_secs(30),
            heartbeat_busy: Duration::from_secs(5),
            heartbeat_ready: Duration::from_secs(15),
            worker_silent: Duration::from_secs(90),
            boot_limit: minutes(10),
            idle_stop: minutes(30),
            idle_blind: minutes(10),
            idle_watched: minutes(2),
            presence: minutes(5),
            wait_target: Duration::from_secs(20),
            look_ahead: minutes(1),
            pass_over: Duration::from_secs(20),
            hot_percent: 95,
            hot_for: minutes(5),
            breaker_pause: minutes(5),
            min_billing: minutes(1),
            rate_interval: Duration::from_millis(400),
            rate_burst: 60,
            team_rate_interval: Duration::ZERO,
            team_rate_burst: 240,
            drain_confirm: Duration::from_secs(50),
            gpu_quiet_percent: 5,
            capacity_pause: minutes(3),
            task_expiry: minutes(60),
            owner_absent: minutes(1),
            owner_gone: minutes(5),
            run_floor: minutes(5),
            run_per_work: Duration::from_secs(5),
            hold: Duration::from_secs(2),
            url_life: minutes(60),
            worker_token: minutes(60),
            dead_man: minutes(60),
            max_upload: 64 * MIB,
            max_lora: 1024 * MIB,
            max_team_loras: 200,
            max_team_lora_bytes: 50 * 1024 * MIB,
        }
    }
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
            settings.set(key, value)?;
        }
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), SettingsError> {
        let bad = || SettingsError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let duration = match key {
            "lease" => &mut self.lease,
            "heartbeat_busy" => &mut self.heartbeat_busy,
            "heartbeat_ready" => &mut self.heartbeat_ready,
            "worker_silent" => &mut self.worker_silent,
            "boot_limit" => &mut self.boot_limit,
            "idle_stop" => &mut self.idle_stop,
            "idle_blind" => &mut self.idle_blind,
            "idle_watched" => &mut self.idle_watched,
            "presence" => &mut self.presence,
            "wait_target" => &mut self.wait_target,
            "look_ahead" => &mut self.look_ahead,
            "pass_over" => &mut self.pass_over,
            "hot_for" => &mut self.hot_for,
            "breaker_pause" => &mut self.breaker_pause,
            "min_billing" => &mut self.min_billing,
            "rate_interval" => &mut self.rate_interval,
            "team_rate_interval" => &mut self.team_rate_interval,
            "drain_confirm" => &mut self.drain_confirm,
            "capacity_pause" => &mut self.capacity_pause,
            "task_expiry" => &mut self.task_expiry,
            "owner_absent" => &mut self.owner_absent,
            "owner_gone" => &mut self.owner_gone,
            "run_floor" => &mut self.run_floor,
            "run_per_work" => &mut self.run_per_work,
            "hold" => &mut self.hold,
            "url_life" => &mut self.url_life,
            "worker_token" => &mut self.worker_token,
            "dead_man" => &mut self.dead_man,
            "gpu_quiet_percent" | "hot_percent" | "rate_burst" | "team_rate_burst" => {
                let number = match key {
                    "gpu_quiet_percent" => &mut self.gpu_quiet_percent,
                    "hot_percent" => &mut self.hot_percent,
                    "rate_burst" => &mut self.rate_burst,
                    _ => &mut self.team_rate_burst,
                };
                *number = value.parse().map_err(|_| bad())?;
                return Ok(());
            }
            "max_upload" | "max_lora" | "max_team_loras" | "max_team_lora_bytes" => {
                let limit = match key {
                    "max_upload" => &mut self.max_upload,
                    "max_lora" => &mut self.max_lora,
                    "max_team_loras" => &mut self.max_team_loras,
                    _ => &mut self.max_team_lora_bytes,
                };
                *limit = value.parse().map_err(|_| bad())?;
                return Ok(());
            }
            _ => return Err(SettingsError::Unknown(key.to_owned())),
        };
        *duration = humantime::parse_duration(value).map_err(|_| bad())?;
        Ok(())
    }

    /// How long a run of this much work may take.
    pub fn run_limit(&self, work: f64) -> Duration {
        let work = if work.is_finite() { work.clamp(0.0, 1e6) } else { 0.0 };
        self.run_floor + self.run_per_work.mul_f64(work)
    }
}
