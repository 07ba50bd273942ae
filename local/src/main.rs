//! `cargo run -p local`: the whole stack on this machine, and a picture through it.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;
use clap::Parser;
use local::{Options, Renderer, Stack, demo};

/// Runs all of Atelier on this machine, without AWS, Docker or a GPU: deploys template.yaml to an emulator, turns its
/// instances into worker processes, sends a captured request of the Krita plugin, and writes the picture.
#[derive(Debug, Parser)]
#[command(name = "local", version)]
struct Arguments {
    /// Where to write the first picture.
    #[arg(long, default_value = "atelier.png")]
    out: PathBuf,
    /// End after the picture instead of staying up until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Render on this real ComfyUI instead of the stand-in, e.g. http://127.0.0.1:8188. It must have a checkpoint.
    #[arg(long)]
    comfyui: Option<String>,
    /// The folder of models of that ComfyUI (with checkpoints, loras, …): uploaded LoRAs are put there. Without it they
    /// cannot be painted with.
    #[arg(long, requires = "comfyui")]
    comfyui_models: Option<PathBuf>,
    /// Ask for one picture of 256×256 in 4 steps instead of eight of 512×512 in 20: for a ComfyUI without a GPU.
    #[arg(long)]
    quick: bool,
    /// Port of the emulator on 127.0.0.1.
    #[arg(long, default_value_t = 14566)]
    port: u16,
    /// How long an instance takes to boot.
    #[arg(long, default_value = "3s")]
    boot_delay: humantime::Duration,
    /// How long the stand-in takes for one sampling step.
    #[arg(long, default_value = "100ms")]
    step_delay: humantime::Duration,
    /// Durations other than the defaults, as in `idle_stop=2m,lease=10s`.
    #[arg(long, default_value = "")]
    settings: String,
    /// Keep the logs of emulator and workers after the end.
    #[arg(long)]
    keep_logs: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let level = if std::io::stderr().is_terminal() {
        "warn"
    } else {
        "info"
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_env_filter(level)
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "local: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
async fn run(arguments: Arguments) -> Result<()> {
    model::Settings::parse(&arguments.settings)?;
    let step_delay: Duration = arguments.step_delay.into();
    let options = Options {
        port: Some(arguments.port),
        renderer: arguments
            .comfyui
            .map_or(Renderer::StandIn { step_delay }, |url| Renderer::ComfyUi {
                url,
                models: arguments.comfyui_models,
            }),
        boot_delay: arguments.boot_delay.into(),
        settings: arguments.settings,
        iam: false,
    };
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = up(options, &arguments.out, arguments.once, arguments.quick, arguments.keep_logs) => result,
        _ = tokio::signal::ctrl_c() => {
            println!("\nStopped.");
            Ok(())
        }
        _ = terminate.recv() => Ok(()),
    }
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
async fn up(options: Options, out: &std::path::Path, once: bool, quick: bool, keep_logs: bool) -> Result<()> {
    let started = std::time::Instant::now();
    let say = |step: &str| println!("{:>6.1} s  {step}", started.elapsed().as_secs_f64());
    let mut stack = Stack::start(options, say).await?;
    if keep_logs {
        stack.keep_folder();
    }
    println!(
        "{:>6.1} s  up; logs are in {}",
        started.elapsed().as_secs_f64(),
        stack.folder.display()
    );
    let seeded = stack.seed("painter", "default").await?;
    let painted = demo::paint(&seeded.painter, out, quick).await;
    if once || painted.is_err() {
        stack.stop().await;
        return painted;
    }
    println!("\nTo paint in Krita with the AI Diffusion plugin on this stack, start it with");
    println!(
        "  INTERSTICE_URL='{0}' INTERSTICE_WEB_URL='{0}' krita",
        seeded.painter.api
    );
    println!("choose the online service, sign in, and enter this invitation in the browser (it is good once):");
    println!("  {}", stack.invite("painter").await?);
    println!("or call the API yourself:");
    println!(
        "  curl -H 'Authorization: Bearer {}' '{}/user'",
        seeded.painter.token(),
        seeded.painter.api
    );
    println!("\nThe stack stays up until Ctrl-C.");
    std::future::pending::<()>().await;
    Ok(())
}
