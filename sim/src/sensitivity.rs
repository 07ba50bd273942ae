//! What becomes of the results when an assumption is wrong.

use crate::{
    cases::{OURS, compare, forecast, ours, shuffled, true_forecast},
    demand::Demand,
    engine::Case,
    signals::Signals,
    stats::Report,
    world::{Pauses, World},
};

/// Ours under each changed assumption; the name says which.
pub fn all(demand: &Demand, world: &World) -> Vec<Report> {
    let named = |name: &str, signals| ours(name, signals);
    let mut varied: Vec<(World, Case)> = vec![(world.clone(), named("defaults", Signals::Canvas))];
    let mut vary = |name: &str, signals, change: &dyn Fn(&mut World)| {
        let mut world = world.clone();
        change(&mut world);
        varied.push((world, named(name, signals)));
    };
    for lead in [60, 180, 300] {
        let at = f64::from(lead);
        vary(&format!("presence leads by {lead} s"), Signals::Canvas, &|it| {
            it.painters.lead_s = (at, at);
        });
    }
    vary("no presence at all", Signals::None, &|_| {});
    vary("signal at the start of Krita only", Signals::Start, &|_| {});
    vary("the same, restarted after 2 h only", Signals::Start, &|it| {
        it.painters.restart_s = 7200.0;
    });
    vary("painters never pause", Signals::Unbroken, &|_| {});
    for (name, every_s, median_s, sigma) in [
        ("a pause after every minute", 60.0, 90.0, 0.8),
        ("a pause after every ten minutes", 600.0, 90.0, 0.8),
        ("pauses of 45 s", 180.0, 45.0, 0.8),
        ("pauses of 3 min", 180.0, 180.0, 0.8),
        ("pauses more alike", 180.0, 90.0, 0.4),
        ("pauses less alike", 180.0, 90.0, 1.2),
    ] {
        vary(name, Signals::Canvas, &|it| {
            it.painters.pauses = Pauses {
                every_s,
                median_s,
                sigma,
                ..Pauses::default()
            };
        });
    }
    vary("100 % false alarms", Signals::Canvas, &|it| {
        it.painters.false_alarms = 1.0;
    });
    vary("canvas active for 1 h after the last request", Signals::Canvas, &|it| {
        it.painters.linger_s = 3600.0;
    });
    for boot in [30, 300] {
        let at = f64::from(boot);
        vary(&format!("boot {boot} s"), Signals::Canvas, &|it| it.start_s = (at, at));
    }
    vary("service × 0.5", Signals::Canvas, &|it| it.service_factor = 0.5);
    vary("service × 3", Signals::Canvas, &|it| it.service_factor = 3.0);
    vary("models load in 10 to 40 s", Signals::Canvas, &|it| {
        it.load_s = (10.0, 40.0);
    });
    vary("no capacity for every tenth start", Signals::Canvas, &|it| {
        it.no_capacity = 0.1;
    });
    vary("a tenth of the launches fails", Signals::Canvas, &|it| {
        it.launch_fails = 0.1;
    });
    vary("a worker lost every 20 h", Signals::Canvas, &|it| {
        it.lost_per_hour = 0.05;
    });
    let truth = true_forecast(demand);
    for (signals, name) in [(Signals::Canvas, OURS), (Signals::None, "no signal")] {
        let kinds = [
            ("true", truth.clone()),
            ("zero", vec![0; truth.len()]),
            ("× 10", truth.iter().map(|workers| workers * 10).collect()),
            ("shuffled", shuffled(truth.clone(), world.seed)),
        ];
        for (kind, hours) in kinds {
            varied.push((
                world.clone(),
                forecast(&format!("{name}, forecast {kind}"), signals, hours),
            ));
        }
    }
    varied
        .iter()
        .flat_map(|(world, case)| compare(demand, world, std::slice::from_ref(case)))
        .map(|(report, _)| report)
        .collect()
}
