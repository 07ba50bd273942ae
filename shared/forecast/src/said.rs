//! What is said of the next hour: one code path for the function and for the simulator.

use std::time::Duration;

use model::{Band, DemandCount, Judged, Millis, NextHour, NextStep};

use crate::{
    members::Quantiles,
    series::Series,
    steps::steps,
    trial::{Standing, Trial},
};

/// Until when a forecast is believed: two that do not come are forgiven.
const BELIEVED: Duration = Duration::from_mins(15);

/// What is said of one series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    hour: Quantiles,
    steps: Vec<Quantiles>,
    acting: Option<String>,
    standings: Vec<Standing>,
}

/// What whoever acts says of the hour that begins where the series ends; nothing where nobody acts. `judges`: whether it is
/// asked how good each was, too.
pub fn say(trial: &mut Trial, series: &Series, judges: bool) -> Said {
    let at = series.len();
    let said = trial.say(series, at);
    let hour = trial.acts(&said).unwrap_or_default();
    Said {
        hour,
        steps: steps(series, at, hour).to_vec(),
        acting: trial.acting().map(str::to_owned),
        standings: if judges {
            trial.standings(series, at)
        } else {
            Vec::new()
        },
    }
}

/// When a slot begins, counted since 1970.
pub const fn began(slot: u64) -> Millis {
    Millis(slot.saturating_mul(DemandCount::SLOT.as_millis() as u64))
}

/// The slot of a moment, counted since 1970.
pub const fn slot(at: Millis) -> u64 {
    DemandCount::began(at).0 / DemandCount::SLOT.as_millis() as u64
}

/// What is to be published at this moment.
pub fn next_hour(arrivals: &Said, gpu_s: &Said, now: Millis) -> NextHour {
    let each = arrivals.steps.iter().zip(&gpu_s.steps);
    NextHour {
        arrivals: band(arrivals.hour),
        gpu_s: band(gpu_s.hour),
        steps: each
            .map(|(arrivals, gpu_s)| NextStep {
                arrivals: band(*arrivals),
                gpu_s: band(*gpu_s),
            })
            .collect(),
        acting: arrivals.acting.clone(),
        acting_gpu: gpu_s.acting.clone(),
        judged: judged(&arrivals.standings),
        judged_gpu: judged(&gpu_s.standings),
        ..nothing(now)
    }
}

/// Nothing is said at this moment.
pub fn nothing(now: Millis) -> NextHour {
    NextHour {
        from: DemandCount::began(now),
        until: now + BELIEVED,
        ..NextHour::default()
    }
}

fn judged(standings: &[Standing]) -> Vec<Judged> {
    let each = standings.iter().map(|it| Judged {
        member: it.name.clone(),
        loss: rounded(it.score.pinball),
        error: rounded(it.score.mae),
        coverage: rounded(it.score.coverage),
        forecasts: it.score.count as u64,
    });
    each.collect()
}

fn band(said: Quantiles) -> Band {
    Band {
        p50: rounded(said.p50),
        p90: rounded(said.p90),
    }
}

/// To thousandths: what is kept is read, too.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
