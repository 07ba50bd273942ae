//! A worker's process begins: it proves which instance it is and gets a token of a new generation.

use std::{sync::Arc, time::Duration};

use accounts::address::{self, Address};
use axum::extract::State;
use cloud::http::{ErrorBody, HttpError, Json, Now};
use model::{
    Millis, Worker, WorkerState,
    worker_api::{PROTOCOL, Register, Registered, is_spoken},
};
use policy::{rate::Rate, watch::may_begin};
use tasks::runs::change_worker;
use tracing::error;

use crate::{App, MAX_NAME, identity, offers};

/// All machines of a studio may come from one address (NAT), and begin a morning at once; after that, one each second.
const RATE: Rate = Rate {
    interval: Duration::from_secs(1),
    burst: 100,
};

/// A worker's process begins: it proves which instance it is, and gets a token of a new generation.
#[utoipa::path(
    post, path = "/v1/workers/register", tag = "workers", request_body = Register,
    responses(
        (status = 200, body = Registered),
        (status = 403, body = ErrorBody, description = "The proof of identity is not good"),
        (status = 409, body = ErrorBody, description = "Not known as a worker (yet), or being stopped"),
        (status = 410, body = ErrorBody, description = "Another version of this protocol"),
        (status = 429, body = ErrorBody, description = "Too many calls from this address"),
    )
)]
pub(crate) async fn register(
    State(app): State<Arc<App>>,
    Now(now): Now,
    Address(address): Address,
    Json(request): Json<Register>,
) -> Result<Json<Registered>, HttpError> {
    let proof = identity::read(&request.proof, app.signer.audience(), now)?;
    // Before STS is asked, and any worker read.
    if let Some(wait) = address::take(&app.cloud.store, "register", &address, RATE, now).await {
        return Err(HttpError::too_many(
            "Too many workers register from your network at once.",
            wait,
        ));
    }
    let instance = app.identity.instance(&proof).await?;
    let speaks = is_spoken(request.protocol);
    let mut often = false;
    let worker = change_worker::<HttpError>(&app.cloud, &proof.worker_id, now, |worker| {
        if worker.instance_id.as_ref() != Some(&instance) || !worker.state.is_up() {
            return Err(unknown());
        }
        if proof.date <= worker.proof_date {
            return Err(HttpError::new(403, "The proof of identity was used before."));
        }
        often = !may_begin(worker, now);
        // It is terminated, and another one launched. That says nothing about whether machines come up.
        worker.outcome_due &= speaks;
        let next = if speaks && !often {
            WorkerState::Warming
        } else {
            WorkerState::Failed
        };
        if worker.become_state(next, now).is_err() {
            return Err(HttpError::new(409, "This worker is being stopped."));
        }
        begin(worker, proof.date, &request, now);
        Ok(true)
    })
    .await?
    .ok_or_else(unknown)?;
    if !speaks {
        return Err(replaced(&worker, request.protocol));
    }
    if often {
        error!(worker.id = %worker.worker_id, "a worker whose process begins again and again is stopped");
        return Err(HttpError::new(
            409,
            "This worker begins too often. Its machine is stopped.",
        ));
    }
    let token = app
        .signer
        .worker(&worker, now, app.settings.worker_token)
        .map_err(HttpError::unavailable)?;
    let first = offers::first(&app, &worker.pool, now).await;
    let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(Registered {
        token,
        warm_up: first.plan,
        files: first.files,
        pool: worker.pool,
        socket: Some(app.socket_url.clone()),
        heartbeat_busy_ms: milliseconds(app.settings.heartbeat_busy),
        heartbeat_ready_ms: milliseconds(app.settings.heartbeat_ready),
        dead_man_ms: milliseconds(app.settings.dead_man),
    }))
}

fn unknown() -> HttpError {
    HttpError::new(409, "This instance is not known as a worker (yet). Try again.")
}

/// What a worker is told whose machine image speaks a protocol that this release does not.
fn replaced(worker: &Worker, protocol: u32) -> HttpError {
    error!(worker.id = %worker.worker_id, protocol, wanted = PROTOCOL, "a machine image of another protocol is replaced");
    let words = if protocol < PROTOCOL {
        "This machine image is too old for this installation: build a new one."
    } else {
        "This machine image is newer than this installation: deploy the release that it belongs to."
    };
    HttpError::new(410, words)
}

/// A new process holds nothing of the old one's; its run, if any, is lost with it.
fn begin(worker: &mut Worker, proof_date: u64, request: &Register, now: Millis) {
    worker.generation += 1;
    worker.proof_date = proof_date;
    worker.heard(now);
    let short = |text: &Option<String>| text.clone().filter(|text| text.len() <= MAX_NAME);
    (worker.image, worker.release) = (short(&request.image), short(&request.release));
    worker.protocol = Some(request.protocol);
    worker.connection = None;
    worker.gpu = None;
    worker.models.clear();
    worker.on_disk.clear();
    worker.on_shared.clear();
    worker.nodes = None;
    worker.run = None;
}
