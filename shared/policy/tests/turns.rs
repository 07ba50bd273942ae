//! Whose turn it is: one painter who asks for much keeps nobody else waiting for more than their share.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{collections::BTreeMap, time::Duration};

use model::{
    BacklogEntry, Estimates, Lane, Millis, Pool, PoolId, Settings, TaskId, TeamId, UserId, Worker, WorkerId,
    WorkerState,
};
use policy::{
    PoolSnapshot, claim, estimate, fair, hold,
    scale::{self, Grow},
};
use proptest::prelude::*;
use uuid::Uuid;

const NOW: Millis = Millis(1_788_264_000_000);

/// One worker and its line: tags as a submit gives them, claims as a worker makes them, runs as long as expected.
struct Line {
    now: Millis,
    virtual_time: u64,
    flows: BTreeMap<(&'static str, Lane), u64>,
    backlog: Vec<BacklogEntry>,
    began: BTreeMap<TaskId, Millis>,
    worker: Worker,
    settings: Settings,
    submitted: u128,
}

impl Line {
    fn new() -> Self {
        let mut worker = Worker::launching(WorkerId::new("w"), PoolId::new("default"), NOW);
        worker.state = WorkerState::Ready;
        Self {
            now: NOW,
            virtual_time: 0,
            flows: BTreeMap::new(),
            backlog: Vec::new(),
            began: BTreeMap::new(),
            worker,
            settings: Settings::default(),
            submitted: 0,
        }
    }

    fn submit(&mut self, owner: &'static str, model: Option<&str>, lane: Lane, work: f64) -> TaskId {
        self.submitted += 1;
        let task_id = TaskId::new(Uuid::from_u128(self.submitted));
        let expected = estimate::run(&Estimates::default(), model, work);
        let last = self.flows.get(&(owner, lane)).copied();
        let tags = fair::tags(self.virtual_time, last, expected, lane);
        self.flows.insert((owner, lane), tags.finish);
        self.backlog.push(BacklogEntry {
            task_id,
            owner: UserId::new(owner),
            team: TeamId::new("studio"),
            start_tag: tags.start,
            lane,
            failed_on: None,
            model: model.map(str::to_owned),
            work,
            created: self.now,
            expires_at: Millis(u64::MAX),
            seen_at: Millis(u64::MAX),
        });
        task_id
    }

    /// The next run, begun; how long it will take.
    fn claim(&mut self) -> Option<Duration> {
        let chosen = *claim::choose(
            &self.backlog,
            &self.worker,
            &Estimates::default(),
            &self.settings,
            self.now,
        )
        .first()?;
        let at = self.backlog.iter().position(|entry| entry.task_id == chosen).unwrap();
        let entry = self.backlog.remove(at);
        self.virtual_time = fair::advanced(self.virtual_time, entry.start_tag).unwrap_or(self.virtual_time);
        self.began.insert(chosen, self.now);
        Some(estimate::run(&Estimates::default(), entry.model.as_deref(), entry.work))
    }

    fn run_all(&mut self) {
        while let Some(takes) = self.claim() {
            self.now = self.now + takes;
        }
    }

