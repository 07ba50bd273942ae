//! How a worker proves which instance it is: a signed STS `GetCallerIdentity` request, of which only the headers travel.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use model::{
    WorkerId,
    worker_api::{AUDIENCE_HEADER, PROOF_BODY, WORKER_HEADER, sts_host},
};

/// No proof could be made.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// Neither the instance's role nor the environment gave credentials.
    #[error("there are no AWS credentials to prove who this worker is")]
    Credentials(#[source] aws_credential_types::provider::error::CredentialsError),
    /// The signature could not be made.
    #[error("the proof of identity could not be signed")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Proves which instance this worker is.
#[derive(Debug)]
pub struct InstanceIdentity {
    credentials: SharedCredentialsProvider,
    region: String,
    audience: String,
    worker: WorkerId,
    /// The API takes each date only once, in whole seconds.
    last: AtomicU64,
}

impl InstanceIdentity {
    /// Proofs signed with these credentials by the STS of `region`, good for `audience` only.
    pub fn new(
        credentials: impl ProvideCredentials + 'static,
        region: impl Into<String>,
        audience: impl Into<String>,
        worker: WorkerId,
    ) -> Self {
        Self {
            credentials: SharedCredentialsProvider::new(credentials),
            region: region.into(),
            audience: audience.into(),
            worker,
            last: AtomicU64::new(0),
        }
    }

    /// Headers of a freshly signed request, each time with a later date.
    pub async fn proof(&self) -> Result<BTreeMap<String, String>, ProofError> {
        let credentials = self
            .credentials
            .provide_credentials()
            .await
            .map_err(ProofError::Credentials)?;
        self.sign(credentials, self.date()).map_err(ProofError::Sign)
    }

    fn date(&self) -> SystemTime {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let after = |last: u64| now.max(last + 1);
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)));
        UNIX_EPOCH + Duration::from_secs(last.map_or(now, after))
    }

    fn sign(
        &self,
        credentials: Credentials,
        date: SystemTime,
    ) -> Result<BTreeMap<String, String>, Box<dyn std::error::Error + Send + Sync>> {
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("sts")
            .time(date)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let mut headers = BTreeMap::from([
            (
                "content-type".to_owned(),
                "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
            ),
            (AUDIENCE_HEADER.to_owned(), self.audience.clone()),
            (WORKER_HEADER.to_owned(), self.worker.to_string()),
        ]);
        let url = format!("https://{}/", sts_host(&self.region));
        let request = SignableRequest::new(
            "POST",
            url,
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            SignableBody::Bytes(PROOF_BODY.as_bytes()),
        )?;
        let (signed, _) = sign(request, &params)?.into_parts();
        let added: Vec<_> = signed
            .headers()
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        headers.extend(added);
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_proof_signs_what_it_is_meant_for() {
        let credentials =
            aws_credential_types::Credentials::new("AKID", "secret", Some("session".into()), None, "test");
        let identity = InstanceIdentity::new(credentials, "eu-central-1", "atelier", WorkerId::new("w-1"));
        let proof = identity.proof().await.unwrap();
        let authorization = &proof["authorization"];
        assert!(
            authorization.contains("/eu-central-1/sts/aws4_request"),
            "{authorization}"
        );
        assert!(
            authorization.contains(
                "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-atelier-audience;x-atelier-worker"
            ),
            "{authorization}"
        );
        assert_eq!(proof["x-amz-security-token"], "session");
        assert_eq!(proof[AUDIENCE_HEADER], "atelier");
        assert_eq!(proof[WORKER_HEADER], "w-1");
        let again = identity.proof().await.unwrap();
        assert!(again["x-amz-date"] > proof["x-amz-date"], "dates must rise");
    }
}
