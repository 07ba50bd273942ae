//! This worker's log lines on their way to CloudWatch Logs, where the studio wants that (`WorkerLogs=true`).
//!
//! Two calls are all that is needed, so they are signed and sent here: AWS's own client would double what there is to build. Who
//! logs waits for nobody: lines are taken in without a word, and what there is no room for is dropped and counted.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::timeout,
};
use tracing_subscriber::fmt::MakeWriter;

use crate::{backoff::Backoff, error::chain};

/// The target of what is logged here. It is not sent: each failure would make another line to send.
pub const TARGET: &str = module_path!();
/// Lines that wait to be sent: some minutes of a busy worker.
const WAITING: usize = 4096;
/// Longest line, bytes. CloudWatch takes 1 MiB less 26 bytes for an event.
const LINE: usize = 16 * 1024;
/// Most of one call: CloudWatch takes 1 MiB, in which each event counts 26 bytes more, and 10,000 events.
const BATCH: (usize, usize) = (512 * 1024, 1000);
/// How long a line waits for others.
const GATHER: Duration = Duration::from_secs(5);
/// How long one call may take, and the last ones of a worker that ends.
const CALL: Duration = Duration::from_secs(10);
const LAST: Duration = Duration::from_secs(3);
/// First and longest pause between tries.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Where lines go.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Address of CloudWatch Logs.
    pub endpoint: String,
    /// Its region.
    pub region: String,
    /// The log group, which is there.
    pub group: String,
    /// The log stream, which is made.
    pub stream: String,
}

impl Destination {
    /// In this group of the region's CloudWatch Logs.
    pub fn of(region: &str, group: String, stream: String) -> Self {
        let china = if region.starts_with("cn-") { ".cn" } else { "" };
        Self {
            endpoint: format!("https://logs.{region}.amazonaws.com{china}"),
            region: region.to_owned(),
            group,
            stream,
        }
    }
}

/// A line was not taken.
#[derive(Debug, thiserror::Error)]
enum ShipError {
    #[error("there are no AWS credentials")]
    Credentials(#[from] CredentialsError),
    #[error("the call could not be signed")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("CloudWatch Logs does not answer")]
    Transport(#[source] reqwest::Error),
    #[error("CloudWatch Logs answers {status} {kind}")]
    Refused { status: u16, kind: String },
}

impl ShipError {
    /// AWS's name for what is wrong.
    fn is(&self, name: &str) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind == name)
    }

    /// Whether the very same call will be refused for ever, for what is in it.
    fn is_final(&self) -> bool {
        self.is("InvalidParameterException") || self.is("DataAlreadyAcceptedException")
    }
}

/// A line, and when it was written, milliseconds.
#[derive(Debug)]
struct Line {
    at: u64,
    text: String,
}

/// Takes lines in.
#[derive(Debug, Clone)]
pub struct Intake {
    lines: Sender<Line>,
    dropped: Arc<AtomicU64>,
}

