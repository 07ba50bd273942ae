//! The worker's main loop: everything that happens comes in as an event, [`State`] decides, and this carries it out.

mod state;
mod watch_comfy;

use std::{sync::Arc, time::Duration};

use model::{
    RunId, TaskId,
    worker_api::{Assignment, HeartbeatReply, Registered},
};
use serde_json::Value;
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    cloud_api::CloudApi,
    cloud_socket,
    comfy::Comfy,
    config::{Options, Timing, millis},
    dead_man::{DeadMan, shut_down},
    error::chain,
    gpu::Gpu,
    heartbeat::{self, Rhythm},
    identity::Identity,
    loras::Shelf,
    registrar,
    render::{Finished, Host, Renderer, Stop},
    status::StatusBoard,
};
use state::{Action, State};

/// Something that has happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The worker has a token.
    Registered(Box<Registered>),
    /// The API wants no worker like this.
    Dismissed,
    /// A heartbeat was answered; `about` is the run that it reported, `ready` what it said.
    Beat {
        reply: HeartbeatReply,
        about: Option<RunId>,
        ready: bool,
    },
    /// The WebSocket says that there is work.
    Wake(Option<TaskId>),
    /// The WebSocket says that a run is to be stopped.
    Cancel(RunId),
    /// The WebSocket says that no more work is to be taken.
    Drain,
    /// ComfyUI has warmed up.
    Warm,
    /// ComfyUI does not answer any more.
    ComfyGone,
    /// A claim was answered; none if there is nothing.
    Claimed(Option<Box<Assignment>>),
    /// A claim was not answered, or refused.
    NotClaimed,
    /// A run is over.
    Finished(Finished),
    /// The process is asked to end.
    Terminate,
}

/// How the agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// As asked, with nothing left undone.
    Stopped,
    /// The host shuts down.
    ShutDown,
    /// The host should have shut down, but the command for it failed.
    ShutDownFailed,
}

/// The agent beside one ComfyUI.
#[derive(Debug)]
pub struct Agent {
    api: Arc<CloudApi>,
    renderer: Arc<Renderer>,
    identity: Option<Identity>,
    image: Option<String>,
    no_socket: bool,
    shutdown_command: String,
    timing: Timing,
    dead_man: Arc<DeadMan>,
    status: StatusBoard,
    warm_up: Option<Value>,
    stop: watch::Sender<Option<Stop>>,
}

impl Agent {
    /// An agent that does nothing before [`Self::run`].
    pub fn new(options: &Options, identity: Identity, timing: Timing) -> Result<Self, reqwest::Error> {
        // Presigned URLs and ComfyUI never redirect; following one could lead anywhere.
        let http = || reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let cloud = http().connect_timeout(Duration::from_secs(5)).build()?;
        let local = http().connect_timeout(Duration::from_secs(3)).no_proxy().build()?;
        let api = Arc::new(CloudApi::new(cloud.clone(), &options.api, &options.worker_id));
        let status = StatusBoard::new();
        let host = Host {
            restart_comfyui: options.comfyui_restart_command.clone(),
            team: options.team_command.clone(),
            ..Host::default()
        };
        let lora_limit = options.lora_cache.saturating_mul(1 << 30);
        let renderer = Renderer {
            http: cloud,
            api: Arc::clone(&api),
            comfy: Arc::new(Comfy::new(local, &options.comfyui_url)),
            status: status.clone(),
            host,
            loras: options
                .models
                .as_ref()
                .map(|models| Arc::new(Shelf::new(models, lora_limit))),
            timing: timing.clone(),
            serving: Mutex::default(),
        };
        Ok(Self {
            api,
            renderer: Arc::new(renderer),
            identity: Some(identity),
            image: options.image.clone(),
            no_socket: options.no_socket,
            shutdown_command: options.shutdown_command.clone(),
            dead_man: Arc::new(DeadMan::new(timing.dead_man, options.alive_file.clone())),
            timing,
            status,
            warm_up: None,
            stop: watch::Sender::new(None),
        })
    }

    /// Works until `terminate` resolves, the API dismisses the worker, or the dead-man switch falls.
    pub async fn run(mut self, terminate: impl Future<Output = ()>) -> Exit {
        let (events, mut happened) = mpsc::channel(64);
        let (rhythm, address) = (watch::Sender::new(DEFAULT_RHYTHM), watch::Sender::new(None));
        let mut tasks = self.companions(&events, &rhythm, &address);
        let mut state = State::new(self.timing.clone(), DEFAULT_RHYTHM.ready);
        let mut last_call = None;
        tokio::pin!(terminate);
        loop {
            let due = state.due().unwrap_or_else(far);
            let actions = tokio::select! {
                Some(event) = happened.recv() => {
                    self.note(&event, &rhythm, &address);
                    state.on(event, Instant::now())
                }
                () = sleep_until(due) => state.on_time(Instant::now()),
                () = &mut terminate, if last_call.is_none() => {
                    tracing::info!("asked to stop");
                    last_call = Some(Instant::now() + self.timing.give_back);
                    state.on(Event::Terminate, Instant::now())
                }
                () = sleep_until(last_call.unwrap_or_else(far)), if last_call.is_some() => {
                    tracing::error!("could not end in good order; a run's lease will miss it");
                    return Exit::Stopped;
                }
                reason = self.dead_man.expired() => {
                    tracing::error!(reason, "dead-man switch: shutting the host down");
                    return self.shut_down().await;
                }
            };
            for action in actions {
                match action {
                    Action::ShutDown => return self.shut_down().await,
                    Action::Exit => return Exit::Stopped,
                    action => self.carry_out(action, &events, &mut tasks),
                }
            }
            // Ended tasks are let go of; their events are on their way.
            while let Some(ended) = tasks.try_join_next() {
                if let Err(error) = ended {
                    tracing::error!(error = chain(&error), "a task of the agent broke");
                }
            }
        }
    }

