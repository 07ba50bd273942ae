//! Messages to open WebSockets.

use std::sync::Arc;

use aws_sdk_apigatewaymanagement::{
    Client,
    config::Builder,
    error::SdkError,
    operation::{delete_connection::DeleteConnectionError, post_to_connection::PostToConnectionError},
    primitives::Blob,
};
use model::ConnectionId;

use crate::{BoxFuture, aws::CallError};

/// A message did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The connection is closed.
    #[error("the connection is gone")]
    Gone,
    /// API Gateway or the way to it.
    #[error("a message was not sent")]
    Aws(#[from] CallError),
}

impl SocketError {
    /// Whether the same message may be sent later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Gone => false,
            Self::Aws(error) => error.retryable,
        }
    }
}

/// What sockets must be able to do.
pub trait SocketPort: std::fmt::Debug + Send + Sync {
    /// Sends a text.
    fn send<'a>(&'a self, to: &'a ConnectionId, text: &'a str) -> BoxFuture<'a, Result<(), SocketError>>;
    /// Closes a connection. One that is closed stays so.
    fn close<'a>(&'a self, connection: &'a ConnectionId) -> BoxFuture<'a, Result<(), SocketError>>;
    /// Makes the client ready.
    fn prime(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Open WebSockets.
#[derive(Debug, Clone)]
pub struct Sockets(Arc<dyn SocketPort>);

impl Sockets {
    /// Sockets over this port.
    pub fn new(port: impl SocketPort + 'static) -> Self {
        Self(Arc::new(port))
    }

    /// The WebSocket API of API Gateway whose connections are posted to below this address.
    pub fn api_gateway(sdk: &aws_config::SdkConfig, callback_url: &str) -> Self {
        let config = Builder::from(sdk).endpoint_url(callback_url).build();
        Self::new(Management(Client::from_conf(config)))
    }

    /// What is below, for whoever wraps or tests it.
    pub fn port(&self) -> &Arc<dyn SocketPort> {
        &self.0
    }

    /// Closes a connection. One that is closed stays so.
    pub async fn close(&self, connection: &ConnectionId) -> Result<(), SocketError> {
        self.0.close(connection).await
    }

    /// Sends a text.
    pub async fn send(&self, to: &ConnectionId, text: &str) -> Result<(), SocketError> {
        self.0.send(to, text).await
    }
}

#[derive(Debug)]
struct Management(Client);

pub(crate) const POST: &str = "apigateway PostToConnection";
const DELETE: &str = "apigateway DeleteConnection";

fn is_gone<E>(error: &SdkError<E>, gone: fn(&E) -> bool) -> bool {
    error.as_service_error().is_some_and(gone)
}

impl SocketPort for Management {
    fn send<'a>(&'a self, to: &'a ConnectionId, text: &'a str) -> BoxFuture<'a, Result<(), SocketError>> {
        Box::pin(async move {
            let post = self
                .0
                .post_to_connection()
                .connection_id(to.as_str())
                .data(Blob::new(text))
                .send()
                .await;
            match post {
                Ok(_) => Ok(()),
                Err(error) if is_gone(&error, PostToConnectionError::is_gone_exception) => Err(SocketError::Gone),
                Err(error) => Err(CallError::of(POST, error).into()),
            }
        })
    }

    fn close<'a>(&'a self, connection: &'a ConnectionId) -> BoxFuture<'a, Result<(), SocketError>> {
        Box::pin(async move {
            let delete = self
                .0
                .delete_connection()
                .connection_id(connection.as_str())
                .send()
                .await;
            match delete {
                Ok(_) => Ok(()),
                Err(error) if is_gone(&error, DeleteConnectionError::is_gone_exception) => Ok(()),
                Err(error) => Err(CallError::of(DELETE, error).into()),
            }
        })
    }

    fn prime(&self) -> BoxFuture<'_, ()> {
        // There is no such connection, or the role may not ask, which is as good.
        let post = self.0.post_to_connection().connection_id("prime").data(Blob::new("{}"));
        Box::pin(async move { drop(post.send().await) })
    }
}
