use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BoxError, StoreError, bucket::BucketError, retry::MayConflict};

/// Whether the same call may succeed later.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not as it is.
    #[default]
    No,
    /// After this time.
    After(Duration),
    /// At once, if everything is read and decided again: somebody else wrote in between.
    Conflict,
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
    /// Whether to try again.
    pub retry: Retry,
    /// What is behind it; logged, never sent.
    #[source]
    pub source: Option<BoxError>,
}

/// After a failure of ours a client does well to wait this long.
const PAUSE: Duration = Duration::from_secs(1);

impl HttpError {
    /// An error with these words.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            credits: None,
            retry: Retry::No,
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

    /// Too much at once; in this time there is room again.
    pub fn too_many(message: impl Into<String>, wait: Duration) -> Self {
        Self {
            retry: Retry::After(wait),
            ..Self::new(429, message)
        }
    }

    /// Something of ours does not work at the moment.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::new(503, "The server has a problem at the moment. Please try again.")
            .because(source)
            .later(PAUSE)
    }

    /// Something of ours does not work, and trying again does not help.
    pub fn broken(source: impl Into<BoxError>) -> Self {
        Self::new(500, "The server cannot do this. Please tell whoever looks after it.").because(source)
    }

    fn ours(retryable: bool, source: impl Into<BoxError>) -> Self {
        if retryable {
            Self::unavailable(source)
        } else {
            Self::broken(source)
        }
    }

    /// With what is behind it.
    #[must_use]
    pub fn because(self, source: impl Into<BoxError>) -> Self {
        Self {
            source: Some(source.into()),
            ..self
        }
    }

    /// To be tried again after this time.
    #[must_use]
    pub fn later(self, wait: Duration) -> Self {
        Self {
            retry: Retry::After(wait),
            ..self
        }
    }

    /// Whole seconds after which the client is to try again.
    fn retry_after(&self) -> Option<u64> {
        match self.retry {
            Retry::No => None,
            Retry::After(wait) => Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            Retry::Conflict => Some(PAUSE.as_secs()),
        }
    }
}

impl From<StoreError> for HttpError {
    fn from(error: StoreError) -> Self {
        if error.is_conflict() {
            return Self {
                retry: Retry::Conflict,
                ..Self::unavailable(error)
            };
        }
        Self::ours(error.is_retryable(), error)
    }
}

impl From<BucketError> for HttpError {
    fn from(error: BucketError) -> Self {
        Self::ours(error.is_retryable(), error)
    }
}

impl MayConflict for HttpError {
    fn is_conflict(&self) -> bool {
        self.retry == Retry::Conflict
    }
}

/// Ours of an error: what the client sees.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong and what to do, in plain words.
    pub error: String,
    /// With a 402: the whole credits that are left of this month's budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credits: Option<u64>,
}

/// API Gateway's own of an error: it answers by itself when it does not ask us.
#[derive(Debug, ToSchema)]
pub struct GatewayError {
    /// Its words.
    #[schema(required)]
    pub message: Option<String>,
}

/// What the log says of a refusal: it travels with the response, and never leaves the process.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) source: Option<String>,
}

impl HttpError {
    /// The log's part of it, for a reply that is a page instead of `{"error"}`.
    pub fn note(&self, response: &mut Response) {
        response.extensions_mut().insert(Refusal {
            message: self.message.clone(),
            source: self.source.as_ref().map(|source| crate::chain(source.as_ref())),
        });
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = ErrorBody {
            error: self.message.clone(),
            credits: self.credits,
        };
        let mut response = (status, Json(body)).into_response();
        self.note(&mut response);
        response
    }
}