    /// The tasks that go on for as long as the agent does.
    fn companions(
        &mut self,
        events: &mpsc::Sender<Event>,
        rhythm: &watch::Sender<Rhythm>,
        address: &watch::Sender<Option<String>>,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        if let Some(identity) = self.identity.take() {
            let (api, image, timing) = (Arc::clone(&self.api), self.image.take(), self.timing.clone());
            tasks.spawn(registrar::keep_registered(api, identity, image, timing, events.clone()));
        }
        let (api, dead_man) = (Arc::clone(&self.api), Arc::clone(&self.dead_man));
        let (status, rhythm) = (self.status.watch(), rhythm.subscribe());
        tasks.spawn(heartbeat::beat(
            api,
            Gpu::probe(),
            dead_man,
            status,
            rhythm,
            events.clone(),
        ));
        let (api, timing) = (Arc::clone(&self.api), self.timing.clone());
        let (status, address) = (self.status.watch(), address.subscribe());
        tasks.spawn(cloud_socket::keep_open(api, address, status, timing, events.clone()));
        tasks.spawn(watch_comfy::watch(Arc::clone(&self.renderer), events.clone()));
        tasks
    }

    /// What an event means outside of the state.
    fn note(&mut self, event: &Event, rhythm: &watch::Sender<Rhythm>, address: &watch::Sender<Option<String>>) {
        match event {
            Event::Registered(registered) => {
                self.warm_up.clone_from(&registered.warm_up);
                self.dead_man.set_limit(millis(registered.dead_man_ms));
                rhythm.send_replace(Rhythm {
                    busy: millis(registered.heartbeat_busy_ms),
                    ready: millis(registered.heartbeat_ready_ms),
                });
                // Also when it is the old one: the API ties a socket to the registration that opened it.
                address.send_replace(registered.socket.clone().filter(|_| !self.no_socket));
            }
            Event::Beat { about: Some(_), .. } => self.dead_man.worked(),
            Event::Finished(_) => self.dead_man.worked(),
            _ => {}
        }
    }

    fn carry_out(&self, action: Action, events: &mpsc::Sender<Event>, tasks: &mut JoinSet<()>) {
        let (events, renderer, api) = (events.clone(), Arc::clone(&self.renderer), Arc::clone(&self.api));
        match action {
            Action::WarmUp => {
                // Also after a ComfyUI that died while nothing ran.
                self.status.set_ready(false);
                let (plan, status) = (self.warm_up.clone(), self.status.clone());
                tasks.spawn(async move {
                    renderer.warm_up(plan.as_ref()).await;
                    status.set_ready(true);
                    send(&events, Event::Warm).await;
                });
            }
            Action::Claim(task) => {
                tasks.spawn(async move {
                    let event = match api.claim(task).await {
                        Ok(assignment) => Event::Claimed(assignment.map(Box::new)),
                        Err(error) => {
                            tracing::warn!(error = chain(&error), "claim not answered");
                            Event::NotClaimed
                        }
                    };
                    send(&events, event).await;
                });
            }
            Action::Render(run) => {
                self.dead_man.worked();
                self.status.begin(run.task_id, run.run_id);
                self.stop.send_replace(None);
                let stop = self.stop.subscribe();
                tasks.spawn(async move {
                    let finished = renderer.render(*run, stop).await;
                    send(&events, Event::Finished(finished)).await;
                });
            }
            Action::Stop(stop) => {
                self.stop.send_replace(Some(stop));
            }
            Action::ShutDown | Action::Exit => {}
        }
    }

    async fn shut_down(&self) -> Exit {
        // A last word for the run's sake would be nice, but nobody has answered for an hour, or nothing runs.
        match timeout(SHUTDOWN, shut_down(&self.shutdown_command)).await {
            Ok(true) => Exit::ShutDown,
            Ok(false) | Err(_) => Exit::ShutDownFailed,
        }
    }
}

const DEFAULT_RHYTHM: Rhythm = Rhythm {
    busy: Duration::from_secs(5),
    ready: Duration::from_secs(15),
};
const SHUTDOWN: Duration = Duration::from_mins(1);

/// A moment that does not come.
fn far() -> Instant {
    Instant::now() + Duration::from_hours(24)
}

async fn send(events: &mpsc::Sender<Event>, event: Event) {
    // Nobody listens any more when the agent ends, and nothing is left to do then.
    let _ = events.send(event).await;
}
