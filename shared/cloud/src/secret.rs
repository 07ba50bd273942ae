//! Secrets Manager: the key that signs tokens, and what the OIDC provider knows us by.

use aws_sdk_secretsmanager::Client;

use crate::BoxError;

/// The secret could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the secret {name} could not be {action}; `ops seed` stores the signing key")]
pub struct SecretError {
    name: String,
    action: &'static str,
    #[source]
    source: BoxError,
}

/// Reads the secret with this name or ARN.
pub async fn read(sdk: &aws_config::SdkConfig, name: &str) -> Result<String, SecretError> {
    let fail = |source: BoxError| SecretError {
        name: name.to_owned(),
        action: "read",
        source,
    };
    let value = Client::new(sdk)
        .get_secret_value()
        .secret_id(name)
        .send()
        .await
        .map_err(|error| fail(error.into()))?;
    value.secret_string.ok_or_else(|| fail("the secret has no text".into()))
}

/// Writes the secret with this name or ARN.
pub async fn write(sdk: &aws_config::SdkConfig, name: &str, text: &str) -> Result<(), SecretError> {
    let put = Client::new(sdk)
        .put_secret_value()
        .secret_id(name)
        .secret_string(text)
        .send()
        .await;
    put.map(drop).map_err(|error| SecretError {
        name: name.to_owned(),
        action: "written",
        source: error.into(),
    })
}
