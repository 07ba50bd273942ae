//! Single calls, each signed by itself, of services for which a whole client would be much.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use reqwest::{StatusCode, Url};

use crate::{
    aws::{ATTEMPT, Aws},
    partition::Partition,
};

/// Whether API Gateway has a role for logs in this account and region, by `GET /account`, and that role is there:
/// <https://docs.aws.amazon.com/apigateway/latest/api/API_GetAccount.html>. The account goes on naming one that was removed.
pub(crate) async fn log_role(aws: &Aws) -> Result<bool> {
    let ask = async {
        let (status, text) = get(aws, &regional(aws, "apigateway"), "/account", &[]).await?;
        ensure!(status.is_success(), "HTTP {status}");
        let account: serde_json::Value = serde_json::from_str(&text)?;
        match account["cloudwatchRoleArn"]
            .as_str()
            .and_then(|it| it.rsplit('/').next())
        {
            None | Some("") => Ok(false),
            Some(role) => is_there(aws, role).await,
        }
    };
    ask.await
        .context("AWS could not say whether API Gateway has a role for logs")
}

/// Whether there is a role of this name. Whoever may not ask has to believe it.
async fn is_there(aws: &Aws, role: &str) -> Result<bool> {
    let (host, region) = Partition::of(aws.region()).iam();
    let iam = Service {
        name: "iam",
        host: host.to_owned(),
        region,
    };
    let asked = [("Action", "GetRole"), ("RoleName", role), ("Version", "2010-05-08")];
    let (status, text) = get(aws, &iam, "/", &asked).await?;
    Ok(!(status == StatusCode::NOT_FOUND && text.contains("NoSuchEntity")))
}

/// How many calls of its functions Lambda carries out at once here. Of an account for which Service Quotas has applied none that
/// says AWS's default, and a new account has less: <https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html>.
pub(crate) async fn concurrency(aws: &Aws) -> Result<f64> {
    let ask = async {
        let (status, text) = get(aws, &regional(aws, "lambda"), "/2016-08-19/account-settings/", &[]).await?;
        ensure!(status.is_success(), "HTTP {status}");
        let settings: serde_json::Value = serde_json::from_str(&text)?;
        settings["AccountLimit"]["ConcurrentExecutions"]
            .as_f64()
            .context("Lambda's reply has no number")
    };
    ask.await
        .context("AWS could not say how many calls Lambda carries out at once")
}

/// Whom a call is for.
struct Service<'a> {
    name: &'static str,
    host: String,
    region: &'a str,
}

fn regional<'a>(aws: &'a Aws, name: &'static str) -> Service<'a> {
    let region = aws.region();
    Service {
        name,
        host: format!("{name}.{region}.{}", Partition::of(region).domain()),
        region,
    }
}

async fn get(aws: &Aws, service: &Service<'_>, path: &str, query: &[(&str, &str)]) -> Result<(StatusCode, String)> {
    let url = aws.sdk.endpoint_url().map_or_else(
        || format!("https://{}{path}", service.host),
        |it| format!("{}{path}", it.trim_end_matches('/')),
    );
    let mut url = Url::parse(&url)?;
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    let provider = aws.sdk.credentials_provider().context("nothing provides credentials")?;
    let identity = provider.provide_credentials().await?.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(service.region)
        .name(service.name)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let signable = SignableRequest::new("GET", url.as_str(), std::iter::empty(), SignableBody::Bytes(&[]))?;
    let (signed, _) = sign(signable, &parameters)?.into_parts();
    let client = reqwest::Client::builder().timeout(ATTEMPT).build()?;
    let mut request = client.get(url);
    for (name, value) in signed.headers() {
        request = request.header(name, value);
    }
    let reply = request.send().await?;
    Ok((reply.status(), reply.text().await?))
}
