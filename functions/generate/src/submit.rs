//! From a request of the plugin to a task that waits.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use accounts::Caller;
use axum::{extract::State, http::HeaderMap};
use catalog::uploads::Named;
use cloud::{
    Cloud, Store,
    http::{ErrorBody, HttpError, Json, Now, Raw},
    metrics,
};
use model::{
    Account, DocumentId, Lane, Millis, PoolId, Task, TaskId, TaskState, metrics::REFUSALS, storable,
    worker_api::ModelFile,
};
use policy::hold;
use serde::Serialize;
use serde_json::Value;
use tasks::{
    held,
    intake::{self, Files, Ticket, Unread, Wanted},
    view,
};
use utoipa::ToSchema;
use workflow::{ImageData, Plan, WorkflowInput};

use crate::{
    App,
    reply::{Spent, StatusReply},
    variants::{self, SubmittedGroup},
};

/// Largest body of a request, bytes. Pictures over 4 KB come by upload, so this is far more than any real one.
const MAX_BODY: usize = 1024 * 1024;

/// What the plugin sends; unknown keys are ignored.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "only the document's: the body is read in parts, so that each refusal has its words"
)]
pub(crate) struct GenerateBody {
    input: GenerateInput,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "as above")]
pub(crate) struct GenerateInput {
    /// The plugin's `WorkflowInput`.
    #[schema(value_type = Object)]
    workflow: Value,
    options: Option<GenerateOptions>,
    /// Asks for many at once: a grid over these axes. The plugin does not send it.
    variants: Option<GenerateVariants>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "as above")]
#[schema(rename_all = "camelCase")]
pub(crate) struct GenerateOptions {
    /// Pictures come as lossy WebP files instead of PNGs.
    use_webp_compression: Option<bool>,
    /// Ours: the document that the picture is for, by an id of the extension's own, so that its history is told apart where
    /// its painter has agreed to one. 1 to 128 letters, digits and `-_.:@=`.
    document: Option<String>,
    /// `batch`: nobody waits in front of the screen. The plugin does not send it.
    lane: Option<String>,
    /// Ours: a stroke of a painter who paints along. Lists call its kind of picture `live`.
    live: Option<bool>,
}

/// Each list is an axis; each value of one meets each of the others.
#[derive(ToSchema)]
#[expect(dead_code, reason = "as above")]
pub(crate) struct GenerateVariants {
    /// How many, from the request's own seed on, or a list of them.
    #[schema(value_type = Object)]
    seeds: Option<Value>,
    prompts: Option<Vec<String>>,
    /// What stands in each prompt where it says `{name}`, by name.
    prompt_parts: Option<BTreeMap<String, Vec<String>>>,
    checkpoints: Option<Vec<String>>,
    /// Weights of the request's LoRAs, by name.
    loras: Option<BTreeMap<String, Vec<f64>>>,
    samplers: Option<Vec<String>>,
    steps: Option<Vec<i64>>,
    guidance: Option<Vec<f64>>,
}

/// A task, or with `variants` a group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Reply {
    One(Submitted),
    Many(SubmittedGroup),
}

/// A task that waits, or is done already.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Submitted {
    id: TaskId,
    /// Only there to be sent back to `cancel`: the pool, since no worker is chosen yet.
    worker_id: PoolId,
    #[serde(flatten)]
    status: StatusReply,
    user: Spent,
    /// Place in line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    /// Seconds until the picture is expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_s: Option<u64>,
}

