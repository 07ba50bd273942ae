//! What is learned of painters' pauses: total, monotone, and of no effect before it is worth something.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use model::{
    Course, Estimates, Frailty, Hazard, MicroUsd, Millis, Painter, Pool, PoolId, Presence, Settings, Tally, UserId,
    Worker, WorkerId,
};
use policy::{
    PoolSnapshot, hazard,
    presence::{self, Sign},
    scale::{self, Grow},
};
use proptest::prelude::*;

const NOW: Millis = Millis(1_788_264_000_000);
const MINUTE: Duration = Duration::from_mins(1);

#[derive(Debug)]
struct Studio {
    pool: Pool,
    workers: Vec<Worker>,
    presence: Vec<Presence>,
    estimates: Estimates,
    hazard: Option<Hazard>,
    settings: Settings,
    now: Millis,
}

impl Studio {
    fn new() -> Self {
        Self {
            pool: Pool::new(PoolId::new("default"), 1, vec!["g5.xlarge".to_owned()]),
            workers: Vec::new(),
            presence: Vec::new(),
            estimates: Estimates::default(),
            hazard: None,
            settings: Settings::default(),
            now: NOW,
        }
    }

    fn snapshot(&self) -> PoolSnapshot<'_> {
        PoolSnapshot {
            pool: &self.pool,
            workers: &self.workers,
            backlog: &[],
            presence: &self.presence,
            estimates: &self.estimates,
            hazard: self.hazard.as_ref(),
            settings: &self.settings,
            now: self.now,
        }
    }

    fn shows(&mut self, sign: Sign) {
        let (pool, user) = (PoolId::new("default"), UserId::new("mara"));
        let noted = presence::noted(self.presence.first(), &pool, &user, sign, &self.settings, self.now);
        self.presence = noted.into_iter().chain(self.presence.drain(..)).take(1).collect();
    }

    fn tick(&mut self) {
        self.now = self.now + MINUTE;
        if let Some(next) = hazard::observed(&self.snapshot()) {
            self.hazard = Some(next);
        }
    }
}

/// Somebody asks every three minutes for an hour, then is away for some, and so on for days.
fn regular(days: u32, signs: bool) -> Studio {
    let mut studio = Studio::new();
    for minute in 0..days * 24 * 60 {
        let works = minute / 60 % 4 == 0;
        if works && minute % 3 == 0 {
            studio.shows(Sign::Ask);
        } else if works && signs {
            studio.shows(Sign::Canvas);
        }
        studio.tick();
    }
    studio
}

#[test]
fn who_asks_every_three_minutes_is_waited_for_and_who_has_gone_is_not() {
    // The last hour of work ended three hours ago.
    let mut studio = regular(6, true);
    assert!(hazard::acts(studio.hazard.as_ref().unwrap()), "{:#?}", studio.hazard);
    studio.shows(Sign::Canvas);
    assert_eq!(hazard::starts(&studio.snapshot()), Some(true));
    studio.tick();
    studio.shows(Sign::Ask);
    for (minutes, kept) in [(1, true), (2, true), (20, false)] {
        let at = studio.now + MINUTE * minutes;
        assert_eq!(hazard::keeps(&studio.snapshot(), at), Some(kept), "{minutes} min");
    }
    for _ in 0..20 {
        studio.tick();
    }
    assert_eq!(hazard::starts(&studio.snapshot()), Some(false));
}

#[test]
fn where_the_canvas_is_not_reported_times_are_fixed() {
    let mut studio = regular(6, false);
    studio.shows(Sign::Ask);
    studio.hazard.as_mut().unwrap().fixed.usd = 1e6;
    assert!(hazard::acts(studio.hazard.as_ref().unwrap()));
    assert_eq!(hazard::keeps(&studio.snapshot(), studio.now), None);
    assert_eq!(hazard::starts(&studio.snapshot()), None);
}

#[test]
fn nothing_is_done_by_it_before_enough_is_known() {
    let mut studio = Studio::new();
    studio.shows(Sign::Canvas);
    for _ in 0..40 {
        studio.tick();
        studio.shows(Sign::Ask);
        assert_eq!(hazard::keeps(&studio.snapshot(), studio.now), None);
        assert_eq!(hazard::starts(&studio.snapshot()), None);
    }
    // As without it: somebody is present.
    assert_eq!(scale::plan(&studio.snapshot()).grow, Grow::Launch);
    // Nor by what another release has learned, which begins anew.
    let mut known = regular(6, true);
    known.shows(Sign::Ask);
    known.hazard.as_mut().unwrap().format += 1;
    assert_eq!(hazard::keeps(&known.snapshot(), known.now), None);
    known.now = known.now + MINUTE;
    let begun = hazard::observed(&known.snapshot()).unwrap();
    assert!(begun.cells.is_empty() && begun.version == known.hazard.unwrap().version);
}

