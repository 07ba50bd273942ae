//! Each deed of the studio's page, whatever becomes of any one call to AWS: it is done or it is not, never half, and the audit
//! list has a line of it if, and only if, it is done.

use std::time::{Duration, Instant};

use cloud::{
    fault::{Fault, How},
    tables::{Leavings, PresenceOf, Table},
};
use model::{Account, BreakerForce, MicroUsd, Pool, PoolId, Role, Settings, TaskState, UserId, WorkerState};

use crate::{
    pages::Browser,
    studio::{asked, done, filled, html, lines, post, signed_in},
    support::{MARA, NOW, OTHER, POOL, TASK, WORKER, World, minutes, task_id},
};

/// What an operator does: the deed, what it is about, and what has to be said besides yes.
struct Deed {
    word: &'static str,
    of: (&'static str, &'static str),
    more: &'static [(&'static str, &'static str)],
    /// Done again it is another one: somebody is invited twice.
    again: bool,
}

const fn deed(word: &'static str, of: &'static str, id: &'static str) -> Deed {
    Deed {
        word,
        of: (of, id),
        more: &[],
        again: false,
    }
}

const DEEDS: [Deed; 13] = [
    deed("pause", "pool", POOL),
    deed("resume", "pool", POOL),
    Deed {
        more: &[("machines", "5"), ("monthly", "500")],
        ..deed("limits", "pool", POOL)
    },
    deed("lift", "pool", POOL),
    deed("hold", "pool", POOL),
    Deed {
        again: true,
        ..deed("wake", "pool", POOL)
    },
    deed("drain", "worker", WORKER),
    deed("keep", "worker", WORKER),
    deed("stop", "worker", WORKER),
    deed("cancel", "task", TASK),
    deed("requeue", "task", TASK),
    Deed {
        more: &[("credits", "2500")],
        ..deed("budget", "user", MARA)
    },
    Deed {
        again: true,
        ..deed("invite", "user", MARA)
    },
];

/// Signing out is a deed that looks at sockets as well.
const REVOKE: Deed = Deed {
    again: true,
    ..deed("revoke", "user", MARA)
};

/// A studio in which the deed makes sense, and its operator's browser.
async fn studio(deed: &Deed) -> (World, Browser) {
    let world = World::watched(Settings::default()).await;
    if ["worker", "task"].contains(&deed.of.0) {
        world.running(NOW).await;
    }
    match deed.word {
        "resume" => {
            world
                .alter_pool(|it| it.breaker.forced = Some(BreakerForce::Open))
                .await;
        }
        "lift" | "hold" => {
            world
                .alter_pool(|it| {
                    it.monthly_limit = Some(MicroUsd(10));
                    policy::meter::lift(it, deed.word == "hold", NOW);
                })
                .await;
        }
        "keep" => {
            world
                .alter_worker(WORKER, |it| {
                    policy::run::dismiss(it, false, NOW);
                })
                .await;
        }
        "revoke" => drop(world.painter_socket().await),
        _ => {}
    }
    let operator = signed_in(&world, OTHER, Role::Operator).await;
    world.take_queued();
    world.faults.take();
    (world, operator)
}

/// Whether the deed is done. Panics where it is so by halves.
async fn is_done(world: &World, deed: &Deed) -> bool {
    let pool: Pool = world.get(&PoolId::new(POOL)).await;
    match deed.word {
        "pause" => pool.breaker.forced == Some(BreakerForce::Open),
        "resume" => pool.breaker.forced.is_none(),
        "limits" => match (pool.max_workers, pool.monthly_limit) {
            (5, Some(MicroUsd(500_000_000))) => true,
            (2, None) => false,
            half => panic!("{half:?}"),
        },
        "lift" => pool.meter.lifted,
        "hold" => !pool.meter.lifted,
        "wake" => {
            let stay = PresenceOf(PoolId::new(POOL), UserId::new(OTHER));
            world.memory.cloud().store.get(&stay).await.unwrap().is_some()
        }
        "cancel" => match world.task(&task_id()).await.state {
            TaskState::Canceling => true,
            TaskState::Running => false,
            half => panic!("{half:?}"),
        },
        "drain" | "keep" | "stop" | "requeue" => of_machine(world, deed).await,
        "budget" => account(world).await.credits == 2500,
        "invite" => invitations(world) > 0,
        "revoke" => account(world).await.tokens_valid_from > NOW,
        other => panic!("{other}?"),
    }
}

