//! A worker's process begins: it proves which instance it is and gets a token of a new generation.

use cloud::{
    http::{HttpError, Reply, reply},
    retry::MayConflict,
    runs::{RunError, change_worker},
    tables::CatalogOf,
};
use model::{
    CatalogEntry, Millis, PoolId, Worker, WorkerState,
    worker_api::{PROTOCOL, Register, Registered},
};
use serde_json::Value;

use crate::{App, identity};

/// An error of registering, so that conflicts are tried again.
struct Refused(HttpError);

impl From<cloud::StoreError> for Refused {
    fn from(error: cloud::StoreError) -> Self {
        Self(error.into())
    }
}
impl From<RunError> for Refused {
    fn from(error: RunError) -> Self {
        Self(error.into())
    }
}
impl MayConflict for Refused {
    fn is_conflict(&self) -> bool {
        self.0.is_conflict()
    }
}

pub(crate) async fn register(app: &App, request: &Register, now: Millis) -> Reply {
    if request.protocol != PROTOCOL {
        return Err(HttpError::new(
            410,
            "This machine image is too old for this installation: build a new one.",
        ));
    }
    let proof = identity::read(&request.proof, app.signer.audience(), now)?;
    let instance = app.identity.instance(&proof).await?;
    let worker = change_worker::<Refused>(&app.cloud, &proof.worker_id, now, |worker| {
        if worker.instance_id.as_ref() != Some(&instance) || !worker.state.is_up() {
            return Err(Refused(HttpError::new(
                409,
                "This instance is not known as a worker (yet). Try again.",
            )));
        }
        if proof.date <= worker.proof_date {
            return Err(Refused(HttpError::new(403, "The proof of identity was used before.")));
        }
        if worker.become_state(WorkerState::Warming, now).is_err() {
            return Err(Refused(HttpError::new(409, "This worker is being stopped.")));
        }
        begin(worker, proof.date, request, now);
        Ok(true)
    })
    .await
    .map_err(|Refused(error)| error)?
    .ok_or_else(|| HttpError::new(409, "This instance is not known as a worker (yet). Try again."))?;
    let token = app
        .signer
        .worker(&worker, now, app.settings.worker_token)
        .map_err(HttpError::unavailable)?;
    let milliseconds = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    reply(
        200,
        &Registered {
            token,
            warm_up: warm_up(app, &worker.pool, now).await?,
            pool: worker.pool,
            socket: Some(app.socket_url.clone()),
            heartbeat_busy_ms: milliseconds(app.settings.heartbeat_busy),
            heartbeat_ready_ms: milliseconds(app.settings.heartbeat_ready),
            dead_man_ms: milliseconds(app.settings.dead_man),
        },
    )
}

/// A new process holds nothing of the old one's; its run, if any, is lost with it.
fn begin(worker: &mut Worker, proof_date: u64, request: &Register, now: Millis) {
    worker.generation += 1;
    worker.proof_date = proof_date;
    worker.last_seen = now;
    worker.image.clone_from(&request.image);
    worker.connection = None;
    worker.gpu = None;
    worker.models.clear();
    worker.nodes = None;
    worker.run = None;
}

/// The plan that warms up the pool's usual checkpoint.
async fn warm_up(app: &App, pool: &PoolId, now: Millis) -> Result<Option<Value>, HttpError> {
    let Some(name) = app.cloud.store.get(pool).await?.and_then(|pool| pool.warm_up) else {
        return Ok(None);
    };
    let catalog = cloud::catalog::assemble(&app.cloud.store.list(CatalogOf(CatalogEntry::SHARED)).await?);
    let Some(checkpoint) = catalog.checkpoint(&name) else {
        return Ok(None);
    };
    let plan = workflow::warm_up(checkpoint, now.0 & 0xffff_ffff);
    serde_json::to_value(plan).map(Some).map_err(HttpError::unavailable)
}
