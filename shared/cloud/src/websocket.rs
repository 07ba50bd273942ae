//! WebSocket events as API Gateway hands them over.

use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use model::ConnectionId;

use crate::http::{Caller, HttpError};

pub use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest as Event;

/// The route that API Gateway matched: `$connect`, `$disconnect`, an action, or `$default`.
pub fn route(event: &ApiGatewayWebsocketProxyRequest) -> &str {
    event.request_context.route_key.as_deref().unwrap_or_default()
}

/// The connection.
pub fn connection(event: &ApiGatewayWebsocketProxyRequest) -> Result<ConnectionId, HttpError> {
    let id = event.request_context.connection_id.as_deref();
    id.map(ConnectionId::new)
        .ok_or_else(|| HttpError::new(400, "There is no connection."))
}

/// Who is connected, as the authorizer found out at `$connect`.
pub fn caller(event: &ApiGatewayWebsocketProxyRequest) -> Result<Caller, HttpError> {
    let authorizer = &event.request_context.authorizer;
    Caller::from_context(|name| authorizer.fields.get(name))
}
