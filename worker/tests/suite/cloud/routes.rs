//! What the control plane and its bucket answer.

use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{
        DefaultBodyLimit, Path, Query, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use futures_util::{StreamExt, stream};
use model::worker_api::{Claim, Claimed, FreshUrls, Heartbeat, Register, Registered, RunEnded, RunUrls};
use serde::Deserialize;
use serde_json::{Value, json};

use super::state::{Seen, Shared};

/// Addresses of such keys have expired.
pub(crate) const EXPIRED: &str = "expired/";
/// Of such keys the first half comes, and the line breaks; the rest comes to whoever asks for it.
pub(crate) const BROKEN: &str = "broken/";
/// Of such keys the second half comes after [`SLOWLY`].
pub(crate) const SLOW: &str = "slow/";
/// How slow that is.
pub(crate) const SLOWLY: Duration = Duration::from_secs(3);
/// Of such keys only the first half comes.
pub(crate) const STALLED: &str = "stalled/";

/// All routes.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/workers/register", post(register))
        .route("/v1/workers/{worker}/{verb}", post(verb))
        .route("/bucket/{*key}", get(object).put(put_object))
        .route("/socket", any(socket))
        .layer(DefaultBodyLimit::disable())
        .with_state(shared)
}

async fn register(State(cloud): State<Arc<Shared>>, Json(register): Json<Register>) -> Response {
    let refused = {
        let behaviour = &mut cloud.lock().behaviour;
        if behaviour.protocol_refused {
            return (StatusCode::GONE, Json(json!({"error": "speak 2"}))).into_response();
        }
        let refused = behaviour.registrations_refused > 0;
        behaviour.registrations_refused = behaviour.registrations_refused.saturating_sub(1);
        refused
    };
    if refused {
        cloud.note(Seen::Refused);
        return (StatusCode::FORBIDDEN, Json(json!({"error": "unknown instance"}))).into_response();
    }
    let registered = {
        let behaviour = &cloud.lock().behaviour;
        Registered {
            token: behaviour.token.clone(),
            pool: model::PoolId::new("default"),
            // This server speaks no TLS.
            socket: Some(if behaviour.has_socket {
                cloud.url.replacen("http", "ws", 1) + "/socket"
            } else {
                cloud.url.replacen("http", "wss", 1)
            }),
            warm_up: behaviour.warm_up.clone(),
            files: behaviour.files.clone(),
            heartbeat_busy_ms: behaviour.busy_rhythm.as_millis() as u64,
            heartbeat_ready_ms: behaviour.ready_rhythm.as_millis() as u64,
            dead_man_ms: behaviour.dead_man.as_millis() as u64,
        }
    };
    cloud.note(Seen::Register(register));
    Json(registered).into_response()
}

