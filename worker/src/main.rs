//! The agent beside ComfyUI on a GPU instance.

use std::process::ExitCode;

use aws_config::{Region, default_provider::credentials::DefaultCredentialsChain};
use aws_credential_types::provider::SharedCredentialsProvider;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};
use worker::{Agent, Destination, Exit, InstanceIdentity, LogFormat, Options, Shipper, TARGET, Timing, shipping};

/// Of a host that should have shut down and did not.
const STILL_HERE: u8 = 75;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let options = Options::parse();
    let credentials = DefaultCredentialsChain::builder()
        .region(Region::new(options.sts_region.clone()))
        .build()
        .await;
    let credentials = SharedCredentialsProvider::new(credentials);
    let shipper = log(&options, &credentials)?;
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
    let (ends, ended) = tokio::sync::oneshot::channel::<()>();
    let shipped = shipper.map(|it| tokio::spawn(it.run(async { drop(ended.await) })));
    let exit = Agent::new(&options, identity, Timing::default())?
        .run(asked_to_stop)
        .await;
    drop(ends);
    if let Some(shipped) = shipped {
        shipped.await?;
    }
    Ok(match exit {
        Exit::Stopped | Exit::ShutDown => ExitCode::SUCCESS,
        Exit::ShutDownFailed => ExitCode::from(STILL_HERE),
    })
}

/// Begins to log: to stderr, and to a log group if there is one. What sends the lines there is to be run.
fn log(options: &Options, credentials: &SharedCredentialsProvider) -> Result<Option<Shipper>, reqwest::Error> {
    let stderr = fmt::layer().with_writer(std::io::stderr);
    let filter = || EnvFilter::new(&options.log);
    let stderr = match options.log_format {
        LogFormat::Text => stderr.with_filter(filter()).boxed(),
        LogFormat::Json => stderr.json().with_filter(filter()).boxed(),
    };
    let (shipped, shipper) = if options.log_group.is_empty() {
        (None, None)
    } else {
        let stream = format!("{}/{}", options.worker_id, uuid::Uuid::now_v7());
        let to = Destination::of(&options.sts_region, options.log_group.clone(), stream);
        let (intake, shipper) = shipping(to, credentials.clone())?;
        // What is said of the sending itself would be one more line to send.
        let filter = EnvFilter::new(format!("{},{TARGET}=off", options.log));
        let layer = fmt::layer().json().with_writer(intake).with_filter(filter);
        (Some(layer), Some(shipper))
    };
    registry().with(stderr).with(shipped).init();
    Ok(shipper)
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
