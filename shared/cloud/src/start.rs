//! How a function's process begins, and what it says if it cannot.

use std::{
    future::Future,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use serde_json::json;

use crate::{chain, config::process_env, metrics, telemetry};

/// Longest that Lambda is waited for, which is on this machine.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs a function for as long as it can. One that cannot start says why in its log, and to Lambda, which keeps it and
/// hands it to whoever calls: of a process that only ends the last lines may be lost.
pub async fn start(function: impl Future<Output = Result<(), lambda_runtime::Error>>) -> ExitCode {
    telemetry::init();
    metrics::init();
    tracing::info!(release = env!("CARGO_PKG_VERSION"), "the function begins");
    let Err(error) = function.await else {
        return ExitCode::SUCCESS;
    };
    let error = chain(error.as_ref());
    tracing::error!(error, "the function ends");
    if let Some(runtime) = process_env().optional("AWS_LAMBDA_RUNTIME_API") {
        let _ = tell(&runtime, &error);
    }
    ExitCode::FAILURE
}

/// Tells the Runtime API. <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-initerror>
fn tell(runtime: &str, error: &str) -> io::Result<()> {
    let body = json!({ "errorType": "Runtime.InitError", "errorMessage": error }).to_string();
    let address = runtime
        .to_socket_addrs()?
        .next()
        .ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: {runtime}\r\nContent-Type: application/json\r\n\
         Lambda-Runtime-Function-Error-Type: Runtime.InitError\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    // Until it has been taken.
    stream.read(&mut [0; 64]).map(drop)
}
