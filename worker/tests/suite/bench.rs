//! A worker between a control plane in memory and a ComfyUI, which is the double or the real one.

use std::{
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use aws_credential_types::Credentials;
use comfyui_double::Double;
use model::{
    RunId, TaskId, TeamId, WorkerId,
    worker_api::{Assignment, InputBlob, RunUrls},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    sync::{OwnedMutexGuard, oneshot},
    task::JoinHandle,
};
use tracing_subscriber::fmt::TestWriter;
use uuid::Uuid;
use worker::{Agent, Exit, InstanceIdentity, LogFormat, Options, Timing};
use workflow::Plan;

use crate::cloud::{Behaviour, Cloud};

pub(crate) struct Bench {
    pub(crate) cloud: Cloud,
    /// None where ComfyUI is real.
    pub(crate) double: Option<Double>,
    pub(crate) comfy: String,
    /// ComfyUI's folder of models, if this is its machine.
    pub(crate) models: Option<PathBuf>,
    folder: Option<TempDir>,
    agent: Option<(oneshot::Sender<()>, JoinHandle<Exit>)>,
    _alone: Option<OwnedMutexGuard<()>>,
}

/// What a scenario may set before the worker starts.
pub(crate) struct Setup {
    pub(crate) behaviour: Behaviour,
    pub(crate) timing: Timing,
    pub(crate) shutdown: String,
    pub(crate) restart: Option<String>,
    /// The folder that the worker owns, if any: instead of ComfyUI's folder of models.
    pub(crate) storage: Option<PathBuf>,
    /// GiB that files of the studio's store may take.
    pub(crate) model_cache: Option<u64>,
    /// The folder that machines share, if any.
    pub(crate) shared_models: Option<PathBuf>,
    /// Whether the worker knows ComfyUI's folder of models.
    pub(crate) has_models: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            behaviour: Behaviour::default(),
            timing: Timing {
                poll: ms(200),
                poll_blind: ms(50),
                interrupt_again: ms(100),
                comfy_check: ms(20),
                comfy_watch: ms(50),
                retry: (ms(20), ms(200)),
                refused: (ms(20), ms(50)),
                progress_gap: ms(10),
                shared_silence: ms(300),
                ..Timing::default()
            },
            shutdown: "false".into(),
            restart: None,
            storage: None,
            model_cache: Some(1),
            shared_models: None,
            has_models: true,
        }
    }
}

