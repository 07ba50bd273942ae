//! HTTP on `lambda_http`: what a request gives, what a reply is, and how an axum router answers API Gateway's events.
//!
//! Every refusal, the router's own included, is `{"error": "plain words"}`; a 429 and a 503 say when to try again.

mod error;
mod extract;
mod serve;

pub use error::{ErrorBody, GatewayError, HttpError, Retry};
pub use extract::{Form, Json, Now, PathId, PathName, Query, Raw};
pub use serve::{Event, Reply, Router, answer, event, nothing_here, serve, serve_beside};