async fn verb(
    State(cloud): State<Arc<Shared>>,
    Path((_, verb)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if token != format!("Bearer {}", cloud.lock().behaviour.token) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": "expired"}))).into_response();
    }
    let take = |wanted: bool| if wanted { cloud.lock().queue.pop_front() } else { None };
    match verb.as_str() {
        "claim" => {
            let claim: Claim = serde_json::from_value(body).unwrap();
            let assignment = take(true);
            cloud.note(Seen::Claim { task_id: claim.task_id });
            Json(Claimed { assignment }).into_response()
        }
        "heartbeat" => {
            let beat: Heartbeat = serde_json::from_value(body).unwrap();
            let reply = {
                let behaviour = &cloud.lock().behaviour;
                let about = beat.run.and_then(|run| behaviour.about.get(&run.run_id));
                about.unwrap_or(&behaviour.reply).clone()
            };
            cloud.note(Seen::Beat(beat));
            Json(reply).into_response()
        }
        "result" => {
            cloud.note(Seen::Result(serde_json::from_value(body).unwrap()));
            let wanted = cloud.lock().behaviour.next_is_given_with_result;
            Json(RunEnded {
                accepted: true,
                assignment: take(wanted),
            })
            .into_response()
        }
        "failure" => {
            cloud.note(Seen::Failure(serde_json::from_value(body).unwrap()));
            Json(RunEnded {
                accepted: true,
                assignment: None,
            })
            .into_response()
        }
        "urls" => {
            let fresh: FreshUrls = serde_json::from_value(body).unwrap();
            cloud.note(Seen::FreshUrls { size: fresh.size });
            let thumbnails = thumbnail_urls(&cloud, &fresh);
            let behaviour = &mut cloud.lock().behaviour;
            if let Some(status) = behaviour.fresh_refused.pop_front() {
                return status.into_response();
            }
            let size = fresh.size.filter(|_| behaviour.signs_size);
            let upload = || cloud.address(&format!("results/{}", fresh.run_id), size);
            Json(RunUrls {
                loras: behaviour.loras.iter().map(|key| cloud.address(key, None)).collect(),
                models: behaviour.models.iter().map(|key| cloud.address(key, None)).collect(),
                upload: behaviour.uploads_go_to.clone().unwrap_or_else(upload),
                thumbnails,
                ..RunUrls::default()
            })
            .into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Where a run's thumbnails go. Older APIs know none.
fn thumbnail_urls(cloud: &Shared, fresh: &FreshUrls) -> Vec<String> {
    if !cloud.lock().behaviour.signs_size {
        return Vec::new();
    }
    let sizes = fresh.thumbnails.iter().enumerate();
    let key = |place| format!("thumbs/{}/{place}", fresh.run_id);
    sizes
        .map(|(place, size)| cloud.address(&key(place), Some(*size)))
        .collect()
}

async fn object(State(cloud): State<Arc<Shared>>, Path(key): Path<String>, headers: HeaderMap) -> Response {
    let range = headers.get(header::RANGE).map(|range| range.to_str().unwrap());
    let range = range.map(|range| range.strip_prefix("bytes=").unwrap().split_once('-').unwrap());
    let from: Option<u64> = range.map(|(from, _)| from.parse().unwrap());
    let last = range.and_then(|(_, last)| last.parse().ok()).unwrap_or(usize::MAX);
    cloud.note(Seen::Get { key: key.clone(), from });
    let troubled = {
        let behaviour = &mut cloud.lock().behaviour;
        let troubled = behaviour.bucket_troubled > 0;
        behaviour.bucket_troubled = behaviour.bucket_troubled.saturating_sub(1);
        troubled
    };
    if troubled {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if key.starts_with(EXPIRED) {
        return StatusCode::FORBIDDEN.into_response();
    }
    if let Some(key) = key.strip_prefix(STALLED) {
        let half = cloud
            .lock()
            .objects
            .get(key)
            .map(|(bytes, _)| bytes[..bytes.len() / 2].to_vec());
        let begun = stream::once(ready(Ok::<_, Infallible>(half.unwrap_or_default())));
        return Body::from_stream(begun.chain(stream::pending())).into_response();
    }
    if let Some(key) = key.strip_prefix(SLOW) {
        let whole = cloud.lock().objects.get(key).map(|(bytes, _)| bytes.clone());
        let mut begun = whole.unwrap_or_default();
        let rest = begun.split_off(begun.len() / 2);
        let rest = async {
            tokio::time::sleep(SLOWLY).await;
            Ok(rest)
        };
        let begun = stream::once(ready(Ok::<_, Infallible>(begun)));
        return Body::from_stream(begun.chain(stream::once(rest))).into_response();
    }
    let (key, is_broken) = match key.strip_prefix(BROKEN) {
        Some(key) => (key, from.is_none()),
        None => (key.as_str(), false),
    };
    let (bytes, etag) = match cloud.lock().objects.get(key) {
        Some(object) => object.clone(),
        None => return StatusCode::NOT_FOUND.into_response(),
    };
    let etag = [(header::ETAG, format!("\"{etag}\""))];
    match from.map(|from| bytes.get(from as usize..).filter(|rest| !rest.is_empty())) {
        Some(Some(rest)) => {
            let size = last.saturating_sub(from.unwrap_or_default() as usize).saturating_add(1);
            let rest = rest[..rest.len().min(size)].to_vec();
            (StatusCode::PARTIAL_CONTENT, etag, rest).into_response()
        }
        Some(None) => StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
        None if is_broken => {
            let half = Ok(bytes[..bytes.len() / 2].to_vec());
            let breaks = async {
                // What came before is on its way by then.
                tokio::task::yield_now().await;
                Err("the line breaks")
            };
            let body = Body::from_stream(stream::once(ready(half)).chain(stream::once(breaks)));
            ([(header::CONTENT_LENGTH, bytes.len())], body).into_response()
        }
        None => (etag, bytes).into_response(),
    }
}

#[derive(Deserialize)]
struct Signed {
    size: Option<u64>,
}

async fn put_object(
    State(cloud): State<Arc<Shared>>,
    Path(key): Path<String>,
    Query(signed): Query<Signed>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let is_thumbnail = key.starts_with("thumbs/");
    let kind = if is_thumbnail {
        "image/webp"
    } else {
        "application/octet-stream"
    };
    assert_eq!(headers[header::CONTENT_TYPE], kind);
    assert!(
        !headers.contains_key(header::AUTHORIZATION),
        "the bucket must not see the token"
    );
    // What S3 does: the signature covers the header, and the body must be as long.
    let size: u64 = headers[header::CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
    assert_eq!(size, body.len() as u64);
    if is_thumbnail {
        let mut inner = cloud.lock();
        if signed.size != Some(size) || inner.behaviour.thumbnails_refused {
            return StatusCode::FORBIDDEN;
        }
        inner.objects.insert(key, (body.to_vec(), String::new()));
        return StatusCode::OK;
    }
    let status = {
        let mut inner = cloud.lock();
        if inner.behaviour.expired > 0 {
            inner.behaviour.expired -= 1;
            StatusCode::FORBIDDEN
        } else if inner.behaviour.signs_size && signed.size != Some(size) {
            StatusCode::FORBIDDEN
        } else {
            inner.objects.insert(key, (body.to_vec(), String::new()));
            StatusCode::OK
        }
    };
    cloud.note(Seen::Put { status, size });
    status
}

async fn socket(State(cloud): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |socket| talk(&cloud, socket).await)
}

async fn talk(cloud: &Shared, mut socket: WebSocket) {
    let mut pushed = cloud.pushed.subscribe();
    cloud.note(Seen::SocketOpened);
    loop {
        tokio::select! {
            Ok(message) = pushed.recv() => {
                let text = serde_json::to_string(&message).unwrap();
                if socket.send(Message::text(text)).await.is_err() {
                    return;
                }
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => cloud.note(Seen::Said(serde_json::from_str(&text).unwrap())),
                Some(Ok(_)) => {}
                _ => return,
            },
        }
    }
}
