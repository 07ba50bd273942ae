//! The defaults meet their goals on a painted studio, and on the recorded traces where they are at hand.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stderr, reason = "a test says what it left out")]
#![allow(clippy::disallowed_methods, reason = "traces are files")]

use std::{io::Read, path::Path};

use model::Lane;
use proptest::prelude::*;
use sim::{
    bounds,
    cases::{OURS, always_on, compare, ours},
    demand::{Demand, Request},
    draw,
    engine::run,
    goals, minutes, models,
    signals::Signals,
    variants,
    world::World,
};

/// With this world nothing that the policies do not decide goes wrong.
fn meets(demand: &Demand) {
    let missed: Vec<_> = goals::all(demand, &World::default())
        .into_iter()
        .filter(|goal| !goal.met)
        .collect();
    assert!(missed.is_empty(), "{}: {missed:#?}", demand.name);
}

#[test]
fn a_painted_studio_meets_its_goals() {
    meets(&Demand::painted(12, 28, 1).unwrap());
}

#[test]
fn the_recorded_traces_meet_their_goals() {
    for name in ["studio", "service"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../shared/traces/{name}.csv.gz"));
        let Ok(file) = std::fs::read(&path) else {
            eprintln!("{name}: NOT CHECKED, there is no trace at {}", path.display());
            continue;
        };
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(file.as_slice())
            .read_to_end(&mut text)
            .unwrap();
        meets(&Demand::read(name, &text, 1.0, 1).unwrap());
    }
}

/// The best rule in hindsight does what ours does for no more, and what the clairvoyant does for no less; it pays for a wait by
/// what that is worth to it.
#[test]
fn in_hindsight_more_is_possible_but_not_all() {
    let demand = Demand::painted(12, 14, 1).unwrap();
    for bound in bounds::all(&demand, &World::default()) {
        let (dear, cheap) = (bound.by_hours.first().unwrap(), bound.by_hours.last().unwrap());
        assert!(
            dear.timeouts_pct < cheap.timeouts_pct && dear.hours_month > cheap.hours_month,
            "{bound:#?}"
        );
        let betters = |it: &minutes::Side| {
            it.hours_month <= bound.ours.hours_month && it.timeouts_pct <= bound.ours.timeouts_pct.max(0.5)
        };
        assert!(bound.by_hours.iter().any(betters), "{bound:#?}");
        let nearly_all = bound.by_hours.iter().filter(|it| it.timeouts_pct <= 1.0);
        assert!(
            nearly_all.clone().all(|it| it.hours_month > bound.clairvoyant_hours),
            "{bound:#?}"
        );
        let drawn = draw::bounds::bound("a studio", &bound);
        assert!(drawn.ends_with("</svg>\n") && !drawn.contains("NaN") && !drawn.contains("inf"));
    }
}

/// Forty variants twice a day in the batch lane: the others' p95 grows by no more than 1.1 times, in the minutes beside a group too,
/// since its runs are taken back for them.
#[test]
fn a_group_of_forty_slows_nobody_down() {
    for painters in [12, 40] {
        let demand = Demand::painted(painters, 28, 1).unwrap();
        let found = variants::beside(&demand, &World::default(), 40);
        assert!(found.times() <= 1.1, "{found:#?}");
        assert!(found.beside >= 10 && found.done_min > 1.0, "{found:#?}");
        assert!(found.beside_with_s <= 1.1 * found.beside_without_s, "{found:#?}");
        assert!(found.preempted > 0.0, "{found:#?}");
    }
}

/// Where models are brought as they are asked for, it pays to know where they lie and to begin with the usual ones.
#[test]
fn whoever_knows_the_disks_fetches_less() {
    let demand = Demand::painted(12, 14, 1).unwrap();
    let world = World::default();
    for of_one in models::choices(&demand, &world).chunks(3) {
        let [blind, gpu, disks] = of_one else {
            panic!("{of_one:?}")
        };
        assert!(gpu.load_s < blind.load_s && disks.load_s <= gpu.load_s, "{of_one:#?}");
        assert!(disks.disk_miss_pct <= gpu.disk_miss_pct, "{of_one:#?}");
    }
    for of_one in models::warm_ups(&demand, &world).chunks(2) {
        let [without, with] = of_one else { panic!("{of_one:?}") };
        assert!(
            with.disk_miss_pct < without.disk_miss_pct && with.load_s < without.load_s,
            "{of_one:#?}"
        );
        assert!(with.timeouts_pct <= without.timeouts_pct + 0.1, "{of_one:#?}");
    }
}

#[test]
fn a_demand_over_more_or_fewer_models_is_the_same_otherwise() {
    let demand = Demand::painted(6, 7, 3).unwrap();
    for models in [1, 3, 9, 17] {
        let other = demand.over(models);
        assert!(other.requests.iter().all(|it| it.model < models.max(1)), "{models}");
        let same = |it: &Request| (it.at, it.user, it.work.to_bits());
        assert!(demand.requests.iter().map(same).eq(other.requests.iter().map(same)));
    }
}

