//! The workers' HTTP API, below `/v1/workers`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    Blame, BootTimes, FailureClass, GpuUse, HostUse, PoolId, Pose, RunId, RunTimes, StepPictures, TaskId, TeamId,
};

/// Version of this protocol. A worker of the one before works on until it is idle, and is then replaced; one of any other,
/// newer ones too, is replaced at once.
pub const PROTOCOL: u32 = 3;

/// Whether this release takes work done by this version of the protocol: its own and the one before.
pub const fn is_spoken(protocol: u32) -> bool {
    protocol == PROTOCOL || protocol == PROTOCOL - 1
}

/// Header of the identity proof that names the API it is meant for.
pub const AUDIENCE_HEADER: &str = "x-atelier-audience";
/// Header of the identity proof that names the worker.
pub const WORKER_HEADER: &str = "x-atelier-worker";
/// Body of the signed request, fixed so that only headers travel.
pub const PROOF_BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// The host of a region's STS, which the proof is signed for.
pub fn sts_host(region: &str) -> String {
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("sts.{region}.amazonaws.com{china}")
}

/// `POST /v1/workers/register`, the only call without a token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Register {
    /// Headers of a signed STS `GetCallerIdentity` request, lower-case names.
    pub proof: BTreeMap<String, String>,
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Version of the machine image.
    #[serde(default)]
    pub image: Option<String>,
    /// Release of the worker's program.
    #[serde(default)]
    pub release: Option<String>,
}

/// Reply to [`Register`].
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Registered {
    /// Bearer token for everything else.
    pub token: String,
    /// The pool the worker is in.
    pub pool: PoolId,
    /// The WebSocket API's address.
    pub socket: Option<String>,
    /// The plan to run before saying that the worker is ready; none if there is nothing to load.
    pub warm_up: Option<Value>,
    /// The files of the studio's store that this plan needs, then those that the pool's painters ask for most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileOffer>,
    /// Heartbeat while rendering, ms.
    pub heartbeat_busy_ms: u64,
    /// Heartbeat and claim while ready, ms.
    pub heartbeat_ready_ms: u64,
    /// Without work or without an answer for this long the host shuts down, ms.
    pub dead_man_ms: u64,
}

/// `POST /v1/workers/{id}/claim`.
#[derive(Debug, Default, Clone, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    /// The task that a wake named: tried first.
    #[serde(default)]
    pub task_id: Option<TaskId>,
}

/// Reply to [`Claim`].
#[derive(Debug, Default, Clone, Serialize, Deserialize, ToSchema)]
pub struct Claimed {
    /// What to render; none if there is nothing.
    #[serde(default)]
    pub assignment: Option<Assignment>,
}

/// A run to do.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Assignment {
    /// The task.
    pub task_id: TaskId,
    /// The run: ComfyUI's `prompt_id`, and the name of everything about it.
    pub run_id: RunId,
    /// The team whose models and folders are to be used.
    pub team: TeamId,
    /// The plan, as `workflow` made it; null where [`RunUrls::plan`] says where it lies.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub plan: Value,
    /// The input pictures.
    #[serde(default)]
    pub inputs: Option<InputBlob>,
    /// The LoRAs of the studio's store that the graph loads.
    #[serde(default)]
    pub loras: Vec<ModelFile>,
    /// Its other files of the studio's store. Workers before protocol 3 do not know them.
    #[serde(default)]
    pub models: Vec<ModelFile>,
    /// Where to get and put bytes.
    pub urls: RunUrls,
    /// Its painter has agreed that its steps are recorded: [`RunResult::pictures`] is wanted. Older APIs do not ask.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
    /// It is one of many, which are seen side by side by their thumbnails: these may take their time. Older APIs do not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub variant: bool,
    /// How long the run may take, ms, without what fetching its files takes.
    pub limit_ms: u64,
    /// How long fetching its files may take, ms. Older APIs do not say: then it is part of the run.
    #[serde(default)]
    pub fetch_limit_ms: u64,
}

/// The pictures of a request, concatenated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InputBlob {
    /// The bytes themselves when they are few (base64).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// The bucket key otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The object's ETag at submit: other bytes are not what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Start byte of each picture.
    pub offsets: Vec<u64>,
    /// Size of the blob, bytes.
    pub size: u64,
}