/// Submits a task. With the header `Idempotency-Key` the same key of the same user names the same task.
#[utoipa::path(
    post, path = "/v1/generate", tag = "painters", request_body = GenerateBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Names the task: a repeated call finds it"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: the call is not kept open for its picture"),
    ),
    responses(
        (status = 200, body = Reply),
        (status = 400, body = ErrorBody, description = "Cannot be read or cannot be painted; the words say which"),
        (status = 402, body = ErrorBody, description = "The budget does not suffice"),
        (status = 413, body = ErrorBody, description = "Over 1 MiB"),
    )
)]
pub(crate) async fn submit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    headers: HeaderMap,
    Raw(bytes): Raw,
) -> Result<Json<Reply>, HttpError> {
    // Any bytes are a key: one in other letters than English ones must not be ignored.
    let key = headers.get("idempotency-key").map(axum::http::HeaderValue::as_bytes);
    let sent = json(&bytes);
    let cloud = ahead(&app, &caller, key, sent.as_ref(), now).await?;
    let store = &cloud.store;
    let fresh = match intake::ticket(store, &caller.user(), key).await? {
        Ticket::Fresh(fresh) => fresh,
        Ticket::Earlier(task) => return again(store, &caller, &task).await.map(Json),
    };
    // What cannot be read is refused only here: of a repeated request the first counts.
    let mut body = sent.map_or_else(|| body(&bytes), Ok)?;
    let workflow = body.pointer_mut("/input/workflow").map(Value::take);
    let input = read(workflow.ok_or_else(unreadable)?)?;
    let webp = body.pointer("/input/options/useWebpCompression") == Some(&Value::Bool(true));
    let batch = is_batch(&body)?;
    if let Some(variants) = body.pointer_mut("/input/variants").map(Value::take) {
        return variants::submit(&app, &cloud, &caller, fresh, input, variants, webp, now)
            .await
            .map(|it| Json(Reply::Many(it)));
    }
    let mut bench = Bench::of(&app, &cloud, &input, &caller, now).await?;
    let (mut plan, models) = bench.compile(&input).await?;
    let account = bench.account;
    plan.output.webp = webp;
    let document = document(&body)?;
    let lane = if batch {
        Lane::Batch
    } else {
        hold::lane(plan.output.count, plan.work.steps, plan.work.units())
    };
    let credits = workflow::credits(&input);
    let mut parameters = intake::parameters(&input);
    if body.pointer("/input/options/live") == Some(&Value::Bool(true)) {
        LIVE.clone_into(&mut parameters.kind);
    }
    let files = input.image_data.map_or(Files::None, files);
    let wanted = Wanted {
        credits,
        language: input.conditioning.map_or_else(String::new, |it| language(&it.language)),
        document,
        fresh,
        plan,
        parameters,
        files,
        models,
        lane,
    };
    let admitted = intake::admit(&cloud, &app.settings, &app.recent, &account, wanted, now).await?;
    let expected = admitted.eta.map(|eta| eta.done);
    let time = if hears_otherwise(&headers) {
        Duration::ZERO
    } else {
        hold::submit(lane, expected, admitted.woken, &app.settings)
    };
    let done = done_at_once(&app, &admitted.task, time, now).await;
    let usage = match &done {
        // Settled by now.
        Some(_) => accounts::usage(store, &account.user_id, now)
            .await
            .unwrap_or(admitted.usage),
        None => admitted.usage,
    };
    Ok(Json(Reply::One(Submitted {
        id: admitted.task.task_id,
        worker_id: account.pool.clone(),
        status: done.unwrap_or(StatusReply::waiting()),
        user: Spent::of(&usage, &account),
        position: admitted.eta.map(|eta| eta.position),
        eta_s: admitted.eta.map(|eta| eta.done.as_secs()),
    })))
}

/// Whether the caller hears of the picture by its socket, sooner than by a call that looks for it. RFC 7240's word for that.
fn hears_otherwise(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"))
}

/// The kind of picture of whoever paints along, which is no kind of request.
const LIVE: &str = "live";

/// Whether the request asks for the batch lane, in which nobody waits in front of the screen.
fn is_batch(body: &Value) -> Result<bool, HttpError> {
    match body.pointer("/input/options/lane") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::String(lane)) if lane == Lane::Batch.word() => Ok(true),
        Some(_) => Err(refused(
            "Validation error: `lane` may only be `batch`. Leave it out, and the request says how urgent it is.",
        )),
    }
}

