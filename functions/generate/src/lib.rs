//! The painters' task API: submit, status, cancel, uploads.

mod admit;
mod catalog;
mod held;
mod loras;
mod status;
mod submit;
mod waiting;

use cloud::{
    Cloud, accounts,
    http::{Caller, Event, HttpError, Reply, Response, chain, path, reply, respond, route, text},
    presence, runs,
    store::Write,
};
use model::{CancelCause, Millis, PoolId, Role, Settings, Task, TaskId, TaskState, UserId, socket::TaskView};
use policy::presence::Sign;
use serde_json::json;
use tracing::info;

/// What the handler needs.
#[derive(Debug)]
pub struct App {
    cloud: Cloud,
    settings: Settings,
    catalogs: catalog::Cache,
}

impl App {
    /// A handler.
    pub fn new(cloud: Cloud, settings: Settings) -> Self {
        Self {
            cloud,
            settings,
            catalogs: catalog::Cache::default(),
        }
    }

    /// Answers one request.
    pub async fn handle(&self, event: &Event, now: Millis) -> Response {
        let reply = match route(event) {
            "POST /v1/generate" => self.submit(event, now).await,
            "POST /v1/status/{id}" => self.status(event, now).await,
            "GET /v1/tasks/{id}" => self.task(event, now).await,
            "POST /v1/cancel/{worker}/{id}" => self.cancel(event, now).await,
            "POST /v1/upload/image" => self.upload(event).await,
            "POST /v1/upload/lora" => self.upload_lora(event, now).await,
            "GET /v1/plugin/resources" => self.resources(event, now).await,
            "POST /v1/admin/cost" => return text(event, self.cost(event, now).await),
            _ => Err(HttpError::new(404, "There is nothing here.")),
        };
        respond(event, reply)
    }

    async fn submit(&self, event: &Event, now: Millis) -> Reply {
        let caller = Caller::of(event, Role::Painter)?;
        submit::submit(&self.cloud, &self.settings, &self.catalogs, event, &caller, now).await
    }

    /// What a request may cost; the request alone is the body.
    async fn cost(&self, event: &Event, now: Millis) -> Result<String, HttpError> {
        let caller = Caller::of(event, Role::Painter)?;
        submit::cost(&self.cloud, &self.catalogs, event, &caller, now).await
    }

    async fn status(&self, event: &Event, now: Millis) -> Reply {
        let mut task = self.own_task(event, now).await?;
        let time = policy::hold::status(&task, &self.settings, now);
        let changed = |it: &Task| it.state != task.state;
        if let Some(changed) = held::until(&self.cloud.store, task.task_id, time, changed).await {
            task = changed;
        }
        reply(200, &status::of(&self.cloud, &self.settings, &task).await?)
    }

    /// The same for our own extension: the whole snapshot, with words.
    async fn task(&self, event: &Event, now: Millis) -> Reply {
        let task = self.own_task(event, now).await?;
        let view = TaskView::from(&task);
        if task.state == TaskState::Queued {
            return reply(
                200,
                &waiting::view(&self.cloud, &self.settings, &task, view, now).await?,
            );
        }
        reply(200, &view)
    }

    async fn cancel(&self, event: &Event, now: Millis) -> Reply {
        let task = self.own_task(event, now).await?;
        let (_, task) = runs::cancel(&self.cloud, task.task_id, CancelCause::User, now, |_| true).await?;
        reply(200, &json!({ "status": status::word(task.state, task.cancel) }))
    }

    /// What the team may paint with; the plugin offers exactly that.
    async fn resources(&self, event: &Event, now: Millis) -> Reply {
        let caller = Caller::of(event, Role::Painter)?;
        let account = accounts::of(&self.cloud.store, &caller).await?;
        let catalog = self.catalogs.fresh(&self.cloud.store, &account, now);
        let noted = self.note(&account.pool, &account.user_id, now);
        let (catalog, ()) = tokio::join!(catalog, noted);
        let catalog = catalog?;
        reply(200, &catalog.offered())
    }

    async fn upload(&self, event: &Event) -> Reply {
        let caller = Caller::of(event, Role::Painter)?;
        let object = uuid::Uuid::new_v4().simple().to_string();
        let key = submit::upload_key(&caller.user(), &object);
        let url = self.cloud.bucket.presign_put(&key, self.settings.url_life).await?;
        reply(200, &json!({ "url": url, "object": object }))
    }

    async fn upload_lora(&self, event: &Event, now: Millis) -> Reply {
        let caller = Caller::of(event, Role::Painter)?;
        loras::upload(&self.cloud, &self.settings, event, &caller, now).await
    }

    /// Notes a call of this painter.
    async fn note(&self, pool: &PoolId, user: &UserId, now: Millis) {
        presence::note(&self.cloud, pool, user, Sign::Call, &self.settings, now).await;
    }

    /// The task in the path, if it is the caller's: another painter's task does not exist. Notes that its owner asked.
    async fn own_task(&self, event: &Event, now: Millis) -> Result<Task, HttpError> {
        let caller = Caller::of(event, Role::Painter)?;
        let id: TaskId = path(event, "id", "task")?;
        let task = self.cloud.store.get(&id).await?;
        let task = task.filter(|task| task.owner == caller.user());
        let task = task.ok_or_else(|| HttpError::new(404, "There is no such task."))?;
        // Often enough to know that somebody waits, rarely enough to cost nothing.
        if task.state.is_terminal() || now.since(task.seen_at) < self.settings.owner_absent / 3 {
            return Ok(task);
        }
        let mut seen = Task {
            seen_at: now,
            ..task.clone()
        };
        let write = [Write::put(&mut seen)?];
        let noted = self.note(&task.pool, &task.owner, now);
        match tokio::join!(self.cloud.store.commit(write), noted).0 {
            Ok(()) => Ok(seen),
            // A failed status would lose the picture for the painter; the next poll notes it as well.
            Err(error) => {
                info!(task.id = %id, error = chain(&error), "the poll was not noted");
                Ok(task)
            }
        }
    }
}
