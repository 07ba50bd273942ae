//! The simulated studio: events in order of time, and at each the very function that a Lambda would call.

mod case;
mod disk;
mod functions;
mod machines;
mod painters;
mod studio;

use policy::watch::InstanceState;

use self::{
    functions::TICK,
    studio::{Event, Studio},
};
use crate::{
    demand::Demand,
    signals::{Shown, signs},
    stats::Stats,
    world::World,
};

pub use self::case::Case;
pub(crate) use self::studio::MIDNIGHT;

const TICK_MS: u64 = TICK.as_secs() * 1000;
const HOUR_MS: u64 = 3_600_000;

/// Runs a case over the demand. The same arguments give the same numbers.
pub fn run(demand: &Demand, world: &World, case: &Case) -> Stats {
    let shown = signs(demand, world, case.signals);
    let mut studio = Studio::new(demand, world, case);
    for (at, request) in demand.requests.iter().enumerate() {
        studio.at(MIDNIGHT + request.at, Event::Arrives(at));
    }
    for (at, sign) in shown.iter().enumerate() {
        studio.at(MIDNIGHT + sign.at, Event::Shown(at));
    }
    for (at, up) in case.planned.iter().flatten() {
        studio.at(MIDNIGHT + at, Event::Planned(*up));
    }
    let end = MIDNIGHT + demand.days * 24 * HOUR_MS;
    studio.at(MIDNIGHT, Event::Tick);
    while let Some(event) = studio.next() {
        happens(&mut studio, event, &shown, end);
    }
    for at in 0..studio.workers.len() {
        if studio.hosts[at].power == InstanceState::Up {
            studio.pay(at, end);
        }
    }
    studio.stats.hazard = studio.hazard;
    studio.stats
}

fn happens(studio: &mut Studio<'_>, event: Event, shown: &[Shown], end: u64) {
    match event {
        Event::Arrives(at) => studio.arrives(at),
        Event::Shown(at) => studio.shown(shown[at].user, shown[at].sign()),
        Event::Planned(up) => studio.planned(up),
        Event::GivesUp(at) => studio.gives_up(at),
        Event::Done { worker, run } => studio.done(worker, run),
        Event::Ready { worker, life } if studio.hosts[worker].life == life => studio.ready(worker),
        Event::Stopped { worker, life } if studio.hosts[worker].life == life => studio.stopped(worker),
        Event::Lost { worker, life } if studio.hosts[worker].life == life => studio.falls_silent(worker),
        Event::Interrupted { worker, life } if studio.hosts[worker].life == life => studio.interrupted(worker),
        Event::Ready { .. } | Event::Stopped { .. } | Event::Lost { .. } | Event::Interrupted { .. } => {}
        Event::Tick => {
            studio.tick();
            // After the last day only what still runs is seen to its end.
            let now = studio.now.0;
            let goes_on = !studio.backlog.is_empty() || studio.workers.iter().any(|it| it.state.is_up());
            if now < end || goes_on && now < end + HOUR_MS {
                studio.at(now + TICK_MS, Event::Tick);
            }
        }
    }
}
