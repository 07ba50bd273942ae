//! Turns each running instance of the emulator into a worker beside a ComfyUI, as the machine image does on AWS:
//! starting it starts the processes after a boot delay, stopping it ends them, and a process that dies is started again.
//! Or each becomes a machine with the image's own content, which a program boots.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use fleet::{Fleet, Instance};
use model::{InstanceId, WorkerId};
use policy::watch::InstanceState;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};
use tracing::{info, warn};

use crate::{build::Built, emulator::Calls, process, stack::Renderer};

/// How often instances are looked at.
const PERIOD: Duration = Duration::from_millis(150);
/// Exit code of a worker that wanted to shut its host down and could not.
const SHUT_DOWN: i32 = 75;

/// What the pump needs to start a worker.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) calls: Calls,
    pub(crate) fleet: Fleet,
    pub(crate) built: Built,
    pub(crate) folder: PathBuf,
    pub(crate) api: String,
    pub(crate) audience: String,
    pub(crate) role_arn: String,
    pub(crate) launch_template: String,
    pub(crate) renderer: Renderer,
    pub(crate) boot_delay: Duration,
}

impl Plan {
    /// A stop on EC2 gives processes some time too, and a whole machine more of it.
    const fn patience(&self) -> Duration {
        Duration::from_secs(match self.renderer {
            Renderer::Machine { .. } => 30,
            _ => 3,
        })
    }
}

/// What tests may do to machines.
#[derive(Debug, Default)]
struct Wishes {
    kill_worker: BTreeSet<WorkerId>,
    kill_comfyui: BTreeSet<WorkerId>,
    stay_dead: BTreeSet<WorkerId>,
    without_socket: BTreeSet<String>,
}

/// What is known of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its worker.
    pub worker_id: WorkerId,
    /// Its pool.
    pub pool: String,
    /// Whether its instance runs.
    pub up: bool,
    /// Whether its worker's process runs.
    pub working: bool,
    /// Its ComfyUI.
    pub comfyui: Option<String>,
    /// How often its worker's process was started.
    pub starts: u32,
}

