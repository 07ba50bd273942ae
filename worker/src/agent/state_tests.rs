use model::{
    PoolId, TeamId,
    worker_api::{HeartbeatReply, Registered, RunUrls},
};
use uuid::Uuid;

use super::*;

/// A state and a clock.
struct World {
    state: State,
    now: Instant,
}

const RHYTHM: Duration = Duration::from_secs(15);

impl World {
    /// Registered, warm, and the API knows; the first claim has come back empty, and so have its repetitions.
    fn ready() -> Self {
        let mut world = Self {
            state: State::new(Timing::default(), RHYTHM),
            now: Instant::now(),
        };
        assert_eq!(world.on(registered()), ["WarmUp"]);
        assert_eq!(world.on(Event::Warm), [""; 0]);
        assert_eq!(world.beat(HeartbeatReply::default(), None), ["Claim(None)"]);
        for _ in 0..4 {
            world.on(Event::Claimed(None));
            assert_eq!(world.wait(Duration::from_secs(2)), ["Claim(None)"]);
        }
        world.on(Event::Claimed(None));
        world
    }

    fn on(&mut self, event: Event) -> Vec<String> {
        self.state.on(event, self.now).iter().map(brief).collect()
    }

    fn beat(&mut self, reply: HeartbeatReply, about: Option<RunId>) -> Vec<String> {
        self.on(Event::Beat {
            reply,
            about,
            ready: true,
        })
    }

    /// Lets time pass until something is due, at most this long.
    fn wait(&mut self, most: Duration) -> Vec<String> {
        match self.state.due() {
            Some(due) if due <= self.now + most => self.now = due.max(self.now),
            _ => self.now += most,
        }
        self.state.on_time(self.now).iter().map(brief).collect()
    }
}

fn brief(action: &Action) -> String {
    match action {
        Action::Render(run) => format!("Render({})", run.run_id),
        Action::Claim(Some(_)) => "Claim(task)".to_owned(),
        other => format!("{other:?}"),
    }
}

fn registered() -> Event {
    Event::Registered(Box::new(Registered {
        token: "t".into(),
        pool: PoolId::new("default"),
        socket: None,
        warm_up: None,
        files: vec![],
        heartbeat_busy_ms: 5_000,
        heartbeat_ready_ms: RHYTHM.as_millis() as u64,
        dead_man_ms: 3_600_000,
    }))
}

fn assignment() -> Box<Assignment> {
    Box::new(Assignment {
        task_id: TaskId::new(Uuid::now_v7()),
        run_id: RunId::new(Uuid::now_v7()),
        team: TeamId::new("red"),
        plan: serde_json::Value::Null,
        loras: vec![],
        models: vec![],
        inputs: None,
        urls: RunUrls::default(),
        recorded: false,
        variant: false,
        limit_ms: 1,
        fetch_limit_ms: 0,
    })
}

fn finished(run_id: RunId, next: Option<Box<Assignment>>) -> Event {
    Event::Finished(Finished {
        run_id,
        next,
        sick: false,
    })
}

#[test]
fn nothing_is_claimed_before_the_api_knows() {
    let mut world = World {
        state: State::new(Timing::default(), RHYTHM),
        now: Instant::now(),
    };
    world.on(registered());
    assert_eq!(world.on(Event::Wake(None)), [""; 0]);
    // The heartbeat's answer can be heard of before the end of the warm-up.
    assert_eq!(world.beat(HeartbeatReply::default(), None), [""; 0]);
    assert_eq!(world.on(Event::Warm), ["Claim(None)"]);
}

#[test]
fn without_any_wake_it_asks_in_its_rhythm() {
    let mut world = World::ready();
    let before = world.now;
    assert_eq!(world.wait(RHYTHM), ["Claim(None)"]);
    assert_eq!(world.now - before, RHYTHM);
}

#[test]
fn after_a_wake_it_asks_five_times_and_once_is_one_claim_at_a_time() {
    let mut world = World::ready();
    let woken = world.now;
    let task = TaskId::new(Uuid::now_v7());
    assert_eq!(world.on(Event::Wake(Some(task))), ["Claim(task)"]);
    assert_eq!(
        world.beat(
            HeartbeatReply {
                work: true,
                ..HeartbeatReply::default()
            },
            None
        ),
        [""; 0],
        "one at a time"
    );
    for after in [200, 500, 1000, 2000] {
        world.on(Event::Claimed(None));
        assert_eq!(world.wait(RHYTHM), ["Claim(task)"]);
        assert_eq!(world.now - woken, Duration::from_millis(after));
    }
    world.on(Event::Claimed(None));
    assert_eq!(world.wait(RHYTHM), ["Claim(None)"]);
    assert_eq!(world.now - woken, Duration::from_secs(2) + RHYTHM);
}

#[test]
fn a_wake_during_a_claim_or_a_run_is_not_forgotten() {
    let mut world = World::ready();
    let task = Some(TaskId::new(Uuid::now_v7()));
    world.on(Event::Wake(None));
    assert_eq!(world.on(Event::Wake(task)), [""; 0]);
    assert_eq!(world.on(Event::Claimed(None)), ["Claim(task)"]);
    let run = assignment();
    let id = run.run_id;
    world.on(Event::Claimed(Some(run)));
    world.on(Event::Wake(task));
    assert_eq!(world.on(finished(id, None)), ["Claim(task)"]);
}

