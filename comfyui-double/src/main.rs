//! The double as a program.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use comfyui_double::{Builder, Double, Version};

/// Speaks ComfyUI's protocol without a GPU. Pictures are painted by a formula and say so.
#[derive(Debug, Parser)]
#[command(version)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Arguments {
    /// Address to listen on. There is no authentication: keep it local.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into())]
    listen: IpAddr,
    /// Port; 0 takes any free one.
    #[arg(long, default_value_t = 8188)]
    port: u16,
    /// Time per sampling step, such as 20ms or 1s.
    #[arg(long, default_value = "0s")]
    step_delay: humantime::Duration,
    /// Time to load a checkpoint or diffusion model, such as 10s.
    #[arg(long, default_value = "0s")]
    load_delay: humantime::Duration,
    /// Which ComfyUI to behave like.
    #[arg(long, value_enum, default_value_t = Like::V0_3)]
    like: Like,
    /// Have every model file that a graph names. With --models-in, those in atelier/ must be there: a worker brings them.
    #[arg(long)]
    any_model: bool,
    /// A model file to have, such as checkpoints/tiny.ckpt; may be repeated.
    #[arg(long = "model", value_name = "FOLDER/NAME", value_parser = model)]
    models: Vec<(String, String)>,
    /// Have the files in this folder's checkpoints, loras, ... as ComfyUI does.
    #[arg(long, value_name = "FOLDER")]
    models_in: Option<PathBuf>,
    /// Have the nodes of custom packs that Atelier uses where they are installed (IP-Adapter, detectors).
    #[arg(long)]
    optional_nodes: bool,
    /// Send a preview picture with each step.
    #[arg(long)]
    previews: bool,
    /// Write the graph into saved PNGs.
    #[arg(long)]
    metadata: bool,
    /// Largest upload in MiB.
    #[arg(long, default_value_t = 100)]
    max_upload_size: usize,
    /// End when stdin closes, that is, when the program that started this one ends.
    #[arg(long)]
    exit_with_parent: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Like {
    /// 0.3.75: without /api/jobs.
    #[value(name = "v0_3")]
    V0_3,
    /// 0.33.0: with /api/jobs.
    #[value(name = "v0_33")]
    V0_33,
}

impl Arguments {
    fn builder(&self) -> Builder {
        let mut builder = Double::builder()
            .listen(self.listen)
            .port(self.port)
            .step_delay(self.step_delay.into())
            .load_delay(self.load_delay.into())
            .version(match self.like {
                Like::V0_3 => Version::V0_3,
                Like::V0_33 => Version::V0_33,
            })
            .previews(self.previews)
            .metadata(self.metadata)
            .optional_nodes(self.optional_nodes)
            .max_upload(self.max_upload_size << 20)
            .may_exit(true);
        if self.any_model {
            builder = builder.any_model();
        }
        for (folder, name) in &self.models {
            builder = builder.model(folder, name);
        }
        if let Some(folder) = &self.models_in {
            builder = builder.models_in(folder);
        }
        builder
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::INFO)
        .init();
    let mut double = match arguments.builder().start().await {
        Ok(double) => double,
        Err(error) => {
            tracing::error!(%error, listen = %arguments.listen, port = arguments.port, "cannot listen");
            return ExitCode::FAILURE;
        }
    };
    // The one line that a parent process waits for.
    let mut stdout = std::io::stdout();
    if writeln!(stdout, "{}", double.url())
        .and_then(|()| stdout.flush())
        .is_err()
    {
        tracing::warn!("nobody reads stdout; the address is {}", double.url());
    }
    tokio::select! {
        () = stdin_closed(arguments.exit_with_parent) => {}
        () = asked_to_end() => {}
        () = double.ended() => return ExitCode::FAILURE,
    }
    double.stop().await;
    ExitCode::SUCCESS
}

/// Ends when stdin closes, if that is wanted.
async fn stdin_closed(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let (sender, closed) = tokio::sync::oneshot::channel();
    // A plain thread: tokio would wait for a blocked read of its own at the end.
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while std::io::stdin().read(&mut buffer).is_ok_and(|count| count > 0) {}
        sender.send(())
    });
    if closed.await.is_err() {
        tracing::error!("nothing watches stdin any more");
    }
}

async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        // Without handlers, the signals end the process by themselves.
        _ => std::future::pending().await,
    }
}

fn model(text: &str) -> Result<(String, String), String> {
    let (folder, name) = text.split_once('/').ok_or("write FOLDER/NAME")?;
    Ok((folder.to_owned(), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
        let arguments = Arguments::parse_from([
            "double",
            "--step-delay",
            "20ms",
            "--like",
            "v0_33",
            "--model",
            "loras/a/b",
        ]);
        assert_eq!(arguments.step_delay.as_millis(), 20);
        assert_eq!(arguments.models, [("loras".to_owned(), "a/b".to_owned())]);
        assert!(model("a").is_err());
    }
}
