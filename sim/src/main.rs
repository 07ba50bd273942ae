//! `sim`: what the policies cost and how long painters wait, on a recorded or a painted demand.

#![allow(clippy::print_stdout, reason = "it is a command")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the library computes, the command reads, writes and takes times"
)]

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use model::{BacklogEntry, Estimates, Lane, Millis, PoolId, Settings, TaskId, TeamId, UserId, Worker, WorkerId};
use policy::claim;
use serde::Serialize;
use sim::{
    cases::{self, OURS, compare},
    demand::Demand,
    draw, foreseen,
    goals::{self, Goal},
    minutes::{self, Pair, Side},
    models, sensitivity,
    stats::Report,
    variants::{self, Variants},
    world::World,
};
use uuid::Uuid;

/// Compares scheduling policies on a recorded demand, or on that of a painted studio.
///
/// The policies are the functions of `shared/policy` that the Lambdas call. The same arguments give the same numbers.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct Args {
    /// The trace: CSV with a request a line (`t` in seconds; `user`, `model`, `steps`, `n_img` where known) or with
    /// `minute,count`; gzipped or not. Without it a studio is painted.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Keep this share of the trace's requests.
    #[arg(long, default_value_t = 1.0)]
    keep: f64,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// What becomes of the results when an assumption is wrong, instead of comparing policies.
    #[arg(long, conflicts_with_all = ["goals", "speed"])]
    sensitivity: bool,
    /// The goals and whether this demand meets them; those in hours hold for a hundred requests a day.
    #[arg(long, conflicts_with = "speed")]
    goals: bool,
    /// What it is worth to know which models lie on which disk, on three machines day and night: 20 and 86 models.
    #[arg(long, conflicts_with_all = ["goals", "speed", "sensitivity"])]
    affinity: bool,
    /// What it is worth to begin with the models that are asked for most: 20 and 86 models.
    #[arg(long, conflicts_with_all = ["goals", "speed", "sensitivity", "affinity"])]
    warm_up: bool,
    /// What the hourly forecast is worth that learns from this demand's past, by each signal. Takes a second or two for each
    /// day of the demand.
    #[arg(long, conflicts_with_all = ["goals", "speed", "sensitivity", "affinity", "warm_up"])]
    forecast: bool,
    /// What it is worth to know painters' pauses, with each kind of client.
    #[arg(long, conflicts_with_all = ["goals", "speed", "sensitivity", "affinity", "warm_up"])]
    pauses: bool,
    /// Of that, the first lines only.
    #[arg(long, requires = "pauses")]
    brief: bool,
    /// What groups of variants in the batch lane do to everybody else.
    #[arg(long, conflicts_with_all = ["goals", "speed", "sensitivity", "affinity", "warm_up"])]
    variants: bool,
    /// How long a month of this demand, and a claim over 1000 waiting tasks, take to compute.
    #[arg(long)]
    speed: bool,
    /// Draw cost against time-outs and the busiest day into this folder.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// How long painters wait for a run to begin, seconds.
    #[arg(long, default_value_t = World::default().patience_s)]
    patience: f64,
    /// Most workers of the pool.
    #[arg(long, default_value_t = World::default().max_workers)]
    max_workers: u32,
    /// Painters of the painted studio.
    #[arg(long, default_value_t = 12)]
    painters: u32,
    /// Days of the painted studio.
    #[arg(long, default_value_t = 28)]
    days: u64,
    /// Decides every draw.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let world = World {
        patience_s: args.patience,
        max_workers: args.max_workers,
        seed: args.seed,
        ..World::default()
    };
    let demand = match &args.trace {
        Some(path) => read(path, args.keep, args.seed)?,
        None => Demand::painted(args.painters.min(1000), args.days.min(366), args.seed)
            .context("a studio without painters or days asks for nothing")?,
    };
    if args.goals {
        return print(args.json, &goals::all(&demand, &world), goals_table);
    }
    if args.sensitivity {
        return print(args.json, &sensitivity::all(&demand, &world), table);
    }
    if args.forecast {
        return print(args.json, &foreseen::all(&demand, &world), table);
    }
    if args.affinity {
        return print(args.json, &models::choices(&demand, &world), models_table);
    }
    if args.warm_up {
        return print(args.json, &models::warm_ups(&demand, &world), models_table);
    }
    if args.pauses {
        let mut pairs = minutes::kinds(&demand, &world);
        if !args.brief {
            pairs.extend(minutes::worths(&demand, &world));
            pairs.extend(minutes::wrong(&demand, &world));
        }
        return print(args.json, &pairs, pairs_table);
    }
    if args.variants {
        return print(args.json, &variants::table(&demand, &world), variants_table);
    }
    if args.speed {
        return print(args.json, &speed(&demand, &world), goals_table);
    }
    let results = compare(&demand, &world, &cases::all(&demand));
    let reports: Vec<_> = results.iter().map(|(report, _)| report.clone()).collect();
    if let Some(folder) = &args.svg {
        let day = demand.busiest_day();
        let ours = results.iter().find(|(report, _)| report.policy == OURS);
        let moments = ours.map_or(&[][..], |(_, stats)| &stats.moments);
        let requests = demand.requests.len() as f64 / demand.days as f64;
        let title = format!(
            "{}: {requests:.0} requests a day, patience {:.0} s",
            demand.name, world.patience_s
        );
        write(folder, "cost.svg", &draw::cost_against_timeouts(&title, &reports))?;
        let title = format!("{}: the busiest day, with presence", demand.name);
        write(folder, "day.svg", &draw::day(&title, day, moments))?;
    }
    print(args.json, &reports, table)
}