/// The running pump.
#[derive(Debug)]
pub struct Pump {
    wishes: Arc<Mutex<Wishes>>,
    machines: watch::Receiver<Vec<Machine>>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Pump {
    pub(crate) fn start(plan: Plan) -> Self {
        let wishes = Arc::<Mutex<Wishes>>::default();
        let (stop, stopped) = watch::channel(false);
        let (tell, machines) = watch::channel(Vec::new());
        let running = Running {
            plan,
            wishes: Arc::clone(&wishes),
            instances: BTreeMap::new(),
            tell,
        };
        let task = tokio::spawn(running.run(stopped));
        Self {
            wishes,
            machines,
            stop,
            task: Some(task),
        }
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machines as they change.
    pub fn machines(&self) -> watch::Receiver<Vec<Machine>> {
        self.machines.clone()
    }

    /// Kills a worker's process without a warning. It is started again, as systemd would.
    pub fn kill_worker(&self, worker: &WorkerId) {
        self.wishes().kill_worker.insert(worker.clone());
    }

    /// The same, but it is not started again until its instance is.
    pub fn kill_worker_for_good(&self, worker: &WorkerId) {
        let mut wishes = self.wishes();
        wishes.kill_worker.insert(worker.clone());
        wishes.stay_dead.insert(worker.clone());
    }

    /// Kills a worker's ComfyUI without a warning.
    pub fn kill_comfyui(&self, worker: &WorkerId) {
        self.wishes().kill_comfyui.insert(worker.clone());
    }

    /// Workers of this pool are started without a WebSocket, as in a network that lets none through.
    pub fn without_socket(&self, pool: &str) {
        self.wishes().without_socket.insert(pool.to_owned());
    }

    /// Ends every process.
    pub async fn stop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

struct Running {
    plan: Plan,
    wishes: Arc<Mutex<Wishes>>,
    instances: BTreeMap<InstanceId, Host>,
    tell: watch::Sender<Vec<Machine>>,
}

/// One instance.
struct Host {
    instance: Instance,
    booted_at: Option<Instant>,
    comfyui: Option<(Child, String)>,
    worker: Option<Child>,
    starts: u32,
    /// Its worker was killed for good.
    dead: bool,
}

impl Running {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut period = tokio::time::interval(PERIOD);
        let patience = self.plan.patience();
        while !*stopped.borrow() {
            tokio::select! {
                _ = period.tick() => {}
                _ = stopped.changed() => break,
            }
            if let Err(error) = self.look().await {
                warn!(error = format!("{error:#}"), "the pump stumbled; it goes on");
            }
            let machines = self.instances.values().map(Host::machine).collect::<Vec<_>>();
            self.tell.send_if_modified(|known| {
                let differs = *known != machines;
                *known = machines;
                differs
            });
        }
        for host in self.instances.values_mut() {
            host.power_off(patience).await;
        }
    }

    async fn look(&mut self) -> Result<()> {
        let patience = self.plan.patience();
        for instance in self.plan.fleet.describe().await? {
            let id = instance.view.instance_id.clone();
            let state = instance.view.state;
            let known = self.instances.get(&id).map(|host| host.instance.view.state);
            if known != Some(state) {
                let name = match state {
                    InstanceState::Up => "running",
                    InstanceState::Stopping => "stopping",
                    InstanceState::Stopped => "stopped",
                    InstanceState::Gone => "terminated",
                };
                info!(instance.id = %id, worker.id = %instance.worker_id, "{name}");
                let host = self
                    .instances
                    .entry(id.clone())
                    .or_insert_with(|| Host::new(instance.clone()));
                host.instance = instance;
                host.booted_at = (state == InstanceState::Up).then(|| Instant::now() + self.plan.boot_delay);
                host.dead = false;
                if state != InstanceState::Up {
                    host.power_off(patience).await;
                }
                self.plan.calls.instance_changed(&id, name).await?;
            }
        }
        let (kill_worker, kill_comfyui, stay_dead, without_socket) = {
            let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
            let (workers, comfyuis) = (
                std::mem::take(&mut wishes.kill_worker),
                std::mem::take(&mut wishes.kill_comfyui),
            );
            (
                workers,
                comfyuis,
                std::mem::take(&mut wishes.stay_dead),
                wishes.without_socket.clone(),
            )
        };
        for (id, host) in &mut self.instances {
            if kill_worker.contains(&host.instance.worker_id) {
                kill(&mut host.worker).await;
                host.dead = stay_dead.contains(&host.instance.worker_id);
            }
            if kill_comfyui.contains(&host.instance.worker_id)
                && let Some((child, _)) = &mut host.comfyui
            {
                let _ = child.kill().await;
            }
            if host.booted_at.is_none_or(|at| Instant::now() < at) {
                continue;
            }
            if host.wants_power_off()? {
                info!(instance.id = %id, "its worker shut it down");
                self.plan.fleet.stop(id).await?;
                continue;
            }
            if !host.dead {
                let socket = !without_socket.contains(host.instance.pool.as_str());
                host.keep_up(&self.plan, socket).await?;
            }
        }
        Ok(())
    }
}

async fn kill(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill().await;
    }
}

impl Host {
    const fn new(instance: Instance) -> Self {
        Self {
            instance,
            booted_at: None,
            comfyui: None,
            worker: None,
            starts: 0,
            dead: false,
        }
    }

    fn machine(&self) -> Machine {
        Machine {
            worker_id: self.instance.worker_id.clone(),
            pool: self.instance.pool.to_string(),
            up: self.instance.view.state == InstanceState::Up,
            working: self.worker.is_some(),
            comfyui: self.comfyui.as_ref().map(|(_, url)| url.clone()),
            starts: self.starts,
        }
    }

    async fn power_off(&mut self, patience: Duration) {
        if let Some(mut worker) = self.worker.take() {
            process::end(&mut worker, patience).await;
        }
        if let Some((mut comfyui, _)) = self.comfyui.take() {
            let _ = comfyui.kill().await;
        }
    }

    fn wants_power_off(&mut self) -> Result<bool> {
        let Some(worker) = &mut self.worker else {
            return Ok(false);
        };
        let Some(status) = worker.try_wait()? else {
            return Ok(false);
        };
        info!(worker.id = %self.instance.worker_id, %status, "its process ended");
        self.worker = None;
        Ok(status.code() == Some(SHUT_DOWN))
    }