/// A machine and what it renders know of each other, whatever is done to either.
async fn of_machine(world: &World, deed: &Deed) -> bool {
    let (task, worker) = (world.task(&task_id()).await, world.worker(WORKER).await);
    let renders = worker.run.is_some();
    assert_eq!(task.run.is_some(), renders, "{task:?} {worker:?}");
    assert_eq!(task.state == TaskState::Running, renders, "{task:?}");
    let dismissed = worker.dismissed.is_some();
    match deed.word {
        "drain" => {
            assert!(
                renders && dismissed == (worker.state == WorkerState::Draining),
                "{worker:?}"
            );
            dismissed
        }
        "keep" => {
            // It drains on until the next look takes it back.
            assert!(renders, "{worker:?}");
            !dismissed
        }
        "stop" => {
            assert_eq!(dismissed, !renders, "{worker:?}");
            dismissed
        }
        _ => !renders,
    }
}

async fn account(world: &World) -> Account {
    world.get(&UserId::new(MARA)).await
}

fn invitations(world: &World) -> usize {
    let items = world.memory.items().into_iter();
    items
        .filter(|(key, _)| key.table == Table::Accounts && key.partition.starts_with("invitation#"))
        .count()
}

/// Lines of this deed by the operator.
fn said(world: &World, deed: &Deed) -> usize {
    let all = lines(world);
    all.iter().filter(|it| it.what == deed.word && it.who == OTHER).count()
}

/// What the question's form sends, and what comes of it with this fault.
async fn with(fault: Fault, deed: &Deed) {
    let (world, mut operator) = studio(deed).await;
    let query = [("do", deed.word), deed.of];
    let question = asked(&mut operator, &world, &query).await;
    let body = filled(html(&question), deed.more);
    let before = is_done(&world, deed).await;
    assert!(!before && said(&world, deed) == 0, "{}", deed.word);
    world.faults.plan(fault);
    let answer = world.faults.run(post(&mut operator, &world, &query, &body)).await;
    assert!(world.faults.happened(), "{} makes no {}. call", deed.word, fault.at);
    let is = is_done(&world, deed).await;
    assert_eq!(
        said(&world, deed),
        usize::from(is),
        "{} {fault:?}: {answer:?}",
        deed.word
    );
    if let Some(answer) = answer {
        // Who is told that it is done is told the truth; who is told nothing of it may look.
        let told = [200, 303].contains(&answer.status) && answer.location.as_deref() != Some("../studio?done=nothing");
        assert!(is || !told, "{} {fault:?}: {answer:?}", deed.word);
        assert!(html(&answer).len() > 20 || answer.status == 303, "{answer:?}");
    }
    // Whoever is in doubt looks again, and does it again.
    world.faults.take();
    let again = done(&mut operator, &world, &query, deed.more).await;
    assert!([200, 303].contains(&again.status), "{} {fault:?}: {again:?}", deed.word);
    assert!(is_done(&world, deed).await, "{} {fault:?}", deed.word);
    let lines = said(&world, deed);
    assert!(
        lines == 1 || (deed.again && lines == 1 + usize::from(is)),
        "{} {fault:?}: {lines}",
        deed.word
    );
    if deed.word == "revoke" {
        let open = world.all::<model::Session>(Table::Sessions);
        assert!(open.is_empty(), "a socket is still open: {open:?}");
    }
}