impl io::Write for Intake {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = String::from_utf8_lossy(bytes).trim_end().to_owned();
        if text.len() > LINE {
            let mut end = LINE;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        if !text.is_empty() && self.lines.try_send(Line { at: now(), text }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Intake {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Sends lines for as long as somebody writes some.
#[derive(Debug)]
pub struct Shipper {
    to: Destination,
    credentials: SharedCredentialsProvider,
    http: reqwest::Client,
    lines: Receiver<Line>,
    dropped: Arc<AtomicU64>,
    /// The stream is there.
    begun: bool,
}

/// A pair of what takes lines in and what sends them.
pub fn shipping(
    to: Destination,
    credentials: impl ProvideCredentials + 'static,
) -> Result<(Intake, Shipper), reqwest::Error> {
    let (sender, lines) = channel(WAITING);
    let dropped = Arc::new(AtomicU64::new(0));
    let intake = Intake {
        lines: sender,
        dropped: Arc::clone(&dropped),
    };
    let shipper = Shipper {
        to,
        credentials: SharedCredentialsProvider::new(credentials),
        http: reqwest::Client::builder().timeout(CALL).build()?,
        lines,
        dropped,
        begun: false,
    };
    Ok((intake, shipper))
}

/// Whether another line fits into the same call. One more than the bound still does: it is half of what CloudWatch takes.
fn has_room(batch: &[Line]) -> bool {
    let bytes = batch.iter().map(|line| line.text.len() + 26).sum::<usize>();
    bytes < BATCH.0 && batch.len() < BATCH.1
}

impl Shipper {
    /// Sends until `ended` resolves, and then what is left, if that does not take long. A call that is under way is not cut off, since
    /// nobody would know whether its lines were taken.
    pub async fn run(mut self, ended: impl Future<Output = ()>) {
        let (mut ended, mut over) = (std::pin::pin!(ended), false);
        let (mut batch, mut backoff) = (Vec::new(), Backoff::new(AGAIN));
        while !over {
            if batch.is_empty() {
                tokio::select! {
                    line = self.lines.recv() => match line {
                        Some(line) => batch.push(line),
                        None => return,
                    },
                    () = &mut ended => break,
                }
                tokio::select! {
                    () = self.gather(&mut batch) => {}
                    () = &mut ended => break,
                }
            }
            match self.send(&batch).await {
                Ok(()) => {
                    batch.clear();
                    backoff.reset();
                }
                Err(error) if error.is_final() => {
                    tracing::warn!(error = chain(&error), lines = batch.len(), "log lines were not taken");
                    batch.clear();
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "log lines could not be sent; trying again");
                    tokio::select! {
                        () = backoff.wait() => {}
                        () = &mut ended => over = true,
                    }
                }
            }
        }
        self.lines.close();
        let last = async {
            loop {
                while has_room(&batch)
                    && let Ok(line) = self.lines.try_recv()
                {
                    batch.push(line);
                }
                if batch.is_empty() || self.send(&batch).await.is_err() {
                    return;
                }
                batch.clear();
            }
        };
        // What does not arrive by then is on the machine's own disk.
        let _ = timeout(LAST, last).await;
    }

    /// What comes within a while, as far as it fits into one call.
    async fn gather(&mut self, batch: &mut Vec<Line>) {
        let more = async {
            while has_room(batch) {
                let Some(line) = self.lines.recv().await else { return };
                batch.push(line);
            }
        };
        let _ = timeout(GATHER, more).await;
    }

    async fn send(&mut self, batch: &[Line]) -> Result<(), ShipError> {
        if !self.begun {
            let stream = json!({ "logGroupName": self.to.group, "logStreamName": self.to.stream });
            match self.call("CreateLogStream", &stream).await {
                Err(error) if !error.is("ResourceAlreadyExistsException") => return Err(error),
                _ => self.begun = true,
            }
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let mut events: Vec<_> = batch
            .iter()
            .map(|line| json!({ "timestamp": line.at, "message": line.text }))
            .collect();
        if dropped > 0 {
            let at = batch.last().map_or_else(now, |line| line.at);
            let message = json!({ "level": "WARN", "message": "log lines were dropped", "lines": dropped });
            events.push(json!({ "timestamp": at, "message": message.to_string() }));
        }
        // A clock that was set back would make the call one that is refused.
        events.sort_by_key(|event| event["timestamp"].as_u64());
        let all = json!({ "logGroupName": self.to.group, "logStreamName": self.to.stream, "logEvents": events });
        let sent = self.call("PutLogEvents", &all).await;
        if let Err(error) = &sent {
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
            // Somebody has deleted the stream.
            self.begun &= !error.is("ResourceNotFoundException");
        }
        sent
    }

    async fn call(&self, action: &str, body: &Value) -> Result<(), ShipError> {
        let body = body.to_string();
        let identity = self.credentials.provide_credentials().await?.into();
        let headers = [
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("Logs_20140328.{action}")),
        ];
        let signed = || -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
            let params = v4::SigningParams::builder()
                .identity(&identity)
                .region(&self.to.region)
                .name("logs")
                .time(SystemTime::now())
                .settings(SigningSettings::default())
                .build()?
                .into();
            let named = headers.iter().map(|(name, value)| (*name, value.as_str()));
            let body = SignableBody::Bytes(body.as_bytes());
            let request = SignableRequest::new("POST", format!("{}/", self.to.endpoint), named, body)?;
            let (signed, _) = sign(request, &params)?.into_parts();
            let added = signed
                .headers()
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            Ok(added.collect::<Vec<_>>())
        };
        let added = signed().map_err(ShipError::Sign)?;
        let mut request = self.http.post(format!("{}/", self.to.endpoint));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in added {
            request = request.header(name, value);
        }
        let transport = |error: reqwest::Error| ShipError::Transport(error.without_url());
        let reply = request.body(body).send().await.map_err(transport)?;
        let status = reply.status();
        if status.is_success() {
            return Ok(());
        }
        let said: Value = serde_json::from_str(&reply.text().await.unwrap_or_default()).unwrap_or_default();
        // As AWS writes it: a name, perhaps with what it belongs to before.
        let kind = said["__type"].as_str().unwrap_or_default();
        let kind = kind.rsplit('#').next().unwrap_or_default();
        Err(ShipError::Refused {
            status: status.as_u16(),
            kind: kind.chars().filter(char::is_ascii_alphanumeric).take(60).collect(),
        })
    }
}
