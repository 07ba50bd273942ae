//! A studio in memory: tables, queue, bucket, sockets, instances, and all handlers.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use claim::identity::{Identity, IdentityError, IdentityPort};
use cloud::{
    BoxFuture, Cloud, Store, Write,
    memory::{Memory, Unkind},
    queue::Queued,
    tables::{CatalogOf, Entity, Id, Table},
    token::{Signer, Verifier},
};
use fleet::{Instance, memory::MemoryFleet};
use model::{
    Account, CatalogEntry, ConnectionId, InstanceId, Lane, MicroUsd, Millis, PoolId, Role, Run, RunId, RunRef, Session,
    Settings, Task, TaskBody, TaskId, TaskState, TeamId, UserId, Worker, WorkerId, WorkerState,
};
use ops::{keys, pool::Limits, seed};
use policy::watch::{InstanceState, InstanceView};
use serde_json::{Value, json};

use crate::port::Port;

/// 1 September 2026, noon: the time of the golden events.
pub(crate) const NOW: Millis = Millis(1_788_264_000_000);
/// The painter of the golden events.
pub(crate) const MARA: &str = "mara";
/// Another painter of the same team.
pub(crate) const OTHER: &str = "noor";
pub(crate) const TEAM: &str = "studio";
pub(crate) const POOL: &str = "default";
/// The task, run, worker and instance of the golden events.
pub(crate) const TASK: &str = "01a05cd7-2a00-7000-8000-0000000000a1";
pub(crate) const RUN: &str = "01a05cd7-2a00-7000-8000-0000000000b1";
pub(crate) const WORKER: &str = "w-01a05cd72a0070008000000000000001";
pub(crate) const INSTANCE: &str = "i-0a1b2c3d4e5f60718";
/// Another worker.
pub(crate) const WORKER_2: &str = "w-01a05cd72a0070008000000000000002";
/// The worker's WebSocket, and the painter's, of the golden events.
pub(crate) const WORKER_SOCKET: &str = "fJ8yQeV1IAMCHnw=";
pub(crate) const PAINTER_SOCKET: &str = "fJ8xKdvLoAMCE6A=";
/// The object that the captured request 02 names.
pub(crate) const UPLOAD: &str = "uploads/mara/53504135d9f54c03837a7f17b7904c9e";

const AUDIENCE: &str = "atelier";
const ROLE_ARN: &str = "arn:aws:iam::123456789012:role/atelier-worker";

pub(crate) const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

pub(crate) fn task_id() -> TaskId {
    TASK.parse().unwrap()
}

pub(crate) fn run_id() -> RunId {
    RUN.parse().unwrap()
}

pub(crate) fn worker_id() -> WorkerId {
    WorkerId::new(WORKER)
}

pub(crate) fn instance_id() -> InstanceId {
    InstanceId::new(INSTANCE)
}

/// STS, which believes what a fake session token says, unless it is told what to answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeSts(Arc<Mutex<Option<Result<String, u16>>>>);

impl FakeSts {
    pub(crate) fn says(&self, answer: Result<&str, u16>) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(answer.map(str::to_owned));
    }
}

impl IdentityPort for FakeSts {
    fn ask<'a>(&'a self, headers: &'a BTreeMap<String, String>) -> BoxFuture<'a, Result<String, IdentityError>> {
        Box::pin(async move {
            let told = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let session = headers["x-amz-security-token"].replace("not-a-session-token-of-", "");
            match told {
                Some(Ok(arn)) => Ok(arn),
                Some(Err(status)) if status < 500 => Err(IdentityError::Refused(status)),
                Some(Err(_)) => Err(IdentityError::Unavailable("no way to sts".into())),
                None => Ok(format!(
                    "arn:aws:sts::123456789012:assumed-role/atelier-worker/{session}"
                )),
            }
        })
    }
}

/// What a handler answered over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: i64,
    pub(crate) body: Value,
    /// Where a page sends on to.
    pub(crate) location: Option<String>,
    pub(crate) cookies: Vec<String>,
}

impl Answer {
    /// The error in words, which every refusal must have.
    pub(crate) fn error(&self) -> &str {
        let error = self.body["error"].as_str().unwrap_or_default();
        let fields = if self.status == 402 { 2 } else { 1 };
        assert!(
            self.status >= 400 && !error.is_empty() && self.body.as_object().unwrap().len() == fields,
            "{self:?}"
        );
        error
    }

