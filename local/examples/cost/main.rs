//! `cargo run -p local --example cost`: what each function costs in CPU and size.
//!
//! Release bootstraps run one after the other on a stand-in for Lambda's Runtime API, beside an AWS that answers at once.
//! What is counted is the process's own CPU, so that neither waiting nor what else the machine does is in it, as far as
//! caches allow. The stand-in for AWS speaks plain HTTP: handshakes and encryption, some ms of the init, are not in it.

mod aws;
mod calls;
mod cores;
mod cpu;
mod function;
mod studio;
mod table;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use axum::body::Bytes;
use clap::{Parser, builder::PossibleValuesParser};
use flate2::{Compression, write::DeflateEncoder};
use ops::keys::{self, Keys};

use crate::{
    aws::Aws,
    calls::{CALLS, Call},
    cores::Core,
    function::Function,
    table::{HEAD, Row, Sample, median},
};

/// Measures what each function costs: its zip's size, and the CPU of its init, its first call and a later one.
#[derive(Debug, Parser)]
#[command(name = "cost", version)]
struct Arguments {
    /// Folder of the functions to measure, built by `cargo build --release`. [default: `release` beside this program's
    /// own profile in the target folder]
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Folder of other, as a rule earlier, ones. They are measured in turn with the first, so that the ratio is fair
    /// however busy the machine is.
    #[arg(long, value_name = "DIR")]
    before: Option<PathBuf>,
    /// Compare with the same functions where they measure nothing of themselves, in place of earlier ones: what their metrics cost.
    #[arg(long, conflicts_with = "before")]
    metrics: bool,
    /// Measure only this function; may be given more than once.
    #[arg(long, value_name = "NAME", value_parser = functions())]
    function: Vec<String>,
    /// Processes of each function for each call: one init and one cold call each.
    #[arg(long, default_value_t = 15)]
    processes: usize,
    /// Warm calls of each process.
    #[arg(long, default_value_t = 40)]
    calls: usize,
}

#[expect(clippy::print_stdout, reason = "the table is this command's result")]
#[tokio::main(worker_threads = 1)]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(
        arguments.processes > 0 && arguments.calls > 0,
        "at least one process and one call are needed"
    );
    let binaries = match &arguments.binaries {
        Some(folder) => folder.clone(),
        None => release_folder()?,
    };
    let bench = Bench {
        keys: keys::generate()?,
        core: Core::take(),
        events: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../events"),
        logs: tempfile::tempdir()?,
        calls: arguments.calls,
    };
    let wanted =
        |call: &&Call| arguments.function.is_empty() || arguments.function.iter().any(|it| it == call.function);
    let mut out = std::io::stdout();
    write!(out, "{HEAD}")?;
    for call in CALLS.iter().filter(wanted) {
        let now = program(&binaries, call.function)?;
        let before = match &arguments.before {
            Some(folder) => Some((program(folder, call.function)?, true)),
            None => arguments.metrics.then(|| (now.clone(), false)),
        };
        let row = bench.row(call, before.as_ref(), &now, arguments.processes).await?;
        write!(out, "{}", row.line())?;
        out.flush()?;
    }
    let core = match bench.core.number() {
        Some(core) => format!("functions alone on core {core}"),
        None => "functions not kept apart from the rest: there is one core, or no taskset".to_owned(),
    };
    println!(
        "\nMedians of {} processes with {} warm calls each; {core}.",
        arguments.processes, arguments.calls
    );
    Ok(())
}

/// What measuring needs.
struct Bench {
    keys: Keys,
    core: Core,
    events: PathBuf,
    logs: tempfile::TempDir,
    calls: usize,
}

impl Bench {
    /// `before`: its program, and whether it writes metrics.
    async fn row(&self, call: &Call, before: Option<&(PathBuf, bool)>, now: &Path, processes: usize) -> Result<Row> {
        let mut samples = Vec::with_capacity(processes);
        let mut aws_calls = 0;
        for turn in 0..processes {
            let mut old = None;
            // Who comes first finds colder caches, so they take turns.
            if turn % 2 == 0
                && let Some((before, metrics)) = before
            {
                old = Some(self.process(call, before, *metrics).await?.0);
            }
            let new;
            (new, aws_calls) = self.process(call, now, true).await?;
            if turn % 2 == 1
                && let Some((before, metrics)) = before
            {
                old = Some(self.process(call, before, *metrics).await?.0);
            }
            samples.push((old, new));
        }
        Ok(Row {
            name: format!("`{}`, {}", call.function, call.name),
            aws_calls,
            zip: (before.map(|(it, _)| zipped(it)).transpose()?, zipped(now)?),
            samples,
        })
    }

    /// One process from its start to its last call, and how often the last one called AWS.
    async fn process(&self, call: &Call, program: &Path, metrics: bool) -> Result<(Sample, u64)> {
        let event = calls::event(&self.events, call, &studio::token(&self.keys)?)?;
        let event = Bytes::from(serde_json::to_vec(&event)?);
        let request = calls::request(&self.events)?;
        let aws = Aws::start(studio::known(&self.keys, call.moment, &request).await?).await?;
        let variables = studio::variables(&self.keys, &aws.endpoint, metrics);
        let log = self.logs.path().join("log");
        let (mut function, init) = Function::start(program, call.function, &variables, self.core, &log).await?;
        let (mut cold, mut warm, mut aws_calls) = (Duration::ZERO, Vec::with_capacity(self.calls), 0);
        for number in 0..=self.calls {
            aws.take_calls()?;
            let called = function.call(&event).await;
            let (answer, used) = called.with_context(|| function.log())?;
            aws_calls = aws.take_calls().with_context(|| function.log())?;
            calls::check(call, &answer).with_context(|| function.log())?;
            if number == 0 {
                cold = used;
            } else {
                warm.push(used);
            }
        }
        let sample = Sample {
            init: init.as_secs_f64() * 1e3,
            cold: cold.as_secs_f64() * 1e3,
            warm: median(warm.iter().map(|it| it.as_secs_f64() * 1e6)),
        };
        Ok((sample, aws_calls))
    }
}

/// What may be asked for.
fn functions() -> PossibleValuesParser {
    let mut names = CALLS.map(|call| call.function).to_vec();
    names.dedup();
    PossibleValuesParser::new(names)
}

/// The folder of release builds in the target folder that this program is in.
fn release_folder() -> Result<PathBuf> {
    let program = std::env::current_exe().context("this program does not know where it is")?;
    // <target>/<profile>/examples/cost
    let target = program
        .ancestors()
        .nth(3)
        .context("this program is in no target folder")?;
    Ok(target.join("release"))
}

/// A function's program, as cargo (`<name>`) or cargo-lambda (`<name>/bootstrap`) puts it.
fn program(folder: &Path, function: &str) -> Result<PathBuf> {
    let places = [folder.join(function), folder.join(function).join("bootstrap")];
    let found = places.into_iter().find(|it| it.is_file());
    found.with_context(|| {
        format!(
            "{function} is not in {}; build it with `cargo build --release -p {function}`",
            folder.display()
        )
    })
}

/// The size of a program in a zip, MB.
fn zipped(program: &Path) -> Result<f64> {
    let bytes = std::fs::read(program).with_context(|| format!("{} cannot be read", program.display()))?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&bytes)?;
    Ok(encoder.finish()?.len() as f64 / 1e6)
}
