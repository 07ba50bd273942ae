//! The large part of a task: in the table, or in the bucket when it is too large for it.

use model::{
    Parameters, TaskBody, TaskId,
    worker_api::{InputBlob, MAX_PLAN, ModelFile},
};
use serde_json::Value;
use uuid::Uuid;

use cloud::{Bucket, Store, StoreError, bucket::BucketError, http::HttpError, tables::BodyOf};

/// Plans that with the texts beside them are longer than this (bytes) lie in the bucket: a table's item may have 400 KB, and each reader pays for it.
const INLINE: usize = 200 * 1024;

/// A task's large part could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The table.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The plan is not JSON, or there is none.
    #[error("the plan of task {0} cannot be read")]
    Plan(TaskId),
    /// The plan is larger than [`MAX_PLAN`].
    #[error("a plan of {0} bytes")]
    TooLarge(usize),
}

impl From<BodyError> for HttpError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Store(error) => error.into(),
            BodyError::Bucket(error) => error.into(),
            error @ BodyError::Plan(_) => Self::broken(error),
            BodyError::TooLarge(_) => Self::new(
                413,
                "Validation error: style, prompt and regions together are too long. Shorten the style or the prompts.",
            ),
        }
    }
}

/// Makes the body, putting a large plan into the bucket: under a name of its own, since another request with the same
/// key may be about to put its plan.
pub async fn make(
    bucket: &Bucket,
    task_id: TaskId,
    plan: String,
    parameters: Option<Parameters>,
    inputs: Option<InputBlob>,
    models: Vec<ModelFile>,
    ttl: u64,
) -> Result<TaskBody, BodyError> {
    let (loras, models) = models.into_iter().partition(|it| it.folder == ModelFile::LORAS);
    let parameters = parameters.map(Parameters::bounded);
    let beside = parameters.as_ref().map_or(0, Parameters::bytes);
    let mut body = TaskBody {
        task_id,
        version: 0,
        plan: None,
        plan_key: None,
        parameters,
        inputs,
        loras,
        models,
        ttl,
    };
    if plan.len() as u64 > MAX_PLAN {
        return Err(BodyError::TooLarge(plan.len()));
    }
    if plan.len() + beside <= INLINE {
        body.plan = Some(plan);
    } else {
        let key = format!("plans/{task_id}/{}", Uuid::new_v4().simple());
        bucket.put(&key, plan).await?;
        body.plan_key = Some(key);
    }
    Ok(body)
}

/// A task's large part, in hand.
#[derive(Debug)]
pub struct Body {
    /// The compiled plan.
    pub plan: PlanPlace,
    /// The input pictures, if any.
    pub inputs: Option<InputBlob>,
    /// The LoRAs of the studio's store that the plan loads.
    pub loras: Vec<ModelFile>,
    /// Its other files of the studio's store.
    pub models: Vec<ModelFile>,
}

/// Where a plan is.
#[derive(Debug)]
pub enum PlanPlace {
    /// Here.
    Here(Value),
    /// In the bucket, under this key: too large for what a function may answer (6 MB).
    Bucket(String),
}

/// Reads it.
pub async fn read(store: &Store, task_id: TaskId) -> Result<Body, BodyError> {
    let body = store.get(&BodyOf(task_id)).await?.ok_or(BodyError::Plan(task_id))?;
    let plan = match (body.plan, body.plan_key) {
        (Some(plan), _) => PlanPlace::Here(serde_json::from_str(&plan).map_err(|_| BodyError::Plan(task_id))?),
        (None, Some(key)) => PlanPlace::Bucket(key),
        (None, None) => return Err(BodyError::Plan(task_id)),
    };
    Ok(Body {
        plan,
        inputs: body.inputs,
        loras: body.loras,
        models: body.models,
    })
}

/// What the task was asked with; none where an earlier release has let it in, or where its large part is gone or cannot be read.
pub async fn parameters(store: &Store, task_id: TaskId) -> Result<Option<Parameters>, StoreError> {
    let body = store.get_readable(&BodyOf(task_id)).await?;
    Ok(body.and_then(|body| body.parameters))
}
