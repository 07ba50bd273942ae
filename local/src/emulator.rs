//! The emulator of AWS: starting it, and the few calls that the pump and tests make.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use model::InstanceId;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::process;

/// Source of the events that stand for EC2's: the emulator refuses `aws.ec2`.
const EVENT_SOURCE: &str = "local.ec2";

/// A running emulator.
#[derive(Debug)]
pub(crate) struct Emulator {
    child: Child,
    pub(crate) calls: Calls,
}

/// The calls.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    pub(crate) endpoint: String,
    client: reqwest::Client,
}

/// Credentials of an instance.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) session_token: String,
}

/// A free port, or the wanted one if it is free.
pub(crate) fn port(wanted: Option<u16>) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", wanted.unwrap_or(0)));
    let listener =
        listener.with_context(|| format!("port {} is in use; choose another one with --port", wanted.unwrap_or(0)))?;
    Ok(listener.local_addr()?.port())
}

impl Emulator {
    /// Starts it and waits until it answers.
    pub(crate) async fn start(python: &Path, launcher: &Path, port: u16, folder: &Path) -> Result<Self> {
        let log = folder.join("emulator.log");
        let mut command = Command::new(python);
        command.arg(launcher).args(["--while-stdin-open", "--count"]);
        command
            .env("GATEWAY_PORT", port.to_string())
            .env("TMPDIR", folder)
            .env("RUST_LOG", "info");
        command.env_remove("AWS_ENDPOINT_URL").env_remove("AWS_PROFILE");
        let mut child = process::spawn(&mut command, &log)?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).build()?;
        let started = Instant::now();
        loop {
            if client.get(format!("{endpoint}/_ministack/health")).send().await.is_ok() {
                return Ok(Self {
                    child,
                    calls: Calls { endpoint, client },
                });
            }
            if let Some(status) = child.try_wait()? {
                bail!("the emulator of AWS ended with {status}:\n{}", process::tail(&log));
            }
            ensure!(
                started.elapsed() < Duration::from_mins(1),
                "the emulator of AWS did not answer within a minute:\n{}",
                process::tail(&log)
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn stop(&mut self) {
        process::end(&mut self.child, Duration::from_secs(5)).await;
    }
}

impl Calls {
    fn request(&self, path: &str, service: &str) -> reqwest::RequestBuilder {
        // The emulator finds the service by the scope and checks no signature.
        let scope = format!("test/20260101/us-east-1/{service}/aws4_request");
        let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none");
        self.client
            .post(format!("{}{path}", self.endpoint))
            .header("authorization", authorization)
    }

    /// Credentials whose `GetCallerIdentity` names the instance, as the instance role's do on AWS.
    pub(crate) async fn assume_role(&self, role_arn: &str, instance: &InstanceId) -> Result<Credentials> {
        let form = [
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", role_arn),
            ("RoleSessionName", instance.as_str()),
        ];
        let body: Vec<_> = form
            .iter()
            .map(|(name, value)| format!("{name}={}", value.replace(':', "%3A").replace('/', "%2F")))
            .collect();
        let request = self
            .request("/", "sts")
            .header("content-type", "application/x-www-form-urlencoded");
        let text = request
            .body(body.join("&"))
            .send()
            .await?
            .error_for_status()?
            .text()
            .await?;
        let field = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            rest.split_once("</").map(|(value, _)| value.to_owned())
        };
        let credentials = || {
            Some(Credentials {
                access_key: field("AccessKeyId")?,
                secret_key: field("SecretAccessKey")?,
                session_token: field("SessionToken")?,
            })
        };
        credentials().context("the emulator gave no credentials for the instance's role")
    }

    /// An EC2 state change, as EventBridge would deliver it.
    pub(crate) async fn instance_changed(&self, instance: &InstanceId, state: &str) -> Result<()> {
        let detail = json!({ "instance-id": instance, "state": state });
        let entry = json!({
            "Source": EVENT_SOURCE,
            "DetailType": "EC2 Instance State-change Notification",
            "Detail": detail.to_string(),
        });
        let request = self
            .request("/", "events")
            .header("x-amz-target", "AWSEvents.PutEvents");
        let request = request.header("content-type", "application/x-amz-json-1.1");
        request
            .body(json!({ "Entries": [entry] }).to_string())
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Calls a function with an event, as its schedule would.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Result<Value> {
        let request = self.request(&format!("/2015-03-31/functions/{function}/invocations"), "lambda");
        let reply = request.body(event.to_string()).send().await?;
        let failed = reply.headers().contains_key("x-amz-function-error");
        let text = reply.error_for_status()?.text().await?;
        ensure!(!failed, "{function} failed: {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// What was counted so far: invocations, calls, units.
    pub(crate) async fn counts(&self) -> Result<Value> {
        let reply = self
            .client
            .get(format!("{}/_atelier/counts", self.endpoint))
            .send()
            .await?;
        Ok(serde_json::from_str(&reply.error_for_status()?.text().await?)?)
    }
}

/// Deploys the template; returns the stack's outputs.
pub(crate) async fn deploy(
    python: &Path,
    checkout: &Path,
    bootstraps: &Path,
    endpoint: &str,
    parameters: &BTreeMap<&str, String>,
) -> Result<String> {
    let mut command = Command::new(python);
    command.arg(checkout.join("local/emulator/deploy.py")).args([
        "--endpoint",
        endpoint,
        "--stack",
        crate::stack::STACK,
    ]);
    command
        .arg("--template")
        .arg(checkout.join("template.yaml"))
        .arg("--bootstraps")
        .arg(bootstraps);
    for (name, value) in parameters {
        command.arg("--parameter").arg(format!("{name}={value}"));
    }
    let output = command
        .kill_on_drop(true)
        .output()
        .await
        .context("the deploy script cannot be started")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{}",
            errors.lines().last().unwrap_or("the deploy failed without a word")
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}