    /// The body of a success.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    pub(crate) fn parsed<T: serde::de::DeserializeOwned>(self) -> T {
        serde_json::from_value(self.ok()).unwrap()
    }
}

pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) instances: MemoryFleet,
    pub(crate) port: Port,
    pub(crate) cloud: Cloud,
    pub(crate) settings: Settings,
    pub(crate) sts: FakeSts,
    pub(crate) public_key: String,
    pub(crate) signer: Signer,
    generate: generate::App,
    account: account::App,
    claim: claim::App,
    dispatch: dispatch::App,
    push: progress_push::App,
    lifecycle: lifecycle::App,
    reaper: idle_reaper::App,
}

fn signer(key: &str) -> Signer {
    Signer::new(key, "atelier", AUDIENCE).unwrap()
}

impl World {
    /// A kind one, with a pool, a painter and the usual models.
    pub(crate) async fn new() -> Self {
        Self::set(Settings::default()).await
    }

    /// A kind one with these settings.
    pub(crate) async fn set(settings: Settings) -> Self {
        Self::with(Unkind::NOT, settings, "a kind world".to_owned()).await
    }

    pub(crate) async fn unkind(seed: u64) -> Self {
        Self::unkind_with(seed, Settings::default()).await
    }

    pub(crate) async fn unkind_with(seed: u64, settings: Settings) -> Self {
        Self::with(Unkind::seeded(seed), settings, format!("the unkind world {seed}")).await
    }

    /// One whose indexes lag, and nothing else.
    pub(crate) async fn lagging(seed: u64) -> Self {
        let unkind = Unkind {
            conflict_percent: 0,
            ..Unkind::seeded(seed)
        };
        Self::with(unkind, Settings::default(), format!("the lagging world {seed}")).await
    }

    async fn with(unkind: Unkind, settings: Settings, label: String) -> Self {
        let memory = Memory::new(unkind);
        let instances = MemoryFleet::default();
        let port = Port::new(memory.clone(), label);
        let cloud = Cloud {
            store: Store::new(port.clone()),
            ..memory.cloud()
        };
        let fleet = instances.fleet();
        let keys = keys::generate().unwrap();
        let sts = FakeSts::default();
        let socket_url = "wss://socket.example/live".to_owned();
        let world = Self {
            generate: generate::App::new(cloud.clone(), settings.clone()),
            account: account::App {
                cloud: cloud.clone(),
                settings: settings.clone(),
                socket_url: socket_url.clone(),
                signer: signer(&keys.private_pem),
                provider: None,
            },
            claim: claim::App {
                cloud: cloud.clone(),
                settings: settings.clone(),
                signer: signer(&keys.private_pem),
                identity: Identity::new(sts.clone(), ROLE_ARN),
                socket_url,
            },
            dispatch: dispatch::App {
                cloud: cloud.clone(),
                fleet: fleet.clone(),
                settings: settings.clone(),
            },
            push: progress_push::App {
                cloud: cloud.clone(),
                settings: settings.clone(),
            },
            lifecycle: lifecycle::App {
                cloud: cloud.clone(),
                fleet: fleet.clone(),
                settings: settings.clone(),
            },
            reaper: idle_reaper::App {
                cloud: cloud.clone(),
                fleet,
                settings: settings.clone(),
            },
            signer: signer(&keys.private_pem),
            public_key: keys.public,
            memory,
            instances,
            port,
            cloud,
            settings,
            sts,
        };
        world.seed(MARA).await;
        let mut other: Account = world.get(&UserId::new(MARA)).await;
        other.user_id = UserId::new(OTHER);
        other.version = 0;
        world.put(other).await;
        // The catalogue was made long ago: only what comes now may lag.
        let shared = async || world.cloud.store.list(CatalogOf(CatalogEntry::SHARED)).await.unwrap();
        while shared().await.len() < world.all::<Value>(Table::Catalog).len() {}
        world
    }

    /// What `ops seed` does for a painter.
    pub(crate) async fn seed(&self, user: &str) {
        let seed = seed::Seed {
            team: TeamId::new(TEAM),
            user: UserId::new(user),
            name: user.to_uppercase(),
            role: Role::Painter,
            pool: PoolId::new(POOL),
            limits: Limits {
                max_workers: Some(2),
                instance_types: Some(vec!["g6.xlarge".to_owned(), "g5.xlarge".to_owned()]),
                warm_up: Some("dreamshaper_8.safetensors".to_owned()),
                prices: vec![],
            },
            credits: 1000,
            catalog: seed::default_catalog().unwrap(),
            token_life: minutes(60),
        };
        // The day before, so that a golden event's token is younger.
        let made = NOW - minutes(24 * 60);
        seed::seed(&self.cloud.store, &self.signer, &seed, made).await.unwrap();
    }

