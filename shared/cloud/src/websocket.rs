//! WebSocket events as API Gateway hands them over.

use std::collections::HashMap;

use model::ConnectionId;
use serde_json::Value;

use crate::http::HttpError;

pub use lambda_http::aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest as Event;

/// The route that API Gateway matched: `$connect`, `$disconnect`, an action, or `$default`.
pub fn route(event: &Event) -> &str {
    event.request_context.route_key.as_deref().unwrap_or_default()
}

/// The connection.
pub fn connection(event: &Event) -> Result<ConnectionId, HttpError> {
    let id = event.request_context.connection_id.as_deref();
    id.map(ConnectionId::new)
        .ok_or_else(|| HttpError::new(400, "There is no connection."))
}

/// What the authorizer found out at `$connect`.
pub fn authorized(event: &Event) -> &HashMap<String, Value> {
    &event.request_context.authorizer.fields
}
