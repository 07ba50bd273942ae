//! The agent beside ComfyUI on a GPU instance.

use std::process::ExitCode;

use aws_config::{Region, default_provider::credentials::DefaultCredentialsChain};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use worker::{Agent, Exit, InstanceIdentity, LogFormat, Options, Timing};

/// Of a host that should have shut down and did not.
const STILL_HERE: u8 = 75;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let options = Options::parse();
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new(&options.log));
    match options.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    let credentials = DefaultCredentialsChain::builder()
        .region(Region::new(options.sts_region.clone()))
        .build()
        .await;
    let identity = InstanceIdentity::new(
        credentials,
        options.sts_region.clone(),
        options.audience.clone(),
        options.worker_id.clone(),
    );
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let parent = parent_gone(options.exit_with_parent);
    let asked_to_stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = parent => {}
        }
    };
    let exit = Agent::new(&options, identity, Timing::default())?
        .run(asked_to_stop)
        .await;
    Ok(match exit {
        Exit::Stopped | Exit::ShutDown => ExitCode::SUCCESS,
        Exit::ShutDownFailed => ExitCode::from(STILL_HERE),
    })
}

/// Resolves when stdin closes, if that is wanted. A thread of its own reads it: the runtime would wait for it at the end.
async fn parent_gone(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let (gone, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = gone.send(());
    });
    let _ = told.await;
}
