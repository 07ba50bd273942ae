//! `cargo run -p local --bin bench`: what a picture costs in time, calls and money on the local stack.

mod bill;
mod catalogue;
mod crowd;
mod live;
mod variants;
mod warm_up;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bill::{Bill, bill};
use clap::Parser;
use local::{
    Options, Renderer, Stack,
    painter::{Painter, WIRE_01},
};
use model::{Millis, RunTimes, Task, TaskId, TaskState, socket::ServerMessage};
use serde_json::Value;

/// Measures cold and warm pictures on the local stack with the stand-in for ComfyUI, and counts what AWS would bill.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Arguments {
    /// Pictures that wake a machine.
    #[arg(long, default_value_t = 3)]
    cold: usize,
    /// Pictures on a machine that is ready.
    #[arg(long, default_value_t = 20)]
    warm: usize,
    /// How long to submit as fast as possible, seconds.
    #[arg(long, default_value_t = 15)]
    submit_seconds: u64,
    /// Measure what the plugin sees only: this many brush strokes and warm pictures, with calls that are kept open and
    /// without.
    #[arg(long, value_name = "PICTURES")]
    live: Option<usize>,
    /// Let so many painters paint instead, and then look whether anything was lost, doubled or mischarged.
    #[arg(long, value_name = "PAINTERS", conflicts_with = "live")]
    crowd: Option<usize>,
    /// Let a few painters paint without and beside groups of so many variants instead, in turns.
    #[arg(long, value_name = "VARIANTS", conflicts_with_all = ["live", "crowd"])]
    variants: Option<usize>,
    /// For a crowd (10 if left out) and beside variants (2): machines.
    #[arg(long)]
    workers: Option<u32>,
    /// For a crowd: how long, minutes.
    #[arg(long, default_value_t = 10, requires = "crowd")]
    minutes: u64,
    /// Beside variants: how many groups.
    #[arg(long, default_value_t = 6, requires = "variants")]
    groups: u32,
    /// Beside variants: how long the stand-in takes for a picture, seconds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=60), requires = "variants")]
    seconds: u32,
    /// Put so many models into the catalogue instead, and measure what it takes to look for them.
    #[arg(long, value_name = "MODELS", conflicts_with_all = ["live", "crowd"])]
    models: Option<usize>,
    /// Measure the first pictures of so many machines without and with a warm-up instead, with a checkpoint that takes its time.
    #[arg(long, value_name = "MACHINES", conflicts_with_all = ["live", "crowd", "models"])]
    warm_up: Option<usize>,
    /// For live mode, this real ComfyUI instead of the stand-in.
    #[arg(long, value_name = "URL", requires = "live")]
    comfyui: Option<String>,
}

/// How often the status is looked at: the error of what is measured by looking.
const LOOK: Duration = Duration::from_millis(15);

/// One picture's times, milliseconds.
#[derive(Debug, Clone, Copy)]
struct Times {
    submit: f64,
    queue: f64,
    execute: f64,
    upload: f64,
    notify: f64,
    total: f64,
    overhead: f64,
}