/// A file of the studio's store that a run needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelFile {
    /// What the painter calls it, for messages.
    pub name: String,
    /// ComfyUI's folder of such files, e.g. `checkpoints`.
    #[serde(default = "loras")]
    pub folder: String,
    /// Path below that folder, as the graph names it.
    pub file: String,
    /// The bucket key.
    pub key: String,
    /// SHA-256 of the file, 64 hexadecimal digits in lower case.
    pub sha256: String,
    /// Size of the file, bytes.
    pub size: u64,
    /// Architecture of the checkpoint that a LoRA is to act on, e.g. `sd15`; empty for other files.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arch: String,
}

/// A file that a worker may fetch although it holds no run that needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileOffer {
    /// The file.
    #[serde(flatten)]
    pub file: ModelFile,
    /// Presigned GET.
    pub url: String,
}

impl ModelFile {
    /// ComfyUI's folder of LoRAs.
    pub const LORAS: &str = "loras";

    /// By what a file of the studio's store is known where there is little room, from its name in a graph: the first eight
    /// digits of its SHA-256. None of one that only the machine image has.
    pub fn mark(file: &str) -> Option<&str> {
        let (_, rest) = file.strip_prefix("atelier/")?.split_once('/')?;
        rest.get(..8)
    }

    /// The team whose file it is by its name in a graph, or `shared`.
    pub fn team(file: &str) -> Option<TeamId> {
        let (team, _) = file.strip_prefix("atelier/")?.split_once('/')?;
        Some(TeamId::new(team))
    }
}

fn loras() -> String {
    ModelFile::LORAS.to_owned()
}

/// Presigned URLs of a run. They die with the session that signed them; `POST /v1/workers/{id}/urls` gives fresh ones.
#[derive(Debug, Default, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunUrls {
    /// GET of the plan, where it is too large for an answer of the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// GET of the input blob.
    #[serde(default)]
    pub input: Option<String>,
    /// GET of each of [`Assignment::loras`].
    #[serde(default)]
    pub loras: Vec<String>,
    /// GET of each of [`Assignment::models`].
    #[serde(default)]
    pub models: Vec<String>,
    /// PUT of the result. May be empty in an assignment, where the size of the result is not known yet: [`FreshUrls::size`]
    /// asks for it.
    #[serde(default)]
    pub upload: String,
    /// PUT of the thumbnail of each picture, where [`FreshUrls::thumbnails`] asks for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thumbnails: Vec<String>,
}

/// Largest plan, bytes of JSON: the texts of a request of 1 MiB, each in the style's place for it.
pub const MAX_PLAN: u64 = 32 * 1024 * 1024;

/// `POST /v1/workers/{id}/heartbeat`.
#[derive(Debug, Default, Clone, Serialize, Deserialize, ToSchema)]
pub struct Heartbeat {
    /// The worker has warmed up.
    pub ready: bool,
    /// The run it works on.
    #[serde(default)]
    pub run: Option<RunProgress>,
    /// What its GPU does; none without one.
    #[serde(default)]
    pub gpu: Option<GpuUse>,
    /// What its machine does beside the GPU. Older workers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostUse>,
    /// The main models (checkpoints, diffusion models) of its last runs since its ComfyUI started, latest first: those that
    /// its GPU may still hold. At most four. Older workers do not say.
    #[serde(default)]
    pub main_models: Vec<String>,
    /// All model files of its last runs since its ComfyUI started, the main ones, LoRAs, control nets and others, latest first.
    #[serde(default)]
    pub models: Vec<String>,
    /// The files of the studio's store that its disk holds, latest used first: of each the first eight digits of its SHA-256.
    /// At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_disk: Vec<String>,
    /// The files of the studio's store that the file system shared by the machines holds, as `on_disk` says them. At most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_shared: Vec<String>,
    /// Node classes of custom packs that its ComfyUI has, among those that graphs may use; means something once it is ready.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// Why the machine is of no use: its ComfyUI fails at what must succeed, restarted or not. It is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sick: Option<String>,
    /// Files of the studio's store whose bytes were not those of their hash: each once, until a heartbeat with it is answered. Such a
    /// file is fetched anew. At most 16. Older workers do not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<Damaged>,
    /// How its machine came up, once it has become ready. The first that is said after a start counts. Older workers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootTimes>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct RunProgress {
    /// The run.
    pub run_id: RunId,
    /// Rising number of the report, shared with the WebSocket's.
    pub seq: u64,
    /// Share done, 0 to 1.
    pub value: f32,
}

