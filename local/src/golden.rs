//! What the golden events (`events/`) speak of, so that each of them is answered as it should be: the painter Mara, a
//! machine that renders a task of hers, a device that waits to be let in, and the invitation to do so.
//!
//! It is made of the items that are kept beside the events, and lies in a pool that no tick knows and that starts nothing:
//! all of it stays as it is until an event changes it.

use std::time::Duration;

use accounts::fingerprint;
use anyhow::{Context, Result};
use cloud::{
    Bucket, Store, Write,
    tables::{BodyOf, CatalogKey, DeviceOf, Entity, Id, InvitationOf, SignInOf, UploadOf},
};
use model::{ConnectionId, Millis, PoolId, TaskId, TeamId, UserId, WorkerId};
use serde_json::{Map, Value, json};

const POOL: &str = "golden";
const PAINTER: &str = "mara";
const TASK: &str = "01a05cd7-2a00-7000-8000-0000000000a1";
const RUN: &str = "01a05cd7-2a00-7000-8000-0000000000b1";
const WORKER: &str = "w-01a05cd72a0070008000000000000001";
const SOCKET: &str = "fJ8xKdvLoAMCE6A=";
/// The client id that a device signs in with, the code of its page, and the invitation that is entered there.
const CLIENT: &str = "0b9c9e6c-6a0e-4b6e-9d0e-2f4d9a4f5b11";
const CODE: &str = "00000000000000000000000000000000";
const INVITATION: &str = "aaaaaa-bbbbbb-cccccc-dddddd";
/// What was uploaded for a request that names it, and its size in bytes.
const UPLOAD: (&str, usize) = ("uploads/mara/53504135d9f54c03837a7f17b7904c9e", 48_213);

/// An upload of a model.
const MODEL_UPLOAD: &str = "01a05cd7-2a00-7000-8000-0000000000f1";

/// How long nothing of it ends by itself.
const DAY: Duration = Duration::from_hours(24);

macro_rules! item {
    ($name:literal) => {
        include_str!(concat!("../../events/items/0.1.0/", $name, ".json"))
    };
}

/// Puts it there, over what events have made of it.
pub(crate) async fn seed(store: &Store, pictures: &Bucket, now: Millis) -> Result<()> {
    let (task_id, end) = (TASK.parse::<TaskId>()?, now + DAY);
    let pool = json!({ "pool": POOL, "max_workers": 0 });
    put(store, &PoolId::new(POOL), item!("pool"), pool).await?;
    let account = json!({ "user_id": PAINTER, "name": "Mara", "pool": POOL });
    put(store, &UserId::new(PAINTER), item!("account"), account).await?;
    let worker = json!({
        "pool": POOL, "run": { "task_id": TASK, "run_id": RUN }, "last_seen": now, "state_since": now, "up_since": now,
        "outcome_due": false,
    });
    put(store, &WorkerId::new(WORKER), item!("worker.busy"), worker).await?;
    let run = json!({
        "run_id": RUN, "worker_id": WORKER, "claimed_at": now, "lease_until": end, "deadline": end, "seq": 0, "progress": 0,
    });
    let task = json!({
        "task_id": TASK, "pool": POOL, "run": run, "reserved": 0, "created": now, "claimed_at": now, "seen_at": now,
        "expires_at": end, "eta": null,
    });
    put(store, &task_id, item!("task.running"), task).await?;
    put(store, &BodyOf(task_id), item!("body"), json!({ "task_id": TASK })).await?;
    put(
        store,
        &ConnectionId::new(SOCKET),
        item!("session"),
        json!({ "opened_at": now }),
    )
    .await?;

    let ttl = end.seconds();
    let sign_in = json!({ "code": CODE, "started_at": now, "ttl": ttl });
    put(store, &SignInOf(CODE.to_owned()), item!("sign-in"), sign_in).await?;
    let client = fingerprint(CLIENT);
    let device = json!({ "client": client, "code": CODE, "ttl": ttl });
    put(store, &DeviceOf(client.clone()), item!("device"), device).await?;
    let secret = fingerprint(INVITATION);
    let invitation = json!({ "secret": secret, "made_at": now, "expires_at": end, "ttl": ttl });
    put(store, &InvitationOf(secret.clone()), item!("invitation"), invitation).await?;

    let model = CatalogKey(TeamId::new("studio"), "checkpoint#ink.safetensors#1#mara".to_owned());
    put(store, &model, item!("catalog.stored"), json!({})).await?;
    let upload = json!({ "id": MODEL_UPLOAD, "until": end });
    put(store, &UploadOf(MODEL_UPLOAD.to_owned()), item!("upload"), upload).await?;

    let (key, size) = UPLOAD;
    pictures
        .put(key, "x".repeat(size))
        .await
        .context("the upload was not put")
}

/// A kept item with changes, over the one that is there.
async fn put<I: Id>(store: &Store, id: &I, item: &str, changes: Value) -> Result<()> {
    let mut item: Map<String, Value> = serde_json::from_str(item)?;
    item.extend(changes.as_object().cloned().unwrap_or_default());
    let mut item: I::Entity = serde_json::from_value(Value::Object(item)).context("a kept item cannot be read")?;
    let known = store.get(id).await?;
    *item.version_mut() = known.map_or(0, |mut known| *known.version_mut());
    store.commit([Write::put(&mut item)?]).await?;
    Ok(())
}
