//! How long a page may take.

use std::time::Duration;

use axum::{
    extract::Request,
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use cloud::http::HttpError;
use tokio::time::timeout;

use crate::Problem;

/// A call to a table that is silent ends after 8 s; several of them one after the other must not, since Lambda cuts a function off
/// after ten (`Timeout` in `template.yaml`), and then nobody says anything in words.
pub const PATIENCE: Duration = Duration::from_millis(8500);

/// Stands around the routes of pages: whatever is not there in time is given up, in words.
pub async fn in_time(request: Request, next: Next) -> Response {
    let asks = request.method() == Method::GET;
    let words = if asks {
        "Your studio’s tables answer slowly. Open this page again in a minute."
    } else {
        "Your studio’s tables answer slowly, and it is not known whether that was done. Look at the page again before you repeat it."
    };
    match timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::from(HttpError::new(503, words)).into_response(),
    }
}