#[test]
fn only_the_run_that_is_held_can_be_stopped() {
    let mut world = World::ready();
    let (run, other) = (assignment(), assignment().run_id);
    let id = run.run_id;
    world.on(Event::Wake(None));
    world.on(Event::Claimed(Some(run)));
    let cancel = || HeartbeatReply {
        cancel: true,
        ..HeartbeatReply::default()
    };
    let lost = || HeartbeatReply {
        run_lost: true,
        ..HeartbeatReply::default()
    };
    assert_eq!(world.on(Event::Cancel(other)), [""; 0]);
    for about in [None, Some(other)] {
        assert_eq!(world.beat(cancel(), about), [""; 0]);
        assert_eq!(world.beat(lost(), about), [""; 0]);
    }
    assert_eq!(world.on(Event::Cancel(id)), ["Stop(Canceled)"]);
    assert_eq!(world.beat(cancel(), Some(id)), ["Stop(Canceled)"]);
    assert_eq!(world.beat(lost(), Some(id)), ["Stop(Lost)"]);
}

#[test]
fn the_next_run_comes_with_the_result_and_no_run_comes_twice() {
    let mut world = World::ready();
    let (first, second) = (assignment(), assignment());
    let (a, b) = (first.run_id, second.run_id);
    world.on(Event::Wake(None));
    assert_eq!(world.on(Event::Claimed(Some(first.clone()))), [format!("Render({a})")]);
    assert_eq!(world.on(finished(a, Some(second))), [format!("Render({b})")]);
    assert_eq!(world.on(finished(b, Some(first))), [""; 0]);
    assert_eq!(world.wait(RHYTHM), ["Claim(None)"]);
}

#[test]
fn drained_it_takes_nothing_until_it_may_again() {
    let mut world = World::ready();
    world.on(Event::Drain);
    assert_eq!(world.wait(2 * RHYTHM), [""; 0]);
    let drain = HeartbeatReply {
        drain: true,
        work: true,
        ..HeartbeatReply::default()
    };
    assert_eq!(world.beat(drain, None), [""; 0]);
    assert_eq!(
        world.beat(
            HeartbeatReply {
                work: true,
                ..HeartbeatReply::default()
            },
            None
        ),
        ["Claim(None)"]
    );
}

#[test]
fn taken_back_from_draining_it_works_at_once() {
    let mut world = World::ready();
    world.on(Event::Drain);
    assert_eq!(world.on(Event::Wake(None)), ["Claim(None)"]);
}

#[test]
fn told_to_end_it_gives_back_what_it_has_and_what_still_comes() {
    let mut idle = World::ready();
    assert_eq!(idle.on(Event::Terminate), ["Exit"]);

    let mut claiming = World::ready();
    claiming.on(Event::Wake(None));
    assert_eq!(claiming.on(Event::Terminate), [""; 0]);
    let run = assignment();
    let id = run.run_id;
    assert_eq!(
        claiming.on(Event::Claimed(Some(run))),
        [format!("Render({id})"), "Stop(Leaving)".to_owned()]
    );
    assert_eq!(claiming.on(finished(id, None)), ["Exit"]);

    let mut claiming = World::ready();
    claiming.on(Event::Wake(None));
    claiming.on(Event::Wake(None));
    claiming.on(Event::Terminate);
    assert_eq!(claiming.on(Event::Claimed(None)), ["Exit"]);
}

#[test]
fn a_sick_comfyui_is_warmed_up_again() {
    let mut world = World::ready();
    let run = assignment();
    let id = run.run_id;
    world.on(Event::Wake(None));
    world.on(Event::Claimed(Some(run)));
    assert_eq!(world.on(Event::ComfyGone), [""; 0], "the run notices by itself");
    assert_eq!(
        world.on(Event::Finished(Finished {
            run_id: id,
            next: None,
            sick: true
        })),
        ["WarmUp"]
    );
    assert_eq!(world.wait(RHYTHM), [""; 0]);
    world.on(Event::Warm);
    assert_eq!(world.wait(RHYTHM), [""; 0], "not before the API knows");
    assert_eq!(world.beat(HeartbeatReply::default(), None), ["Claim(None)"]);
    world.on(Event::Claimed(None));
    assert_eq!(world.on(Event::ComfyGone), ["WarmUp"]);
}

#[test]
fn a_claim_that_fails_is_repeated_with_patience() {
    let mut world = World::ready();
    world.on(Event::Wake(None));
    let mut last = Duration::ZERO;
    for _ in 0..8 {
        assert_eq!(world.on(Event::NotClaimed), [""; 0]);
        let before = world.now;
        assert_eq!(world.wait(RHYTHM), ["Claim(None)"]);
        last = world.now - before;
        assert!(last <= RHYTHM);
    }
    assert!(last > Duration::from_secs(5), "{last:?}");
}

#[test]
fn a_new_registration_is_announced_anew_but_not_warmed_up_anew() {
    let mut world = World::ready();
    assert_eq!(world.on(registered()), [""; 0]);
    assert_eq!(world.wait(RHYTHM), [""; 0]);
    assert_eq!(world.beat(HeartbeatReply::default(), None), ["Claim(None)"]);
    assert_eq!(world.on(Event::Dismissed), ["ShutDown"]);
}

#[test]
fn a_run_lost_by_registering_makes_room_for_the_next_at_once() {
    let mut world = World::ready();
    let run = assignment();
    let id = run.run_id;
    world.on(Event::Wake(None));
    world.on(Event::Claimed(Some(run)));
    world.on(registered());
    let lost = HeartbeatReply {
        run_lost: true,
        ..HeartbeatReply::default()
    };
    assert_eq!(world.beat(lost, Some(id)), ["Stop(Lost)"]);
    assert_eq!(world.on(finished(id, None)), ["Claim(None)"]);
}