#[test]
fn a_tick_that_comes_twice_or_out_of_order_counts_once() {
    let mut studio = regular(1, true);
    studio.shows(Sign::Ask);
    studio.tick();
    for now in [studio.now, studio.now + Duration::from_secs(5), studio.now - MINUTE * 5] {
        studio.now = now;
        assert_eq!(hazard::observed(&studio.snapshot()), None);
    }
}

#[test]
fn what_is_learned_fits_a_small_item() {
    let studio = regular(30, true);
    let size = serde_json::to_string(&studio.hazard).unwrap().len();
    assert!(size < 20_000, "{size} bytes");
}

/// Thousands of painters at once: those who were here last are looked at and remembered, and the others change nothing.
#[test]
fn thousands_of_painters_cost_no_more_than_those_who_were_here_last() {
    const PAINTERS: usize = 5000;
    const LOOKED_AT: usize = 64;
    let mut studio = regular(6, true);
    let stay = |n: usize| {
        // The first ones were here last, and asked some minutes before; nobody was within the last minute and a half.
        let at = NOW + MINUTE * (6 * 24 * 60) - Duration::from_millis(n as u64 * 100) - MINUTE * 2;
        Presence {
            pool: PoolId::new("default"),
            user: UserId::new(format!("u{n}")),
            version: 1,
            since: at - MINUTE * 4,
            at,
            asked_at: (!n.is_multiple_of(3)).then(|| at - MINUTE),
            watched: true,
            ttl: 0,
        }
    };
    studio.now = NOW + MINUTE * (6 * 24 * 60);
    let all: Vec<_> = (0..PAINTERS).map(stay).collect();
    let mut decide = |presence: Vec<Presence>| {
        studio.presence = presence;
        let after = Studio {
            hazard: hazard::observed(&studio.snapshot()),
            presence: studio.presence.clone(),
            now: studio.now + MINUTE,
            ..Studio::new()
        };
        let next = hazard::observed(&after.snapshot());
        let decided = [1, 3, 10].map(|it| hazard::keeps(&after.snapshot(), after.now + MINUTE * it));
        (after.hazard.clone(), next, decided, hazard::starts(&after.snapshot()))
    };
    let few = decide(all[..LOOKED_AT].to_vec());
    assert_eq!(decide(all.clone()), few);
    // In whatever order the table gives them.
    assert_eq!(decide(all.into_iter().rev().collect()), few);
    let (_, next, decided, _) = few;
    let next = next.unwrap();
    // A wait that is worth more never stops a machine sooner.
    let mut before = (Some(false), Some(false));
    for worth in [0, 100_000, 1_000_000, 100_000_000] {
        studio.hazard = Some(next.clone());
        studio.settings.wait_worth = MicroUsd(worth);
        let at = studio.now + MINUTE * 3;
        let decided = (
            hazard::keeps(&studio.snapshot(), at),
            hazard::starts(&studio.snapshot()),
        );
        assert!(
            before.0 <= decided.0 && before.1 <= decided.1,
            "{worth}: {before:?} {decided:?}"
        );
        before = decided;
    }
    assert_eq!(before, (Some(true), Some(true)));
    assert_eq!(next.painters.len(), LOOKED_AT);
    assert!(decided.iter().all(Option::is_some), "{decided:?}");
    let numbers = next.cells.values().flat_map(|it| [it.minutes, it.asks, it.returns]);
    assert!(
        numbers
            .chain([next.fixed.usd, next.learned.usd])
            .all(|it| it.is_finite() && it >= 0.0)
    );
    let size = serde_json::to_string(&next).unwrap().len();
    assert!(size < 40_000, "{size} bytes");
}

// ---------------------------------------------------------------- anything

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![8 => 0.0_f64..500.0, 1 => any::<f64>()]
}