/// The language of a request's prompts, as it is kept.
pub(crate) fn language(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).take(20).collect()
}

/// The answer to a request that was made before. The first one counts, whatever is in this one.
async fn again(store: &Store, caller: &Caller, task: &Task) -> Result<Reply, HttpError> {
    if let Some(variant) = &task.variant {
        return variants::again(store, caller, variant.group).await.map(Reply::Many);
    }
    let account = accounts::of(store, caller).await?;
    let usage = accounts::usage(store, &account.user_id, task.created).await?;
    Ok(Reply::One(Submitted {
        id: task.task_id,
        worker_id: task.pool.clone(),
        status: StatusReply::waiting(),
        user: Spent::of(&usage, &account),
        position: None,
        eta_s: None,
    }))
}

/// The picture, if it is there in this time. Only pictures may come with the answer to a submit; whatever else there is to
/// say, the first status says.
async fn done_at_once(app: &App, task: &Task, time: Duration, now: Millis) -> Option<StatusReply> {
    let ended = |task: &Task| task.state.is_terminal();
    let ended = held::until(&app.cloud.store, &app.settings, task.clone(), time, now, ended).await;
    if ended.state != TaskState::Succeeded {
        return None;
    }
    let view = view::shown(&app.cloud.bucket, &app.settings, &ended).await.ok()?;
    Some(view.into())
}

/// What the request in the body may cost, in whole credits: the most that can be taken for it, and what the plugin's button
/// says.
#[utoipa::path(
    post, path = "/v1/admin/cost", tag = "painters", request_body = Object,
    responses(
        (status = 200, body = String, content_type = "text/plain; charset=utf-8"),
        (status = 400, body = ErrorBody, description = "Cannot be read or cannot be painted; the words say which"),
        (status = 413, body = ErrorBody, description = "Over 1 MiB"),
    )
)]
pub(crate) async fn cost(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    Raw(bytes): Raw,
) -> Result<String, HttpError> {
    let mut body = body(&bytes)?;
    if let Some(workflow) = body.pointer_mut("/input/workflow").map(Value::take) {
        // A whole body of `generate`, as one with variants is.
        let variants = body.pointer_mut("/input/variants").map(Value::take);
        let input = read(workflow)?;
        if let Some(variants) = variants {
            return variants::cost(&app, &caller, &input, variants, now).await;
        }
        body = serde_json::to_value(&input).map_err(HttpError::broken)?;
    }
    let input = read(body)?;
    Bench::of(&app, &app.cloud, &input, &caller, now)
        .await?
        .compile(&input)
        .await?;
    Ok(workflow::credits(&input).to_string())
}

/// What a caller's requests are compiled with: their account, what their team may paint with, and the LoRAs of their own that
/// the request names.
pub(crate) struct Bench<'a> {
    pub(crate) account: Account,
    app: &'a App,
    cloud: &'a Cloud,
    models: catalog::Models,
    loras: Named,
    now: Millis,
    fresh: bool,
}

impl<'a> Bench<'a> {
    pub(crate) async fn of(
        app: &'a App,
        cloud: &'a Cloud,
        input: &WorkflowInput,
        caller: &Caller,
        now: Millis,
    ) -> Result<Self, HttpError> {
        let store = &cloud.store;
        let account = accounts::of(store, caller).await?;
        let (models, loras) = tokio::try_join!(
            async { Ok::<_, HttpError>(app.models.of(store, &account, now).await?) },
            async { Ok(Named::by(cloud, &account.team, input).await?) }
        )?;
        Ok(Self {
            account,
            app,
            cloud,
            models,
            loras,
            now,
            fresh: false,
        })
    }