#[expect(clippy::print_stdout, reason = "the tables are this command's result")]
#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(strokes) = arguments.live {
        ensure!(strokes > 0, "at least one stroke is needed");
        return live::measure(strokes, arguments.comfyui).await;
    }
    if let Some(painters) = arguments.crowd {
        ensure!(painters > 0, "at least one painter is needed");
        let workers = arguments.workers.unwrap_or(10);
        return crowd::measure(painters, workers, Duration::from_mins(arguments.minutes)).await;
    }
    if let Some(variants) = arguments.variants {
        ensure!(
            variants > 1 && arguments.groups > 0,
            "at least one group of two is needed"
        );
        let workers = arguments.workers.unwrap_or(2);
        return variants::measure(variants, arguments.groups, workers, arguments.seconds).await;
    }
    if let Some(machines) = arguments.warm_up {
        ensure!(machines > 0, "at least one machine is needed");
        return warm_up::measure(machines).await;
    }
    if let Some(models) = arguments.models {
        ensure!(models > 0, "at least one model is needed");
        return catalogue::measure(models).await;
    }
    ensure!(
        arguments.cold > 0 && arguments.warm > 0,
        "at least one picture of each kind is needed"
    );
    let options = Options {
        renderer: Renderer::StandIn {
            step_delay: Duration::from_millis(20),
            load_delay: Duration::ZERO,
        },
        // Calls that are kept open are what `--live` is about.
        settings: "rate_interval=0s,hold=0s".to_owned(),
        ..Options::default()
    };
    let boot = options.boot_delay;
    let stack = Stack::start(options, |_| ()).await?;
    // The functions' own first calls are not what a cold picture is about, so the first picture is only counted.
    let mut painter = stack.seed("painter", "pool").await?.painter;
    let mut seed = 0;
    let mut next = || {
        seed += 1;
        request(seed)
    };
    let cold_bill = quiet_bill(&stack, &painter, &next()?).await?;
    let warm_bill = quiet_bill(&stack, &painter, &next()?).await?;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for round in 0..arguments.cold {
        let (user, pool) = (format!("painter-{round}"), format!("pool-{round}"));
        painter = stack.seed(&user, &pool).await?.painter;
        cold.push(picture(&stack, &painter, &next()?).await?);
    }
    for _ in 0..arguments.warm {
        warm.push(picture(&stack, &painter, &next()?).await?);
    }
    let idle = idle_between(&stack, &painter, arguments.warm.max(2), next).await?;
    let rate = submit_rate(&stack, Duration::from_secs(arguments.submit_seconds)).await?;
    stack.stop().await;

    println!("| median of | submit | queue and wake | execute | upload | notify | total | control plane adds |");
    println!("|---|---|---|---|---|---|---|---|");
    row(&format!("{} cold (boot {boot:?})", cold.len()), &cold);
    row(&format!("{} warm", warm.len()), &warm);
    println!(
        "\nBetween two pictures in a row the worker's ComfyUI idles for {:.0} ms, of which fetch and upload are {:.0} ms.",
        median(idle.iter().map(|it| it.all)),
        median(idle.iter().map(|it| it.files))
    );
    println!("\nTimes in ms. Submits taken in: {rate:.0} a minute.\n");
    println!(
        "| one picture | HTTP requests | WebSocket messages | Lambda invocations | DynamoDB read / write units | other AWS calls | price |"
    );
    println!("|---|---|---|---|---|---|---|");
    println!("{}", cold_bill.row("cold"));
    println!("{}", warm_bill.row("warm"));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the tables are this command's result")]