#[test]
fn other_studios_and_other_luck_do_as_well() {
    for seed in 2..6 {
        let demand = Demand::painted(10 + u32::try_from(seed).unwrap(), 28, seed).unwrap();
        let world = World {
            seed,
            ..World::default()
        };
        let (report, _) = compare(&demand, &world, &[ours(OURS, Signals::Canvas)]).remove(0);
        assert!(
            report.timeouts_pct <= 0.5 && report.cost_per_picture <= 0.045,
            "{report:#?}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_numbers() {
    let demand = Demand::painted(6, 7, 3).unwrap();
    let world = World::default();
    let line = || {
        let results = compare(&demand, &world, &[ours(OURS, Signals::Canvas), always_on(2)]);
        serde_json::to_string(&results.into_iter().map(|(report, _)| report).collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(line(), line());
}

/// Sixty upscales of about ten seconds by one painter, and two pictures by another a minute later.
#[test]
fn a_second_picture_does_not_wait_for_sixty_upscales() {
    let upscale = Request {
        at: 9 * 3_600_000,
        user: 0,
        model: 0,
        lane: Lane::Interactive,
        work: 50.0,
    };
    let picture = Request {
        at: upscale.at + 240_000,
        user: 1,
        model: 1,
        work: 30.0,
        ..upscale
    };
    let mut requests = vec![upscale; 60];
    requests.extend([picture.clone(), picture]);
    let demand = Demand::of("upscales", requests).unwrap();
    for max_workers in [1, 2] {
        let world = World {
            max_workers,
            no_capacity: 0.0,
            launch_fails: 0.0,
            lost_per_hour: 0.0,
            patience_s: 3600.0,
            ..World::default()
        };
        let stats = run(&demand, &world, &ours(OURS, Signals::None));
        assert_eq!(
            stats.starts,
            u64::from(max_workers),
            "as many machines as the pool allows"
        );
        let response = |at: usize| stats.response_s[at].unwrap();
        // The first picture waits for the upscale under way, the second for the first, as much time of the other
        // painter, and one upscale more; each takes up to 16 s, loading included.
        assert!(response(60) < 2.0 * 16.0 + 20.0, "{} s", response(60));
        assert!(response(61) < 5.0 * 16.0, "{} s", response(61));
        let last = (0..60).map(response).fold(0.0, f64::max);
        assert!(
            last > 60.0 * 5.0 / f64::from(max_workers),
            "all upscales are done: {last} s"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// In whatever goes wrong, every request is rendered or given up, and no more is paid than there is time.
    #[test]
    fn nothing_is_lost_and_nothing_runs_for_ever(
        seed in any::<u64>(), no_capacity in 0.0_f64..0.9, launch_fails in 0.0_f64..0.9, lost_per_hour in 0.0_f64..5.0,
        service in 0.1_f64..20.0, max_workers in 0_u32..4, patience in 1.0_f64..600.0,
    ) {
        let demand = Demand::painted(5, 3, seed).unwrap_or_else(|| Demand::painted(9, 7, 1).unwrap());
        let world = World {
            no_capacity, launch_fails, lost_per_hour, service_factor: service, max_workers, patience_s: patience, seed,
            ..World::default()
        };
        for signals in [Signals::Canvas, Signals::None] {
            let case = ours(OURS, signals);
            let stats = run(&demand, &world, &case);
            let served = stats.response_s.iter().flatten().count();
            prop_assert_eq!(served as u64 + stats.timeouts, demand.requests.len() as u64);
            prop_assert!(stats.hours() <= demand.days as f64 * 24.0 * f64::from(max_workers));
            prop_assert!(max_workers > 0 || stats.starts == 0, "a limit of zero starts nothing");
        }
    }
}

#[test]
fn a_trace_that_is_none_is_refused() {
    for text in ["", "t\n", "x,y\n1,2\n", "t\n-5\n", "t\nNaN\n", "t,user\n1e300,a\n"] {
        assert!(Demand::read("bad", text.as_bytes(), 1.0, 1).is_err(), "{text:?}");
    }
    let odd = "t,steps,n_img\n5,,\n7,99999,-3\n6,30,1\n";
    let demand = Demand::read("odd", odd.as_bytes(), 1.0, 1).unwrap();
    assert!(demand.requests.is_sorted_by_key(|request| request.at));
    assert_eq!(demand.requests.len(), 3);
    let minutes = Demand::read("minutes", b"minute,count\n0,42\n1,3\n", 1.0, 1).unwrap();
    assert_eq!(minutes.requests.len(), 45);
}