/// How many calls the deed makes where none goes wrong.
async fn calls(deed: &Deed) -> usize {
    let (world, mut operator) = studio(deed).await;
    let query = [("do", deed.word), deed.of];
    let question = asked(&mut operator, &world, &query).await;
    world.faults.take();
    let body = filled(html(&question), deed.more);
    let answer = post(&mut operator, &world, &query, &body).await;
    assert!([200, 303].contains(&answer.status), "{answer:?}");
    assert!(is_done(&world, deed).await && said(&world, deed) == 1, "{}", deed.word);
    world.faults.take().len()
}

async fn sweep(how: How) {
    for deed in DEEDS.iter().chain([&REVOKE]) {
        let calls = Box::pin(calls(deed)).await;
        assert!(calls >= 4, "{}: {calls}", deed.word);
        for at in 1..=calls {
            Box::pin(with(Fault { of: None, at, how }, deed)).await;
        }
    }
}

#[tokio::test]
async fn any_call_of_a_deed_may_fail() {
    sweep(How::Fail).await;
}

#[tokio::test]
async fn any_answer_of_a_deed_may_be_lost() {
    sweep(How::LostAnswer).await;
}

#[tokio::test]
async fn any_call_of_a_deed_may_be_done_twice() {
    sweep(How::Twice).await;
}

#[tokio::test]
async fn any_call_of_a_deed_may_be_the_functions_last() {
    sweep(How::Crash).await;
}

/// A table that is silent is no reason to be silent, too: not for the page, nor for what is done from it.
#[tokio::test]
async fn a_table_that_does_not_answer_is_said_in_time() {
    let silent = async |deed: Option<&Deed>| {
        let (world, mut operator) = studio(&DEEDS[0]).await;
        let query = [("do", "pause"), ("pool", POOL)];
        let question = asked(&mut operator, &world, &query).await;
        let fault = Fault {
            of: None,
            at: 3,
            how: How::Silent,
        };
        world.faults.plan(fault);
        let begun = Instant::now();
        let answer = match deed {
            Some(_) => post(&mut operator, &world, &query, &filled(html(&question), &[])).await,
            None => {
                operator
                    .visit(&world, "GET /v1/studio", &[], "", "same-origin", NOW)
                    .await
            }
        };
        assert!(world.faults.happened());
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(html(&answer).contains("answer slowly"), "{answer:?}");
        // Lambda cuts it off after ten.
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        answer
    };
    let (page, deed) = tokio::join!(silent(None), silent(Some(&DEEDS[0])));
    assert!(html(&page).contains("Open this page again"), "{page:?}");
    assert!(html(&deed).contains("before you repeat it"), "{deed:?}");
}

/// A socket that could not be closed then is closed by the tick, also of somebody who was at no canvas for hours.
#[tokio::test]
async fn whoever_is_out_is_hung_up_on_though_nobody_saw_them_lately() {
    let (world, mut operator) = studio(&REVOKE).await;
    let query = [("do", REVOKE.word), REVOKE.of];
    let question = asked(&mut operator, &world, &query).await;
    let body = filled(html(&question), &[]);
    let fault = Fault {
        of: Some("store.query"),
        at: 1,
        how: How::Fail,
    };
    world.faults.plan(fault);
    let answer = post(&mut operator, &world, &query, &body).await;
    assert!(world.faults.happened() && answer.status == 503, "{answer:?}");
    assert!(is_done(&world, &REVOKE).await);
    let open = || world.all::<model::Session>(Table::Sessions).len();
    let stays = world.memory.items().into_iter();
    let stays = stays.filter(|(key, _)| key.partition.starts_with("presence#"));
    assert_eq!(
        (open(), stays.count()),
        (1, 0),
        "there is a socket, and nobody at a canvas"
    );
    world.tick(NOW + minutes(1)).await;
    assert_eq!(open(), 0, "the socket is still open");
    let looked = async || world.memory.cloud().store.list(Leavings).await.unwrap().len();
    assert_eq!(looked().await, 1, "an index may be late");
    world.tick(NOW + minutes(5)).await;
    assert_eq!(looked().await, 0, "it is looked for for ever");
}