fn read(path: &Path, keep: f64, seed: u64) -> Result<Demand> {
    let shown = path.display();
    let file = std::fs::read(path).with_context(|| format!("{shown} cannot be read"))?;
    let mut text = Vec::new();
    if file.starts_with(&[0x1f, 0x8b]) {
        let mut gzip = flate2::read::MultiGzDecoder::new(file.as_slice()).take(MOST_BYTES + 1);
        gzip.read_to_end(&mut text)
            .with_context(|| format!("{shown} is not whole gzip"))?;
    } else {
        text = file;
    }
    if text.len() as u64 > MOST_BYTES {
        bail!("{shown} is longer than a gigabyte");
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(".gz").trim_end_matches(".csv");
    Demand::read(name, &text, keep, seed).with_context(|| format!("{shown} is no trace"))
}

const MOST_BYTES: u64 = 1 << 30;

fn write(folder: &Path, name: &str, svg: &str) -> Result<()> {
    let path = folder.join(name);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, svg))
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// The time that ours takes over the whole demand, as a month; and a claim.
fn speed(demand: &Demand, world: &World) -> Vec<Goal> {
    let since = Instant::now();
    let case = cases::ours(OURS, sim::signals::Signals::Canvas);
    drop(compare(demand, world, &[case]));
    let month = since.elapsed().as_secs_f64() * 30.0 / demand.days as f64;
    [
        ("a month of this demand, seconds", month, 2.0),
        (
            "a claim over 1000 waiting tasks, microseconds",
            claim_micros(1000),
            100.0,
        ),
    ]
    .map(|(goal, measured, at_most)| Goal {
        goal: goal.to_owned(),
        measured,
        at_most,
        met: measured <= at_most,
    })
    .to_vec()
}

