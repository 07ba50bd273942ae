//! Keeps the worker registered: asks for a token whenever there is none, for as long as it takes.

use std::sync::Arc;

use model::worker_api::{PROTOCOL, Register, Registered};
use tokio::sync::mpsc;

use super::{
    api::{CloudApi, CloudError},
    identity::{InstanceIdentity, ProofError},
};
use crate::{backoff::Backoff, config::Timing, error::chain, event::Event};

#[derive(Debug, thiserror::Error)]
enum RegisterError {
    #[error("no proof of identity")]
    Proof(#[from] ProofError),
    #[error("registering failed")]
    Call(#[from] CloudError),
}

/// Registers at once and after each loss of the token, until the agent is gone or the API wants no such worker.
pub(crate) async fn keep_registered(
    api: Arc<CloudApi>,
    identity: InstanceIdentity,
    image: Option<String>,
    timing: Timing,
    events: mpsc::Sender<Event>,
) {
    loop {
        api.token_lost().await;
        let event = register(&api, &identity, image.as_ref(), &timing).await;
        let dismissed = matches!(event, Event::Dismissed);
        if events.send(event).await.is_err() || dismissed {
            return;
        }
    }
}

async fn register(api: &CloudApi, identity: &InstanceIdentity, image: Option<&String>, timing: &Timing) -> Event {
    let (mut troubled, mut refused) = (Backoff::new(timing.retry), Backoff::new(timing.refused));
    loop {
        match once(api, identity, image).await {
            Ok(registered) => {
                tracing::info!(pool = %registered.pool, "registered");
                return Event::Registered(Box::new(registered));
            }
            Err(RegisterError::Call(CloudError::Refused { status: 410, reason })) => {
                tracing::error!(reason, "the API speaks another protocol than this worker");
                return Event::Dismissed;
            }
            Err(RegisterError::Call(error @ (CloudError::Refused { .. } | CloudError::Unauthorized))) => {
                tracing::error!(
                    error = chain(&error),
                    "the API does not take this worker; trying again later"
                );
                refused.wait().await;
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "not registered yet");
                troubled.wait().await;
            }
        }
    }
}

async fn once(
    api: &CloudApi,
    identity: &InstanceIdentity,
    image: Option<&String>,
) -> Result<Registered, RegisterError> {
    let proof = identity.proof().await?;
    Ok(api
        .register(&Register {
            proof,
            protocol: PROTOCOL,
            image: image.cloned(),
            release: Some(env!("CARGO_PKG_VERSION").to_owned()),
        })
        .await?)
}
