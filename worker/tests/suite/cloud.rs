//! A small control plane in memory: the workers' API, a bucket with URLs that expire, and a WebSocket.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    future::ready,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{
        DefaultBodyLimit, Path, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use futures_util::{StreamExt, stream};
use model::{
    RunId, TaskId,
    socket::{ClientMessage, ServerMessage},
    worker_api::{
        Assignment, Claim, Claimed, FreshUrls, Heartbeat, HeartbeatReply, Register, Registered, RunEnded, RunFailure,
        RunResult, RunUrls,
    },
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
    task::JoinHandle,
};

/// Something a worker did.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    Register(Register),
    Refused,
    Claim { task_id: Option<TaskId> },
    Beat(Heartbeat),
    Result(RunResult),
    Failure(RunFailure),
    FreshUrls,
    Put { status: StatusCode },
    Get,
    SocketOpened,
    Said(ClientMessage),
}

/// How the control plane behaves.
pub(crate) struct Behaviour {
    pub(crate) reply: HeartbeatReply,
    /// What to say about this run only.
    pub(crate) about: HashMap<RunId, HeartbeatReply>,
    pub(crate) token: String,
    /// Keys of uploaded LoRAs that fresh addresses are given for.
    pub(crate) loras: Vec<String>,
    /// How many uploads meet an expired URL.
    pub(crate) expired: u32,
    pub(crate) next_is_given_with_result: bool,
    pub(crate) registrations_refused: u32,
    pub(crate) dead_man: Duration,
    pub(crate) warm_up: Option<Value>,
    pub(crate) has_socket: bool,
    pub(crate) protocol_refused: bool,
    pub(crate) ready_rhythm: Duration,
    pub(crate) busy_rhythm: Duration,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            reply: HeartbeatReply::default(),
            about: HashMap::new(),
            token: "token-1".into(),
            loras: vec![],
            expired: 0,
            next_is_given_with_result: true,
            registrations_refused: 0,
            dead_man: Duration::from_hours(1),
            warm_up: None,
            has_socket: true,
            protocol_refused: false,
            ready_rhythm: Duration::from_millis(200),
            busy_rhythm: Duration::from_millis(100),
        }
    }
}

#[derive(Default)]
struct Inner {
    behaviour: Behaviour,
    queue: VecDeque<Assignment>,
    objects: HashMap<String, (Vec<u8>, String)>,
}

struct Shared {
    inner: Mutex<Inner>,
    seen: watch::Sender<Vec<Seen>>,
    pushed: broadcast::Sender<ServerMessage>,
    url: String,
}

/// Addresses of such keys have expired.
pub(crate) const EXPIRED: &str = "expired/";
/// Of such keys only the first half comes.
pub(crate) const STALLED: &str = "stalled/";

