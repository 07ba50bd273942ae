//! What an operator may set, and the durations that tests shorten.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use model::WorkerId;

/// Renders a studio's pictures: asks the Atelier API for work, lets the ComfyUI beside it paint, and uploads the result.
///
/// It only calls out and listens on no port. It proves who it is with the credentials of its AWS role.
#[derive(Debug, Clone, Parser)]
#[command(name = "worker", version)]
pub struct Options {
    /// Address of the Atelier API, for example `https://abc.execute-api.eu-central-1.amazonaws.com`.
    #[arg(long, env = "ATELIER_API")]
    pub api: String,
    /// Name of this worker, as it is tagged on the instance.
    #[arg(long, env = "ATELIER_WORKER_ID")]
    pub worker_id: WorkerId,
    /// The API that the proof of identity is meant for, so that it is good for nothing else.
    #[arg(long, env = "ATELIER_AUDIENCE")]
    pub audience: String,
    /// AWS region whose STS vouches for this worker.
    #[arg(long, env = "ATELIER_STS_REGION")]
    pub sts_region: String,
    /// Where ComfyUI listens.
    #[arg(long, env = "COMFYUI_URL", default_value = "http://127.0.0.1:8188")]
    pub comfyui_url: String,
    /// Command that shuts this host down when it has had no work, or no answer from the API, for too long.
    #[arg(long, env = "ATELIER_SHUTDOWN_COMMAND", default_value = "systemctl poweroff")]
    pub shutdown_command: String,
    /// Command that restarts ComfyUI when it hangs or has died. Without it, whoever started ComfyUI must do so.
    #[arg(long, env = "ATELIER_COMFYUI_RESTART_COMMAND")]
    pub comfyui_restart_command: Option<String>,
    /// Folder that this worker owns, on one mount: with ComfyUI's comfyui/input, output and temp, which are emptied before a
    /// picture of another team, and with models/cache and models/view. ComfyUI sees the view, which is made anew for each team:
    /// what lies in the cache, but no other team's files of the studio's store.
    #[arg(long, env = "ATELIER_STORAGE", conflicts_with = "models")]
    pub storage: Option<PathBuf>,
    /// ComfyUI's folder of models where this worker does not own it: files of the studio's store are kept there, each in
    /// atelier/<team> below the folder of its kind. Without it and without --storage this worker cannot use them.
    #[arg(long, env = "ATELIER_MODELS")]
    pub models: Option<PathBuf>,
    /// How much of the disk files of the studio's store may take, GiB: those that were not used for the longest time go first.
    /// Without it they may take what is left until the disk is four fifths full.
    #[arg(long, env = "ATELIER_MODEL_CACHE", value_name = "GIB")]
    pub model_cache: Option<u64>,
    /// Folder that all machines of the studio share, such as one on EFS: what one has fetched from the bucket the others copy from
    /// there. It must exist. Files lie in <team>/<kind> below it.
    #[arg(long, env = "ATELIER_SHARED_MODELS", value_name = "FOLDER")]
    pub shared_models: Option<PathBuf>,
    /// Version of the machine image, told to the API.
    #[arg(long, env = "ATELIER_IMAGE")]
    pub image: Option<String>,
    /// Open no WebSocket to the API, as where the network lets none through: wake and progress then travel by polling.
    #[arg(long, env = "ATELIER_NO_SOCKET")]
    pub no_socket: bool,
    /// File to touch whenever the API has answered: the host's own dead-man switch watches its age.
    #[arg(long, env = "ATELIER_ALIVE_FILE")]
    pub alive_file: Option<PathBuf>,
    /// Give the run back and end when stdin closes, that is, when the program that started this one ends.
    #[arg(long)]
    pub exit_with_parent: bool,
    /// How log lines look.
    #[arg(long, env = "ATELIER_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Log group of CloudWatch Logs that this worker's lines are sent to, beside where they go otherwise; the worker's role must let it
    /// make a stream there and write to it. Empty: they are not sent.
    #[arg(long, env = "ATELIER_LOG_GROUP", default_value = "")]
    pub log_group: String,
    /// What is logged, as in `info` or `worker=debug`.
    #[arg(long, env = "ATELIER_LOG", default_value = "info")]
    pub log: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Durations that nobody needs to set, except tests that would wait for them.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Between two looks at ComfyUI's history.
    pub poll: Duration,
    /// The same while ComfyUI's WebSocket is not there to announce the end.
    pub poll_blind: Duration,
    /// Between two tries to interrupt a run.
    pub interrupt_again: Duration,
    /// A run that does not end for this long after it was interrupted needs a new ComfyUI.
    pub interrupt_limit: Duration,
    /// Between two looks whether ComfyUI answers.
    pub comfy_check: Duration,
    /// The same while it is well and nothing runs.
    pub comfy_watch: Duration,
    /// How long ComfyUI may take for the warm-up graph.
    pub warm_up_limit: Duration,
    /// First and longest pause between tries of anything that may pass.
    pub retry: (Duration, Duration),
    /// The same after the API has refused the worker.
    pub refused: (Duration, Duration),
    /// When an empty claim is repeated after a wake, counted from the wake.
    pub claim_again: [Duration; 4],
    /// Least time between two progress messages.
    pub progress_gap: Duration,
    /// Between two pings on the cloud's WebSocket.
    pub socket_ping: Duration,
    /// How long the folder that the machines share may take for a piece of a file.
    pub shared_silence: Duration,
    /// How long it is passed over after that.
    pub shared_again: Duration,
    /// When a file that could not be fetched ahead is tried again.
    pub fetch_again: Duration,
    /// How long the last words of a worker that is told to stop may take.
    pub give_back: Duration,
    /// The dead-man switch's time until the API has said another.
    pub dead_man: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        const fn ms(ms: u64) -> Duration {
            Duration::from_millis(ms)
        }
        Self {
            poll: ms(1000),
            poll_blind: ms(250),
            interrupt_again: ms(1000),
            interrupt_limit: ms(20_000),
            comfy_check: ms(500),
            comfy_watch: ms(5000),
            warm_up_limit: ms(300_000),
            retry: (ms(500), ms(15_000)),
            // A host can be up before the API knows of it: not too slow at first.
            refused: (ms(1000), ms(60_000)),
            claim_again: [ms(200), ms(500), ms(1000), ms(2000)],
            progress_gap: ms(500),
            socket_ping: ms(240_000),
            shared_silence: ms(10_000),
            shared_again: ms(300_000),
            fetch_again: ms(60_000),
            give_back: ms(20_000),
            dead_man: model::Settings::default().dead_man,
        }
    }
}

/// A time that the API has given, in bounds that can be calculated with.
pub(crate) fn millis(ms: u64) -> Duration {
    const YEAR: Duration = Duration::from_hours(365 * 24);
    Duration::from_millis(ms.max(1)).min(YEAR)
}
