//! The one way in, where the studio has put a firewall in front of its APIs (`edge.yaml`).

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::HeaderMap,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use cloud::{Env, http::HttpError};
use lambda_http::request::RequestContext;

use crate::fingerprint;

/// Header with the secret by which the firewall is known.
pub const HEADER: &str = "x-atelier-edge";
/// Header with the caller's address as the firewall saw it: for API Gateway the firewall is the caller.
const VIEWER: &str = "x-atelier-viewer";

/// How a call is known that came through the firewall. Without one, every call is let through.
#[derive(Debug, Clone, Default)]
pub struct Edge(Option<String>);

impl Edge {
    /// Known by a secret with this fingerprint.
    pub const fn known_by(fingerprint: String) -> Self {
        Self(Some(fingerprint))
    }

    /// Reads the configuration.
    pub fn read<F: Fn(&str) -> Option<String>>(env: &Env<F>) -> Self {
        Self(env.optional("EDGE_FINGERPRINT"))
    }

    /// Whether a call with this secret, or none, may go on.
    pub fn admits(&self, secret: Option<&str>) -> bool {
        self.0
            .as_ref()
            .is_none_or(|known| secret.is_some_and(|secret| fingerprint(secret) == *known))
    }

    /// The same router behind it: nobody comes to any route past the firewall.
    pub fn before(self, router: Router) -> Router {
        if self.0.is_none() {
            return router;
        }
        router.layer(from_fn_with_state(Arc::new(self), look))
    }
}

async fn look(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    if !edge.admits(text(request.headers(), HEADER)) {
        return HttpError::new(403, "Please use the studio's own address.").into_response();
    }
    if let Some(viewer) = text(request.headers(), VIEWER).map(str::to_owned)
        && let Some(RequestContext::ApiGatewayV2(context)) = request.extensions_mut().get_mut()
    {
        context.http.source_ip = Some(viewer);
    }
    next.run(request).await
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
