//! A crowd: many painters on some workers for some time, who think, ask, ask again, change their minds; and afterwards the
//! books.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use cloud::{StoreError, Write, on_conflict};
use futures_util::future::try_join_all;
use local::{
    Options, Renderer, Stack,
    painter::{Painter, WIRE_01},
};
use model::{MicroUsd, PoolId, Task, TaskId, TaskState, UserId};
use serde_json::Value;

use crate::median;

/// The pool of all of them.
const POOL: &str = "crowd";
/// Longest pause of a painter between two pictures; the mean is half of it.
const THINK: Duration = Duration::from_mins(1);
/// Between two looks at a picture, as the plugin has it.
const LOOK: Duration = Duration::from_millis(500);
/// A call that fails for the laptop's sake is made again after this long.
const AGAIN: Duration = Duration::from_secs(2);

/// What one painter saw.
#[derive(Debug, Default)]
struct Seen {
    asked: BTreeSet<TaskId>,
    canceled: BTreeSet<TaskId>,
    pictures: BTreeSet<TaskId>,
    /// Submit to picture, seconds.
    times: Vec<f64>,
    again: u32,
}

/// Lets them paint, and holds what they saw against the tables.
#[expect(clippy::print_stdout, reason = "the table is this command's result")]
pub(crate) async fn measure(painters: usize, workers: u32, time: Duration) -> Result<()> {
    let options = Options {
        renderer: Renderer::StandIn {
            step_delay: Duration::from_millis(50),
            load_delay: Duration::ZERO,
        },
        ..Options::default()
    };
    let stack = Stack::start(options, |_| ()).await?;
    let names: Vec<String> = (0..painters).map(|number| format!("painter-{number}")).collect();
    let mut clients = Vec::with_capacity(painters);
    for name in &names {
        clients.push(stack.seed(name, POOL).await?.painter);
    }
    widen(&stack, POOL, workers).await?;
    let end = Instant::now() + time;
    let crowd = clients
        .iter()
        .enumerate()
        .map(|(number, painter)| paint(painter, number as u64, end));
    let seen = try_join_all(crowd).await?;
    let mut spent = 0;
    for ((name, painter), seen) in names.iter().zip(&clients).zip(&seen) {
        spent += books(&stack, name, painter, seen).await?.0;
    }
    let sum = |of: fn(&Seen) -> usize| seen.iter().map(of).sum::<usize>();
    let mut times: Vec<f64> = seen.iter().flat_map(|it| it.times.iter().copied()).collect();
    times.sort_by(f64::total_cmp);
    ensure!(!times.is_empty(), "nobody got a picture");
    println!(
        "| painters | workers | requests | canceled | pictures | calls made again | submit to picture, median | p95 | spent |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    println!(
        "| {painters} | {workers} | {} | {} | {} | {} | {:.1} s | {:.1} s | ${:.2} |",
        sum(|it| it.asked.len()),
        sum(|it| it.canceled.len()),
        sum(|it| it.pictures.len()),
        seen.iter().map(|it| it.again).sum::<u32>(),
        median(times.iter().copied()),
        times[times.len() * 95 / 100],
        spent as f64 / 1e6,
    );
    println!("\nNone lost, none doubled, each charged what its pictures cost.");
    stack.stop().await;
    Ok(())
}

/// Lets a pool have so many machines.
pub(crate) async fn widen(stack: &Stack, pool: &str, workers: u32) -> Result<()> {
    on_conflict!({
        let Some(mut pool) = stack.store().get(&PoolId::new(pool)).await? else {
            return Ok(());
        };
        pool.max_workers = workers;
        stack.store().commit([Write::put(&mut pool)?]).await
    })
    .map_err(|error: StoreError| error.into())
}

/// One painter's session. What they do is a function of their number.
async fn paint(painter: &Painter, number: u64, end: Instant) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut roll = || {
        // xorshift64: the same crowd each time.
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % 1000
    };
    for round in 0_u64.. {
        tokio::time::sleep(THINK.mul_f64(roll() as f64 / 1000.0)).await;
        if Instant::now() > end {
            break;
        }
        let mut request: Value = serde_json::from_str(WIRE_01)?;
        request["input"]["workflow"]["batch_count"] = 1.into();
        request["input"]["workflow"]["sampling"]["seed"] = (number * 10_000 + round).into();
        let key = format!("{number}-{round}");
        let started = Instant::now();
        let submit = async || painter.submit_once(&request, &key).await;
        let task = again(&mut seen.again, &submit).await?;
        ensure!(seen.asked.insert(task), "task {task} is two requests'");
        if roll() < 100 {
            let same = again(&mut seen.again, &submit).await?;
            ensure!(same == task, "a repeated request is another task");
        }
        if roll() < 100 {
            again(&mut seen.again, &async || painter.cancel(POOL, task).await).await?;
            seen.canceled.insert(task);
        }
        loop {
            let status = again(&mut seen.again, &async || painter.status(task).await).await?;
            match status["status"].as_str().unwrap_or_default() {
                "IN_QUEUE" | "IN_PROGRESS" => tokio::time::sleep(LOOK).await,
                "COMPLETED" => {
                    seen.pictures.insert(task);
                    seen.times.push(started.elapsed().as_secs_f64());
                    break;
                }
                "CANCELLED" if seen.canceled.contains(&task) => break,
                _ => bail!("task {task} came to {status}"),
            }
        }
    }
    Ok(seen)
}

/// The call, until it is answered: an overloaded laptop is no fault of the stack's, and repeating is what clients do.
async fn again<T>(failures: &mut u32, call: &impl AsyncFn() -> Result<T>) -> Result<T> {
    for _ in 0..30 {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(_) => *failures += 1,
        }
        tokio::time::sleep(AGAIN).await;
    }
    call().await
}

/// What the tables say of a painter must be what they saw; what they spent.
async fn books(stack: &Stack, name: &str, painter: &Painter, seen: &Seen) -> Result<MicroUsd> {
    let mut listed = BTreeSet::new();
    let mut path = "tasks?limit=50".to_owned();
    loop {
        let page = painter.ok("GET", &path, None).await?;
        for task in page["tasks"].as_array().context("a list")? {
            listed.insert(task["task_id"].as_str().context("an id")?.parse()?);
        }
        let Some(cursor) = page["next"].as_str() else { break };
        path = format!("tasks?limit=50&cursor={cursor}");
    }
    ensure!(
        listed == seen.asked,
        "{name} asked for {:?} and has {listed:?}",
        seen.asked
    );
    let mut cost = 0;
    for id in &seen.asked {
        let task: Task = stack
            .store()
            .get(id)
            .await?
            .with_context(|| format!("task {id} is gone"))?;
        let wanted = if seen.pictures.contains(id) {
            TaskState::Succeeded
        } else {
            TaskState::Canceled
        };
        ensure!(
            task.state == wanted,
            "{name} saw {wanted:?} of a task that is {:?}",
            task.state
        );
        ensure!(
            wanted == TaskState::Succeeded || task.cost.0 == 0,
            "a canceled task was charged"
        );
        cost += task.cost.0;
    }
    let usage = accounts::usage(stack.store(), &UserId::new(name), cloud::now()).await?;
    ensure!(
        (usage.spent.0, usage.reserved.0, usage.images) == (cost, 0, seen.pictures.len() as u64),
        "{name}'s pictures cost {cost}, and the books say {usage:?}"
    );
    Ok(usage.spent)
}