impl Bench {
    /// With the double, whose steps take a moment so that a run can be met in its middle.
    pub(crate) async fn double() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let builder = Double::builder()
            .models_in(folder.path())
            .model("checkpoints", "tiny.ckpt")
            .model("loras", "tiny-lora.safetensors")
            .model("controlnet", "net.safetensors")
            .model("upscale_models", "4x.pth")
            .model("text_encoders", "clip.safetensors")
            .model("vae", "vae.safetensors")
            .model("diffusion_models", "unet.safetensors")
            .metadata(true)
            .previews(true);
        let double = builder.step_delay(Duration::from_millis(20)).start().await.unwrap();
        let mut bench = Self::with_double(double).await;
        bench.models = Some(folder.path().to_owned());
        bench.folder = Some(folder);
        bench
    }

    pub(crate) async fn with_double(double: Double) -> Self {
        let comfy = double.url();
        Self {
            cloud: Cloud::start(Behaviour::default()).await,
            double: Some(double),
            comfy,
            models: None,
            folder: None,
            agent: None,
            _alone: None,
        }
    }

    /// With the real server, if there is one. It runs one graph at a time, so one test has it at a time.
    pub(crate) async fn real() -> Option<Self> {
        static ALONE: std::sync::LazyLock<Arc<tokio::sync::Mutex<()>>> = std::sync::LazyLock::new(Arc::default);
        let Some(comfy) = std::env::var_os("COMFYUI_URL").filter(|url| !url.is_empty()) else {
            static SAID: Once = Once::new();
            skipped(&SAID, "COMFYUI_URL is not set (real ComfyUI)");
            return None;
        };
        let alone = Arc::clone(&ALONE).lock_owned().await;
        let cloud = Cloud::start(Behaviour::default()).await;
        let comfy = comfy.into_string().unwrap();
        Some(Self {
            cloud,
            double: None,
            comfy,
            models: std::env::var_os("COMFYUI_MODELS").map(PathBuf::from),
            folder: None,
            agent: None,
            _alone: Some(alone),
        })
    }

    /// The same, if its folder of models is here.
    pub(crate) async fn real_with_models() -> Option<Self> {
        static SAID: Once = Once::new();
        let bench = Self::real().await?;
        if bench.models.is_none() {
            skipped(&SAID, "COMFYUI_MODELS is not set (the real ComfyUI's folder of models)");
            return None;
        }
        Some(bench)
    }

    /// Starts the worker and waits until it has said that it is ready.
    pub(crate) async fn ready(mut self) -> Self {
        self.start(Setup::default());
        self.cloud.beat("ready", |beat| beat.ready).await;
        self
    }

    pub(crate) fn start(&mut self, setup: Setup) {
        log();
        self.cloud.behave(|behaviour| *behaviour = setup.behaviour);
        let options = Options {
            api: self.cloud.url().to_owned(),
            worker_id: WorkerId::new("w-1"),
            audience: "test".into(),
            sts_region: "eu-central-1".into(),
            comfyui_url: self.comfy.clone(),
            shutdown_command: setup.shutdown,
            comfyui_restart_command: setup.restart,
            models: self
                .models
                .clone()
                .filter(|_| setup.has_models && setup.storage.is_none()),
            storage: setup.storage,
            model_cache: setup.model_cache,
            shared_models: setup.shared_models,
            image: Some("test-1".into()),
            no_socket: false,
            exit_with_parent: false,
            alive_file: None,
            log_format: LogFormat::Text,
            log_group: String::new(),
            log: String::new(),
        };
        let credentials = Credentials::new("AKID", "secret", None, None, "test");
        let identity = InstanceIdentity::new(credentials, "eu-central-1", "test", options.worker_id.clone());
        let agent = Agent::new(&options, identity, setup.timing).unwrap();
        let (terminate, terminated) = oneshot::channel();
        let agent = tokio::spawn(async move {
            agent
                .run(async move {
                    if terminated.await.is_err() {
                        // The test is over and has not asked.
                        std::future::pending::<()>().await;
                    }
                })
                .await
        });
        self.agent = Some((terminate, agent));
    }

    pub(crate) async fn terminate(&mut self) -> Exit {
        let (terminate, agent) = self.agent.take().unwrap();
        terminate.send(()).unwrap();
        agent.await.unwrap()
    }

    pub(crate) async fn ended(&mut self) -> Exit {
        let (keep, agent) = self.agent.take().unwrap();
        let exit = agent.await.unwrap();
        drop(keep);
        exit
    }

    /// An assignment of this plan. Where to upload is to be asked for.
    pub(crate) fn assignment(&self, plan: &Plan, inputs: Option<InputBlob>) -> Assignment {
        let run_id = RunId::new(Uuid::now_v7());
        let input = inputs
            .as_ref()
            .and_then(|blob| blob.key.as_deref())
            .map(|key| self.cloud.bucket(key));
        Assignment {
            task_id: TaskId::new(Uuid::now_v7()),
            run_id,
            team: TeamId::new("red"),
            plan: serde_json::to_value(plan).unwrap(),
            inputs,
            loras: vec![],
            models: vec![],
            urls: RunUrls {
                input,
                ..RunUrls::default()
            },
            recorded: false,
            variant: false,
            limit_ms: 60_000,
            fetch_limit_ms: 0,
        }
    }

    /// Queues a run of this plan.
    pub(crate) fn run(&self, plan: &Plan) -> RunId {
        let run = self.assignment(plan, None);
        let id = run.run_id;
        self.cloud.enqueue(run);
        id
    }

    /// Gives ComfyUI a run as a worker would have done that died just after.
    pub(crate) async fn leave(&self, plan: &Plan, id: impl std::fmt::Display) {
        let graph = plan.bind(&[], &format!("tasks/{id}/out")).unwrap();
        let body = json!({"prompt": graph, "client_id": "the-one-before", "prompt_id": id.to_string()});
        let posted = reqwest::Client::new()
            .post(format!("{}/prompt", self.comfy))
            .json(&body);
        assert!(posted.send().await.unwrap().status().is_success());
    }

    /// What ComfyUI says.
    pub(crate) async fn comfy_says(&self, path: &str) -> Value {
        let reply = reqwest::get(format!("{}{path}", self.comfy)).await.unwrap();
        reply.json().await.unwrap()
    }

    /// The uploaded pictures of a run, decoded.
    pub(crate) async fn pictures(&self, run: RunId) -> Vec<image::RgbImage> {
        let images = self.images(run).await;
        images.into_iter().map(image::DynamicImage::into_rgb8).collect()
    }

    /// As [`Self::pictures`], with what channels they have.
    pub(crate) async fn images(&self, run: RunId) -> Vec<image::DynamicImage> {
        let result = self.cloud.result(run).await;
        let blob = self.cloud.object(&result_key(run)).unwrap();
        assert_eq!(blob.len() as u64, result.size);
        assert!(!blob.windows(4).any(|kind| kind == b"tEXt"), "metadata left");
        let ends = result.offsets.iter().skip(1).chain([&result.size]);
        let parts = result
            .offsets
            .iter()
            .zip(ends)
            .map(|(start, end)| &blob[*start as usize..*end as usize]);
        parts.map(|png| image::load_from_memory(png).unwrap()).collect()
    }
}

/// Says so once, and not by `println!`, which the test harness swallows.
fn skipped(said: &Once, why: &str) {
    let line = format!("skipped: {why}\n");
    said.call_once(|| std::io::stderr().write_all(line.as_bytes()).unwrap());
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some((_, agent)) = &self.agent {
            agent.abort();
        }
    }
}

/// All that the workers of this process have logged.
static LOGGED: Mutex<Vec<u8>> = Mutex::new(vec![]);

/// Shows the log of tests that fail, and keeps it.
fn log() {
    struct Tee(TestWriter);
    impl Write for Tee {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            LOGGED.lock().unwrap().extend_from_slice(line);
            self.0.write(line)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            self.0.flush()
        }
    }
    let log = tracing_subscriber::fmt()
        .with_writer(|| Tee(TestWriter::new()))
        .with_env_filter("debug");
    // Another test may have been first.
    let _ = log.try_init();
}

/// What has been logged so far.
pub(crate) fn logged() -> String {
    String::from_utf8_lossy(&LOGGED.lock().unwrap()).into_owned()
}

pub(crate) fn result_key(run: RunId) -> String {
    format!("results/{run}")
}