    fn wait(&self, task: TaskId, submitted: Millis) -> Duration {
        self.began[&task].since(submitted)
    }
}

/// An upscale has no sampling steps; by the pixels that it makes it is the work of ten seconds.
const UPSCALE: f64 = 50.0;
/// A usual picture: six seconds.
const PICTURE: f64 = 30.0;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// One painter sends 60 upscales. Another's second picture waits for what start-time fair queueing says and no more: for
/// their own first picture, for as much time of the other painter, since both have the same weight, and for one upscale.
#[test]
fn a_painters_second_picture_waits_for_its_turn_and_not_for_sixty_upscales() {
    let upscale = hold::lane(1, 0, UPSCALE);
    let picture = hold::lane(1, 30, PICTURE);
    assert_eq!((upscale, picture), (Lane::Interactive, Lane::Interactive));
    for running in 0..59 {
        let mut line = Line::new();
        for _ in 0..60 {
            line.submit("ann", Some("4x.pth"), upscale, UPSCALE);
        }
        for _ in 0..running {
            let takes = line.claim().unwrap();
            assert_eq!(takes, seconds(10));
            line.now = line.now + takes;
        }
        let takes = line.claim().unwrap();
        // In the middle of an upscale.
        line.now = line.now + takes / 2;
        let asked = line.now;
        let first = line.submit("bea", Some("sdxl"), picture, PICTURE);
        let second = line.submit("bea", Some("sdxl"), picture, PICTURE);
        line.now = line.now + takes / 2;
        line.run_all();
        assert_eq!(line.wait(first, asked), takes / 2, "whoever asked for nothing is next");
        let wait = line.wait(second, asked);
        assert!(wait <= seconds(6 + 6 + 10), "{wait:?} after {running} upscales");
    }
}

#[test]
fn a_line_of_upscales_brings_a_second_machine_where_the_pool_allows_one() {
    let mut line = Line::new();
    for _ in 0..60 {
        line.submit("ann", Some("4x.pth"), hold::lane(1, 0, UPSCALE), UPSCALE);
    }
    line.claim().unwrap();
    line.worker.state = WorkerState::Busy;
    line.worker.state_since = NOW;
    line.worker.last_seen = NOW;
    let estimates = Estimates::default();
    let plan = |max_workers| {
        let pool = Pool::new(PoolId::new("default"), max_workers, vec!["g5.xlarge".to_owned()]);
        scale::plan(&PoolSnapshot {
            pool: &pool,
            workers: std::slice::from_ref(&line.worker),
            backlog: &line.backlog,
            presence: &[],
            estimates: &estimates,
            hazard: None,
            settings: &line.settings,
            now: line.now,
        })
    };
    assert_eq!(plan(2).grow, Grow::Launch);
    let held_back = plan(1);
    assert_eq!(
        (held_back.grow, held_back.reason),
        (Grow::No, "the pool's limit is reached")
    );
}

/// Whoever needs no model, or one that stays on no GPU, has no reason to go before others.
#[test]
fn only_a_loaded_main_model_overtakes() {
    let settings = Settings::default();
    let first_of = |model: Option<&str>, loaded: &str| {
        let mut line = Line::new();
        line.worker.models = vec![loaded.to_owned()];
        let lane = Lane::Interactive;
        let head = line.submit("bea", Some("sdxl"), lane, PICTURE);
        line.submit("ann", Some("other"), lane, PICTURE);
        let other = line.submit("ann", model, lane, PICTURE);
        let first = claim::choose(&line.backlog, &line.worker, &Estimates::default(), &settings, line.now)[0];
        assert!(first == head || first == other);
        first == other
    };
    assert!(first_of(Some("flux"), "flux"));
    assert!(!first_of(None, "flux"));
    assert!(!first_of(Some("4x.pth"), "flux"));
    assert!(!first_of(Some("flux"), "sdxl"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// For any tasks in any lanes: a painter's task waits at most for their own before it, for the other painter's share
    /// of that time by the lanes' weights, and for one task of the other painter, the one under way included.
    #[test]
    fn nobody_waits_for_more_than_their_turn(
        theirs in proptest::collection::vec(0.0_f64..400.0, 1..60), mine in proptest::collection::vec(0.0_f64..400.0, 1..10),
        lanes in (0_usize..3, 0_usize..3), running in 0_usize..60, part in 0_u32..=100,
    ) {
        let lane = |at| [Lane::Live, Lane::Interactive, Lane::Batch][at];
        let (their_lane, my_lane) = (lane(lanes.0), lane(lanes.1));
        let takes = |work| estimate::run(&Estimates::default(), None, work);
        let mut line = Line::new();
        for work in &theirs {
            line.submit("ann", None, their_lane, *work);
        }
        for _ in 0..running.min(theirs.len() - 1) {
            let takes = line.claim().unwrap();
            line.now = line.now + takes;
        }
        let under_way = line.claim().unwrap();
        let done = line.now + under_way;
        line.now = line.now + under_way * part / 100;
        let asked = line.now;
        let tasks: Vec<_> = mine.iter().map(|work| line.submit("bea", None, my_lane, *work)).collect();
        line.now = done;
        line.run_all();
        let longest = theirs.iter().map(|work| takes(*work)).max().unwrap();
        let mut before = Duration::ZERO;
        for (task, work) in tasks.iter().zip(&mine) {
            let share = before.mul_f64(fair::weight(their_lane) as f64 / fair::weight(my_lane) as f64);
            let wait = line.wait(*task, asked);
            // Tags are whole numbers, and at most a sixteenth of a millisecond short for each task.
            let rounding = Duration::from_millis(theirs.len() as u64 + mine.len() as u64);
            prop_assert!(wait <= before + share + longest + rounding, "{wait:?} > {before:?} + {share:?} + {longest:?}");
            before += takes(*work);
        }
    }
}
