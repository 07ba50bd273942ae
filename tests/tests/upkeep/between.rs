//! Stands between a client and the emulator: lets calls through, answers what the emulator lacks, and makes single calls
//! fail.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use aws_config::{SdkConfig, retry::RetryConfig};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::Response,
};
use tokio::{net::TcpListener, sync::Notify};

/// What becomes of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It is refused, with this status and error code.
    Refused(u16, &'static str),
    /// The connection breaks before anything is done.
    Lost,
    /// It is done, and the connection breaks before the answer.
    AnswerLost,
}

/// A call that is not let through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// A part of its name, as [`Between::seen`] has it.
    pub(crate) call: &'static str,
    /// How many times.
    pub(crate) times: u32,
    /// What becomes of it.
    pub(crate) fate: Fate,
}

/// A running stand-in.
#[derive(Debug, Clone)]
pub(crate) struct Between {
    inner: Arc<Inner>,
    /// Its address.
    pub(crate) endpoint: String,
}

#[derive(Debug)]
struct Inner {
    emulator: String,
    client: reqwest::Client,
    faults: Mutex<Vec<Fault>>,
    seen: Mutex<Vec<String>>,
    stop_at: Mutex<Option<usize>>,
    stopped: Notify,
}

impl Between {
    /// Starts one in front of this emulator.
    pub(crate) async fn start(emulator: &str) -> Result<Self> {
        let inner = Arc::new(Inner {
            emulator: emulator.to_owned(),
            client: reqwest::Client::builder().no_proxy().build()?,
            faults: Mutex::default(),
            seen: Mutex::default(),
            stop_at: Mutex::default(),
            stopped: Notify::new(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { inner, endpoint })
    }

    /// The SDK's configuration that comes past here, and tries again soon.
    pub(crate) async fn sdk(&self) -> SdkConfig {
        let impatient = RetryConfig::standard().with_initial_backoff(Duration::from_millis(20));
        let sdk = cloud::emulator_config(&self.endpoint).await;
        sdk.into_builder().retry_config(impatient).build()
    }

    /// From now on these calls fail.
    pub(crate) fn fail(&self, faults: &[Fault]) {
        *lock(&self.inner.faults) = faults.to_vec();
        lock(&self.inner.seen).clear();
    }

    /// Whether each fault has happened as often as it should.
    pub(crate) fn all_happened(&self) -> bool {
        lock(&self.inner.faults).iter().all(|it| it.times == 0)
    }

    /// The calls since the last [`Between::fail`]: `Service.Action`, an action, or method and path.
    pub(crate) fn seen(&self) -> Vec<String> {
        lock(&self.inner.seen).clone()
    }

    /// Kills what is done here when its so many-th call arrives. None: it was done before.
    pub(crate) async fn killed_at<T>(&self, call: usize, work: impl Future<Output = T>) -> Option<T> {
        self.fail(&[]);
        *lock(&self.inner.stop_at) = Some(call);
        let done = tokio::select! {
            done = work => Some(done),
            () = self.inner.stopped.notified() => None,
        };
        *lock(&self.inner.stop_at) = None;
        done
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = name(&method, &uri, &headers, &body);
    let count = {
        let mut seen = lock(&inner.seen);
        seen.push(call.clone());
        seen.len()
    };
    if *lock(&inner.stop_at) == Some(count) {
        inner.stopped.notify_one();
        return broken();
    }
    let fate = {
        let mut faults = lock(&inner.faults);
        let due = faults.iter_mut().find(|it| it.times > 0 && call.contains(it.call));
        due.map(|it| {
            it.times -= 1;
            it.fate
        })
    };
    match fate {
        Some(Fate::Refused(status, code)) => refused(status, code, &headers),
        Some(Fate::Lost) => broken(),
        Some(Fate::AnswerLost) => {
            let _ = forward(&inner, method, &uri, headers, body).await;
            broken()
        }
        None => match lacking(&call) {
            Some(text) => Response::new(text.into()),
            None => forward(&inner, method, &uri, headers, body)
                .await
                .unwrap_or_else(|_| broken()),
        },
    }
}

/// What the emulator lacks: an answer as AWS's documentation has it.
fn lacking(call: &str) -> Option<String> {
    if call.ends_with("/2016-08-19/account-settings/") {
        return Some(serde_json::json!({ "AccountLimit": { "ConcurrentExecutions": 1000 } }).to_string());
    }
    let quota = || serde_json::json!({ "Quota": { "Value": 4.0 } }).to_string();
    call.contains("GetServiceQuota").then(quota)
}

fn name(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> String {
    let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
    let action = std::str::from_utf8(body).ok().and_then(|it| it.strip_prefix("Action="));
    match (target, action) {
        (Some(target), _) => target.to_owned(),
        (None, Some(action)) => action.split('&').next().unwrap_or_default().to_owned(),
        (None, None) => format!("{method} {uri}"),
    }
}

async fn forward(inner: &Inner, method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Result<Response> {
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let request = inner.client.request(method, format!("{}{path}", inner.emulator));
    let reply = request.headers(headers).body(body).send().await?;
    let mut response = Response::builder().status(reply.status());
    for (name, value) in reply.headers() {
        if name != header::TRANSFER_ENCODING && name != header::CONNECTION {
            response = response.header(name, value);
        }
    }
    Ok(response.body(reply.bytes().await?.into())?)
}

fn refused(status: u16, code: &str, headers: &HeaderMap) -> Response {
    let is_json = headers.contains_key("x-amz-target");
    let body = if is_json {
        serde_json::json!({ "__type": code, "message": "not now" }).to_string()
    } else {
        // EC2's form and the other query services' are each read by the right one.
        format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>not now</Message></Error></Errors>\
             <Error><Code>{code}</Code><Message>not now</Message></Error></Response>"
        )
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    response
}

/// An answer that ends before it is whole.
fn broken() -> Response {
    let nothing = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("the connection breaks"))]);
    Response::new(Body::from_stream(nothing))
}
