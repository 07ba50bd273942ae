use std::str::FromStr;

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    http::{header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use model::{DocumentId, GroupId, Millis, TaskId, WorkerId};
use serde::{Serialize, de::DeserializeOwned};

use super::HttpError;

/// The moment of the call. Handlers pass it down; nothing pure asks a clock.
#[derive(Debug, Clone, Copy)]
pub struct Now(pub Millis);

impl<S: Sync> FromRequestParts<S> for Now {
    type Rejection = HttpError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let now = parts.extensions.get::<Self>().copied();
        now.ok_or_else(|| HttpError::broken("the request does not say when it came"))
    }
}

/// A body as JSON of this type. One that is empty counts as `{}`; what cannot be read is a 400 in plain words.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = HttpError;
    async fn from_request(request: Request, _: &S) -> Result<Self, HttpError> {
        let bytes = body(request).await?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(bytes).map(Self).map_err(|error| unread(&error))
    }
}

/// A body that is not what it should be. What was sent is not repeated, since the words go into the log, too.
fn unread(error: &serde_json::Error) -> HttpError {
    let said = error.to_string();
    // `invalid type: string "…", expected …`, and the like with other quotes.
    let quoted = |quote| Some((said.find(quote)?, said.rfind(quote)?));
    let text = match quoted('"').or_else(|| quoted('`').filter(|_| !said.starts_with("missing"))) {
        Some((from, to)) if from < to => format!("{}…{}", &said[..from], &said[to + 1..]),
        _ => said,
    };
    let short: String = text.chars().take(160).collect();
    HttpError::new(400, format!("The request could not be read: {short}."))
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(text) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
            Err(error) => HttpError::broken(error).into_response(),
        }
    }
}

/// The body as it came.
#[derive(Debug)]
pub struct Raw(pub Bytes);

impl<S: Sync> FromRequest<S> for Raw {
    type Rejection = HttpError;
    async fn from_request(request: Request, _: &S) -> Result<Self, HttpError> {
        body(request).await.map(Self)
    }
}

/// The body as the fields of a form; one that is missing is empty.
#[derive(Debug)]
pub struct Form(Bytes);

impl Form {
    /// The first field of this name, without space around it.
    pub fn field(&self, name: &str) -> String {
        let mut pairs = form_urlencoded::parse(&self.0);
        let found = pairs.find(|(key, _)| key == name);
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    }
}

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = HttpError;
    async fn from_request(request: Request, _: &S) -> Result<Self, HttpError> {
        body(request).await.map(Self)
    }
}

/// API Gateway takes no larger body than 10 MB, Lambda none over 6 MB.
const LARGEST: usize = 10 * 1024 * 1024;

async fn body(request: Request) -> Result<Bytes, HttpError> {
    let bytes = to_bytes(request.into_body(), LARGEST).await;
    bytes.map_err(|error| HttpError::new(400, "The request could not be read.").because(error))
}

/// The query's parameters; one that is missing is none.
#[derive(Debug, Default)]
pub struct Query(String);

impl Query {
    /// The first parameter of this name.
    pub fn first(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.0.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = HttpError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        Ok(Self(parts.uri.query().unwrap_or_default().to_owned()))
    }
}

/// What a path names.
pub trait PathName: FromStr {
    /// The path's parameter.
    const PARAMETER: &str;
    /// What it is, in words.
    const WHAT: &str;
}

impl PathName for TaskId {
    const PARAMETER: &str = "id";
    const WHAT: &str = "task";
}

impl PathName for DocumentId {
    const PARAMETER: &str = "document";
    const WHAT: &str = "document";
}

impl PathName for GroupId {
    const PARAMETER: &str = "id";
    const WHAT: &str = "group";
}

impl PathName for WorkerId {
    const PARAMETER: &str = "id";
    const WHAT: &str = "worker";
}

/// What the path names; a 404 if it cannot be a name of that.
#[derive(Debug)]
pub struct PathId<T>(pub T);

impl<S: Send + Sync, T: PathName> FromRequestParts<S> for PathId<T> {
    type Rejection = HttpError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let none = || HttpError::new(404, format!("There is no such {}.", T::WHAT));
        let parameters = RawPathParams::from_request_parts(parts, state).await;
        let parameters = parameters.map_err(|error| none().because(error))?;
        let value = parameters.iter().find(|(name, _)| *name == T::PARAMETER);
        value.and_then(|(_, text)| text.parse().ok()).map(Self).ok_or_else(none)
    }
}
