//! A function's process and the Runtime API that it asks for calls.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{cores::Core, cpu::Meter};

/// Longest that a function may take to ask for its first call, or to answer one.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a function said to the Runtime API.
#[derive(Debug)]
enum Said {
    /// It asks for its next call, which is to be put here.
    Next(oneshot::Sender<Bytes>),
    /// It answers a call.
    Answer(Bytes),
    /// It could not start, or a call failed.
    Failed(Bytes),
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Next(_) => f.write_str("it asks for its next call"),
            Self::Answer(body) => write!(f, "it answers {}", String::from_utf8_lossy(body)),
            Self::Failed(body) => write!(f, "it fails: {}", String::from_utf8_lossy(body)),
        }
    }
}

type Api = mpsc::UnboundedSender<Said>;

/// Ends what it holds when it is dropped.
#[derive(Debug)]
struct Running {
    process: Child,
    server: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.server.abort();
    }
}

/// A function that waits for a call.
#[derive(Debug)]
pub(crate) struct Function {
    meter: Meter,
    used: Duration,
    said: mpsc::UnboundedReceiver<Said>,
    next: oneshot::Sender<Bytes>,
    log: PathBuf,
    _running: Running,
}

impl Function {
    /// Starts it with nothing but these variables and Lambda's, and waits until it asks for its first call. Returns the
    /// CPU of that, too.
    pub(crate) async fn start(
        program: &Path,
        name: &str,
        variables: &[(String, String)],
        core: Core,
        log: &Path,
    ) -> Result<(Self, Duration)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (sender, mut said) = mpsc::unbounded_channel();
        let api = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answer))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failed))
            .route("/2018-06-01/runtime/init/error", post(failed))
            .with_state(sender);
        let server = tokio::spawn(async move {
            // Ends with the function.
            let _ = axum::serve(listener, api).await;
        });
        let output = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", name),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/cost"),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "cost"),
                ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
                ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
                ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
            ])
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output);
        let process = core.on(|| {
            let process = command.spawn();
            process.with_context(|| format!("{} cannot be started", program.display()))
        })?;
        let mut meter = Meter::new(process.id());
        let running = Running { process, server };
        let next = asked(&mut said).await;
        let next = next.with_context(|| std::fs::read_to_string(log).unwrap_or_default())?;
        let used = meter.when_asleep().await?;
        let function = Self {
            meter,
            used,
            said,
            next,
            log: log.to_owned(),
            _running: running,
        };
        Ok((function, used))
    }

    /// Hands it a call. Returns the answer and the CPU until it sleeps again, with its next call asked for.
    pub(crate) async fn call(&mut self, event: &Bytes) -> Result<(Value, Duration)> {
        let (unused, _) = oneshot::channel();
        let next = std::mem::replace(&mut self.next, unused);
        ensure!(next.send(event.clone()).is_ok(), "the function went away");
        let answer = match listen(&mut self.said).await? {
            Said::Answer(answer) => answer,
            other => bail!("the function does not answer, but {other}"),
        };
        self.next = asked(&mut self.said).await?;
        let before = std::mem::replace(&mut self.used, self.meter.when_asleep().await?);
        let answer = serde_json::from_slice(&answer).context("the answer is no JSON")?;
        Ok((answer, self.used.saturating_sub(before)))
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// What the function says next.
async fn listen(said: &mut mpsc::UnboundedReceiver<Said>) -> Result<Said> {
    let heard = tokio::time::timeout(PATIENCE, said.recv()).await;
    heard.ok().flatten().context("the function says nothing")
}

/// Waits until the function asks for its next call; that is to be put there.
async fn asked(said: &mut mpsc::UnboundedReceiver<Said>) -> Result<oneshot::Sender<Bytes>> {
    match listen(said).await? {
        Said::Next(next) => Ok(next),
        other => bail!("the function does not ask for its next call, but {other}"),
    }
}

async fn next(State(api): State<Api>) -> Response {
    let (sender, event) = oneshot::channel();
    let _ = api.send(Said::Next(sender));
    let Ok(event) = event.await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = cloud::now() + Duration::from_secs(10);
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        (
            "Lambda-Runtime-Aws-Request-Id",
            "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned(),
        ),
        ("Lambda-Runtime-Deadline-Ms", deadline.0.to_string()),
        (
            "Lambda-Runtime-Invoked-Function-Arn",
            "arn:aws:lambda:us-east-1:123456789012:function:cost".to_owned(),
        ),
        (
            "Lambda-Runtime-Trace-Id",
            "Root=1-6a96c000-0123456789abcdef01234567;Sampled=0".to_owned(),
        ),
    ];
    (headers, event).into_response()
}

async fn answer(State(api): State<Api>, body: Bytes) -> StatusCode {
    let _ = api.send(Said::Answer(body));
    StatusCode::ACCEPTED
}

async fn failed(State(api): State<Api>, body: Bytes) -> StatusCode {
    let _ = api.send(Said::Failed(body));
    StatusCode::ACCEPTED
}
