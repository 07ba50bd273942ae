//! The emulator of AWS: starting it, and the few calls that the pump and tests make.

use std::{
    collections::BTreeMap,
    net::{IpAddr, TcpListener},
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, bail, ensure};
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use model::{InstanceId, PoolId};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::process;

/// Source of the events that stand for EC2's: the emulator refuses `aws.ec2`.
const EVENT_SOURCE: &str = "local.ec2";

/// Most lines of a log that are told at once: CloudWatch's own limit.
const LOG_PAGE: usize = 10_000;

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

/// Credentials of a role.
#[derive(Debug, Clone)]
pub(crate) struct RoleCredentials {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) session_token: String,
}

impl From<RoleCredentials> for Credentials {
    fn from(of: RoleCredentials) -> Self {
        Self::new(of.access_key, of.secret_key, Some(of.session_token), None, "role")
    }
}

/// The text of a field of an XML answer.
fn field(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once("</").map(|(value, _)| value.to_owned())
}

/// A free port, or the wanted one if it is free.
pub(crate) fn port(wanted: Option<u16>) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", wanted.unwrap_or(0)));
    let listener =
        listener.with_context(|| format!("port {} is in use; choose another one with --port", wanted.unwrap_or(0)))?;
    Ok(listener.local_addr()?.port())
}

impl Emulator {
    /// Starts it, listening on this address, and waits until it answers. It checks permissions if `iam`, and counts if not.
    pub(crate) async fn start(
        python: &Path,
        launcher: &Path,
        (listen, port): (IpAddr, u16),
        folder: &Path,
        iam: bool,
    ) -> Result<Self> {
        let log = folder.join("emulator.log");
        let mut command = Command::new(python);
        command.arg(launcher).arg("--while-stdin-open");
        if iam {
            command.env("AUTH", "true");
        } else {
            command.arg("--count");
        }
        command
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", listen.to_string())
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
    async fn post(
        &self,
        path: &str,
        service: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<reqwest::Response> {
        self.send(Method::POST, path, service, headers, body).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        service: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<reqwest::Response> {
        let url = format!("{}{path}", self.endpoint);
        let identity = Credentials::new("test", "test", None, None, "emulator").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(cloud::EMULATOR_REGION)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let signable = SignableRequest::new(
            method.as_str(),
            &url,
            headers.iter().copied(),
            SignableBody::Bytes(body.as_bytes()),
        )?;
        let (signed, _) = sign(signable, &parameters)?.into_parts();
        let mut request = self.client.request(method, &url);
        for (name, value) in headers.iter().copied().chain(signed.headers()) {
            request = request.header(name, value);
        }
        let reply = request.body(body).send().await?;
        let status = reply.status();
        ensure!(
            !status.is_client_error() && !status.is_server_error(),
            "the emulator answers {status}: {}",
            reply.text().await?
        );
        Ok(reply)
    }

    /// A call of a service that speaks forms; one of the answer's fields is what is wanted.
    pub(crate) async fn form(&self, service: &str, form: &[(&str, &str)]) -> Result<String> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        Ok(self.post("/", service, &headers, body).await?.text().await?)
    }

    /// The ARN of the role that a function of the stack has.
    pub(crate) async fn role_of(&self, function: &str) -> Result<String> {
        let name = format!("{function}Role");
        let form = [
            ("Action", "DescribeStackResource"),
            ("Version", "2010-05-15"),
            ("StackName", crate::stack::STACK),
            ("LogicalResourceId", name.as_str()),
        ];
        let text = self.form("cloudformation", &form).await?;
        let role = field(&text, "PhysicalResourceId").with_context(|| format!("the stack has no {name}"))?;
        Ok(format!("arn:aws:iam::000000000000:role/{role}"))
    }

    /// Credentials of a role, whose `GetCallerIdentity` names the session: an instance, as on AWS, or a function.
    pub(crate) async fn assume_role(&self, role_arn: &str, session: &str) -> Result<RoleCredentials> {
        let form = [
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", role_arn),
            ("RoleSessionName", session),
        ];
        let text = self.form("sts", &form).await?;
        let credentials = || {
            Some(RoleCredentials {
                access_key: field(&text, "AccessKeyId")?,
                secret_key: field(&text, "SecretAccessKey")?,
                session_token: field(&text, "SessionToken")?,
            })
        };
        credentials().with_context(|| format!("the emulator gave no credentials of {role_arn}"))
    }

    /// A launch template's user data, in base64, as the metadata of its instances would give it.
    pub(crate) async fn user_data(&self, launch_template: &str) -> Result<String> {
        let form = [
            ("Action", "DescribeLaunchTemplateVersions"),
            ("Version", "2016-11-15"),
            ("LaunchTemplateId", launch_template),
        ];
        let text = self.form("ec2", &form).await?;
        field(&text, "userData").context("the launch template has no user data")
    }

    /// A call of a service that speaks JSON.
    pub(crate) async fn json(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target)];
        let reply = self.post("/", service, &headers, body.to_string()).await?;
        Ok(serde_json::from_str(&reply.text().await?)?)
    }