/// A running control plane.
pub(crate) struct Cloud {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Nothing in these tests takes longer, on a slow machine either.
const PATIENCE: Duration = Duration::from_secs(45);

impl Cloud {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Mutex::new(Inner {
            behaviour,
            ..Inner::default()
        });
        let shared = Arc::new(Shared {
            inner,
            seen: watch::Sender::new(vec![]),
            pushed: broadcast::Sender::new(16),
            url,
        });
        let router = Router::new()
            .route("/v1/workers/register", post(register))
            .route("/v1/workers/{worker}/{verb}", post(verb))
            .route("/bucket/{*key}", get(object).put(put_object))
            .route("/socket", any(socket))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, server }
    }

    pub(crate) fn url(&self) -> &str {
        &self.shared.url
    }

    pub(crate) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.lock().behaviour);
    }

    /// Puts a run into the queue; a ready worker claims within its rhythm.
    pub(crate) fn enqueue(&self, run: Assignment) {
        self.shared.lock().queue.push_back(run);
    }

    pub(crate) fn push(&self, message: ServerMessage) {
        // Nobody may be listening, as in life.
        let _ = self.shared.pushed.send(message);
    }

    /// Stores an object; gives its ETag.
    pub(crate) fn store(&self, key: &str, bytes: Vec<u8>) -> String {
        let etag = format!("etag-of-{}", bytes.len());
        self.shared.lock().objects.insert(key.into(), (bytes, etag.clone()));
        etag
    }

    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.shared.lock().objects.get(key).map(|(bytes, _)| bytes.clone())
    }

    pub(crate) fn bucket(&self, key: &str) -> String {
        format!("{}/bucket/{key}?X-Amz-Signature=secret", self.shared.url)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    /// Waits until the worker has done something.
    pub(crate) async fn wait<T>(&self, what: &str, found: impl Fn(&Seen) -> Option<T>) -> T {
        self.wait_after(0, what, found).await
    }

    /// The same, not looking at the first `skip` things it did.
    pub(crate) async fn wait_after<T>(&self, skip: usize, what: &str, found: impl Fn(&Seen) -> Option<T>) -> T {
        let mut seen = self.shared.seen.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = seen.borrow_and_update().iter().skip(skip).find_map(&found) {
                    return found;
                }
                seen.changed().await.unwrap();
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("no {what}; seen: {:#?}", self.seen()))
    }

    pub(crate) async fn result(&self, run: RunId) -> RunResult {
        self.wait("result", |seen| match seen {
            Seen::Result(result) if result.run_id == run => Some(result.clone()),
            Seen::Failure(failure) if failure.run_id == run => panic!("{failure:?}"),
            _ => None,
        })
        .await
    }

    pub(crate) async fn failure(&self, run: RunId) -> RunFailure {
        self.wait("failure", |seen| match seen {
            Seen::Failure(failure) if failure.run_id == run => Some(failure.clone()),
            Seen::Result(result) if result.run_id == run => panic!("{result:?}"),
            _ => None,
        })
        .await
    }

    /// Waits for so many more heartbeats.
    pub(crate) async fn beats(&self, count: usize) {
        for _ in 0..count {
            self.beat("heartbeat", |_| true).await;
        }
    }

    /// How often something was seen.
    pub(crate) fn count(&self, fits: impl Fn(&Seen) -> bool) -> usize {
        self.shared.seen.borrow().iter().filter(|seen| fits(seen)).count()
    }

    /// Waits for a heartbeat that fits, after everything seen so far.
    pub(crate) async fn beat(&self, what: &str, fits: impl Fn(&Heartbeat) -> bool) {
        let skip = self.seen().len();
        self.wait_after(skip, what, |seen| match seen {
            Seen::Beat(beat) if fits(beat) => Some(()),
            _ => None,
        })
        .await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn note(&self, seen: Seen) {
        self.seen.send_modify(|all| all.push(seen));
    }
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
            cloud.note(Seen::FreshUrls);
            let upload = format!("{}/bucket/results/{}", cloud.url, fresh.run_id);
            let loras = cloud.lock().behaviour.loras.clone();
            let loras = loras.iter().map(|key| format!("{}/bucket/{key}", cloud.url)).collect();
            let input = None;
            Json(RunUrls { input, loras, upload }).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn object(State(cloud): State<Arc<Shared>>, Path(key): Path<String>) -> Response {
    cloud.note(Seen::Get);
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
    match cloud.lock().objects.get(&key) {
        Some((bytes, etag)) => ([(header::ETAG, format!("\"{etag}\""))], bytes.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn put_object(
    State(cloud): State<Arc<Shared>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    assert_eq!(headers[header::CONTENT_TYPE], "application/octet-stream");
    assert!(
        !headers.contains_key(header::AUTHORIZATION),
        "the bucket must not see the token"
    );
    let status = {
        let mut inner = cloud.lock();
        if inner.behaviour.expired > 0 {
            inner.behaviour.expired -= 1;
            StatusCode::FORBIDDEN
        } else {
            inner.objects.insert(key, (body.to_vec(), String::new()));
            StatusCode::OK
        }
    };
    cloud.note(Seen::Put { status });
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
