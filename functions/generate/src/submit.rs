//! From a request to a waiting task.

use base64::{Engine, prelude::BASE64_STANDARD};
use cloud::{
    Cloud, accounts, bodies,
    http::{Caller, Event, HttpError, Reply, bytes, chain, reply},
    notify::tell_worker,
    presence,
    queue::Queued,
    runs,
};
use model::{
    Account, MicroUsd, Millis, Settings, Task, TaskId, TaskState, UserId,
    socket::ServerMessage,
    worker_api::{InputBlob, LoraFile},
};
use policy::{hold, presence::Sign, price::reservation, scale::first_to_wake};
use serde_json::{Map, Value, json};
use tracing::{info, warn};
use uuid::Uuid;
use workflow::{ImageData, Plan, WorkflowInput};

use crate::{admit::admit, catalog::Cache, held, loras, status, waiting::Line};

/// Largest body of a request, bytes. Pictures over 4 KB come by upload, so this is far more than any real one.
const MAX_BODY: usize = 1024 * 1024;
/// Largest blob inside a request, bytes: the client uploads from 4096 base64 characters on.
const MAX_INLINE: usize = 16 * 1024;

/// How long request and plan are kept after the task's time, for whoever asks what happened.
const BODY_LIFE: std::time::Duration = std::time::Duration::from_hours(7 * 24);

/// Where a user's uploaded object lies. The user comes from the token, so nobody reaches another's.
pub(crate) fn upload_key(user: &UserId, object: &str) -> String {
    format!("uploads/{user}/{object}")
}

pub(crate) async fn submit(
    cloud: &Cloud,
    settings: &Settings,
    catalogs: &Cache,
    event: &Event,
    caller: &Caller,
    now: Millis,
) -> Reply {
    let mut body = body(event)?;
    let workflow = body.pointer_mut("/input/workflow").map(Value::take);
    let input = read(workflow.ok_or_else(unreadable)?)?;
    let (account, mut plan, loras) = compile(cloud, catalogs, &input, caller, now).await?;
    plan.output.webp = body.pointer("/input/options/useWebpCompression") == Some(&Value::Bool(true));
    let inputs = async {
        match &input.image_data {
            Some(data) if !plan.inputs.is_empty() => blob(cloud, settings, caller, data).await.map(Some),
            _ => Ok(None),
        }
    };
    let line = async { Ok(Line::read(cloud, &account.pool).await?) };
    let (inputs, line) = tokio::try_join!(inputs, line)?;
    let task_id = task_id(event, caller);
    let task = Task {
        task_id,
        version: 0,
        owner: caller.user(),
        team: account.team.clone(),
        pool: account.pool.clone(),
        backlog: Some(account.pool.clone()),
        start_tag: 0, // `admit` gives the place
        lane: hold::lane(plan.output.count, plan.work.steps),
        state: TaskState::Queued,
        model: plan.models.first().cloned(),
        work: plan.work.units(),
        reserved: reservation(line.pool.as_ref(), plan.work.units()),
        cost: MicroUsd::default(),
        created: now,
        expires_at: now + settings.task_expiry,
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
    };
    let plan = serde_json::to_string(&plan).map_err(HttpError::unavailable)?;
    let body = bodies::make(
        &cloud.bucket,
        task_id,
        plan,
        inputs,
        loras,
        (task.expires_at + BODY_LIFE).seconds(),
    )
    .await?;
    let admitted = admit(cloud, settings, &account, &line, &task, &body).await?;
    let mut usage = admitted.usage;
    let announced = async { admitted.is_new && announce(cloud, &task, &line, settings, now).await };
    let noted = presence::note(cloud, &task.pool, &task.owner, Sign::Ask, settings, now);
    let (woken, ()) = tokio::join!(announced, noted);
    info!(task.id = %task_id, task.work = task.work, task.reserved = task.reserved.0, "submitted");
    let mut answer = Map::from_iter([
        ("id".to_owned(), json!(task_id)),
        ("worker_id".to_owned(), json!(account.pool)),
        ("status".to_owned(), json!(status::word(TaskState::Queued, None))),
    ]);
    let time = hold::submit(task.lane, woken, settings);
    let ended = held::until(&cloud.store, task_id, time, |task| task.state.is_terminal()).await;
    // Only pictures may come with this answer; whatever else there is to say, the first status says.
    if let Some(ended) = ended.filter(|task| task.state == TaskState::Succeeded)
        && let Ok(Value::Object(status)) = status::of(cloud, settings, &ended).await
    {
        answer.extend(status);
        // Settled by now.
        usage = runs::usage(&cloud.store, &account.user_id, now).await.unwrap_or(usage);
    }
    let credits = usage.left(&account).credits_left();
    let user = json!({ "images_generated": usage.images, "credits": credits });
    answer.insert("user".to_owned(), user);
    if let Some(eta) = admitted.eta {
        answer.insert("position".to_owned(), json!(eta.position));
        answer.insert("eta_s".to_owned(), json!(eta.done.as_secs()));
    }
    reply(200, &answer)
}

