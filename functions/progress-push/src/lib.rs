//! WebSocket API: connect, disconnect, progress in, events out.
//!
//! Who somebody is was found out at `$connect`; what they may say is checked on each message.

mod look;

use accounts::{AccountError, Caller, access};
use cloud::{
    Cloud, StoreError, Write, chain,
    http::HttpError,
    on_conflict,
    websocket::{Event, authorized, connection, route},
};
use model::{
    Account, ConnectionId, Millis, Role, RunId, Session, Settings, TaskId, UserId,
    socket::{ClientMessage, ServerMessage, TaskView},
};
use policy::presence::Sign;
use serde_json::{Value, json};
use tasks::{
    notify::{send, tell_owner},
    presence,
};
use tracing::{info, warn};

/// API Gateway closes a connection after two hours; the item may go a little later.
const SESSION_LIFE: std::time::Duration = std::time::Duration::from_mins(130);
/// Most tasks in one `sync`.
const MAX_SYNC: usize = 20;

/// What the handler needs.
#[derive(Debug)]
pub struct App {
    /// AWS.
    pub cloud: Cloud,
    /// Durations and limits.
    pub settings: Settings,
}

/// Who is connected, as the authorizer found out at `$connect`.
fn caller(event: &Event) -> Result<Caller, HttpError> {
    let context = authorized(event);
    Caller::from_context(|name| context.get(name))
}

impl App {
    /// Answers one event. A refusal of `$connect` closes the connection; otherwise the status is for the log alone.
    pub async fn handle(&self, event: &Event, now: Millis) -> Value {
        let result = self.dispatch(event, now).await;
        let status = match &result {
            Ok(()) => 200,
            Err(error) => error.status,
        };
        let route = route(event);
        match result {
            Ok(()) => info!(socket.route = route, "done"),
            Err(error) if error.status >= 500 => warn!(socket.route = route, status, error = chain(&error), "failed"),
            Err(error) => info!(socket.route = route, status, error = chain(&error), "refused"),
        }
        json!({ "statusCode": status })
    }

    async fn dispatch(&self, event: &Event, now: Millis) -> Result<(), HttpError> {
        let connection = connection(event)?;
        match route(event) {
            "$connect" => self.connect(&caller(event)?, connection, now).await,
            "$disconnect" => self.disconnect(&connection).await,
            _ => {
                let caller = caller(event)?;
                let text = event.body.as_deref().unwrap_or_default();
                let message =
                    serde_json::from_str(text).map_err(|_| HttpError::new(400, "This message could not be read."))?;
                self.message(&caller, &connection, message, now).await
            }
        }
    }

    /// Notes the connection. Again on each `sync` and `ping`: a message sent to it before `$connect` was through finds it
    /// gone, and whoever sent it has forgotten the session.
    async fn connect(&self, caller: &Caller, connection: ConnectionId, now: Millis) -> Result<(), HttpError> {
        let owner = if caller.role == Role::Worker {
            UserId::of_worker(&caller.worker())
        } else {
            caller.user()
        };
        let session = Session {
            connection_id: connection.clone(),
            version: 0,
            owner,
            team: caller.team.clone(),
            role: caller.role,
            device: caller.device.clone(),
            opened_at: now,
            look: None,
            ttl: (now + SESSION_LIFE).seconds(),
        };
        on_conflict!({
            let mut writes = Vec::new();
            if caller.role == Role::Worker {
                writes.push(self.attach(caller, &connection).await?);
            }
            // The same event again finds the session.
            if self.cloud.store.get(&connection).await?.is_none() {
                writes.push(Write::put(&mut session.clone())?);
            }
            Ok(self.cloud.store.commit_all(&writes).await?)
        })
    }

    /// The worker with this connection, which must be of the generation that the token was issued for.
    async fn attach(&self, caller: &Caller, connection: &ConnectionId) -> Result<Write, HttpError> {
        let worker = self.cloud.store.get(&caller.worker()).await?;
        let worker = worker.filter(|worker| Some(worker.generation) == caller.generation);
        let Some(mut worker) = worker else {
            return Err(HttpError::new(
                401,
                "Register again: this token is an earlier process's.",
            ));
        };
        worker.connection = Some(connection.clone());
        Ok(Write::put(&mut worker)?)
    }

