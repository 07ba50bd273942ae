//! HTTP requests as API Gateway hands them over, replies, and the one way to know who calls.

use std::fmt::Display;

use aws_lambda_events::{apigw::ApiGatewayV2httpRequest, encodings::Body};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderValue,
    header::{CONTENT_TYPE, LOCATION},
};
use model::{PoolId, Role, TeamId, UserId, WorkerId};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{StoreError, bodies::BodyError, bucket::BucketError, runs::RunError};

pub use aws_lambda_events::apigw::{ApiGatewayV2httpRequest as Event, ApiGatewayV2httpResponse as Response};

/// Who calls, as the authorizer found out. The only source of user, team and role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// User or worker.
    pub sub: String,
    /// Team; a worker's is its pool's name.
    pub team: TeamId,
    /// What they may do.
    pub role: Role,
    /// When their token was issued, seconds.
    pub iat: u64,
    /// A worker's generation.
    pub generation: Option<u32>,
    /// A worker's pool.
    pub pool: Option<PoolId>,
}

impl Caller {
    /// Reads the authorizer's context of an HTTP request and checks the role. 401 if the token was refused, 403 if the
    /// role is another.
    pub fn of(event: &Event, role: Role) -> Result<Self, HttpError> {
        let authorizer = event.request_context.authorizer.as_ref();
        let caller = Self::from_context(|name| authorizer.and_then(|it| it.fields.get(name)))?;
        caller.must_be(role)
    }

    /// The same from any map of context values.
    pub fn from_context<'a>(value: impl Fn(&str) -> Option<&'a Value>) -> Result<Self, HttpError> {
        let text = |name: &str| value(name).and_then(Value::as_str);
        // API Gateway hands numbers of a WebSocket's context over as text.
        let number = |name: &str| {
            value(name).and_then(|it| it.as_u64().or_else(|| it.as_str().and_then(|text| text.parse().ok())))
        };
        if let Some(reason) = text("refused") {
            return Err(HttpError::new(401, format!("Please sign in again: {reason}.")));
        }
        let known = || -> Option<Self> {
            Some(Self {
                sub: text("sub")?.to_owned(),
                team: TeamId::new(text("team")?),
                role: serde_json::from_value(Value::from(text("role")?)).ok()?,
                iat: number("iat")?,
                generation: number("generation").and_then(|it| u32::try_from(it).ok()),
                pool: text("pool").map(PoolId::new),
            })
        };
        known().ok_or_else(|| HttpError::new(401, "Please sign in."))
    }

    /// The caller, if the role fits; an operator may do what a painter may.
    pub fn must_be(self, role: Role) -> Result<Self, HttpError> {
        let fits = self.role == role || (role == Role::Painter && self.role == Role::Operator);
        if fits {
            Ok(self)
        } else {
            Err(HttpError::new(403, "This token may not be used for that."))
        }
    }

    /// The calling user.
    pub fn user(&self) -> UserId {
        UserId::new(&self.sub)
    }

    /// The calling worker.
    pub fn worker(&self) -> WorkerId {
        WorkerId::new(&self.sub)
    }
}

/// A refusal or a failure with the words that the client sees.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {message}")]
pub struct HttpError {
    /// HTTP status.
    pub status: u16,
    /// Plain words for a person.
    pub message: String,
    /// With a 402: the whole credits that are left.
    pub credits: Option<u64>,
    /// What is behind it; logged, never sent.
    #[source]
    pub source: Option<crate::BoxError>,
}

impl HttpError {
    /// An error with these words.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            credits: None,
            source: None,
        }
    }

    /// The budget does not suffice; so many credits are left of it.
    pub fn no_credits(message: impl Into<String>, credits: u64) -> Self {
        Self {
            credits: Some(credits),
            ..Self::new(402, message)
        }
    }

    /// Something of ours does not work at the moment.
    pub fn unavailable(source: impl Into<crate::BoxError>) -> Self {
        let message = "The server has a problem at the moment. Please try again.".to_owned();
        Self {
            source: Some(source.into()),
            ..Self::new(503, message)
        }
    }
}

impl From<StoreError> for HttpError {
    fn from(error: StoreError) -> Self {
        if error.is_retryable() {
            return Self::unavailable(error);
        }
        let message = "The server cannot do this. Please tell whoever looks after it.".to_owned();
        Self {
            source: Some(error.into()),
            ..Self::new(500, message)
        }
    }
}

impl From<BucketError> for HttpError {
    fn from(error: BucketError) -> Self {
        Self::unavailable(error)
    }
}

impl From<BodyError> for HttpError {
    fn from(error: BodyError) -> Self {
        Self::unavailable(error)
    }
}

impl From<RunError> for HttpError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::NoTask => Self::new(404, "There is no such task."),
            RunError::Changed => Self::new(409, "Not possible any more."),
            RunError::Refused(refused) => Self::new(409, format!("Not possible: {refused}.")),
            RunError::Store(error) => Self::unavailable(error),
        }
    }
}

impl crate::retry::MayConflict for HttpError {
    fn is_conflict(&self) -> bool {
        let source = self
            .source
            .as_ref()
            .and_then(|source| source.downcast_ref::<StoreError>());
        source.is_some_and(crate::retry::MayConflict::is_conflict)
    }
}