    /// Gives the studio an OIDC provider.
    pub(crate) fn provided(&mut self, config: account::oidc::Config) {
        self.account.provider = Some(account::oidc::Provider::new(config).unwrap());
    }

    pub(crate) fn verifier(&self) -> Verifier {
        Verifier::new(&self.public_key, "atelier", AUDIENCE).unwrap()
    }

    // ------------------------------------------------------------ handlers

    /// Answers an HTTP event as the function that its route belongs to.
    pub(crate) async fn http(&self, event: Value, now: Millis) -> Answer {
        let event: cloud::http::Event = serde_json::from_value(event).unwrap();
        let route = event.route_key.clone().unwrap();
        let page = route.contains("/v1/sign-in");
        let response = if route.contains("/v1/workers/") {
            self.claim.handle(&event, now).await
        } else if route == "GET /v1/user" || route == "GET /v1/plugin/latest" || route.contains("/auth/") || page {
            self.account.handle(&event, now).await
        } else {
            self.generate.handle(&event, now).await
        };
        let content_type = if page {
            "text/html; charset=utf-8"
        } else if route == "POST /v1/admin/cost" && response.status_code == 200 {
            "text/plain; charset=utf-8"
        } else {
            "application/json"
        };
        assert_eq!(response.headers["content-type"], content_type);
        let Some(aws_lambda_events::encodings::Body::Text(text)) = response.body else {
            panic!("no text");
        };
        let location = response.headers.get("location");
        Answer {
            location: location.map(|it| it.to_str().unwrap().to_owned()),
            cookies: response.cookies,
            status: response.status_code,
            body: if page {
                Value::String(text)
            } else {
                serde_json::from_str(&text).unwrap()
            },
        }
    }

    /// A painter's call.
    pub(crate) async fn paint(&self, user: &str, route: &str, id: &str, body: &Value, now: Millis) -> Answer {
        self.http(http(route, id, Some(&painter(user)), body), now).await
    }

    /// The captured request 01, or another one.
    pub(crate) async fn submit(&self, user: &str, body: &Value, now: Millis) -> Answer {
        self.paint(user, "POST /v1/generate", "", body, now).await
    }

    /// A submitted task, as Mara submits it.
    pub(crate) async fn submitted(&self, now: Millis) -> TaskId {
        let body = self.submit(MARA, &wire("01_generate"), now).await.ok();
        body["id"].as_str().unwrap().parse().unwrap()
    }

    /// A worker's call.
    pub(crate) async fn work(&self, worker: &Worker, operation: &str, body: &Value, now: Millis) -> Answer {
        let route = format!("POST /v1/workers/{{id}}/{operation}");
        let caller = worker_context(worker.worker_id.as_str(), worker.generation, now);
        self.http(http(&route, worker.worker_id.as_str(), Some(&caller), body), now)
            .await
    }

    /// A claim; the assignment, if there is one.
    pub(crate) async fn claimed(&self, worker: &Worker, now: Millis) -> Option<model::worker_api::Assignment> {
        let claimed: model::worker_api::Claimed = self.work(worker, "claim", &json!({}), now).await.parsed();
        claimed.assignment
    }

    pub(crate) async fn dispatch(&self, event: Value, now: Millis) -> SqsBatchResponse {
        let event: SqsEvent = serde_json::from_value(event).unwrap();
        self.dispatch.handle(&event, now).await
    }

    /// Dispatches messages about these tasks.
    pub(crate) async fn dispatch_tasks(&self, tasks: &[TaskId], now: Millis) -> SqsBatchResponse {
        let messages: Vec<_> = tasks
            .iter()
            .map(|task| json!({ "task_id": task, "pool": POOL }).to_string())
            .collect();
        self.dispatch(sqs(&messages), now).await
    }

    pub(crate) async fn push(&self, event: Value, now: Millis) -> i64 {
        let event: cloud::websocket::Event = serde_json::from_value(event).unwrap();
        let answer = self.push.handle(&event, now).await;
        answer["statusCode"].as_i64().unwrap()
    }

    pub(crate) async fn ec2(&self, instance: &InstanceId, state: &str, now: Millis) {
        let mut event = golden("lifecycle", "ec2-running");
        event["detail"] = json!({ "instance-id": instance, "state": state });
        self.lifecycle.handle(&event, now).await.unwrap();
    }