fn time() -> impl Strategy<Value = Millis> {
    prop_oneof![
        8 => (0_u64..5_400_000).prop_map(|ago| Millis(NOW.0 - ago)),
        1 => (0_u64..180_000).prop_map(|ahead| Millis(NOW.0 + ahead)),
        1 => prop_oneof![Just(Millis(0)), Just(Millis(u64::MAX)), any::<u64>().prop_map(Millis)],
    ]
}

prop_compose! {
    fn tally()(minutes in number(), asks in number(), returns in number()) -> Tally {
        Tally { minutes, asks, returns }
    }
}

prop_compose! {
    fn painter()(
        user in 0_u32..4, since in time(), at in time(), asked_at in proptest::option::of(time()),
        gap_ms in proptest::option::of(any::<u64>()), watched in any::<bool>(), asks in number(), expected in number(),
    ) -> Painter {
        Painter {
            user: UserId::new(format!("u{user}")), since, at, asked_at, gap_ms, watched,
            frailty: Frailty { asks, expected },
        }
    }
}

prop_compose! {
    fn stay()(
        user in 0_u32..4, since in time(), at in time(), asked_at in proptest::option::of(time()), watched in any::<bool>(),
    ) -> Presence {
        let (pool, user) = (PoolId::new("default"), UserId::new(format!("u{user}")));
        Presence { pool, user, version: 1, since, at, asked_at, watched, ttl: 0 }
    }
}

prop_compose! {
    fn learned()(
        format in prop_oneof![9 => Just(hazard::FORMAT), 1 => any::<u32>()], at in time(), worked in time(),
        cells in proptest::collection::btree_map(prop_oneof![9 => 0_u16..432, 1 => any::<u16>()], tally(), 0..80),
        comers in prop_oneof![9 => proptest::collection::vec(tally(), 24), 1 => proptest::collection::vec(tally(), 0..30)],
        hours in prop_oneof![9 => Just(24), 1 => 0_usize..30],
        painters in proptest::collection::vec(painter(), 0..6),
        on in proptest::option::of(time()), cost in number(), other in number(),
    ) -> Hazard {
        Hazard {
            pool: PoolId::new("default"), version: 3, format, at, cells, comers, painters, worked,
            hours: vec![Frailty::default(); hours],
            fixed: Course { on, usd: cost },
            learned: Course { on, usd: other },
        }
    }
}

prop_compose! {
    fn studio()(
        presence in proptest::collection::vec(stay(), 0..5), hazard in learned(), up in any::<bool>(),
        now in prop_oneof![9 => Just(NOW), 1 => time()],
    ) -> Studio {
        let mut studio = Studio::new();
        studio.presence = presence;
        studio.hazard = Some(hazard);
        studio.now = now;
        if up {
            studio.workers = vec![Worker::launching(WorkerId::new("w"), PoolId::new("default"), NOW)];
        }
        studio
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a table holds and whatever the clocks say, there is an answer, and what is learned can be stored.
    #[test]
    fn there_is_always_an_answer(studio in studio()) {
        let snapshot = studio.snapshot();
        let _ = (hazard::keeps(&snapshot, studio.now), hazard::starts(&snapshot));
        if let Some(next) = hazard::observed(&snapshot) {
            let text = serde_json::to_string(&next).unwrap();
            prop_assert_eq!(serde_json::from_str::<Hazard>(&text).unwrap().painters.len(), next.painters.len());
            prop_assert!(next.painters.len() <= 64 && next.at == studio.now);
        }
    }

    /// A wait that is worth more never stops a machine sooner, and starts one where a lesser one does.
    #[test]
    fn whoever_pays_more_for_a_wait_waits_less(mut studio in studio(), worth in 0_u64..5_000_000, more in 0_u64..5_000_000) {
        let mut decide = |worth| {
            studio.settings.wait_worth = MicroUsd(worth);
            let snapshot = studio.snapshot();
            (hazard::keeps(&snapshot, studio.now), hazard::starts(&snapshot))
        };
        let (less, more) = (decide(worth), decide(worth + more));
        prop_assert!(less.0 <= more.0 && less.1 <= more.1, "{:?} {:?}", less, more);
    }

    /// What is worth starting is worth keeping, so that nothing starts only to stop.
    #[test]
    fn what_was_started_ahead_is_kept(studio in studio()) {
        let snapshot = studio.snapshot();
        if hazard::starts(&snapshot) == Some(true) {
            prop_assert_eq!(hazard::keeps(&snapshot, studio.now), Some(true));
        }
    }
}