    /// An EC2 state change, as EventBridge would deliver it.
    pub(crate) async fn instance_changed(&self, instance: &InstanceId, state: &str) -> Result<()> {
        let detail = json!({ "instance-id": instance, "state": state });
        let entry = json!({
            "Source": EVENT_SOURCE,
            "DetailType": "EC2 Instance State-change Notification",
            "Detail": detail.to_string(),
        });
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "AWSEvents.PutEvents"),
        ];
        self.post("/", "events", &headers, json!({ "Entries": [entry] }).to_string())
            .await?;
        Ok(())
    }

    /// Calls a function with an event, as its schedule would.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Result<Value> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let reply = self.post(&path, "lambda", &[], event.to_string()).await?;
        let failed = reply.headers().contains_key("x-amz-function-error");
        let text = reply.text().await?;
        ensure!(!failed, "{function} failed: {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// The environment that a function was deployed with.
    pub(crate) async fn environment(&self, function: &str) -> Result<Value> {
        let path = format!("/2015-03-31/functions/{function}/configuration");
        let reply = self.send(Method::GET, &path, "lambda", &[], String::new()).await?;
        let mut configuration: Value = serde_json::from_str(&reply.text().await?)?;
        Ok(configuration["Environment"]["Variables"].take())
    }

    /// Every line of every log group. The names of the groups are the stack's alone, since nothing else is deployed here.
    pub(crate) async fn log_lines(&self) -> Result<Vec<String>> {
        let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let mut lines = Vec::new();
        let groups = self.logs("DescribeLogGroups", &json!({})).await?;
        for group in list(&groups, "logGroups") {
            let mut call = json!({ "logGroupName": group["logGroupName"], "limit": LOG_PAGE });
            loop {
                let page = self.logs("FilterLogEvents", &call).await?;
                let mut events = list(&page, "events");
                // The emulator has no next page: it goes on with all of the last moment, of which more may have been cut off.
                let full = events.len() >= LOG_PAGE;
                if full {
                    call["startTime"] = events[events.len() - 1]["timestamp"].clone();
                    events.retain(|it| it["timestamp"].as_u64() < call["startTime"].as_u64());
                    ensure!(!events.is_empty(), "{LOG_PAGE} lines of a log are of one moment");
                }
                let texts = events.iter();
                lines.extend(texts.filter_map(|it| it["message"].as_str().map(str::to_owned)));
                if !full {
                    break;
                }
            }
        }
        Ok(lines)
    }

    /// Asks CloudWatch Logs. The emulator fails where a log begins while it looks through them all, so it is asked again.
    async fn logs(&self, action: &str, call: &Value) -> Result<Value> {
        let target = format!("Logs_20140328.{action}");
        for _ in 0..50 {
            if let Ok(answer) = self.json("logs", &target, call).await {
                return Ok(answer);
            }
        }
        self.json("logs", &target, call).await
    }

    /// What a dashboard shows.
    pub(crate) async fn dashboard(&self, name: &str) -> Result<Value> {
        let target = "GraniteServiceVersion20100801.GetDashboard";
        let found = self
            .json("monitoring", target, &json!({ "DashboardName": name }))
            .await?;
        let body = found["DashboardBody"].as_str().context("there is no dashboard")?;
        Ok(serde_json::from_str(body)?)
    }

    /// Has EC2 refuse each launch of a pool with this code; none: no longer.
    pub(crate) async fn refuse_launches(&self, pool: &PoolId, code: Option<&str>) -> Result<()> {
        let wish = json!({ "pool": pool, "code": code }).to_string();
        let refuse = self.client.post(format!("{}/_atelier/refuse", self.endpoint));
        refuse.body(wish).send().await?.error_for_status()?;
        Ok(())
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
    iam: bool,
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
    if iam {
        command.arg("--iam");
    }
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
