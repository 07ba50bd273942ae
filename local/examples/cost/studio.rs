//! The studio of the golden events, as AWS knows it at one moment.

use std::time::Duration;

use anyhow::{Context, Result};
use cloud::{
    Store, Write,
    memory::{Memory, Unkind},
    store::StoreError,
    tables::{CatalogOf, Entity, Table},
    token::Signer,
};
use model::{
    CatalogEntry, ConnectionId, InstanceId, Lane, MicroUsd, Millis, Pace, PoolId, Presence, Role, Run, RunRef,
    RunTimes, Session, Task, TaskBody, TaskId, TaskResult, TaskState, TeamId, UserId, Worker, WorkerId, WorkerState,
};
use ops::{keys::Keys, pool::Limits, seed};
use serde_json::Value;

use crate::aws::{Known, attributes};

/// Who the golden events are about.
const PAINTER: &str = "mara";
const TEAM: &str = "studio";
const POOL: &str = "default";
const TASK: &str = "01a05cd7-2a00-7000-8000-0000000000a1";
const RUN: &str = "01a05cd7-2a00-7000-8000-0000000000b1";
const WORKER: &str = "w-01a05cd72a0070008000000000000001";
const INSTANCE: &str = "i-0a1b2c3d4e5f60718";
const CHECKPOINT: &str = "dreamshaper_8.safetensors";

const ISSUER: &str = "atelier";
const AUDIENCE: &str = "atelier";
const STACK: &str = "atelier";

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// What the painter's task and the only worker do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// There is no task, and the worker is ready.
    Quiet,
    /// The task waits, and the worker is ready.
    Waiting,
    /// The worker renders the task.
    Running,
    /// The task is done, and the worker is ready again.
    Finished,
}

/// A name of the function's own deployment for each table.
fn table_name(table: Table) -> String {
    format!("atelier-{}-1A2B3C4D5E6F7", table.variable().to_lowercase())
}

/// What a function is deployed with, for AWS at this address.
pub(crate) fn variables(keys: &Keys, endpoint: &str, metrics: bool) -> Vec<(String, String)> {
    let socket = format!("{endpoint}/live");
    let tables = Table::ALL.map(|table| (table.variable(), table_name(table)));
    let fixed = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", cloud::EMULATOR_REGION),
        ("AWS_DEFAULT_REGION", cloud::EMULATOR_REGION),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_SESSION_TOKEN", "test"),
        ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
        (
            "TASK_QUEUE_URL",
            "https://sqs.us-east-1.amazonaws.com/123456789012/atelier-TaskQueue",
        ),
        ("BUCKET", "atelier-pictures"),
        ("MODELS_BUCKET", "atelier-models"),
        (
            "SOCKET_URL",
            "wss://e5d4c3b2a1.execute-api.us-east-1.amazonaws.com/live",
        ),
        ("SOCKET_CALLBACK_URL", &socket),
        ("TOKEN_ISSUER", ISSUER),
        ("TOKEN_AUDIENCE", AUDIENCE),
        ("TOKEN_PUBLIC_KEY", &keys.public),
        ("SIGNING_SECRET", "SigningSecret"),
        ("STS_URL", endpoint),
        ("WORKER_ROLE_ARN", "arn:aws:iam::123456789012:role/atelier-worker"),
        ("STACK", STACK),
        ("LAUNCH_TEMPLATE", "lt-0a1b2c3d4e5f60718"),
        ("SUBNETS", "subnet-0a1b2c3d4e5f60718,subnet-0b1c2d3e4f5a60718"),
    ];
    let fixed = fixed.map(|(name, value)| (name, value.to_owned()));
    // As on AWS, where the template gives it; without it a function measures nothing of itself.
    let namespace = metrics.then(|| ("METRICS_NAMESPACE", format!("Atelier/{STACK}")));
    let all = fixed.into_iter().chain(tables).chain(namespace);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A token of the painter's.
pub(crate) fn token(keys: &Keys) -> Result<String> {
    let signer = Signer::new(&keys.private_pem, ISSUER, AUDIENCE)?;
    Ok(signer.user(PAINTER, &TeamId::new(TEAM), Role::Painter, cloud::now(), HOUR)?)
}

/// What AWS knows at this moment. `request` is what the task asks for.
pub(crate) async fn known(keys: &Keys, moment: Moment, request: &Value) -> Result<Known> {
    let memory = Memory::new(Unkind::NOT);
    let store = Store::new(memory.clone());
    let now = cloud::now();
    seed(&store, keys, now).await?;
    let worker = worker(moment, now)?;
    put(&store, worker).await?;
    if moment != Moment::Quiet {
        put(&store, task(moment, now)?).await?;
        put(&store, body(&store, request).await?).await?;
    }
    let items = memory.items().into_iter();
    let items = items.map(|(key, item)| (table_name(key.table), attributes(&item)));
    Ok(Known {
        items: items.collect(),
        instances: instances(),
        secret: keys.private_pem.clone(),
    })
}

async fn put<E: Entity>(store: &Store, mut entity: E) -> Result<(), StoreError> {
    store.commit([Write::put(&mut entity)?]).await
}

