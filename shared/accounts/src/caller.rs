use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{FromRequestParts, MatchedPath, Request},
    http::request::Parts,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use cloud::http::{HttpError, nothing_here};
use lambda_http::request::RequestContext;
use model::{PoolId, Role, TeamId, UserId, WorkerId};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;

use crate::access::{self, Access};

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
    /// The user's device that it was given to.
    pub device: Option<String>,
    /// A worker's generation.
    pub generation: Option<u32>,
    /// A worker's pool.
    pub pool: Option<PoolId>,
}

/// How long API Gateway keeps an answer of the authorizer (`AuthorizerResultTtlInSeconds`).
const KEPT: Duration = Duration::from_mins(1);

impl Caller {
    /// Reads the authorizer's context. 401 if the token was refused, or if there is none; 503 if
    /// nobody could tell.
    pub fn from_context<'a>(value: impl Fn(&str) -> Option<&'a Value>) -> Result<Self, HttpError> {
        let text = |name: &str| value(name).and_then(Value::as_str);
        // API Gateway hands numbers of a WebSocket's context over as text.
        let number = |name: &str| {
            value(name).and_then(|it| it.as_u64().or_else(|| it.as_str().and_then(|text| text.parse().ok())))
        };
        if let Some(reason) = text("refused") {
            return Err(HttpError::new(401, format!("Please sign in again: {reason}.")));
        }
        if value("unavailable").is_some() {
            return Err(HttpError::unavailable("the authorizer could not read who calls").later(KEPT));
        }
        let known = || -> Option<Self> {
            Some(Self {
                // What is no id is nobody's, and no key of a table.
                sub: text("sub")?.parse::<UserId>().ok()?.to_string(),
                team: text("team")?.parse().ok()?,
                role: serde_json::from_value(Value::from(text("role")?)).ok()?,
                iat: number("iat")?,
                device: text("device").map(str::to_owned),
                generation: number("generation").and_then(|it| u32::try_from(it).ok()),
                pool: text("pool").map(PoolId::new),
            })
        };
        known().ok_or_else(|| HttpError::new(401, "Please sign in."))
    }

    /// The caller, if their role is one of these.
    pub fn must_be(self, roles: &[Role]) -> Result<Self, HttpError> {
        if roles.contains(&self.role) {
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

/// Stands before every route of a router: whoever [`access::ROUTES`] does not admit goes no further, and a route that is
/// not in the table is closed, so that no handler can forget to look.
async fn guard(mut request: Request, next: Next) -> Response {
    match admitted(&request) {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

/// The router of a function with this state: every route is guarded, and what there is no route for gets our words.
pub fn router<A: Send + Sync + 'static>(routes: OpenApiRouter<Arc<A>>, app: impl Into<Arc<A>>) -> Router {
    let (router, _) = routes.split_for_parts();
    router
        .route_layer(from_fn(guard))
        .fallback(nothing_here)
        .method_not_allowed_fallback(nothing_here)
        .with_state(app.into())
}

fn admitted(request: &Request) -> Result<Option<Caller>, HttpError> {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("", MatchedPath::as_str);
    match access::of(request.method().as_str(), path) {
        None => Err(HttpError::broken(format!("{path} is not in the table of routes"))),
        Some(Access::Open | Access::Itself(_) | Access::Session(_)) => Ok(None),
        Some(Access::Roles(roles)) => {
            let context = request.extensions().get::<RequestContext>();
            let fields = context.and_then(RequestContext::authorizer).map(|it| &it.fields);
            let caller = Caller::from_context(|name| fields.and_then(|it| it.get(name)))?;
            caller.must_be(roles).map(Some)
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = HttpError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| HttpError::new(401, "Please sign in."))
    }
}
