//! `cargo run -p local`: the whole stack on this machine, and a picture through it.

use std::{
    io::{IsTerminal, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Parser;
use local::{Options, Renderer, Stack, demo, metrics};
use model::Role;
use tokio::sync::mpsc;

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
    /// Boot a machine for each instance by this program instead of starting a worker process: image/test uses it.
    #[arg(long, conflicts_with = "comfyui")]
    machine: Option<PathBuf>,
    /// Ask for one picture of 256×256 in 4 steps instead of eight of 512×512 in 20: for a ComfyUI without a GPU.
    #[arg(long)]
    quick: bool,
    /// Port of the emulator.
    #[arg(long, default_value_t = 14566)]
    port: u16,
    /// Address that the emulator listens on; 0.0.0.0 lets containers reach it, and everybody else who reaches this
    /// machine: there is nothing on it but what you put there, and no password.
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Write the file that `sam local invoke --env-vars` takes to run a function on this stack, and seed what the golden
    /// events in events/ speak of. Together with --listen 0.0.0.0 it names the host that containers know.
    #[arg(long, value_name = "FILE")]
    env_json: Option<PathBuf>,
    /// Write outputs.json and signing-key.pem into this folder: what `ops` needs to look after this stack.
    #[arg(long, value_name = "DIR")]
    outputs: Option<PathBuf>,
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
        listen: arguments.listen,
        renderer: match (arguments.machine.clone(), arguments.comfyui.clone()) {
            (Some(program), _) => Renderer::Machine { program },
            (None, Some(url)) => Renderer::ComfyUi {
                url,
                models: arguments.comfyui_models.clone(),
            },
            (None, None) => Renderer::StandIn {
                step_delay,
                load_delay: Duration::ZERO,
            },
        },
        boot_delay: arguments.boot_delay.into(),
        settings: arguments.settings.clone(),
        iam: false,
    };
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = up(options, &arguments) => result,
        _ = tokio::signal::ctrl_c() => {
            println!("\nStopped.");
            Ok(())
        }
        _ = terminate.recv() => Ok(()),
    }
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
async fn up(options: Options, arguments: &Arguments) -> Result<()> {
    let started = std::time::Instant::now();
    let say = |step: &str| println!("{:>6.1} s  {step}", started.elapsed().as_secs_f64());
    let mut stack = Stack::start(options, say).await?;
    if arguments.keep_logs {
        stack.keep_folder();
    }
    println!(
        "{:>6.1} s  up; logs are in {}",
        started.elapsed().as_secs_f64(),
        stack.folder.display()
    );
    let seeded = stack.seed("painter", "default").await?;
    if let Some(folder) = &arguments.outputs {
        stack.write_outputs(folder)?;
    }
    if let Some(file) = &arguments.env_json {
        write_environments(&stack, file, arguments.listen).await?;
    }
    let painted = demo::paint(&seeded.painter, &arguments.out, arguments.quick).await;
    if painted.is_ok() {
        let page = arguments.out.with_extension("metrics.html");
        let lines = stack.log_lines().await?;
        std::fs::write(&page, metrics::page(&lines)?)
            .with_context(|| format!("{} cannot be written", page.display()))?;
        println!("What the functions measured meanwhile is in {}.", page.display());
    }
    if arguments.once || painted.is_err() {
        stack.stop().await;
        return painted;
    }
    println!(
        "\nIts models are those that the stand-in (or your ComfyUI) has, as `ops seed --catalog` says; a studio brings its own with"
    );
    println!("`ops model add FILE|FOLDER|URL`, and each machine fetches what its pictures need.");
    println!("\nTo paint in Krita with the AI Diffusion plugin on this stack, start it with");
    println!(
        "  INTERSTICE_URL='{0}' INTERSTICE_WEB_URL='{0}' krita",
        seeded.painter.api
    );
    println!("choose the online service, sign in, and enter this invitation in the browser (it is good once):");
    println!("  {}", stack.invite("painter").await?);
    stack.seed("operator", "default").await?;
    stack.give_role("operator", Role::Operator).await?;
    println!("or look at the studio as its operator: open this, and press the button (it is good once):");
    println!("  {}", stack.studio_link("operator").await?);
    println!("or call the API yourself:");
    println!(
        "  curl -H 'Authorization: Bearer {}' '{}/user'",
        seeded.painter.token(),
        seeded.painter.api
    );
    let credentials = "AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test";
    if let Some(folder) = &arguments.outputs {
        println!("or look after it:");
        println!(
            "  AWS_ENDPOINT_URL=http://127.0.0.1:{} {credentials} cargo run --bin ops -- pool show default --outputs {}",
            arguments.port,
            folder.join("outputs.json").display()
        );
    }
    if let Some(file) = &arguments.env_json {
        println!("or run a function on it, after `sam build`; Enter seeds again what the golden events speak of:");
        println!(
            "  {credentials} sam local invoke GenerateFunction -e events/generate/status.json --env-vars {} \\\n    \
             --add-host host.docker.internal:host-gateway",
            file.display()
        );
    }
    println!("\nThe stack stays up until Ctrl-C.");
    if arguments.env_json.is_some() {
        let mut lines = lines();
        while lines.recv().await.is_some() {
            stack.seed_golden().await?;
            println!("Seeded again.");
        }
    }
    std::future::pending::<()>().await;
    Ok(())
}

/// Hears each line of standard input. A thread of its own waits for them, which nobody has to end.
fn lines() -> mpsc::UnboundedReceiver<()> {
    let (line, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines().map_while(Result::ok) {
            if line.send(()).is_err() {
                break;
            }
        }
    });
    lines
}

async fn write_environments(stack: &Stack, file: &Path, listen: IpAddr) -> Result<()> {
    let host = if listen.is_loopback() {
        "127.0.0.1"
    } else {
        "host.docker.internal"
    };
    let environments = serde_json::to_string_pretty(&stack.environments(host).await?)?;
    std::fs::write(file, environments).with_context(|| format!("{} cannot be written", file.display()))?;
    stack.seed_golden().await
}