/// What there is at each moment: pool, catalogue, and the painter, who is at the canvas.
async fn seed(store: &Store, keys: &Keys, now: Millis) -> Result<()> {
    let signer = Signer::new(&keys.private_pem, ISSUER, AUDIENCE)?;
    let seed = seed::Seed {
        team: TeamId::new(TEAM),
        user: UserId::new(PAINTER),
        name: "Mara".to_owned(),
        role: Role::Painter,
        pool: PoolId::new(POOL),
        limits: Limits::default(),
        credits: 1000,
        catalog: seed::default_catalog()?,
        token_life: HOUR,
    };
    seed::seed(store, &signer, &seed, Millis(now.0.saturating_sub(86_400_000))).await?;
    put(store, Pace::new(seed.pool.clone())).await?;
    put(
        store,
        Presence {
            pool: seed.pool,
            user: seed.user.clone(),
            version: 0,
            since: now,
            at: now,
            asked_at: Some(now),
            watched: false,
            ttl: (now + HOUR).seconds(),
        },
    )
    .await?;
    let session = Session {
        connection_id: ConnectionId::new("fJ8xKdvLoAMCE6A="),
        version: 0,
        owner: seed.user,
        team: seed.team,
        role: Role::Painter,
        device: None,
        opened_at: now,
        look: None,
        ttl: (now + HOUR).seconds(),
    };
    Ok(put(store, session).await?)
}

fn worker(moment: Moment, now: Millis) -> Result<Worker> {
    let mut worker = Worker::launching(WorkerId::new(WORKER), PoolId::new(POOL), now);
    worker.become_state(WorkerState::Warming, now)?;
    worker.become_state(WorkerState::Ready, now)?;
    worker.generation = 1;
    worker.outcome_due = false;
    worker.instance_id = Some(InstanceId::new(INSTANCE));
    worker.instance_type = Some("g6.xlarge".to_owned());
    worker.connection = Some(ConnectionId::new("fJ8yQeV1IAMCHnw="));
    worker.models = vec![CHECKPOINT.to_owned()];
    worker.nodes = Some(vec![]);
    if moment == Moment::Running {
        let run = RunRef {
            task_id: TASK.parse()?,
            run_id: RUN.parse()?,
        };
        worker.start(run, now)?;
    }
    Ok(worker)
}

fn task(moment: Moment, now: Millis) -> Result<Task> {
    let (task_id, pool) = (TASK.parse::<TaskId>()?, PoolId::new(POOL));
    let mut task = Task {
        task_id,
        version: 0,
        owner: UserId::new(PAINTER),
        team: TeamId::new(TEAM),
        pool: pool.clone(),
        backlog: None,
        start_tag: now.0,
        lane: Lane::Interactive,
        document: None,
        kind: None,
        state: TaskState::Queued,
        model: Some(CHECKPOINT.to_owned()),
        work: 40.0,
        reserved: MicroUsd::default(),
        cost: MicroUsd::default(),
        created: now,
        expires_at: now + HOUR,
        seen_at: now,
        eta: None,
        run: None,
        cancel: None,
        failures: 0,
        preempted: 0,
        failed_on: None,
        unpaid_ms: 0,
        result: None,
        error: None,
        claimed_at: None,
        ended_at: None,
        times: None,
        last_run: None,
        unarchived: None,
        offer_at: None,
        archived_at: None,
        ttl: None,
        variant: None,
    };
    match moment {
        Moment::Quiet | Moment::Waiting => task.backlog = Some(pool),
        Moment::Running => task.start(Run {
            run_id: RUN.parse()?,
            worker_id: WorkerId::new(WORKER),
            claimed_at: now,
            generation: Some(1),
            lease_until: now + HOUR,
            deadline: now + HOUR,
            seq: 0,
            progress: 0.0,
        })?,
        Moment::Finished => {
            task.state = TaskState::Succeeded;
            task.ended_at = Some(now + MINUTE);
            task.times = Some(RunTimes::default());
            task.result = Some(TaskResult {
                key: format!("results/{TASK}/{RUN}"),
                offsets: vec![0, 400_000, 800_000, 1_200_000],
                size: 1_600_000,
                lora_warning: false,
                pose: None,
                ..TaskResult::default()
            });
        }
    }
    Ok(task)
}

/// The task's plan, as a submit would have made it of this request.
async fn body(store: &Store, request: &Value) -> Result<TaskBody> {
    let entries = store.list(CatalogOf(CatalogEntry::SHARED)).await?;
    let workflow = workflow::WorkflowInput::read(request["input"]["workflow"].clone());
    let plan = workflow.and_then(|input| workflow::compile(&input, &catalog::assemble(&entries)));
    let plan = plan
        .ok()
        .context("the golden request cannot be painted with the default catalogue")?;
    Ok(TaskBody {
        task_id: TASK.parse()?,
        version: 0,
        plan: Some(serde_json::to_string(&plan)?),
        plan_key: None,
        parameters: None,
        inputs: None,
        loras: vec![],
        models: vec![],
        ttl: 0,
    })
}

fn instances() -> String {
    let tag = |key: &str, value: &str| format!("<item><key>{key}</key><value>{value}</value></item>");
    let tags = [
        tag("atelier:stack", STACK),
        tag("atelier:worker_id", WORKER),
        tag("atelier:pool", POOL),
    ];
    format!(
        "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>59dbff89-35bd-4eac-99ed-be587ed81825</requestId><reservationSet><item>\
         <reservationId>r-0a1b2c3d4e5f60718</reservationId><ownerId>123456789012</ownerId><groupSet/>\
         <instancesSet><item><instanceId>{INSTANCE}</instanceId><imageId>ami-0a1b2c3d4e5f60718</imageId>\
         <instanceState><code>16</code><name>running</name></instanceState><instanceType>g6.xlarge</instanceType>\
         <launchTime>2026-09-01T11:00:00.000Z</launchTime><tagSet>{}</tagSet></item></instancesSet>\
         </item></reservationSet></DescribeInstancesResponse>",
        tags.concat()
    )
}
