//! From a wanted task to one that waits in line. Every front admits through here.

mod admit;
mod ahead;
mod error;
mod group;
mod inputs;
mod key;
mod parameters;
mod uploads;

use std::time::Duration;

use cloud::{Cloud, chain, metrics, queue::Queued};
use model::{
    Account, DocumentId, Lane, MicroUsd, Millis, Parameters, Settings, Task, TaskId, TaskState, Usage, Variant,
    metrics::{REFUSALS, SUBMITS},
    socket::ServerMessage,
    worker_api::ModelFile,
};
use policy::{scale::first_to_wake, wait::Eta};
use tracing::{info, warn};
use workflow::Plan;

use crate::{
    bodies,
    line::{Line, Lines},
    notify::tell_worker,
    presence::Asks,
};

pub use ahead::{Unread, ahead};
pub use error::IntakeError;
pub use group::{AdmittedGroup, WantedGroup, WantedVariant, admit_group};
pub use inputs::Files;
pub use key::{Fresh, Ticket, ticket};
pub use parameters::parameters;
pub use uploads::{ImagePlace, UPLOADS, image_place};

/// How long request and plan are kept after the task's time, for whoever asks what happened.
const BODY_LIFE: Duration = Duration::from_hours(7 * 24);

/// What a function remembers from one request to the next, so that it reads less; each of its instances for itself.
#[derive(Debug, Default)]
pub struct Recent {
    lines: Lines,
    asks: Asks,
    pools: ahead::Pools,
}

/// A task as a front wants it.
#[derive(Debug)]
pub struct Wanted {
    /// That it was not asked for before; [`ticket`] gives it.
    pub fresh: Fresh,
    /// The compiled request.
    pub plan: Plan,
    /// What it asks for, for whoever looks at the task later; [`parameters`] makes them.
    pub parameters: Parameters,
    /// Its input pictures.
    pub files: Files,
    /// The files of the studio's store that the plan loads.
    pub models: Vec<ModelFile>,
    /// How urgent it is.
    pub lane: Lane,
    /// The document that it is for, where the request names one.
    pub document: Option<DocumentId>,
    /// The whole credits that it may cost, which are reserved.
    pub credits: u64,
    /// The language of its prompts, "" for English.
    pub language: String,
}

/// A task that was let in, now or by an earlier request with the same key.
#[derive(Debug)]
pub struct Admitted {
    /// The task as it was written.
    pub task: Task,
    /// What its owner has used, this task's reservation included.
    pub usage: Usage,
    /// Place in line and time left, where that can be told.
    pub eta: Option<Eta>,
    /// A free worker was told of it.
    pub woken: bool,
}

/// Lets the task in and says so to whom it concerns, or says why not and keeps nothing.
pub async fn admit(
    cloud: &Cloud,
    settings: &Settings,
    recent: &Recent,
    account: &Account,
    wanted: Wanted,
    now: Millis,
) -> Result<Admitted, IntakeError> {
    let admitted = let_in(cloud, settings, recent, account, wanted, now).await;
    admitted.inspect_err(|error| note_refusal(account, error))
}

/// Counts who was not let in.
fn note_refusal(account: &Account, error: &IntakeError) {
    if let Some(why) = error.refusal() {
        metrics::note([REFUSALS.sample([why], 1.0)], &[("pool", &account.pool)]);
    }
}

async fn let_in(
    cloud: &Cloud,
    settings: &Settings,
    recent: &Recent,
    account: &Account,
    wanted: Wanted,
    now: Millis,
) -> Result<Admitted, IntakeError> {
    let task_id = wanted.fresh.task_id();
    recent.pools.note(&account.user_id, &account.pool);
    let line = async { Ok(recent.lines.read(cloud, &account.pool, settings, now).await?) };
    let pinned = wanted.files.pin(cloud, settings, account, &wanted.plan);
    let (inputs, line) = tokio::try_join!(pinned, line)?;
    if line.pool.is_none() {
        return Err(IntakeError::NoPool(account.pool.clone()));
    }
    let draft = Draft {
        task_id,
        plan: &wanted.plan,
        kind: &wanted.parameters.kind,
        lane: wanted.lane,
        credits: wanted.credits,
        variant: None,
    };
    let task = task(account, draft, settings, now);
    let plan = serde_json::to_string(&wanted.plan)?;
    let ttl = (task.expires_at + BODY_LIFE).seconds();
    let (parameters, models) = (wanted.parameters.clone(), wanted.models.clone());
    let body = bodies::make(&cloud.bucket, task_id, plan, Some(parameters), inputs, models, ttl).await?;
    let admitted = admit::write(cloud, settings, account, &line, &task, &body, &wanted).await?;
    if admitted.is_new {
        recent.lines.joined(&admitted.task);
        metrics::note([SUBMITS.of(1.0)], &[("task.id", &task_id), ("pool", &account.pool)]);
    }
    let announced = async { admitted.is_new && announce(cloud, &admitted.task, &line, settings, now).await };
    let noted = recent.asks.note(cloud, &task.pool, &task.owner, settings, now);
    let (woken, ()) = tokio::join!(announced, noted);
    info!(task.id = %task_id, task.work = task.work, task.reserved = task.reserved.0, "submitted");
    Ok(Admitted {
        task: admitted.task,
        usage: admitted.usage,
        eta: admitted.eta,
        woken,
    })
}

/// What is known of a task before it has its place in line.
#[derive(Clone, Copy)]
struct Draft<'a> {
    task_id: TaskId,
    plan: &'a Plan,
    kind: &'a str,
    lane: Lane,
    credits: u64,
    variant: Option<&'a Variant>,
}

fn task(account: &Account, draft: Draft<'_>, settings: &Settings, now: Millis) -> Task {
    let expiry = match draft.lane {
        Lane::Batch => settings.batch_expiry,
        Lane::Live | Lane::Interactive => settings.task_expiry,
    };
    Task {
        task_id: draft.task_id,
        version: 0,
        owner: account.user_id.clone(),
        team: account.team.clone(),
        pool: account.pool.clone(),
        backlog: Some(account.pool.clone()),
        start_tag: 0, // `admit::write` gives the place
        lane: draft.lane,
        document: None,
        kind: Some(draft.kind.to_owned()),
        state: TaskState::Queued,
        model: draft.plan.models.first().cloned(),
        work: draft.plan.work.units(),
        reserved: MicroUsd::of_credits(draft.credits),
        cost: MicroUsd::default(),
        created: now,
        expires_at: now + expiry,
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
        variant: draft.variant.cloned(),
    }
}

/// Wakes a free worker at once, if there is one, and leaves the guarantee to the queue. A failure of either is made good
/// by the tick.
async fn announce(cloud: &Cloud, task: &Task, line: &Line, settings: &Settings, now: Millis) -> bool {
    let queued = Queued {
        task_id: Some(task.task_id),
        pool: task.pool.clone(),
    };
    let (sent, woken) = tokio::join!(cloud.queue.send(&queued), wake(cloud, task, line, settings, now));
    if let Err(error) = sent {
        warn!(task.id = %task.task_id, error = chain(&error), "the task was not queued; the next tick will see it");
    }
    woken
}

async fn wake(cloud: &Cloud, task: &Task, line: &Line, settings: &Settings, now: Millis) -> bool {
    let task_id = Some(task.task_id);
    match first_to_wake(
        &line.workers,
        task.model.as_deref(),
        &line.pace.estimates,
        settings,
        now,
    ) {
        Some(worker) => tell_worker(cloud, worker, &ServerMessage::Wake { task_id }).await,
        None => false,
    }
}