    pub(crate) async fn lifecycle(&self, event: Value, now: Millis) -> Result<(), lifecycle::LifecycleError> {
        self.lifecycle.handle(&event, now).await
    }

    pub(crate) async fn tick(&self, now: Millis) {
        self.lifecycle(golden("lifecycle", "tick"), now).await.unwrap();
    }

    pub(crate) async fn reap(&self, now: Millis) {
        self.reaper.handle(now).await.unwrap();
    }

    // ------------------------------------------------------------ tables

    /// Puts an entity past all chance and lag.
    pub(crate) async fn put<E: Entity>(&self, mut entity: E) {
        loop {
            let write = Write::put(&mut entity).unwrap();
            let mut raw = vec![write];
            raw[0].expect = version_of(&self.memory, &raw[0].key);
            if cloud::store::StorePort::commit(&self.memory, &raw).await.is_ok() {
                return;
            }
        }
    }

    pub(crate) async fn get<I: Id>(&self, id: &I) -> I::Entity {
        self.port.get(id).await.expect("the item is there")
    }

    pub(crate) async fn task(&self, id: &TaskId) -> Task {
        self.get(id).await
    }

    pub(crate) async fn worker(&self, id: &str) -> Worker {
        self.get(&WorkerId::new(id)).await
    }

    /// Changes a worker as no handler would.
    pub(crate) async fn alter_worker(&self, id: &str, change: impl FnOnce(&mut Worker)) -> Worker {
        let mut worker = self.worker(id).await;
        change(&mut worker);
        self.put(worker).await;
        self.worker(id).await
    }

    /// Changes a task as no handler would.
    pub(crate) async fn alter_task(&self, id: &TaskId, change: impl FnOnce(&mut Task)) {
        let mut task = self.task(id).await;
        change(&mut task);
        self.put(task).await;
    }

    /// Every item of one table.
    pub(crate) fn all<T: serde::de::DeserializeOwned>(&self, table: Table) -> Vec<T> {
        self.memory
            .items()
            .into_iter()
            .filter(|(key, _)| key.table == table)
            .map(|(_, item)| serde_json::from_value(Value::Object(item)).unwrap())
            .collect()
    }

    pub(crate) fn tasks(&self) -> Vec<Task> {
        self.all(Table::Tasks)
    }

    pub(crate) fn workers(&self) -> Vec<Worker> {
        self.all(Table::Fleet)
    }

    // ------------------------------------------------------------ what is there

    /// A waiting task with this id, its plan included.
    pub(crate) async fn queued(&self, id: &str, owner: &str, now: Millis) -> TaskId {
        let task_id: TaskId = id.parse().unwrap();
        self.put(TaskBody {
            task_id,
            version: 0,
            plan: Some(json!({ "graph": {} }).to_string()),
            plan_key: None,
            inputs: None,
            loras: vec![],
            ttl: 0,
        })
        .await;
        self.put(task(task_id, owner, now)).await;
        task_id
    }

    /// A ready worker on an instance that runs.
    pub(crate) async fn ready(&self, id: &str, instance: &str, now: Millis) -> Worker {
        let mut worker = Worker::launching(WorkerId::new(id), PoolId::new(POOL), now);
        worker.instance_id = Some(InstanceId::new(instance));
        worker.state = WorkerState::Ready;
        worker.idle_since = Some(now);
        worker.generation = 1;
        self.put(worker).await;
        self.instance(instance, id, InstanceState::Up);
        self.worker(id).await
    }

    /// An instance, as EC2 has it.
    pub(crate) fn instance(&self, id: &str, worker: &str, state: InstanceState) {
        self.instances.insert(Instance {
            view: InstanceView {
                instance_id: InstanceId::new(id),
                state,
            },
            worker_id: WorkerId::new(worker),
            pool: PoolId::new(POOL),
            instance_type: "g6.xlarge".to_owned(),
        });
    }

    pub(crate) fn power(&self, id: &str) -> InstanceState {
        let all = self.instances.all();
        let found = all.iter().find(|it| it.view.instance_id == InstanceId::new(id));
        found.unwrap().view.state
    }

