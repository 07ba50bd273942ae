//! What a group of variants does to those who paint beside it: a few painters paint with pauses, without and beside a group, in
//! turns.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use cloud::tables::WorkersOf;
use futures_util::future::try_join_all;
use local::{Options, Renderer, Stack, painter::Painter};
use model::{PoolId, Task, TaskId, WorkerState};
use serde_json::{Value, json};

use crate::{crowd::widen, median, request};

/// The pool of all of them.
const POOL: &str = "variants";
/// Those who paint.
const PAINTERS: u64 = 3;
/// Longest pause of a painter between two pictures, or four pictures, if that is longer; the mean is half of it.
const THINK: Duration = Duration::from_secs(8);
/// So many of the stand-in's steps are a picture.
const STEPS: u32 = 20;
/// Between two looks. What is measured is what the tables say.
const LOOK: Duration = Duration::from_millis(250);
/// Seconds of pictures that let every machine be started, if one is not enough for them.
const MANY: usize = 96;

/// Submit to result of the others' requests, without and beside groups.
#[expect(clippy::print_stdout, reason = "the table is this command's result")]
pub(crate) async fn measure(variants: usize, groups: u32, workers: u32, seconds: u32) -> Result<()> {
    let picture = Duration::from_secs(seconds.into());
    let think = THINK.max(picture * 4);
    let many = MANY / seconds as usize;
    let options = Options {
        renderer: Renderer::StandIn {
            step_delay: picture / STEPS,
            load_delay: Duration::ZERO,
        },
        // Machines that have come stay, so that both halves of a turn have the same.
        settings: "idle_watched=20m,idle_blind=20m".to_owned(),
        ..Options::default()
    };
    let stack = Stack::start(options, |_| ()).await?;
    let director = stack.seed("director", POOL).await?.painter;
    let mut painters = Vec::new();
    for number in 0..PAINTERS {
        painters.push(stack.seed(&format!("painter-{number}"), POOL).await?.painter);
    }
    widen(&stack, POOL, workers).await?;
    let mut seeds = 1_000_000..;
    while up(&stack).await? < workers as usize {
        let asked = group(&director, seeds.by_ref().take(many).collect()).await?;
        until_finished(&director, &asked, many).await?;
    }
    let (mut without, mut beside, mut took) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..u64::from(groups) {
        let over = AtomicBool::new(false);
        let began = Instant::now();
        let asked = group(&director, seeds.by_ref().take(variants).collect()).await?;
        let watched = async {
            until_finished(&director, &asked, variants).await?;
            over.store(true, Ordering::Relaxed);
            Ok(began.elapsed())
        };
        let (time, times) = tokio::try_join!(watched, all_paint(&stack, &painters, think, 2 * turn, &over))?;
        beside.extend(times);
        took.push(time);
        // As long, with the same pauses.
        let over = AtomicBool::new(false);
        let watched = async {
            tokio::time::sleep(time).await;
            over.store(true, Ordering::Relaxed);
            Ok(())
        };
        let ((), times) = tokio::try_join!(watched, all_paint(&stack, &painters, think, 2 * turn + 1, &over))?;
        without.extend(times);
    }
    stack.stop().await;
    println!(
        "{PAINTERS} painters on {workers} machines, pictures of {seconds} s, pauses of {:.0?} in the mean, {groups} groups of {variants}, which took {:.0} s.\n",
        think / 2,
        median(took.iter().map(Duration::as_secs_f64))
    );
    println!("| the painters' pictures | requests | median s | p95 s |\n|---|--:|--:|--:|");
    let mut found = Vec::new();
    for (name, mut times) in [("without a group", without), ("beside a group", beside)] {
        ensure!(!times.is_empty(), "nobody painted {name}");
        times.sort_unstable_by(f64::total_cmp);
        let (middle, late) = (median(times.iter().copied()), times[times.len() * 95 / 100]);
        println!("| {name} | {} | {middle:.2} | {late:.2} |", times.len());
        found.push((middle, late));
    }
    let [without, beside] = found[..] else {
        unreachable!("two rows")
    };
    println!(
        "| times | | {:.2} | {:.2} |",
        beside.0 / without.0,
        beside.1 / without.1
    );
    Ok(())
}

/// How many machines are ready or render.
async fn up(stack: &Stack) -> Result<usize> {
    let workers = stack.store().list(WorkersOf(&PoolId::new(POOL))).await?;
    Ok(workers
        .iter()
        .filter(|it| matches!(it.state, WorkerState::Ready | WorkerState::Busy))
        .count())
}

/// Asks for a group; its name.
async fn group(painter: &Painter, seeds: Vec<u32>) -> Result<String> {
    let mut request = single(0)?;
    request["input"]["variants"] = json!({ "seeds": seeds });
    let answer = painter.ok("POST", "generate", Some(request.to_string())).await?;
    Ok(answer["group"].as_str().context("the reply has no group")?.to_owned())
}

async fn until_finished(painter: &Painter, group: &str, variants: usize) -> Result<()> {
    loop {
        let seen = painter.ok("GET", &format!("groups/{group}"), None).await?;
        if seen["finished"] == true {
            ensure!(
                seen["counts"]["succeeded"] == variants,
                "not all were painted: {}",
                seen["counts"]
            );
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn single(seed: u32) -> Result<Value> {
    let mut request = request(seed)?;
    request["input"]["workflow"]["batch_count"] = 1.into();
    Ok(request)
}

/// Submit to result of what they ask for until it is over, seconds.
async fn all_paint(
    stack: &Stack,
    painters: &[Painter],
    think: Duration,
    half: u64,
    over: &AtomicBool,
) -> Result<Vec<f64>> {
    let painting = painters
        .iter()
        .zip(0..)
        .map(|(painter, number)| paint(stack, painter, think, number, half, over));
    Ok(try_join_all(painting).await?.concat())
}

/// One painter's half of a turn. The pauses are the same in both halves.
async fn paint(
    stack: &Stack,
    painter: &Painter,
    think: Duration,
    number: u64,
    half: u64,
    over: &AtomicBool,
) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for picture in 0.. {
        // Spread evenly (multiples of the golden ratio): the same each time.
        let part = ((half / 2 * PAINTERS + number) * 100 + picture) as f64 * 0.618_034;
        tokio::time::sleep(think.mul_f64(part.fract())).await;
        if over.load(Ordering::Relaxed) {
            break;
        }
        let seed = (half * PAINTERS + number) * 1000 + picture;
        let task = painter.submit(&single(u32::try_from(seed)?)?).await?;
        times.push(rendered(stack, painter, task).await?);
    }
    Ok(times)
}

/// How long the picture took, seconds.
async fn rendered(stack: &Stack, painter: &Painter, id: TaskId) -> Result<f64> {
    while painter.status(id).await?["status"] != "COMPLETED" {
        tokio::time::sleep(LOOK).await;
    }
    let task: Task = stack.store().get(&id).await?.context("the task is gone")?;
    let ended = task.ended_at.context("it never ended")?;
    Ok(ended.since(task.created).as_secs_f64())
}
