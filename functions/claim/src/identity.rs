//! How a worker proves itself: headers of an STS `GetCallerIdentity` request, signed with its instance role.
//!
//! We build host, method and body ourselves, so the headers can be used for nothing else and reach no other host.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cloud::{BoxError, BoxFuture, http::HttpError};
use model::{
    InstanceId, Millis, WorkerId,
    worker_api::{AUDIENCE_HEADER, PROOF_BODY, WORKER_HEADER, sts_host},
};

/// How far a proof's date may be from our clock.
const AGE: Duration = Duration::from_mins(5);

/// A proof that is well formed: still to be checked by STS.
#[derive(Debug, PartialEq, Eq)]
pub struct Proof {
    /// Who it claims to be.
    pub worker_id: WorkerId,
    /// When it was signed, seconds.
    pub date: u64,
    /// The headers to send to STS.
    pub headers: BTreeMap<String, String>,
}

/// Reads a proof: audience and worker must be signed, and the date near ours.
pub fn read(headers: &BTreeMap<String, String>, audience: &str, now: Millis) -> Result<Proof, HttpError> {
    let bad = |why: &str| HttpError::new(403, format!("The proof of identity is not good: {why}."));
    let get = |name: &str| headers.get(name).map(String::as_str).unwrap_or_default();
    let signed = get("authorization")
        .split("SignedHeaders=")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    let signed: Vec<_> = signed.unwrap_or_default().trim().split(';').collect();
    if !get("authorization").starts_with("AWS4-HMAC-SHA256 ") {
        return Err(bad("it is not signed"));
    }
    if !["host", "x-amz-date", AUDIENCE_HEADER, WORKER_HEADER]
        .iter()
        .all(|name| signed.contains(name))
    {
        return Err(bad("audience, worker, date or host are not signed"));
    }
    if get(AUDIENCE_HEADER) != audience {
        return Err(bad("it is for another installation"));
    }
    let date = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", get("x-amz-date"))
        .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC))
        .ok()
        .and_then(|date| u64::try_from(date.timestamp().as_second()).ok())
        .ok_or_else(|| bad("it has no date"))?;
    if date.abs_diff(now.seconds()) > AGE.as_secs() {
        return Err(bad("it is too old, or a clock is wrong"));
    }
    let worker_id = get(WORKER_HEADER).parse().map_err(|_| bad("it names no worker"))?;
    let allowed = |name: &str| {
        matches!(
            name,
            "authorization" | "x-amz-date" | "x-amz-security-token" | AUDIENCE_HEADER | WORKER_HEADER
        ) || name == "content-type"
    };
    let headers = headers
        .iter()
        .filter(|(name, _)| allowed(name))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    Ok(Proof {
        worker_id,
        date,
        headers,
    })
}

/// STS could not be asked, or said no.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The signature is not good, or the credentials are not valid any more.
    #[error("sts refused the proof with status {0}")]
    Refused(u16),
    /// STS or the way to it.
    #[error("sts could not be asked")]
    Unavailable(#[source] BoxError),
}

/// Asks who signed some headers.
pub trait IdentityPort: std::fmt::Debug + Send + Sync {
    /// The ARN of the signer.
    fn ask<'a>(&'a self, headers: &'a BTreeMap<String, String>) -> BoxFuture<'a, Result<String, IdentityError>>;
}

/// Finds out who signed a proof and whether it is an instance of ours.
#[derive(Debug, Clone)]
pub struct CallerIdentity {
    port: Arc<dyn IdentityPort>,
    role_arn: String,
}

impl CallerIdentity {
    /// Over this port; workers have this role.
    pub fn new(port: impl IdentityPort + 'static, role_arn: &str) -> Self {
        Self {
            port: Arc::new(port),
            role_arn: role_arn.to_owned(),
        }
    }