    /// The request as a plan, with the files of the studio's store that it loads.
    pub(crate) async fn compile(&mut self, input: &WorkflowInput) -> Result<(Plan, Vec<ModelFile>), HttpError> {
        let mut plan = self.plan(input);
        if plan.is_err() && !self.fresh {
            // Nothing is refused because of what was true a minute ago.
            let store = &self.cloud.store;
            self.models = self.app.models.fresh(store, &self.account, self.now).await?;
            self.fresh = true;
            plan = self.plan(input);
        }
        let plan = plan.map_err(|it| refused(it.to_string()))?;
        let arch = input.models.as_ref().map(|models| models.version.to_string());
        let arch = arch.unwrap_or_default();
        let mut files = self.models.files(&plan, &arch);
        // Its name and its hash may be asked for at once.
        for lora in self.loras.files(&plan, &arch) {
            if files.iter().all(|it| it.file != lora.file) {
                files.push(lora);
            }
        }
        Ok((plan, files))
    }

    fn plan(&self, input: &WorkflowInput) -> Result<Plan, workflow::Refusal> {
        workflow::compile(input, &self.loras.over(Arc::clone(&self.models.inventory)))
    }
}

fn unreadable() -> HttpError {
    refused("Validation error: the request is not what the plugin sends.")
}

/// A request that cannot be read or painted.
pub(crate) fn refused(words: impl Into<String>) -> HttpError {
    metrics::note([REFUSALS.sample(["request"], 1.0)], &[]);
    HttpError::new(400, words)
}

fn body(bytes: &[u8]) -> Result<Value, HttpError> {
    if bytes.len() > MAX_BODY {
        return Err(HttpError::new(
            413,
            "Validation error: the request is too large. Shorten the prompt.",
        ));
    }
    json(bytes).ok_or_else(unreadable)
}

/// The body, if it is JSON that is not too large. What is next to nothing is nothing: DynamoDB keeps no number so small.
fn json(bytes: &[u8]) -> Option<Value> {
    let mut body = (bytes.len() <= MAX_BODY).then(|| serde_json::from_slice(bytes).ok())?;
    body.iter_mut().for_each(round_off);
    body
}

fn round_off(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() && number.as_f64().is_some_and(|it| storable(it) == 0.0) => {
            *value = 0.0.into();
        }
        Value::Array(list) => list.iter_mut().for_each(round_off),
        Value::Object(map) => map.values_mut().for_each(round_off),
        _ => {}
    }
}

/// The tables with what this request is going to read of them, read with one call.
async fn ahead(
    app: &App,
    caller: &Caller,
    key: Option<&[u8]>,
    body: Option<&Value>,
    now: Millis,
) -> Result<Cloud, HttpError> {
    let user = caller.user();
    let is_group = body.is_some_and(|it| it.pointer("/input/variants").is_some());
    let named = body.and_then(|it| it.pointer("/input/options/document")?.as_str()?.parse().ok());
    let document = (!is_group).then(|| named.unwrap_or_else(DocumentId::unnamed));
    let unread = Unread {
        user: &user,
        team: &caller.team,
        key,
        document: document.as_ref(),
    };
    let keys = intake::ahead(&app.recent, &app.settings, unread, now);
    Ok(Cloud {
        store: app.cloud.store.ahead(keys).await?,
        ..app.cloud.clone()
    })
}

/// The document that the request names, if it does.
fn document(body: &Value) -> Result<Option<DocumentId>, HttpError> {
    let named = body.pointer("/input/options/document").filter(|it| !it.is_null());
    let id = |it: &Value| it.as_str().and_then(|it| it.parse().ok());
    named
        .map(|it| id(it).ok_or_else(|| refused("Validation error: `document` is not the id of a document.")))
        .transpose()
}

fn read(workflow: Value) -> Result<WorkflowInput, HttpError> {
    WorkflowInput::read(workflow).map_err(|it| refused(it.to_string()))
}

pub(crate) fn files(data: ImageData) -> Files {
    let offsets = data.offsets;
    match data.base64 {
        Some(base64) => Files::Inline { base64, offsets },
        None => Files::Uploaded {
            object: data.s3_object.unwrap_or_default(),
            offsets,
        },
    }
}