    /// The golden task, running on the golden worker.
    pub(crate) async fn running(&self, now: Millis) -> (Task, Worker) {
        self.ready(WORKER, INSTANCE, now).await;
        let id = self.queued(TASK, MARA, now).await;
        let run = Run {
            run_id: run_id(),
            worker_id: worker_id(),
            claimed_at: now,
            lease_until: now + self.settings.lease,
            deadline: now + minutes(10),
            seq: 0,
            progress: 0.0,
        };
        self.alter_task(&id, |task| task.start(run).unwrap()).await;
        let worker = self
            .alter_worker(WORKER, |worker| {
                let held = RunRef {
                    task_id: id,
                    run_id: run_id(),
                };
                worker.start(held, now).unwrap();
            })
            .await;
        (self.task(&id).await, worker)
    }

    /// An open WebSocket.
    pub(crate) async fn socket(&self, connection: &str, owner: UserId, role: Role, now: Millis) -> ConnectionId {
        let connection_id = ConnectionId::new(connection);
        self.put(Session {
            connection_id: connection_id.clone(),
            version: 0,
            owner,
            team: TeamId::new(TEAM),
            role,
            opened_at: now,
            ttl: 0,
        })
        .await;
        connection_id
    }

    /// Mara's WebSocket.
    pub(crate) async fn painter_socket(&self) -> ConnectionId {
        self.socket(PAINTER_SOCKET, UserId::new(MARA), Role::Painter, NOW).await
    }

    /// Messages to sockets since the last call, as (connection, message).
    pub(crate) fn sent(&self) -> Vec<(String, Value)> {
        let sent = self.memory.take_sent();
        sent.into_iter().map(|(to, what)| (to.to_string(), what)).collect()
    }

    pub(crate) fn take_queued(&self) -> Vec<Queued> {
        self.memory.take_queued()
    }

    /// What anybody could see afterwards: states of everything, and what was said since the last look.
    pub(crate) fn effects(&self) -> Value {
        let tasks: Vec<_> = self.tasks().iter().map(|it| json!({
            "id": it.task_id, "state": it.state, "failures": it.failures, "run": it.run.as_ref().map(|run| run.run_id),
            "error": it.error, "seen_s_ago": NOW.since(it.seen_at).as_secs(),
        })).collect();
        let workers: Vec<_> = self
            .workers()
            .iter()
            .map(|it| {
                json!({
                    "id": it.worker_id, "state": it.state, "generation": it.generation, "instance": it.instance_id,
                    "run": it.run.map(|run| run.run_id), "connection": it.connection,
                })
            })
            .collect();
        let instances: Vec<_> = self
            .instances
            .all()
            .iter()
            .map(|it| {
                json!({
                    "id": it.view.instance_id, "worker": it.worker_id, "power": it.view.state, "type": it.instance_type,
                })
            })
            .collect();
        let sessions: Vec<_> = self
            .all::<Session>(Table::Sessions)
            .iter()
            .map(|it| json!({ "connection": it.connection_id, "owner": it.owner, "role": it.role }))
            .collect();
        scrubbed(json!({
            "tasks": tasks,
            "workers": workers,
            "instances": instances,
            "sessions": sessions,
            "queued": self.take_queued(),
            "sent": self.sent(),
        }))
    }

    /// What was written down, for "nothing was".
    pub(crate) fn written(&self) -> String {
        format!("{:?} {:?}", self.memory.items(), self.memory.take_queued())
    }
}

fn version_of(memory: &Memory, key: &cloud::tables::Key) -> u64 {
    let items = memory.items();
    let found = items.iter().find(|(it, _)| it == key);
    found.and_then(|(_, item)| item["version"].as_u64()).unwrap_or(0)
}

/// A waiting task.
pub(crate) fn task(task_id: TaskId, owner: &str, now: Millis) -> Task {
    Task {
        task_id,
        version: 0,
        owner: UserId::new(owner),
        team: TeamId::new(TEAM),
        pool: PoolId::new(POOL),
        backlog: Some(PoolId::new(POOL)),
        start_tag: now.0,
        lane: Lane::Interactive,
        state: TaskState::Queued,
        model: Some("dreamshaper_8.safetensors".to_owned()),
        work: 40.0,
        reserved: MicroUsd::default(),
        cost: MicroUsd::default(),
        created: now,
        expires_at: now + minutes(60),
        seen_at: now,
        eta: None,
        run: None,
        cancel: None,
        failures: 0,
        result: None,
        error: None,
        claimed_at: None,
        ended_at: None,
        times: None,
    }
}

// ---------------------------------------------------------------- events

