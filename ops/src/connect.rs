//! The way to AWS.

use anyhow::{Context, Result};
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;

/// The SDK's configuration, if there are a region and credentials: found out before the first call, since what the SDK
/// says about it then helps nobody.
pub async fn connect() -> Result<SdkConfig> {
    let sdk = cloud::sdk_config().await;
    sdk.region()
        .context("there is no AWS region; set AWS_REGION to the stack's, e.g. AWS_REGION=us-east-1")?;
    let provider = sdk.credentials_provider();
    let found = match &provider {
        Some(provider) => provider
            .provide_credentials()
            .await
            .map(drop)
            .map_err(anyhow::Error::from),
        None => Err(anyhow::anyhow!("nothing provides credentials")),
    };
    found.context(
        "there are no AWS credentials; set AWS_PROFILE, or take over those of the AWS CLI with \
         `eval \"$(aws configure export-credentials --format env)\"`",
    )?;
    Ok(sdk)
}
