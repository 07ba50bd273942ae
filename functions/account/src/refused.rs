//! What this function refuses by itself is counted with what `authorize` refuses: here nobody stands before a route.

use axum::{
    extract::{MatchedPath, Request},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use cloud::metrics;
use model::metrics::REFUSED_LOGINS;

/// Stands around every route. Whoever is not let in, too fast, or without a sign-in that still waits, is counted.
pub(crate) async fn counted(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map_or("", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let signs_in = path.contains("/auth/") || path.contains("/sign-in");
    let refused = match response.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => signs_in,
        _ => false,
    };
    if refused {
        note(&format!("{path} answers {}", response.status().as_u16()));
    }
    response
}

/// Counts one who was not let in, and why.
pub(crate) fn note(why: &str) {
    metrics::note([REFUSED_LOGINS.of(1.0)], &[("refused", &why)]);
}