pub(crate) fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads a JSON file, once.
fn read(path: PathBuf) -> Value {
    static READ: Mutex<BTreeMap<PathBuf, Value>> = Mutex::new(BTreeMap::new());
    let mut known = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(value) = known.get(&path) {
        return value.clone();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    known.insert(path, value.clone());
    value
}

/// A golden event.
pub(crate) fn golden(function: &str, name: &str) -> Value {
    read(workspace().join("events").join(function).join(format!("{name}.json")))
}

/// A captured request of the plugin.
pub(crate) fn wire(name: &str) -> Value {
    read(workspace().join("workflow/tests/wire").join(format!("{name}.json")))
}

/// What the authorizer says about a painter.
pub(crate) fn painter(user: &str) -> Value {
    json!({ "sub": user, "team": TEAM, "role": "painter", "iat": NOW.seconds() })
}

/// What the authorizer says about a worker with a fresh token.
pub(crate) fn worker_context(worker: &str, generation: u32, issued: Millis) -> Value {
    json!({
        "sub": worker, "team": POOL, "role": "worker", "iat": issued.seconds(),
        "generation": generation, "pool": POOL,
    })
}

/// An HTTP event: the golden submit with another route, caller and body. `id` stands for every path parameter.
pub(crate) fn http(route: &str, id: &str, caller: Option<&Value>, body: &Value) -> Value {
    let text = match body {
        Value::String(text) => text.clone(),
        body => body.to_string(),
    };
    let (method, path) = route.split_once(' ').unwrap();
    let mut event = golden("generate", "submit");
    let mut parameters = serde_json::Map::new();
    let mut parts = Vec::new();
    for part in path.split('/') {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        parts.push(if name.is_some() { id } else { part });
        if let Some(name) = name {
            parameters.insert(name.to_owned(), id.into());
        }
    }
    let path = parts.join("/");
    event["headers"]["content-length"] = text.len().to_string().into();
    event["routeKey"] = route.into();
    event["rawPath"] = path.clone().into();
    event["pathParameters"] = parameters.into();
    event["body"] = text.into();
    let context = &mut event["requestContext"];
    context["routeKey"] = route.into();
    context["http"]["method"] = method.into();
    context["http"]["path"] = path.into();
    match caller {
        Some(caller) => context["authorizer"]["lambda"] = caller.clone(),
        None => drop(context.as_object_mut().unwrap().remove("authorizer")),
    }
    event
}

/// A batch of messages with these bodies, numbered from 1.
pub(crate) fn sqs(bodies: &[String]) -> Value {
    let template = golden("dispatch", "batch")["Records"][0].clone();
    let records = bodies.iter().zip(1..).map(|(body, number)| {
        let mut record = template.clone();
        record["messageId"] = format!("message-{number}").into();
        record["body"] = body.as_str().into();
        record
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

/// A WebSocket event of a golden kind: another caller, connection and message.
pub(crate) fn socket_event(name: &str, connection: &str, caller: &Value, message: Option<&Value>) -> Value {
    let mut event = golden("progress-push", name);
    let context = &mut event["requestContext"];
    context["connectionId"] = connection.into();
    context["authorizer"] = caller.clone();
    if let Some(message) = message {
        context["routeKey"] = message["action"].clone();
        event["body"] = message.to_string().into();
    }
    event
}

/// What a token says, unchecked.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

// ---------------------------------------------------------------- snapshots

/// The value without what differs from run to run: fresh ids and tokens; plans, which have tests of their own.
pub(crate) fn scrubbed(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(scrub_text(&text)),
        Value::Array(list) => list.into_iter().map(scrubbed).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                let value = match key.as_str() {
                    "plan" | "warm_up" if value.is_object() => Value::from("[plan]"),
                    _ => scrubbed(value),
                };
                (key, value)
            })
            .collect(),
        other => other,
    }
}

fn scrub_text(text: &str) -> String {
    if text.starts_with("eyJ") {
        return "[token]".to_owned();
    }
    let mut result = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !c.is_ascii_hexdigit() {
            result.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let long = rest
            .find(|c: char| !c.is_ascii_hexdigit() && c != '-')
            .unwrap_or(rest.len());
        let digits = rest[..long].chars().filter(char::is_ascii_hexdigit).count();
        let known = [TASK, RUN].iter().find(|known| rest.starts_with(**known));
        let fixed = rest.starts_with(&WORKER[2..26]) || rest.starts_with("53504135");
        if let Some(known) = known {
            result.push_str(known);
            rest = &rest[known.len()..];
        } else if digits == 32 && !fixed {
            result.push_str("[id]");
            rest = &rest[long..];
        } else {
            result.push_str(&rest[..long]);
            rest = &rest[long..];
        }
    }
    result
}
