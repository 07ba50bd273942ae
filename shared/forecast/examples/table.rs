//! Every member on a trace, from its past alone: `cargo run --release -p forecast --example table -- FILE.csv.gz ...`
//!
//! Without a file, a painted month. A line of `minute,count`, or with a column `t` in seconds. What it took stands below
//! each table; what is done already is kept in `$TABLE_KEEP`, if that is a folder, and printed instead.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a command, not the crate"
)]

use std::{error::Error, fmt::Write as _, fs::File, path::Path, time::Instant};

use flate2::read::GzDecoder;
use forecast::{DAY, HOUR, Quantiles, SLOT_SECONDS, Score, Series, Trial};

/// Days that are learned from before the first forecast counts.
const FIRST: usize = 7;

fn read(path: &str) -> Result<Series, Box<dyn Error>> {
    let mut counts = std::collections::BTreeMap::<u64, f64>::new();
    let mut file = csv::Reader::from_reader(GzDecoder::new(File::open(path)?));
    let seconds = file.headers()?.get(0) == Some("t");
    for line in file.records() {
        let line = line?;
        let at: f64 = line.get(0).unwrap_or_default().parse()?;
        let (slot, value) = if seconds {
            ((at / SLOT_SECONDS as f64) as u64, 1.0)
        } else {
            ((at / 5.0) as u64, line.get(1).unwrap_or_default().parse()?)
        };
        *counts.entry(slot).or_default() += value;
    }
    let end = counts.keys().last().map_or(0, |it| it + 1);
    // As recorded: what is cut for learning would be too easy a truth.
    let mut values = vec![0.0; usize::try_from(end)?];
    for (slot, value) in counts {
        values[usize::try_from(slot)?] = value;
    }
    Ok(Series::new(0, values))
}

/// A month of working days with a lunch, quiet weekends and chance.
fn painted() -> Series {
    let mut rng = fastrand::Rng::with_seed(5);
    let values = (0..28 * DAY).map(|slot| {
        let hour = (slot % DAY) as f64 / HOUR as f64;
        let busy = (9.0..18.0).contains(&hour) && !(12.5..13.5).contains(&hour);
        let level = if busy { 0.9 } else { 0.05 } * if slot / DAY % 7 >= 5 { 0.2 } else { 1.0 };
        f64::from((0..20).filter(|_| rng.f64() < level / 20.0).count() as u32)
    });
    Series::new(0, values.collect())
}

/// What to show of a trace that is longer than a week.
fn table(name: &str, series: &Series) -> Result<String, Box<dyn Error>> {
    if series.len() < (FIRST + 1) * DAY {
        return Err(format!("{name} is shorter than {} days", FIRST + 1).into());
    }
    let begun = Instant::now();
    let mut trial = Trial::new(1);
    let mut pairs: Vec<Vec<(Quantiles, f64)>> = vec![Vec::new(); trial.names().len() + 1];
    let mut acted = std::collections::BTreeMap::<String, usize>::new();
    let mut times = Vec::new();
    for at in (FIRST - 3) * DAY..series.len().saturating_sub(HOUR) {
        let step = Instant::now();
        let said = trial.step(series, at);
        times.push(step.elapsed().as_secs_f64());
        if at < FIRST * DAY {
            continue;
        }
        let acts = trial.acts(&said).unwrap_or_default();
        *acted.entry(trial.acting().unwrap_or("nobody").to_owned()).or_default() += 1;
        for (pairs, said) in pairs.iter_mut().zip(said.into_iter().chain([acts])) {
            pairs.push((said, series.hour(at)));
        }
    }
    let mut text = format!(
        "{name}\n{:<18}{:>9}{:>13}{:>10}\n",
        "member", "MAE", "P90 pinball", "coverage"
    );
    let names = trial.names().iter().map(String::as_str).chain(["whoever acts"]);
    for (name, pairs) in names.zip(&pairs) {
        let score = Score::of(pairs);
        writeln!(
            text,
            "{name:<18}{:>9.2}{:>13.3}{:>10.3}",
            score.mae, score.pinball, score.coverage
        )?;
    }
    let all: usize = acted.values().sum();
    for (name, count) in acted {
        writeln!(text, "acted: {name} {:.0} %", 100.0 * count as f64 / all as f64)?;
    }
    times.sort_by(f64::total_cmp);
    let (usual, longest) = (times[times.len() / 2], times[times.len() - 1]);
    writeln!(
        text,
        "{} s in all; all members: {:.2} ms a forecast, at most {longest:.1} s a training",
        begun.elapsed().as_secs(),
        usual * 1e3
    )?;
    Ok(text)
}

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        println!("{}", table("painted", &painted())?);
    }
    let keep = std::env::var("TABLE_KEEP").ok();
    for file in files {
        let name = Path::new(&file)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let kept = keep
            .as_ref()
            .map(|folder| Path::new(folder).join(format!("{name}.txt")));
        if let Some(text) = kept.as_ref().and_then(|it| std::fs::read_to_string(it).ok()) {
            println!("{text}");
            continue;
        }
        let text = table(&name, &read(&file)?)?;
        if let Some(kept) = kept {
            std::fs::write(kept, &text)?;
        }
        println!("{text}");
    }
    Ok(())
}
