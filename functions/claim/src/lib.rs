//! The workers' API: register, claim, heartbeat, result, failure.

mod assign;
mod heartbeat;
pub mod identity;
mod learn;
mod register;

use cloud::{
    Cloud,
    http::{Caller, Event, HttpError, Reply, Response, json, path, reply, respond, route},
    runs::{RunError, end_run},
    token::Signer,
};
use model::{
    Failure, FailureClass, Millis, Outcome, Pose, Role, RunEnd, Settings, TaskResult, TaskState, Worker, WorkerId,
    worker_api,
};

use crate::identity::Identity;

/// What the handler needs.
#[derive(Debug)]
pub struct App {
    /// AWS.
    pub cloud: Cloud,
    /// Durations and limits.
    pub settings: Settings,
    /// Issues the workers' tokens.
    pub signer: Signer,
    /// Finds out who signed a proof of identity.
    pub identity: Identity,
    /// The WebSocket API's address.
    pub socket_url: String,
}

impl App {
    /// Answers one request.
    pub async fn handle(&self, event: &Event, now: Millis) -> Response {
        respond(event, self.answer(event, now).await)
    }

    async fn answer(&self, event: &Event, now: Millis) -> Reply {
        match route(event) {
            "POST /v1/workers/register" => register::register(self, &json(event)?, now).await,
            "POST /v1/workers/{id}/claim" => self.claim(event, now).await,
            "POST /v1/workers/{id}/heartbeat" => {
                let (caller, worker) = self.caller(event).await?;
                heartbeat::heartbeat(self, &caller, &worker.worker_id, &json(event)?, now).await
            }
            "POST /v1/workers/{id}/result" => self.result(event, now).await,
            "POST /v1/workers/{id}/failure" => self.failure(event, now).await,
            "POST /v1/workers/{id}/urls" => self.urls(event).await,
            _ => Err(HttpError::new(404, "There is nothing here.")),
        }
    }

    /// The calling worker, which must be the one in the path, of the generation that its token was issued for, and up.
    async fn caller(&self, event: &Event) -> Result<(Caller, Worker), HttpError> {
        let caller = Caller::of(event, Role::Worker)?;
        let id: WorkerId = path(event, "id", "worker")?;
        if id != caller.worker() {
            return Err(HttpError::new(403, "This token is another worker's."));
        }
        let worker = self.cloud.store.get(&id).await?;
        let worker = worker.filter(|worker| Some(worker.generation) == caller.generation && worker.state.is_up());
        let worker =
            worker.ok_or_else(|| HttpError::new(401, "Register again: this token is an earlier process's."))?;
        Ok((caller, worker))
    }

    async fn claim(&self, event: &Event, now: Millis) -> Reply {
        let (_, worker) = self.caller(event).await?;
        let claim: worker_api::Claim = json(event)?;
        let assignment = assign::next(self, worker, claim.task_id, now).await?;
        reply(200, &worker_api::Claimed { assignment })
    }

    async fn result(&self, event: &Event, now: Millis) -> Reply {
        let (_, worker) = self.caller(event).await?;
        let result: worker_api::RunResult = json(event)?;
        let rising = result.offsets.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = result.offsets.last().is_some_and(|last| *last < result.size);
        if result.offsets.first() != Some(&0) || !rising || !inside {
            return Err(HttpError::new(400, "The offsets do not fit the blob."));
        }
        if !result.pose.as_ref().is_none_or(Pose::is_sound) {
            return Err(HttpError::new(400, "The pose is not of the form it should have."));
        }
        let key = assign::result_key(result.task_id, result.run_id);
        let pictures = TaskResult {
            key,
            offsets: result.offsets,
            size: result.size,
            lora_warning: result.lora_warning,
            pose: result.pose,
        };
        let outcome = Outcome::Succeeded(pictures, result.times);
        self.end(worker, result.task_id, result.run_id, &outcome, now).await
    }

    async fn failure(&self, event: &Event, now: Millis) -> Reply {
        let (_, worker) = self.caller(event).await?;
        let failure: worker_api::RunFailure = json(event)?;
        let outcome = match failure.class {
            Some(class) => Outcome::Failed(Failure::new(class, failure.message)),
            None => Outcome::Interrupted,
        };
        self.end(worker, failure.task_id, failure.run_id, &outcome, now).await
    }

    /// Ends a run and hands out the next. Saying the same thing twice gets the same answer.
    async fn end(
        &self,
        worker: Worker,
        task_id: model::TaskId,
        run_id: model::RunId,
        outcome: &Outcome,
        now: Millis,
    ) -> Reply {
        let by = Some(&worker.worker_id);
        let ended = end_run(&self.cloud, task_id, run_id, by, outcome, now).await;
        let accepted = match ended {
            Ok((end, task)) => {
                if end == RunEnd::Committed {
                    learn::finished(self, &task, now).await;
                }
                end == RunEnd::Committed || !matches!(outcome, Outcome::Succeeded(..))
            }
            // The run was lost, or this is a repetition of what already counts.
            Err(RunError::Refused(_) | RunError::NoTask) => self.counts(task_id, outcome).await?,
            Err(error) => return Err(error.into()),
        };
        // A worker that gives its run back is about to stop.
        let leaving = matches!(
            outcome,
            Outcome::Failed(Failure {
                class: FailureClass::Capacity,
                ..
            })
        );
        let assignment = if leaving {
            None
        } else {
            let worker = self.cloud.store.get(&worker.worker_id).await?.unwrap_or(worker);
            assign::next(self, worker, None, now).await?
        };
        reply(200, &worker_api::RunEnded { accepted, assignment })
    }

    async fn counts(&self, task_id: model::TaskId, outcome: &Outcome) -> Result<bool, HttpError> {
        let Outcome::Succeeded(result, _) = outcome else {
            return Ok(false);
        };
        let task = self.cloud.store.get(&task_id).await?;
        Ok(task.is_some_and(|task| {
            task.state == TaskState::Succeeded && task.result.is_some_and(|counted| counted.key == result.key)
        }))
    }

    async fn urls(&self, event: &Event) -> Reply {
        let (_, worker) = self.caller(event).await?;
        let wanted: worker_api::FreshUrls = json(event)?;
        let held = worker
            .run
            .is_some_and(|run| run.run_id == wanted.run_id && run.task_id == wanted.task_id);
        if !held {
            return Err(HttpError::new(409, "This run is not yours (any more)."));
        }
        let body = cloud::bodies::read(&self.cloud.store, &self.cloud.bucket, wanted.task_id).await?;
        reply(200, &assign::urls(self, wanted.task_id, wanted.run_id, &body).await?)
    }
}