/// Reply to [`Heartbeat`]: what is true for the worker now.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent facts on the wire, not one state"
)]
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeartbeatReply {
    /// There is work to claim.
    #[serde(default)]
    pub work: bool,
    /// Stop the run.
    #[serde(default)]
    pub cancel: bool,
    /// Take no more work.
    #[serde(default)]
    pub drain: bool,
    /// The run is somebody else's: drop it.
    #[serde(default)]
    pub run_lost: bool,
    /// A fresh token, when the old one is half spent.
    #[serde(default)]
    pub token: Option<String>,
    /// Files that the next tasks in line need and that its disk does not hold, most urgent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileOffer>,
}

/// Where a worker reads a model file from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Its own disk, into ComfyUI.
    Disk,
    /// The file system that the studio's machines share, onto its disk.
    Shared,
    /// The bucket, onto its disk.
    Bucket,
}

impl Source {
    /// The source as it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Shared => "shared",
            Self::Bucket => "bucket",
        }
    }
}

/// A file of the studio's store whose bytes were not those of its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Damaged {
    /// As ComfyUI lists it.
    pub file: String,
    /// Where it was so.
    pub from: Source,
}

/// What a worker has read of model files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Read {
    /// Where from.
    pub from: Source,
    /// How much, bytes.
    pub bytes: u64,
    /// How long it took, milliseconds.
    pub ms: u64,
}

/// `POST /v1/workers/{id}/result`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunResult {
    /// The run.
    pub run_id: RunId,
    /// The task.
    pub task_id: TaskId,
    /// Start byte of each picture.
    pub offsets: Vec<u64>,
    /// Size of the blob, bytes.
    pub size: u64,
    /// How long its parts took.
    pub times: RunTimes,
    /// The model files that were read for it, as far as they were not in the GPU. Older workers do not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Read>,
    /// A LoRA was left out, or did nothing, since it is made for another kind of model.
    #[serde(default)]
    pub lora_warning: bool,
    /// The people in the picture, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pose: Option<Pose>,
    /// Input and results, small, for the document's history: only of a run of which [`Assignment::recorded`] said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<StepPictures>,
    /// Size of each picture's thumbnail in bytes, once they are in the bucket. Older workers make none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thumbnails: Vec<u64>,
}

/// `POST /v1/workers/{id}/failure`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunFailure {
    /// The run.
    pub run_id: RunId,
    /// The task.
    pub task_id: TaskId,
    /// Whose fault; none if the run was interrupted as asked.
    #[serde(default)]
    pub class: Option<FailureClass>,
    /// One plain sentence for the painter.
    #[serde(default)]
    pub message: String,
    /// What it says against the machine.
    #[serde(default, skip_serializing_if = "Blame::is_unknown")]
    pub blame: Blame,
}

/// `POST /v1/workers/{id}/urls`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FreshUrls {
    /// The run.
    pub run_id: RunId,
    /// The task.
    pub task_id: TaskId,
    /// Size of the result that is about to be uploaded, bytes; then [`RunUrls::upload`] may be signed for this size only. Older
    /// workers do not say, and older APIs sign none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Size of each picture's thumbnail that is about to be uploaded, bytes; then [`RunUrls::thumbnails`] are signed for these
    /// sizes only. Older APIs sign none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thumbnails: Vec<u64>,
}

/// Reply to [`RunResult`] and [`RunFailure`].
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunEnded {
    /// Whether it counts. False: the run was lost or canceled, and nothing was kept.
    pub accepted: bool,
    /// The next run, if there is one.
    #[serde(default)]
    pub assignment: Option<Assignment>,
}