/// What a handler returns: a status and a JSON value, or an error in words.
pub type Reply = Result<(u16, Value), HttpError>;

/// A reply with this value.
pub fn reply<T: Serialize>(status: u16, value: &T) -> Reply {
    serde_json::to_value(value)
        .map(|value| (status, value))
        .map_err(HttpError::unavailable)
}

/// The route that API Gateway matched, e.g. `POST /v1/status/{id}`.
pub fn route(event: &Event) -> &str {
    event.route_key.as_deref().unwrap_or_default()
}

/// A path parameter; 404 with `what` if it is not of its type.
pub fn path<T: std::str::FromStr>(event: &Event, name: &str, what: &str) -> Result<T, HttpError> {
    let value = event.path_parameters.get(name).and_then(|text| text.parse().ok());
    value.ok_or_else(|| HttpError::new(404, format!("There is no such {what}.")))
}

/// The body's bytes.
pub fn bytes(event: &Event) -> Result<Vec<u8>, HttpError> {
    let body = event.body.as_deref().unwrap_or_default();
    if event.is_base64_encoded {
        BASE64_STANDARD
            .decode(body)
            .map_err(|_| HttpError::new(400, "The request could not be read."))
    } else {
        Ok(body.as_bytes().to_vec())
    }
}

/// The body as JSON of this type; 400 in plain words otherwise.
pub fn json<T: DeserializeOwned>(event: &Event) -> Result<T, HttpError> {
    let bytes = bytes(event)?;
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(bytes).map_err(|error| {
        let message = format!("The request could not be read: {}.", short(&error));
        HttpError {
            source: Some(error.into()),
            ..HttpError::new(400, message)
        }
    })
}

fn short(error: &impl Display) -> String {
    error.to_string().chars().take(160).collect()
}

/// Turns a handler's result into API Gateway's response, and logs it: one line a call.
pub fn respond(event: &ApiGatewayV2httpRequest, reply: Reply) -> Response {
    match log(event, reply) {
        Ok((status, body)) => response(status, "application/json", body.to_string()),
        Err(error) => refusal(&error),
    }
}

/// The same for a reply in plain text.
pub fn text(event: &ApiGatewayV2httpRequest, reply: Result<String, HttpError>) -> Response {
    match log(event, reply.map(|text| (200, text))) {
        Ok((status, text)) => response(status, "text/plain; charset=utf-8", text),
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &HttpError) -> Response {
    let mut body = json!({ "error": error.message });
    if let Some(credits) = error.credits {
        body["credits"] = credits.into();
    }
    response(error.status, "application/json", body.to_string())
}

/// The same for a page, under this content security policy; `problem` makes a page of what went wrong.
pub fn html(
    event: &ApiGatewayV2httpRequest,
    page: Result<String, HttpError>,
    problem: impl Fn(&str) -> String,
    policy: &'static str,
) -> Response {
    match log(event, page.map(|page| (200, page))) {
        Ok((status, page)) => page_response(status, page, policy),
        Err(error) => page_response(error.status, problem(&error.message), policy),
    }
}

/// Another page to go to.
#[derive(Debug)]
pub struct Redirect {
    /// Its address.
    pub location: String,
    /// A cookie for the browser, as `Set-Cookie` has it.
    pub cookie: Option<String>,
}

/// The same for a way to another page.
pub fn redirect(
    event: &ApiGatewayV2httpRequest,
    to: Result<Redirect, HttpError>,
    problem: impl Fn(&str) -> String,
    policy: &'static str,
) -> Response {
    let to = to.and_then(|to| {
        let location = HeaderValue::from_str(&to.location).map_err(HttpError::unavailable)?;
        Ok((303, (location, to.cookie)))
    });
    match log(event, to) {
        Ok((status, (location, cookie))) => {
            let mut response = page_response(status, String::new(), policy);
            response.headers.insert(LOCATION, location);
            response.cookies.extend(cookie);
            response
        }
        Err(error) => page_response(error.status, problem(&error.message), policy),
    }
}

fn page_response(status: u16, page: String, policy: &'static str) -> Response {
    let mut response = response(status, "text/html; charset=utf-8", page);
    response
        .headers
        .insert("content-security-policy", HeaderValue::from_static(policy));
    response
        .headers
        .insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

fn log<T>(event: &ApiGatewayV2httpRequest, reply: Result<(u16, T), HttpError>) -> Result<(u16, T), HttpError> {
    let route = route(event);
    match &reply {
        Ok((status, _)) => tracing::info!(http.route = route, http.status = status, "done"),
        Err(error) => {
            let (status, message) = (error.status, &error.message);
            let source = error.source.as_ref().map(|source| chain(source.as_ref()));
            if status >= 500 {
                tracing::error!(http.route = route, http.status = status, source, "{message}");
            } else {
                tracing::info!(http.route = route, http.status = status, source, "{message}");
            }
        }
    }
    reply
}

fn response(status: u16, content_type: &'static str, body: String) -> Response {
    let mut response = Response::default();
    response.status_code = i64::from(status);
    response
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
        .headers
        .insert("cache-control", HeaderValue::from_static("no-store"));
    response
        .headers
        .insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response.body = Some(Body::Text(body));
    response
}

/// An error with all that is behind it, in one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
