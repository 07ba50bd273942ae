//! AWS as `ops` sees it: the emulator, what that lacks, and faults.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response, StatusCode, Uri},
};
use tokio::net::TcpListener;

/// What fails from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The credentials have ended, seen by the first call that has these words.
    Expired(&'static str),
    /// A call that has these words is refused.
    Refused(&'static str),
    /// Once a call with these words was answered, no other is.
    Lost(&'static str),
}

/// Stands in front of the emulator.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    emulator: String,
    client: reqwest::Client,
    fault: Arc<Mutex<(Fault, bool)>>,
}

impl Front {
    /// Starts it; returns its address too.
    pub(crate) async fn start(emulator: &str) -> (Self, String) {
        let front = Self {
            emulator: emulator.to_owned(),
            client: reqwest::Client::new(),
            fault: Arc::new(Mutex::new((Fault::None, false))),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass).with_state(front.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (front, address)
    }

    /// Sets what fails.
    pub(crate) fn fails(&self, fault: Fault) {
        *self.fault.lock().unwrap() = (fault, false);
    }

    /// What to answer instead of AWS.
    fn instead(&self, target: &str, call: &str) -> Option<Response<Body>> {
        if let Some(action) = target.strip_prefix("ServiceQuotasV20190624.") {
            return Some(quota(action, call));
        }
        let (fault, on) = &mut *self.fault.lock().unwrap();
        let json = !target.is_empty();
        match *fault {
            Fault::Expired(words) if *on || call.contains(words) => {
                *on = true;
                Some(error(
                    json,
                    "ExpiredToken",
                    "The security token included in the request is expired",
                ))
            }
            Fault::Refused(words) if call.contains(words) => {
                Some(error(json, "AccessDeniedException", "not authorized"))
            }
            Fault::Lost(_) if *on => {
                let cut =
                    futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("the network is lost")) });
                Some(Response::new(Body::from_stream(cut)))
            }
            Fault::Lost(words) => {
                *on = call.contains(words);
                None
            }
            _ => None,
        }
    }
}

async fn pass(State(front): State<Front>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let target = headers
        .get("x-amz-target")
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let call = format!("{target} {}", String::from_utf8_lossy(&body));
    if let Some(answer) = front.instead(target, &call) {
        return answer;
    }
    let mut request = front
        .client
        .request(method, format!("{}{uri}", front.emulator))
        .body(body);
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| !["host", "content-length"].contains(&name.as_str()))
    {
        request = request.header(name, value);
    }
    let reply = request.send().await.unwrap();
    let mut answer = Response::builder().status(reply.status());
    for (name, value) in reply
        .headers()
        .iter()
        .filter(|(name, _)| !["content-length", "transfer-encoding"].contains(&name.as_str()))
    {
        answer = answer.header(name, value);
    }
    answer.body(Body::from(reply.bytes().await.unwrap())).unwrap()
}

/// A quota as a new account has it, which AWS knows only as its default.
fn quota(action: &str, call: &str) -> Response<Body> {
    if action == "GetServiceQuota" {
        return error(true, "NoSuchResourceException", "no quota was applied");
    }
    let value = if call.contains("L-B99A9384") { 10.0 } else { 0.0 };
    let body = format!(r#"{{"Quota":{{"Value":{value}}}}}"#);
    Response::builder()
        .header("content-type", "application/x-amz-json-1.1")
        .body(body.into())
        .unwrap()
}

fn error(json: bool, code: &str, message: &str) -> Response<Body> {
    let body = if json {
        format!(r#"{{"__type":"{code}","message":"{message}"}}"#)
    } else {
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        )
    };
    Response::builder()
        .status(StatusCode::BAD_REQUEST)
        .body(body.into())
        .unwrap()
}
