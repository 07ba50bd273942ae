//! The picture as it grows: from the worker that paints it to whoever looks, kept nowhere.

use accounts::Caller;
use cloud::{StoreError, Write, http::HttpError, on_conflict, tables::SessionsOf};
use model::{
    ConnectionId, Millis, RunId, TaskId,
    socket::{MAX_PREVIEW, ServerMessage},
};
use tasks::notify::{send, tell_worker};

use crate::App;

/// A JPEG begins with FF D8 FF, which is this in base64.
const JPEG: &str = "/9j/";
/// Characters of the largest one.
const LONGEST: usize = MAX_PREVIEW.div_ceil(3) * 4;

/// Refuses what cannot be a small JPEG in base64: it goes on to painters.
pub(crate) fn check(jpeg: &str) -> Result<(), HttpError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if jpeg.len() > LONGEST || !jpeg.starts_with(JPEG) || !jpeg.bytes().all(plain) {
        return Err(HttpError::new(400, "A preview is a JPEG of at most 12 KB in base64."));
    }
    Ok(())
}

impl App {
    /// Notes that the painter of this connection watches a task of theirs grow, and asks its worker for pictures. Nothing is
    /// noted of a task that does not run: whoever looks says so again.
    pub(crate) async fn look(
        &self,
        caller: &Caller,
        connection: &ConnectionId,
        task_id: TaskId,
        now: Millis,
    ) -> Result<(), HttpError> {
        let task = self.cloud.store.get(&task_id).await?;
        let task = task.filter(|task| task.owner == caller.user());
        let Some(run) = task.and_then(|task| task.run) else {
            return Ok(());
        };
        let noted = on_conflict!({
            let session = self.cloud.store.get(connection).await?;
            let Some(mut session) = session.filter(|session| session.owner == caller.user()) else {
                return Ok(false);
            };
            if session.look_at(task_id, now) {
                self.cloud.store.commit([Write::put(&mut session)?]).await?;
            }
            Ok::<_, StoreError>(true)
        })?;
        if noted && let Some(worker) = self.cloud.store.get(&run.worker_id).await? {
            let run_id = run.run_id;
            tell_worker(&self.cloud, &worker, &ServerMessage::Look { task_id, run_id }).await;
        }
        Ok(())
    }

    /// Hands a picture on to the sockets of the task's owner that look at it. One of a run that is over, or another
    /// worker's, goes nowhere, and so does one of an earlier process of this worker.
    pub(crate) async fn preview(
        &self,
        caller: &Caller,
        task_id: TaskId,
        run_id: RunId,
        seq: u64,
        jpeg: String,
        now: Millis,
    ) -> Result<(), HttpError> {
        let id = caller.worker();
        let worker = self.cloud.store.get(&id).await?;
        if worker.is_none_or(|worker| Some(worker.generation) != caller.generation) {
            return Ok(());
        }
        let task = self.cloud.store.get(&task_id).await?;
        let runs = |run: &model::Run| run.run_id == run_id && run.worker_id == id;
        let Some(task) = task.filter(|task| task.run.as_ref().is_some_and(runs)) else {
            return Ok(());
        };
        let message = ServerMessage::Preview {
            task_id,
            run_id,
            seq,
            jpeg,
        };
        for session in self.cloud.store.list(SessionsOf(&task.owner)).await? {
            if session.looks_at(task_id, now) {
                send(&self.cloud, &session.connection_id, &message).await;
            }
        }
        Ok(())
    }
}