fn row(name: &str, all: &[Times]) {
    let median = |of: fn(&Times) -> f64| median(all.iter().map(of));
    println!(
        "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
        median(|t| t.submit),
        median(|t| t.queue),
        median(|t| t.execute),
        median(|t| t.upload),
        median(|t| t.notify),
        median(|t| t.total),
        median(|t| t.overhead),
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The captured request with another seed, so that ComfyUI's cache does not answer.
fn request(seed: u32) -> Result<Value> {
    let mut request: Value = serde_json::from_str(WIRE_01)?;
    request["input"]["workflow"]["sampling"]["seed"] = seed.into();
    Ok(request)
}

/// One captured request, watched by polling and by WebSocket at once.
async fn picture(stack: &Stack, painter: &Painter, request: &Value) -> Result<Times> {
    let mut events = painter.events().await?;
    let started = Instant::now();
    let task = painter.submit(request).await?;
    let submit = started.elapsed();
    let told = async {
        loop {
            if let ServerMessage::Task(view) = events.next().await?
                && view.task_id == task
                && view.state == TaskState::Succeeded
            {
                return Ok::<_, anyhow::Error>(cloud::now());
            }
        }
    };
    let (readable, told) = tokio::try_join!(readable(painter, task, started), told)?;
    let done: Task = stack.store().get(&task).await?.context("the task is gone")?;
    let (claimed, ended) = (
        done.claimed_at.context("never claimed")?,
        done.ended_at.context("never ended")?,
    );
    let RunTimes { execute, upload, .. } = done.times.context("no times")?;
    let between = |from: Millis, to: Millis| to.since(from).as_secs_f64() * 1000.0;
    let total = readable.saturating_sub(submit).as_secs_f64() * 1000.0;
    Ok(Times {
        submit: submit.as_secs_f64() * 1000.0,
        queue: between(done.created, claimed),
        execute: execute as f64,
        upload: upload as f64,
        notify: between(ended, told),
        total,
        overhead: total - execute as f64,
    })
}

async fn readable(painter: &Painter, task: TaskId, started: Instant) -> Result<Duration> {
    loop {
        let status = painter.status(task).await?;
        match status["status"].as_str() {
            Some("IN_QUEUE" | "IN_PROGRESS") => tokio::time::sleep(LOOK).await,
            Some("COMPLETED") => return Ok(started.elapsed()),
            _ => anyhow::bail!("no picture: {status}"),
        }
    }
}

/// How long the renderer had nothing to do before a picture, milliseconds.
#[derive(Debug, Clone, Copy)]
struct Idle {
    all: f64,
    /// The part of it in which files were moved.
    files: f64,
}

/// Pictures in a row on one worker: from the end of one to the end of the next it renders, or it idles.
async fn idle_between(
    stack: &Stack,
    painter: &Painter,
    count: usize,
    mut next: impl FnMut() -> Result<Value>,
) -> Result<Vec<Idle>> {
    let mut waiting = Vec::new();
    for _ in 0..count {
        waiting.push(painter.submit(&next()?).await?);
    }
    let mut ends = Vec::new();
    for task in waiting {
        readable(painter, task, Instant::now()).await?;
        let done: Task = stack.store().get(&task).await?.context("the task is gone")?;
        ends.push((done.ended_at.context("never ended")?, done.times.context("no times")?));
    }
    ends.sort_unstable_by_key(|(at, _)| *at);
    let pairs = ends.windows(2).map(|pair| {
        let [(before, _), (after, times)] = pair else {
            unreachable!("a window of two")
        };
        Idle {
            all: after.since(*before).as_secs_f64() * 1000.0 - times.execute as f64,
            files: (times.fetch + times.upload) as f64,
        }
    });
    Ok(pairs.collect())
}

/// What one picture costs when the client polls as the plugin does.
async fn quiet_bill(stack: &Stack, painter: &Painter, request: &Value) -> Result<Bill> {
    let before = stack.counts().await?;
    let task = painter.submit(request).await?;
    loop {
        let status = painter.status(task).await?;
        let done = status["status"] == "COMPLETED";
        tokio::time::sleep(Duration::from_millis(500)).await;
        if done {
            break;
        }
    }
    Ok(bill(&before, &stack.counts().await?))
}

/// Submits from four painters at once; nothing of it is rendered.
async fn submit_rate(stack: &Stack, time: Duration) -> Result<f64> {
    let request: Value = serde_json::from_str(WIRE_01)?;
    let mut painters = Vec::new();
    for number in 0..4 {
        painters.push(stack.seed(&format!("submitter-{number}"), "submitters").await?.painter);
    }
    let started = Instant::now();
    let clients = painters.iter().map(async |painter| {
        let mut tasks = Vec::new();
        while started.elapsed() < time {
            tasks.push((painter, painter.submit(&request).await?));
        }
        Ok::<_, anyhow::Error>(tasks)
    });
    let tasks: Vec<_> = futures_util::future::try_join_all(clients)
        .await?
        .into_iter()
        .flatten()
        .collect();
    let rate = tasks.len() as f64 / started.elapsed().as_secs_f64() * 60.0;
    for (painter, task) in tasks {
        painter.cancel("submitters", task).await?;
    }
    Ok(rate)
}
