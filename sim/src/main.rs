//! `sim`: what the policies cost and how long painters wait, on a recorded or a painted demand.

#![allow(clippy::print_stdout, reason = "it is a command")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the library computes, the command reads, writes and takes times"
)]

mod tables;

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use model::{
    BacklogEntry, Estimates, Lane, Millis, NextHour, PoolId, Settings, TaskId, TeamId, UserId, Worker, WorkerId,
};
use policy::claim;
use sim::{
    bounds,
    cases::{self, OURS, compare},
    demand::Demand,
    draw, foreseen,
    goals::{self, Goal},
    minutes, models, sensitivity, variants,
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
    /// Where what the forecast has learned is wrong, instead.
    #[arg(long, requires = "forecast")]
    wrong: bool,
    /// Keep what is forecast in this folder, and take it from there: a command that was cut off goes on where it was.
    #[arg(long, requires = "forecast")]
    remember: Option<PathBuf>,
    /// What it is worth to know painters' pauses, with each kind of client.
    #[arg(long, conflicts_with_all = ["goals", "speed", "sensitivity", "affinity", "warm_up"])]
    pauses: bool,
    /// Of that, the first lines only.
    #[arg(long, requires = "pauses")]
    brief: bool,
    /// The goals of machine time, beside the best that any rule could do in hindsight that sees no more than ours.
    #[arg(long, conflicts_with_all = ["goals", "speed", "sensitivity", "affinity", "warm_up", "pauses"])]
    bounds: bool,
    /// What groups of variants in the batch lane do to everybody else.
    #[arg(long, conflicts_with_all = ["goals", "speed", "sensitivity", "affinity", "warm_up"])]
    variants: bool,
    /// How long a month of this demand, and a claim over 1000 waiting tasks, take to compute.
    #[arg(long)]
    speed: bool,
    /// Draw cost against time-outs and the busiest day into this folder; with `--forecast` a day and its calibration, with
    /// `--bounds` hours against time-outs.
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
        return tables::print(args.json, &goals::all(&demand, &world), tables::goals);
    }
    if args.sensitivity {
        return tables::print(args.json, &sensitivity::all(&demand, &world), tables::policies);
    }
    if args.forecast {
        let foresees = |of: &Demand| remembered(args.remember.as_deref(), of, &world);
        let hours = foresees(&demand)?;
        if args.wrong {
            let mut problem = None;
            let worths = foreseen::wrong(&demand, &world, |of| {
                foresees(of).unwrap_or_else(|it| {
                    problem = Some(it);
                    Vec::new()
                })
            });
            return problem.map_or_else(|| tables::print(args.json, &worths, tables::worths), Err);
        }
        if let Some(folder) = &args.svg {
            let (told, day, name) = (foreseen::told(&demand, &hours), demand.busiest_day(), &demand.name);
            let title = format!("{name}: the busiest day, as it was forecast");
            write(folder, "forecast-day.svg", &draw::forecast::band(&title, day, &told))?;
            let title = format!("{name}: how often what was said was kept to");
            write(
                folder,
                "forecast-calibration.svg",
                &draw::forecast::calibration(&title, &told),
            )?;
        }
        return tables::print(args.json, &foreseen::all(&demand, &world, &hours), tables::policies);
    }
    if args.affinity {
        return tables::print(args.json, &models::choices(&demand, &world), tables::models);
    }
    if args.warm_up {
        return tables::print(args.json, &models::warm_ups(&demand, &world), tables::models);
    }
    if args.bounds {
        let bounds = bounds::all(&demand, &world);
        if let (Some(folder), Some(first)) = (&args.svg, bounds.first()) {
            let title = format!("{}: {}", demand.name, first.what);
            write(folder, "bounds.svg", &draw::bounds::bound(&title, first))?;
        }
        return tables::print(args.json, &bounds, tables::bounds);
    }
    if args.pauses {
        let mut pairs = minutes::kinds(&demand, &world);
        if !args.brief {
            pairs.extend(minutes::worths(&demand, &world));
            pairs.extend(minutes::wrong(&demand, &world));
        }
        return tables::print(args.json, &pairs, tables::pairs);
    }
    if args.variants {
        return tables::print(args.json, &variants::table(&demand, &world), tables::variants);
    }
    if args.speed {
        return tables::print(args.json, &speed(&demand, &world), tables::goals);
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
    tables::print(args.json, &reports, tables::policies)
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

/// What is forecast for this demand, kept in the folder.
fn remembered(folder: Option<&Path>, demand: &Demand, world: &World) -> Result<Vec<NextHour>> {
    let Some(folder) = folder else {
        return Ok(foreseen::foreseen(demand, world));
    };
    let name = format!(
        "{} {} {}.json",
        demand.name.replace('/', " "),
        demand.days,
        demand.requests.len()
    );
    let path = folder.join(&name);
    if let Ok(text) = std::fs::read(&path) {
        return serde_json::from_slice(&text).with_context(|| format!("{} is damaged: remove it", path.display()));
    }
    let hours = foreseen::foreseen(demand, world);
    let begun = folder.join(format!("{name}.part"));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&begun, serde_json::to_vec(&hours)?))
        .and_then(|()| std::fs::rename(&begun, &path))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(hours)
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
