//! AWS as `ops` sees it: the emulator, what that lacks, and faults.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State as Of,
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
    /// Once a call with the first words was answered, some with the second are answered as the last one before was.
    Stale(&'static str, &'static str),
}

/// How many answers are stale.
const STALE: u32 = 3;

/// What was answered.
type Answer = (StatusCode, HeaderMap, Bytes);

/// What fails, and how far that is.
#[derive(Debug)]
struct State {
    fault: Fault,
    on: bool,
    /// The last answer that is given again, and how often.
    kept: Option<Answer>,
    again: u32,
    /// Zones with machines of each instance type.
    offered: Vec<(&'static str, &'static str)>,
}

/// Stands in front of the emulator.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    emulator: String,
    client: reqwest::Client,
    state: Arc<Mutex<State>>,
}

impl Front {
    /// Starts it; returns its address too.
    pub(crate) async fn start(emulator: &str) -> (Self, String) {
        let front = Self {
            emulator: emulator.to_owned(),
            client: reqwest::Client::new(),
            state: Arc::new(Mutex::new(State {
                fault: Fault::None,
                on: false,
                kept: None,
                again: 0,
                offered: Vec::new(),
            })),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass).with_state(front.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (front, address)
    }

    /// Sets what fails.
    pub(crate) fn fails(&self, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        (state.fault, state.on, state.kept, state.again) = (fault, false, None, 0);
    }

    /// Sets in which zones there are machines of which types.
    pub(crate) fn offers(&self, offered: &[(&'static str, &'static str)]) {
        self.state.lock().unwrap().offered = offered.to_vec();
    }

    /// What to answer instead of AWS.
    fn instead(&self, target: &str, path: &str, call: &str) -> Option<Response<Body>> {
        let mut state = self.state.lock().unwrap();
        match path {
            // As API Gateway goes on saying once the role is removed.
            "/account" => {
                return Some(json(
                    r#"{"cloudwatchRoleArn":"arn:aws:iam::000000000000:role/x/gone"}"#.to_owned(),
                ));
            }
            // As a new account has it.
            "/2016-08-19/account-settings/" => {
                return Some(json(r#"{"AccountLimit":{"ConcurrentExecutions":10}}"#.to_owned()));
            }
            _ => {}
        }
        if call.contains("Action=DescribeInstanceTypeOfferings") {
            return Some(offerings(&state.offered));
        }
        if let Some(action) = target.strip_prefix("ServiceQuotasV20190624.") {
            return Some(quota(action));
        }
        let State {
            fault, on, kept, again, ..
        } = &mut *state;
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
            Fault::Stale(_, look) if *again > 0 && call.contains(look) => {
                *again -= 1;
                kept.clone().map(answer)
            }
            _ => None,
        }
    }

    /// Looks at what was answered.
    fn answered(&self, call: &str, it: &Answer) {
        let mut state = self.state.lock().unwrap();
        let Fault::Stale(after, look) = state.fault else {
            return;
        };
        if call.contains(look) {
            state.kept = Some(it.clone());
        }
        if call.contains(after) && !state.on {
            (state.on, state.again) = (true, STALE);
        }
    }
}

fn answer((status, headers, body): Answer) -> Response<Body> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| !["content-length", "transfer-encoding"].contains(&name.as_str()))
    {
        answer = answer.header(name, value);
    }
    answer.body(Body::from(body)).unwrap()
}

async fn pass(Of(front): Of<Front>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let target = headers
        .get("x-amz-target")
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let call = format!("{target} {}", String::from_utf8_lossy(&body));
    if let Some(answer) = front.instead(target, uri.path(), &call) {
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
    let (status, headers) = (reply.status(), reply.headers().clone());
    let it = (status, headers, reply.bytes().await.unwrap());
    front.answered(&call, &it);
    answer(it)
}

fn json(body: String) -> Response<Body> {
    Response::builder()
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

/// What the emulator does not know.
fn offerings(offered: &[(&str, &str)]) -> Response<Body> {
    let items: Vec<_> = offered
        .iter()
        .map(|(kind, zone)| {
            format!(
                "<item><instanceType>{kind}</instanceType><locationType>availability-zone</locationType>\
                 <location>{zone}</location></item>"
            )
        })
        .collect();
    let body = format!(
        "<DescribeInstanceTypeOfferingsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>1</requestId><instanceTypeOfferingSet>{}</instanceTypeOfferingSet>\
         </DescribeInstanceTypeOfferingsResponse>",
        items.concat()
    );
    Response::builder()
        .header("content-type", "text/xml")
        .body(body.into())
        .unwrap()
}

/// A quota as a new account has it, which AWS knows only as its default.
fn quota(action: &str) -> Response<Body> {
    if action == "GetServiceQuota" {
        return error(true, "NoSuchResourceException", "no quota was applied");
    }
    json(r#"{"Quota":{"Value":0.0}}"#.to_owned())
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