    async fn keep_up(&mut self, plan: &Plan, socket: bool) -> Result<()> {
        let mut command = match &plan.renderer {
            Renderer::Machine { program } => {
                if self.worker.is_some() {
                    return Ok(());
                }
                self.machine_command(plan, program).await?
            }
            Renderer::ComfyUi { url, models } => Self::worker_command(plan, url, models.as_deref())?,
            Renderer::StandIn { step_delay, load_delay } => {
                let url = self.keep_stand_in_up(plan, (*step_delay, *load_delay)).await?;
                let models = models_of(&plan.folder, &self.instance.worker_id);
                Self::worker_command(plan, &url, Some(&models))?
            }
        };
        if self.worker.is_none() {
            let credentials = plan
                .calls
                .assume_role(&plan.role_arn, self.instance.view.instance_id.as_str())
                .await?;
            let worker_id = &self.instance.worker_id;
            let log = plan.folder.join(format!("{worker_id}.log"));
            command
                .env("ATELIER_WORKER_ID", worker_id.as_str())
                .env("AWS_ACCESS_KEY_ID", credentials.access_key)
                .env("AWS_SECRET_ACCESS_KEY", credentials.secret_key)
                .env("AWS_SESSION_TOKEN", credentials.session_token)
                .env("AWS_REGION", "us-east-1")
                .env_remove("AWS_PROFILE");
            if !socket {
                command.env("ATELIER_NO_SOCKET", "true");
            }
            self.worker = Some(process::spawn(&mut command, &log)?);
            self.starts += 1;
        }
        Ok(())
    }

    fn worker_command(plan: &Plan, comfyui: &str, models: Option<&Path>) -> Result<Command> {
        let mut command = process::giving_way(&plan.built.worker)?;
        command
            .arg("--exit-with-parent")
            .env("ATELIER_API", &plan.api)
            .env("ATELIER_AUDIENCE", &plan.audience)
            .env("ATELIER_STS_REGION", "us-east-1")
            .env("ATELIER_SHUTDOWN_COMMAND", "false")
            .env("COMFYUI_URL", comfyui);
        if let Some(models) = models {
            command.env("ATELIER_MODELS", models);
        }
        Ok(command)
    }

    /// A machine finds out the rest by itself. It ends as a worker does that wanted to shut its host down, once it is off.
    async fn machine_command(&self, plan: &Plan, program: &Path) -> Result<Command> {
        let instance = &self.instance;
        let mut command = Command::new(program);
        command
            .arg(plan.folder.join(format!("{}-machine", instance.worker_id)))
            .env("ATELIER_INSTANCE_ID", instance.view.instance_id.as_str())
            .env("ATELIER_USER_DATA", plan.calls.user_data(&plan.launch_template).await?)
            .env("AWS_ENDPOINT_URL", &plan.calls.endpoint);
        Ok(command)
    }

    /// The stand-in's address.
    async fn keep_stand_in_up(&mut self, plan: &Plan, delays: (Duration, Duration)) -> Result<String> {
        let mut port = 0;
        if let Some((child, url)) = &mut self.comfyui {
            if child.try_wait()?.is_none() {
                return Ok(url.clone());
            }
            // It comes back where it was, as a restarted ComfyUI does.
            port = url.rsplit(':').next().and_then(|it| it.parse().ok()).unwrap_or(0);
        }
        let models = models_of(&plan.folder, &self.instance.worker_id);
        let (child, url) = start_stand_in(plan, &models, port, delays).await?;
        self.comfyui = Some((child, url.clone()));
        Ok(url)
    }
}

/// A stand-in's folder of models, where its worker puts uploaded LoRAs.
pub fn models_of(folder: &Path, worker: &WorkerId) -> PathBuf {
    folder.join(format!("{worker}-models"))
}

/// The stand-in with these times for a step and for loading a checkpoint.
async fn start_stand_in(
    plan: &Plan,
    models: &Path,
    port: u16,
    (step_delay, load_delay): (Duration, Duration),
) -> Result<(Child, String)> {
    let mut command = process::giving_way(&plan.built.double)?;
    command
        .args([
            "--any-model",
            "--optional-nodes",
            // As the machine image does.
            "--previews",
            "--exit-with-parent",
            "--port",
            &port.to_string(),
        ])
        .args(["--step-delay", &format!("{}ms", step_delay.as_millis())])
        .args(["--load-delay", &format!("{}ms", load_delay.as_millis())])
        .arg("--models-in")
        .arg(models)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().context("the stand-in for ComfyUI cannot be started")?;
    let output = child.stdout.take().context("the stand-in has no output")?;
    let line = BufReader::new(output).lines().next_line().await?;
    Ok((
        child,
        line.context("the stand-in for ComfyUI did not start")?
            .trim()
            .to_owned(),
    ))
}
