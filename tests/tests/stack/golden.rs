//! The functions' programs as `sam local invoke` runs them: one process, one event, and the environment that `local`
//! writes for it.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    body::Bytes,
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpListener, process::Command, sync::mpsc};

use crate::{
    installed::{Installed, program},
    studio::Studio,
};

/// Longest that a function may take for one event.
const PATIENCE: Duration = Duration::from_secs(30);

/// The status that is right where it is not 200, and why: the events that nobody can answer well. By `function/event`.
const OTHERS: &str = include_str!("answers.json");

fn checkout() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What a function says of an event: its answer, or why it failed or could not start. And what it has logged.
async fn invoke(function: &str, variables: &BTreeMap<String, String>, event: Value) -> Result<(Value, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let (said, mut heard) = mpsc::unbounded_channel();
    let event = Arc::new(Mutex::new(Some(event.to_string())));
    let next = move || {
        let event = event.lock().ok().and_then(|mut event| event.take());
        async move {
            let Some(event) = event else {
                return std::future::pending().await;
            };
            let deadline = cloud::now() + PATIENCE;
            let headers = [
                (
                    "lambda-runtime-aws-request-id",
                    "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned(),
                ),
                ("lambda-runtime-deadline-ms", deadline.0.to_string()),
                (
                    "lambda-runtime-invoked-function-arn",
                    "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
                ),
            ];
            (headers, event)
        }
    };
    let hear = move |body: Bytes| {
        let _ = said.send(body);
        async { StatusCode::ACCEPTED }
    };
    let api = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(hear.clone()))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(hear.clone()))
        .route("/2018-06-01/runtime/init/error", post(hear));
    let server = tokio::spawn(async move { axum::serve(listener, api).await });
    let mut process = Command::new(program(function)?)
        .env_clear()
        .envs(variables)
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", function),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_REGION", cloud::EMULATOR_REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    // Read as it comes: whoever writes into a full pipe waits.
    let mut written = process.stdout.take().context("no output")?;
    let reader = tokio::spawn(async move {
        let mut log = Vec::new();
        written.read_to_end(&mut log).await.map(|_| log)
    });
    let answer = tokio::time::timeout(PATIENCE, heard.recv()).await;
    process.kill().await?;
    let log = reader.await??;
    server.abort();
    let log = String::from_utf8_lossy(&log).into_owned();
    let answer = answer
        .ok()
        .flatten()
        .with_context(|| format!("{function} says nothing: {log}"))?;
    Ok((serde_json::from_slice(&answer)?, log))
}

fn environment(all: &Value, function: &str) -> Result<BTreeMap<String, String>> {
    let name: String = function
        .split('-')
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect();
    Ok(serde_json::from_value(all[format!("{name}Function")].clone())?)
}

pub(crate) async fn each_event_by_the_environment_that_is_written(studio: Studio) -> Result<()> {
    let all = studio.stack.environments("127.0.0.1").await?;
    let others: Value = serde_json::from_str(OTHERS)?;
    let mut wrong = Vec::new();
    for folder in fs::read_dir(checkout().join("events"))? {
        let folder = folder?.path();
        let function = folder
            .file_name()
            .and_then(|it| it.to_str())
            .context("no name")?
            .to_owned();
        if function == "items" {
            continue;
        }
        let variables = environment(&all, &function)?;
        for file in fs::read_dir(&folder)? {
            let file = file?.path();
            let name = format!(
                "{function}/{}",
                file.file_stem().and_then(|it| it.to_str()).context("no name")?
            );
            studio.stack.seed_golden().await?;
            let event: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
            let is_call = event["routeKey"].is_string();
            let (answer, log) = invoke(&function, &variables, event).await?;
            let wanted = others[&name]["status"].as_i64().unwrap_or(200);
            let good = match function.as_str() {
                "authorize" => answer["isAuthorized"] == true || answer["policyDocument"].is_object(),
                "dispatch" | "archive" => answer["batchItemFailures"] == json!([]),
                "lifecycle" | "idle-reaper" | "forecast" => answer.is_null(),
                // What comes from S3 and by the clock.
                "catalog" if !is_call => answer.is_null(),
                _ => answer["statusCode"] == wanted,
            };
            if !good {
                wrong.push(format!("{name}: {answer}\n{log}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

pub(crate) async fn a_bad_key_is_named(studio: Studio) -> Result<()> {
    let mut variables = environment(&studio.stack.environments("127.0.0.1").await?, "authorize")?;
    variables.insert("TOKEN_PUBLIC_KEY".to_owned(), "MFkw".to_owned());
    variables.insert("AWS_ENDPOINT_URL".to_owned(), String::new());
    // Each time: half of those that end would be too few.
    for _ in 0..5 {
        let (answer, log) = invoke("authorize", &variables, json!({})).await?;
        let said = answer["errorMessage"].as_str().unwrap_or_default();
        for part in ["TOKEN_PUBLIC_KEY", "`ops keys` prints", "AWS_ENDPOINT_URL is empty"] {
            ensure!(said.contains(part) && log.contains(part), "{part}: {answer} {log}");
        }
    }
    Ok(())
}

pub(crate) async fn ops_looks_after_it(studio: Studio) -> Result<()> {
    let installed = Installed::of(&studio).await?;
    let ops = async |arguments: &[&str]| installed.ops(arguments, "").await;
    let (user, pool) = (format!("guest-of-{}", studio.pool), studio.pool.as_str());
    ops(&[
        "user", "add", &user, "--name", "A guest", "--team", "guests", "--pool", pool,
    ])
    .await?;
    let shown = ops(&["user", "show", &user]).await?;
    ensure!(shown.contains("A guest"), "{shown}");
    let shown = ops(&["pool", "show", pool]).await?;
    ensure!(shown.contains(pool), "{shown}");
    let key = installed.folder().join("signing-key.pem").display().to_string();
    let guest = ["--user", &user, "--team", "guests", "--pool", pool];
    let seeded = ops(&[&["seed", "--key", &key], &guest[..]].concat()).await?;
    let painter = studio.painter.with_token(seeded.trim());
    ensure!(
        painter.ok("GET", "user", None).await?["id"] == user,
        "its token is not good"
    );
    Ok(())
}
