//! Messages to open WebSockets.

use std::sync::Arc;

use aws_sdk_apigatewaymanagement::{
    Client, config::Builder, operation::post_to_connection::PostToConnectionError, primitives::Blob,
};
use model::ConnectionId;

use crate::{BoxError, BoxFuture};

/// A message did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The connection is closed.
    #[error("the connection is gone")]
    Gone,
    /// API Gateway or the way to it.
    #[error("PostToConnection failed")]
    Aws(#[source] BoxError),
}

/// What sockets must be able to do.
pub trait SocketPort: std::fmt::Debug + Send + Sync {
    /// Sends a text.
    fn send<'a>(&'a self, to: &'a ConnectionId, text: &'a str) -> BoxFuture<'a, Result<(), SocketError>>;
}

/// Open WebSockets.
#[derive(Debug, Clone)]
pub struct Sockets(Arc<dyn SocketPort>);

impl Sockets {
    /// Sockets over this port.
    pub fn new(port: impl SocketPort + 'static) -> Self {
        Self(Arc::new(port))
    }

    /// Sends a text.
    pub async fn send(&self, to: &ConnectionId, text: &str) -> Result<(), SocketError> {
        self.0.send(to, text).await
    }

    pub(crate) async fn prime(&self) {
        let _ = self.send(&ConnectionId::new("prime"), "{}").await;
    }
}

#[derive(Debug)]
pub(crate) struct Management(Client);

impl Management {
    pub(crate) fn new(sdk: &aws_config::SdkConfig, callback_url: &str) -> Self {
        Self(Client::from_conf(Builder::from(sdk).endpoint_url(callback_url).build()))
    }
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
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(PostToConnectionError::is_gone_exception) =>
                {
                    Err(SocketError::Gone)
                }
                Err(error) => Err(SocketError::Aws(error.into())),
            }
        })
    }
}
