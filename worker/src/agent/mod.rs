//! The worker's main loop: everything that happens comes in as an event, [`State`] decides, and this carries it out.

mod state;
mod watch_comfy;

use std::{sync::Arc, time::Duration};

use model::worker_api::FileOffer;
use serde_json::Value;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    comfy::Comfy,
    config::{Options, Timing, millis},
    control_plane::{CloudApi, InstanceIdentity, Rhythm, beat, keep_open, keep_registered},
    error::chain,
    event::{Event, send},
    files::{FileCache, SharedFolder},
    host::{DeadMan, Gpu, Storage, shut_down},
    preview::Previews,
    render::{ComfyHost, Prefetch, Renderer, Stop},
    status::StatusBoard,
    transfer::Fetcher,
};
use state::{Action, State};

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
    identity: Option<InstanceIdentity>,
    image: Option<String>,
    no_socket: bool,
    shutdown_command: String,
    timing: Timing,
    dead_man: Arc<DeadMan>,
    status: StatusBoard,
    warm_up: Option<Value>,
    /// What the pool's painters ask for most, what the warm-up needs first.
    files: Vec<FileOffer>,
    prefetch: Option<Arc<Prefetch>>,
    stop: watch::Sender<Option<Stop>>,
}

impl Agent {
    /// An agent that does nothing before [`Self::run`].
    pub fn new(options: &Options, identity: InstanceIdentity, timing: Timing) -> Result<Self, reqwest::Error> {
        // Presigned URLs and ComfyUI never redirect; following one could lead anywhere.
        let http = || reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let cloud = http().connect_timeout(Duration::from_secs(5)).build()?;
        let local = http().connect_timeout(Duration::from_secs(3)).no_proxy().build()?;
        let api = Arc::new(CloudApi::new(cloud.clone(), &options.api, &options.worker_id));
        let status = StatusBoard::new();
        let comfy = Comfy::new(local, &options.comfyui_url);
        let storage = options.storage.clone().map(Storage::new);
        let models = storage.as_ref().map(Storage::models).or_else(|| options.models.clone());
        let restart = options.comfyui_restart_command.clone();
        let budget = options.model_cache.map(|gib| gib.saturating_mul(1 << 30));
        let shared = options.shared_models.clone();
        let fetcher = models.map(|models| {
            let cache = Arc::new(FileCache::new(models, budget, status.clone()));
            let shared = shared.map(|folder| SharedFolder::new(folder, &timing, status.clone()));
            Arc::new(Fetcher::new(cloud.clone(), cache, shared, timing.clone()))
        });
        let renderer = Renderer {
            http: cloud,
            api: Arc::clone(&api),
            host: Arc::new(ComfyHost::new(comfy, restart, storage, timing.clone(), status.clone())),
            status: status.clone(),
            fetcher: fetcher.clone(),
            previews: Previews::new(),
            timing: timing.clone(),
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
            files: Vec::new(),
            prefetch: fetcher.map(|fetcher| Arc::new(Prefetch::new(fetcher))),
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
            tasks.spawn(keep_registered(api, identity, image, timing, events.clone()));
        }
        let (api, dead_man) = (Arc::clone(&self.api), Arc::clone(&self.dead_man));
        let (status, rhythm) = (self.status.watch(), rhythm.subscribe());
        let models = self.renderer.fetcher.as_ref().map(|it| it.cache.root().to_owned());
        let models = models.unwrap_or_else(|| "/".into());
        tasks.spawn(beat(
            api,
            Gpu::probe(),
            models,
            dead_man,
            status,
            rhythm,
            events.clone(),
        ));
        let (api, timing) = (Arc::clone(&self.api), self.timing.clone());
        let (status, address) = (self.status.watch(), address.subscribe());
        let previews = self.renderer.previews.clone();
        tasks.spawn(keep_open(api, address, status, previews, timing, events.clone()));
        let comfy = Arc::clone(&self.renderer.host);
        tasks.spawn(async move { comfy.await_first_answer().await });
        if let Some(fetcher) = &self.renderer.fetcher {
            let cache = Arc::clone(&fetcher.cache);
            tasks.spawn_blocking(move || cache.tell());
        }
        if let Some(prefetch) = self.prefetch.clone() {
            tasks.spawn(async move { prefetch.run().await });
        }
        let (comfy, status) = (Arc::clone(&self.renderer.host), self.status.watch());
        tasks.spawn(watch_comfy::watch(
            comfy,
            status,
            self.timing.comfy_watch,
            events.clone(),
        ));
        tasks
    }

    /// What an event means outside of the state.
    fn note(&mut self, event: &Event, rhythm: &watch::Sender<Rhythm>, address: &watch::Sender<Option<String>>) {
        match event {
            Event::Registered(registered) => {
                self.warm_up.clone_from(&registered.warm_up);
                self.files.clone_from(&registered.files);
                self.fetch_usual();
                self.dead_man.set_limit(millis(registered.dead_man_ms));
                rhythm.send_replace(Rhythm {
                    busy: millis(registered.heartbeat_busy_ms),
                    ready: millis(registered.heartbeat_ready_ms),
                });
                // Also when it is the old one: the API ties a socket to the registration that opened it.
                address.send_replace(registered.socket.clone().filter(|_| !self.no_socket));
            }
            Event::Beat { reply, about, .. } => {
                if about.is_some() {
                    self.dead_man.worked();
                }
                if let Some(prefetch) = &self.prefetch {
                    prefetch.next(&reply.files);
                }
            }
            Event::Warm => self.fetch_usual(),
            Event::Finished(_) => self.dead_man.worked(),
            _ => {}
        }
    }

    /// Not before the warm-up, which needs the disk and the line for itself.
    fn fetch_usual(&self) {
        if let Some(prefetch) = self.prefetch.as_ref().filter(|_| self.status.is_ready()) {
            prefetch.usual(&self.files);
        }
    }

    fn carry_out(&self, action: Action, events: &mpsc::Sender<Event>, tasks: &mut JoinSet<()>) {
        let (events, renderer, api) = (events.clone(), Arc::clone(&self.renderer), Arc::clone(&self.api));
        match action {
            Action::WarmUp => {
                // Also after a ComfyUI that died while nothing ran.
                self.status.set_ready(false);
                let (plan, files, status) = (self.warm_up.clone(), self.files.clone(), self.status.clone());
                tasks.spawn(async move {
                    renderer.warm_up(plan.as_ref(), &files).await;
                    if !status.has_booted() {
                        status.booted(renderer.host.boot.times().await);
                    }
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
                    let finished = Box::pin(renderer.render(*run, stop)).await;
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
