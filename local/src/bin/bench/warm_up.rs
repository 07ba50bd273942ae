//! What a machine's warm-up is worth to the first painter who asks it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cloud::{Write, tables::WorkersOf};
use local::{Options, Renderer, Stack};
use model::{PoolId, WorkerState};

use crate::{LOOK, median, picture, request};

/// How long the stand-in takes to load a checkpoint.
const LOAD: Duration = Duration::from_secs(4);

/// The first picture on machines that a painter's presence has started, without and with a warm-up: medians of so many.
#[expect(clippy::print_stdout, reason = "the table is this command's result")]
pub(crate) async fn measure(rounds: usize) -> Result<()> {
    let options = Options {
        renderer: Renderer::StandIn {
            step_delay: Duration::from_millis(20),
            load_delay: LOAD,
        },
        settings: "rate_interval=0s,hold=0s".to_owned(),
        ..Options::default()
    };
    let boot = options.boot_delay;
    let stack = Stack::start(options, |_| ()).await?;
    println!("A checkpoint loads in {LOAD:?}, a machine boots in {boot:?}; medians of {rounds}, milliseconds.\n");
    println!("| machine | ready after | first picture | of it ComfyUI's | second picture |\n|---|--:|--:|--:|--:|");
    let mut seed = 0;
    for warm in [false, true] {
        let (mut ready, mut first, mut execute, mut second) = (vec![], vec![], vec![], vec![]);
        for round in 0..rounds {
            let pool = format!("pool-{warm}-{round}");
            let seeded = stack.seed(&format!("painter-{warm}-{round}"), &pool).await?;
            if !warm {
                let mut pool = stack.store().get(&seeded.pool).await?.context("no pool")?;
                pool.warm_up = None;
                stack.store().commit([Write::put(&mut pool)?]).await?;
            }
            ready.push(until_ready(&stack, &seeded.painter, &seeded.pool).await?);
            seed += 2;
            let one = picture(&stack, &seeded.painter, &request(seed)?).await?;
            let two = picture(&stack, &seeded.painter, &request(seed + 1)?).await?;
            first.push(one.submit + one.total);
            execute.push(one.execute);
            second.push(two.submit + two.total);
        }
        let name = if warm { "with a warm-up" } else { "without" };
        let of = |values: Vec<f64>| median(values.into_iter());
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} | {:.0} |",
            of(ready),
            of(first),
            of(execute),
            of(second)
        );
    }
    stack.stop().await;
    Ok(())
}

/// A painter shows presence, which starts a machine; how long until it is ready, milliseconds.
async fn until_ready(stack: &Stack, painter: &local::painter::Painter, pool: &PoolId) -> Result<f64> {
    let began = Instant::now();
    painter.ok("GET", "user", None).await?;
    while began.elapsed() < Duration::from_mins(2) {
        let workers = stack.store().list(WorkersOf(pool)).await?;
        if workers.iter().any(|it| it.state == WorkerState::Ready) {
            return Ok(began.elapsed().as_secs_f64() * 1000.0);
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("no machine is ready")
}