    /// Clears only this connection: a newer one of the same owner stays.
    async fn disconnect(&self, connection: &ConnectionId) -> Result<(), HttpError> {
        on_conflict!({
            let Some(mut session) = self.cloud.store.get(connection).await? else {
                return Ok(());
            };
            let mut writes = vec![Write::delete(&mut session)];
            if session.role == Role::Worker
                && let Some(id) = session.owner.as_worker()
                && let Some(mut worker) = self.cloud.store.get(&id).await?
                && worker.connection.as_ref() == Some(connection)
            {
                worker.connection = None;
                writes.push(Write::put(&mut worker)?);
            }
            Ok(self.cloud.store.commit_all(&writes).await?)
        })
    }

    async fn message(
        &self,
        caller: &Caller,
        connection: &ConnectionId,
        message: ClientMessage,
        now: Millis,
    ) -> Result<(), HttpError> {
        // The verdict at `$connect` may be hours old: no message is answered before this one.
        let account = match caller.role {
            Role::Worker => None,
            _ => Some(self.still_in(caller, connection).await?),
        };
        match message {
            ClientMessage::Progress {
                task_id,
                run_id,
                seq,
                value,
            } => {
                let caller = caller.clone().must_be(access::WORKERS)?;
                self.progress(&caller, task_id, run_id, seq, value).await
            }
            ClientMessage::Sync { tasks } => {
                let caller = caller.clone().must_be(access::PAINTERS)?;
                self.connect(&caller, connection.clone(), now).await?;
                for id in tasks.into_iter().take(MAX_SYNC) {
                    self.show(&caller, connection, id, now).await?;
                }
                Ok(())
            }
            ClientMessage::Look { task_id } => {
                let caller = caller.clone().must_be(access::PAINTERS)?;
                self.look(&caller, connection, task_id, now).await
            }
            ClientMessage::Preview {
                task_id,
                run_id,
                seq,
                jpeg,
            } => {
                let caller = caller.clone().must_be(access::WORKERS)?;
                look::check(&jpeg)?;
                self.preview(&caller, task_id, run_id, seq, jpeg, now).await
            }
            ClientMessage::Active => {
                let caller = caller.clone().must_be(access::PAINTERS)?;
                let Some(account) = account else { return Ok(()) };
                let usage = accounts::usage(&self.cloud.store, &caller.user(), now).await?;
                presence::note_if_solvent(&self.cloud, &account, &usage, Sign::Canvas, &self.settings, now).await;
                Ok(())
            }
            ClientMessage::Ping => {
                if account.is_some() {
                    self.connect(caller, connection.clone(), now).await?;
                }
                send(&self.cloud, connection, &ServerMessage::Pong).await;
                Ok(())
            }
        }
    }

    /// The account of whoever is connected: the verdict at `$connect` may be hours old. Whoever is out is hung up on.
    async fn still_in(&self, caller: &Caller, connection: &ConnectionId) -> Result<Account, HttpError> {
        let account = accounts::of(&self.cloud.store, caller).await;
        if matches!(account, Err(AccountError::Out(_))) {
            self.disconnect(connection).await?;
            accounts::close(&self.cloud.sockets, connection).await;
        }
        Ok(account?)
    }

    async fn progress(
        &self,
        caller: &Caller,
        task_id: TaskId,
        run_id: RunId,
        seq: u64,
        value: f32,
    ) -> Result<(), HttpError> {
        let task = on_conflict!({
            let Some(mut task) = self.cloud.store.get(&task_id).await? else {
                return Ok(None);
            };
            // Of this process: an earlier one's token may be good for a while yet.
            let mine = task.run.as_ref().is_some_and(|run| {
                let of_this_process = run.generation.is_none() || run.generation == caller.generation;
                run.worker_id == caller.worker() && of_this_process
            });
            if !mine || !task.take_progress(run_id, seq, value).unwrap_or(false) {
                return Ok(None);
            }
            self.cloud.store.commit([Write::put(&mut task)?]).await?;
            Ok::<_, StoreError>(Some(task))
        })?;
        if let Some(task) = task {
            tell_owner(&self.cloud, &task, None).await;
        }
        Ok(())
    }

    async fn show(&self, caller: &Caller, to: &ConnectionId, id: TaskId, now: Millis) -> Result<(), HttpError> {
        let task = on_conflict!({
            let Some(mut task) = self
                .cloud
                .store
                .get(&id)
                .await?
                .filter(|task| task.owner == caller.user())
            else {
                return Ok(None);
            };
            if let Some(seen) = task.seen(&self.settings, now) {
                task = seen;
                self.cloud.store.commit([Write::put(&mut task)?]).await?;
            }
            Ok::<_, StoreError>(Some(task))
        })?;
        if let Some(task) = task {
            send(&self.cloud, to, &ServerMessage::Task(Box::new(TaskView::from(&task)))).await;
        }
        Ok(())
    }
}
