//! Who may call what: one table of every HTTP route, read by every function's router and walked by a test.

use model::Role;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone, without a token.
    Open,
    /// Whose token says one of these roles.
    Roles(&'static [Role]),
    /// The same, but the function itself looks at the token: API Gateway lets nobody past an authorizer who brings none, and
    /// here a browser without one is shown the way.
    Itself(&'static [Role]),
    /// Whose browser is signed in as one of these. Browsers bring a cookie, which API Gateway's authorizer does not look for.
    Session(&'static [Role]),
}

impl Access {
    /// Whether somebody of this role may call.
    pub fn admits(self, role: Role) -> bool {
        match self {
            Self::Open => true,
            Self::Roles(roles) | Self::Itself(roles) | Self::Session(roles) => roles.contains(&role),
        }
    }
}

/// Whoever paints: a lead or an operator does what a painter may.
pub const PAINTERS: &[Role] = &[Role::Painter, Role::Lead, Role::Operator];
/// The render machines.
pub const WORKERS: &[Role] = &[Role::Worker];

/// Method and path as API Gateway and the routers have them, and who may call.
pub const ROUTES: &[(&str, Access)] = &[
    ("GET /v1/openapi.json", Access::Open),
    ("GET /v1", Access::Open),
    ("GET /v1/checkout/{item}", Access::Open),
    ("GET /v1/user", Access::Itself(PAINTERS)),
    ("GET /v1/account", Access::Session(PAINTERS)),
    ("GET /v1/account/picture", Access::Session(PAINTERS)),
    ("POST /v1/sign-out", Access::Session(PAINTERS)),
    ("GET /v1/studio", Access::Session(PAINTERS)),
    ("GET /v1/studio/audit", Access::Session(PAINTERS)),
    ("GET /v1/studio/act", Access::Session(PAINTERS)),
    ("POST /v1/studio/act", Access::Session(PAINTERS)),
    ("POST /v1/studio/ticket", Access::Session(PAINTERS)),
    ("GET /v1/studio/history", Access::Session(PAINTERS)),
    ("POST /v1/studio/history", Access::Session(PAINTERS)),
    ("GET /v1/studio/history/steps", Access::Session(PAINTERS)),
    ("GET /v1/studio/history/export", Access::Session(PAINTERS)),
    ("GET /v1/studio/script.js", Access::Open),
    ("GET /v1/groups/{id}/page", Access::Session(PAINTERS)),
    ("POST /v1/groups/{id}/page", Access::Session(PAINTERS)),
    ("GET /v1/plugin/latest", Access::Open),
    ("GET /v1/plugin/resources", Access::Roles(PAINTERS)),
    ("POST /v1/auth/initiate", Access::Open),
    ("POST /v1/auth/confirm", Access::Open),
    ("GET /v1/sign-in", Access::Open),
    ("POST /v1/sign-in", Access::Open),
    ("GET /v1/sign-in/provider", Access::Open),
    ("GET /v1/sign-in/callback", Access::Open),
    ("POST /v1/generate", Access::Roles(PAINTERS)),
    ("POST /v1/status/{id}", Access::Roles(PAINTERS)),
    ("GET /v1/tasks", Access::Roles(PAINTERS)),
    ("GET /v1/tasks/{id}", Access::Roles(PAINTERS)),
    ("POST /v1/tasks/{id}/applied", Access::Roles(PAINTERS)),
    ("GET /v1/history", Access::Roles(PAINTERS)),
    ("DELETE /v1/history", Access::Roles(PAINTERS)),
    ("GET /v1/history/{document}", Access::Roles(PAINTERS)),
    ("PUT /v1/history/{document}", Access::Roles(PAINTERS)),
    ("DELETE /v1/history/{document}", Access::Roles(PAINTERS)),
    ("DELETE /v1/tasks/{id}", Access::Roles(PAINTERS)),
    ("POST /v1/tasks/{id}/keep", Access::Roles(PAINTERS)),
    ("DELETE /v1/tasks/{id}/keep", Access::Roles(PAINTERS)),
    ("GET /v1/groups", Access::Roles(PAINTERS)),
    ("GET /v1/groups/{id}", Access::Roles(PAINTERS)),
    ("POST /v1/groups/{id}/cancel", Access::Roles(PAINTERS)),
    ("POST /v1/cancel/{worker}/{id}", Access::Roles(PAINTERS)),
    ("POST /v1/upload/image", Access::Roles(PAINTERS)),
    ("POST /v1/upload/lora", Access::Roles(PAINTERS)),
    ("POST /v1/admin/cost", Access::Roles(PAINTERS)),
    ("GET /v1/models", Access::Roles(PAINTERS)),
    ("GET /v1/models/{id}", Access::Roles(PAINTERS)),
    ("PATCH /v1/models/{id}", Access::Roles(PAINTERS)),
    ("DELETE /v1/models/{id}", Access::Roles(PAINTERS)),
    ("POST /v1/models/{id}/restore", Access::Roles(PAINTERS)),
    ("POST /v1/models/uploads", Access::Roles(PAINTERS)),
    ("GET /v1/models/uploads/{id}", Access::Roles(PAINTERS)),
    ("POST /v1/models/uploads/{id}/parts", Access::Roles(PAINTERS)),
    ("POST /v1/models/uploads/{id}/complete", Access::Roles(PAINTERS)),
    ("DELETE /v1/models/uploads/{id}", Access::Roles(PAINTERS)),
    // A worker proves itself there: it has no token yet.
    ("POST /v1/workers/register", Access::Open),
    ("POST /v1/workers/{id}/claim", Access::Roles(WORKERS)),
    ("POST /v1/workers/{id}/heartbeat", Access::Roles(WORKERS)),
    ("POST /v1/workers/{id}/result", Access::Roles(WORKERS)),
    ("POST /v1/workers/{id}/failure", Access::Roles(WORKERS)),
    ("POST /v1/workers/{id}/urls", Access::Roles(WORKERS)),
];

/// Who may call this route; none if there is no such route.
pub fn of(method: &str, path: &str) -> Option<Access> {
    let found = ROUTES
        .iter()
        .find(|(route, _)| route.split_once(' ') == Some((method, path)));
    found.map(|(_, access)| *access)
}