/// How long a claim over this many waiting tasks takes to decide, the mean of many, microseconds.
fn claim_micros(tasks: u32) -> f64 {
    const TIMES: u32 = 1000;
    let now = Millis(86_400_000);
    let backlog: Vec<_> = (0..tasks)
        .map(|n| BacklogEntry {
            task_id: TaskId::new(Uuid::from_u128(u128::from(n))),
            owner: UserId::new(format!("u{}", n % 50)),
            team: TeamId::new("studio"),
            // As scattered as no index gives them.
            start_tag: u64::from(n.wrapping_mul(2_654_435_761)),
            lane: Lane::Interactive,
            failed_on: None,
            model: Some(format!("m{}", n % 40)),
            work: 30.0,
            created: now,
            expires_at: Millis(u64::MAX),
            seen_at: now,
        })
        .collect();
    let mut worker = Worker::launching(WorkerId::new("w"), PoolId::new("default"), now);
    worker.models = vec!["m41".to_owned(), "m42".to_owned()];
    let settings = Settings::default();
    let since = Instant::now();
    for _ in 0..TIMES {
        std::hint::black_box(claim::choose(
            std::hint::black_box(&backlog),
            &worker,
            &Estimates::default(),
            &settings,
            now,
        ));
    }
    since.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
}

fn print<T: Serialize>(json: bool, rows: &[T], table: fn(&[T])) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(rows)?);
    } else {
        table(rows);
    }
    Ok(())
}

fn table(reports: &[Report]) {
    println!(
        "| policy | time-outs % | late % | h/month | $/picture | mean s | p95 s | wait s | × clairvoyant | × bound | \
         VRAM misses % | starts/month | busy % | ETA off s |"
    );
    println!("|---|{}", "--:|".repeat(13));
    for it in reports {
        println!(
            "| {} | {:.2} | {:.2} | {:.1} | {:.4} | {:.1} | {:.1} | {:.1} | {:.2} | {:.2} | {:.0} | {:.0} | {:.1} | {:.1} |",
            it.policy,
            it.timeouts_pct,
            it.late_pct,
            it.hours_month,
            it.cost_per_picture,
            it.mean_s,
            it.p95_s,
            it.wait_s,
            it.clairvoyant_ratio,
            it.lower_bound_ratio,
            it.vram_miss_pct,
            it.starts_month,
            it.busy_pct,
            it.eta_error_s,
        );
    }
}

fn models_table(reports: &[Report]) {
    println!("| models and policy | GPU misses % | disk misses % | load s | mean s | p95 s | time-outs % | h/month |");
    println!("|---|{}", "--:|".repeat(7));
    for it in reports {
        println!(
            "| {} | {:.1} | {:.1} | {:.2} | {:.1} | {:.1} | {:.2} | {:.1} |",
            it.policy,
            it.vram_miss_pct,
            it.disk_miss_pct,
            it.load_s,
            it.mean_s,
            it.p95_s,
            it.timeouts_pct,
            it.hours_month,
        );
    }
}

fn pairs_table(pairs: &[Pair]) {
    println!(
        "| circumstances | fixed times: time-outs % | h/month | × clairvoyant | learned: time-outs % | h/month | × clairvoyant |"
    );
    println!("|---|{}", "--:|".repeat(6));
    for it in pairs {
        let side = |side: Side| {
            format!(
                "{:.2} | {:.1} | {:.2}",
                side.timeouts_pct, side.hours_month, side.clairvoyant_ratio
            )
        };
        println!("| {} | {} | {} |", it.what, side(it.fixed), side(it.learned));
    }
}

fn variants_table(rows: &[Variants]) {
    println!(
        "| variants | others' p95 s | times | others beside a group | their p95 s | times | a group takes min | h/month |"
    );
    println!("|--:|{}", "--:|".repeat(7));
    for it in rows {
        println!(
            "| {} | {:.1} → {:.1} | {:.3} | {} | {:.1} → {:.1} | {:.3} | {:.1} | {:.1} → {:.1} |",
            it.variants,
            it.p95_without_s,
            it.p95_with_s,
            it.times(),
            it.beside,
            it.beside_without_s,
            it.beside_with_s,
            it.beside_with_s / it.beside_without_s.max(1e-9),
            it.done_min,
            it.hours_without,
            it.hours_with,
        );
    }
}

fn goals_table(goals: &[Goal]) {
    println!("| goal | measured | at most | met |\n|---|--:|--:|---|");
    for it in goals {
        let met = if it.met { "yes" } else { "no" };
        println!("| {} | {:.3} | {} | {met} |", it.goal, it.measured, it.at_most);
    }
}