/// What the request in the body may cost, in whole credits.
pub(crate) async fn cost(
    cloud: &Cloud,
    catalogs: &Cache,
    event: &Event,
    caller: &Caller,
    now: Millis,
) -> Result<String, HttpError> {
    let input = read(body(event)?)?;
    let (account, plan, _) = compile(cloud, catalogs, &input, caller, now).await?;
    let pool = cloud.store.get(&account.pool).await?;
    let reserved = reservation(pool.as_ref(), plan.work.units());
    Ok(reserved.credits_needed().to_string())
}

/// The caller's account, and the request as a plan for their team with the uploaded LoRAs that it loads.
async fn compile(
    cloud: &Cloud,
    catalogs: &Cache,
    input: &WorkflowInput,
    caller: &Caller,
    now: Millis,
) -> Result<(Account, Plan, Vec<LoraFile>), HttpError> {
    let account = accounts::of(&cloud.store, caller).await?;
    let (catalog, loras) = tokio::try_join!(
        async { Ok(catalogs.of(&cloud.store, &account, now).await?) },
        loras::Named::by(cloud, &account.team, input)
    )?;
    let mut plan = workflow::compile(input, &loras.over(catalog));
    if plan.is_err() {
        // Nothing is refused because of what was true a minute ago.
        let catalog = catalogs.fresh(&cloud.store, &account, now).await?;
        plan = workflow::compile(input, &loras.over(catalog));
    }
    let plan = plan.map_err(|refusal| HttpError::new(400, refusal.to_string()))?;
    let loras = loras.files(&plan, input);
    Ok((account, plan, loras))
}

/// A fresh id, or the same one for the same `Idempotency-Key` of the same user.
fn task_id(event: &Event, caller: &Caller) -> TaskId {
    let key = event
        .headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .filter(|key| !key.is_empty());
    TaskId::new(match key {
        Some(key) => Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{}/{key}", caller.sub).as_bytes()),
        None => Uuid::now_v7(),
    })
}

fn unreadable() -> HttpError {
    HttpError::new(400, "Validation error: the request is not what the plugin sends.")
}

fn body(event: &Event) -> Result<Value, HttpError> {
    let body = bytes(event)?;
    if body.len() > MAX_BODY {
        return Err(HttpError::new(
            413,
            "Validation error: the request is too large. Shorten the prompt.",
        ));
    }
    serde_json::from_slice(&body).map_err(|_| unreadable())
}

fn read(workflow: Value) -> Result<WorkflowInput, HttpError> {
    WorkflowInput::read(workflow).map_err(|refusal| HttpError::new(400, refusal.to_string()))
}

/// The request's pictures: checked to be there, and pinned so that they cannot be exchanged later.
async fn blob(cloud: &Cloud, settings: &Settings, caller: &Caller, data: &ImageData) -> Result<InputBlob, HttpError> {
    let invalid = |text: &str| HttpError::new(400, format!("Validation error: {text}"));
    let offsets = data.offsets.clone();
    let blob = if let Some(base64) = &data.base64 {
        let size = BASE64_STANDARD
            .decode(base64)
            .map_err(|_| invalid("the picture in the request is damaged."))?
            .len();
        if size > MAX_INLINE {
            return Err(invalid(
                "the picture in the request is too large to be sent this way. Update the plugin.",
            ));
        }
        InputBlob {
            base64: Some(base64.clone()),
            key: None,
            etag: None,
            offsets,
            size: size as u64,
        }
    } else {
        let object = data.s3_object.as_deref().unwrap_or_default();
        let missing = || invalid("the uploaded picture does not exist (any more). Please try again.");
        let object = Uuid::try_parse(object).map_err(|_| missing())?.simple().to_string();
        let key = upload_key(&caller.user(), &object);
        let stored = cloud.bucket.head(&key).await?.ok_or_else(missing)?;
        if stored.size > settings.max_upload {
            return Err(invalid(
                "the uploaded picture is too large. Use a smaller canvas or selection.",
            ));
        }
        InputBlob {
            base64: None,
            key: Some(key),
            etag: Some(stored.etag),
            offsets,
            size: stored.size,
        }
    };
    if blob.offsets.last().is_none_or(|last| *last >= blob.size) {
        return Err(invalid("the uploaded picture is cut off. Please try again."));
    }
    Ok(blob)
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
    match first_to_wake(&line.workers, task.model.as_deref(), settings, now) {
        Some(worker) => tell_worker(cloud, worker, &ServerMessage::Wake { task_id }).await,
        None => false,
    }
}