    /// The instance that signed the proof.
    pub async fn instance(&self, proof: &Proof) -> Result<InstanceId, HttpError> {
        let arn = match self.port.ask(&proof.headers).await {
            Ok(arn) => arn,
            Err(error @ IdentityError::Refused(_)) => {
                return Err(HttpError {
                    source: Some(error.into()),
                    ..HttpError::new(403, "AWS does not accept the proof of identity.")
                });
            }
            Err(error) => return Err(HttpError::unavailable(error)),
        };
        instance_of(&arn, &self.role_arn).ok_or_else(|| {
            HttpError::new(
                403,
                "The proof of identity is not from an instance of this installation.",
            )
        })
    }
}

/// The session name of an assumed role, if it is this role of this account:
/// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION` against `arn:aws:iam::ACCOUNT:role/[PATH/]ROLE`.
fn instance_of(arn: &str, role_arn: &str) -> Option<InstanceId> {
    let (signer, role) = (
        arn.splitn(6, ':').collect::<Vec<_>>(),
        role_arn.splitn(6, ':').collect::<Vec<_>>(),
    );
    let ([_, partition, "sts", _, account, resource], [_, role_partition, "iam", _, role_account, role]) =
        (signer.as_slice(), role.as_slice())
    else {
        return None;
    };
    let mut parts = resource.split('/');
    let fits = parts.next() == Some("assumed-role")
        && parts.next() == role.strip_prefix("role/").and_then(|role| role.rsplit('/').next())
        && partition == role_partition
        && account == role_account;
    let session = parts.next().filter(|session| session.starts_with("i-"))?;
    fits.then(|| InstanceId::new(session))
}

/// STS over HTTPS at one fixed regional address.
#[derive(Debug)]
pub struct Sts {
    client: reqwest::Client,
    url: String,
    host: String,
}

impl Sts {
    /// At this address, which comes from the configuration and never from a request. The signature is for the host name
    /// of this region's STS, whatever the address.
    pub fn new(url: &str, region: &str) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            client,
            url: url.to_owned(),
            host: sts_host(region),
        })
    }
}

impl IdentityPort for Sts {
    fn ask<'a>(&'a self, headers: &'a BTreeMap<String, String>) -> BoxFuture<'a, Result<String, IdentityError>> {
        Box::pin(async move {
            let unavailable = |error: reqwest::Error| IdentityError::Unavailable(error.without_url().into());
            let mut request = self.client.post(&self.url).header("host", &self.host).body(PROOF_BODY);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            if !headers.contains_key("content-type") {
                request = request.header("content-type", "application/x-www-form-urlencoded");
            }
            let reply = request.send().await.map_err(unavailable)?;
            let status = reply.status();
            let text = reply.text().await.map_err(unavailable)?;
            if status.is_client_error() {
                return Err(IdentityError::Refused(status.as_u16()));
            }
            let arn = text.split_once("<Arn>").and_then(|(_, rest)| rest.split_once("</Arn>"));
            match arn {
                Some((arn, _)) if status.is_success() => Ok(arn.trim().to_owned()),
                _ => Err(IdentityError::Unavailable(
                    format!("sts answered with status {status}").into(),
                )),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/atelier/atelier-worker";

    #[test]
    fn only_our_role_of_our_account_names_an_instance() {
        let arn =
            |account: &str, role: &str, session: &str| format!("arn:aws:sts::{account}:assumed-role/{role}/{session}");
        let good = arn("123456789012", "atelier-worker", "i-0abc");
        assert_eq!(instance_of(&good, ROLE), Some(InstanceId::new("i-0abc")));
        for other in [
            arn("210987654321", "atelier-worker", "i-0abc"),
            arn("123456789012", "other", "i-0abc"),
            arn("123456789012", "atelier-worker", "somebody"),
            "arn:aws:iam::123456789012:user/atelier-worker".to_owned(),
            "arn:aws:sts::123456789012:federated-user/i-0abc".to_owned(),
            String::new(),
        ] {
            assert_eq!(instance_of(&other, ROLE), None, "{other}");
        }
    }
}
