//! `studio`: the page for each role, and what may be done from it.

use std::collections::BTreeSet;

use cloud::{
    Write,
    fault::{Call, depth},
    tables::{AllPools, Table, TicketOf},
};
use model::{
    Account, Audit, BreakerForce, MicroUsd, Millis, Pool, PoolId, Role, TaskState, TeamId, Ticket, UserId, Worker,
    WorkerId, WorkerState,
};
use serde_json::{Value, json};

use crate::{
    golden,
    pages::{Browser, field},
    support::{Answer, INSTANCE, MARA, NOW, OTHER, POOL, TASK, WORKER, WORKER_2, World, minutes, seconds, task_id},
};

const STUDIO: &str = "GET /v1/studio";
const AUDIT: &str = "GET /v1/studio/audit";
const ASK: &str = "GET /v1/studio/act";
const ACT: &str = "POST /v1/studio/act";
const TICKET: &str = "POST /v1/studio/ticket";

/// A user of this role, signed in.
pub(crate) async fn signed_in(world: &World, user: &str, role: Role) -> Browser {
    let mut account: Account = world.get(&UserId::new(user)).await;
    account.role = role;
    world.put(account).await;
    Browser::signed_in(world, user, NOW).await
}

pub(crate) fn html(answer: &Answer) -> &str {
    answer.body.as_str().unwrap()
}

async fn page(browser: &mut Browser, world: &World, query: &[(&str, &str)], now: Millis) -> String {
    let answer = browser.visit(world, STUDIO, query, "", "same-origin", now).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    html(&answer).to_owned()
}

/// What the page that asks about a deed shows.
pub(crate) async fn asked(browser: &mut Browser, world: &World, query: &[(&str, &str)]) -> Answer {
    browser.visit(world, ASK, query, "", "same-origin", NOW).await
}

/// The body that the page's form would send.
pub(crate) fn filled(page: &str, more: &[(&str, &str)]) -> String {
    let unescaped = |text: String| {
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&amp;", "&")
    };
    form_urlencoded::Serializer::new(String::new())
        .append_pair("form", &field(page, "form"))
        .append_pair("seen", &unescaped(field(page, "seen")))
        .extend_pairs(more)
        .finish()
}

/// Each a second after what was done before.
pub(crate) async fn post(browser: &mut Browser, world: &World, query: &[(&str, &str)], body: &str) -> Answer {
    let now = NOW + seconds(1 + lines(world).len() as u64);
    browser.visit(world, ACT, query, body, "same-origin", now).await
}

/// Asks and says yes.
pub(crate) async fn done(
    browser: &mut Browser,
    world: &World,
    query: &[(&str, &str)],
    more: &[(&str, &str)],
) -> Answer {
    let question = asked(browser, world, query).await;
    assert_eq!(question.status, 200, "{question:?}");
    post(browser, world, query, &filled(html(&question), more)).await
}

pub(crate) fn lines(world: &World) -> Vec<Audit> {
    let items = world.memory.items().into_iter();
    let audit = items.filter(|(key, _)| key.table == Table::Pools && key.partition == "#audit");
    audit
        .map(|(_, item)| serde_json::from_value(Value::Object(item)).unwrap())
        .collect()
}

async fn pool(world: &World) -> Pool {
    world.get(&PoolId::new(POOL)).await
}

const PAUSE: [(&str, &str); 2] = [("do", "pause"), ("pool", POOL)];
const RESUME: [(&str, &str); 2] = [("do", "resume"), ("pool", POOL)];

#[tokio::test]
async fn each_role_sees_what_concerns_it() {
    let world = World::new().await;
    world.running(NOW).await;
    world.queued("01a05cd7-2a00-7000-8000-0000000000c1", OTHER, NOW).await;
    world
        .alter_worker(WORKER, |worker| {
            worker.models = vec!["checkpoints/dreamshaper_8.safetensors".to_owned()];
        })
        .await;
    let mut painter = signed_in(&world, MARA, Role::Painter).await;
    let mara = page(&mut painter, &world, &[], NOW + seconds(3)).await;
    assert!(
        mara.contains("Your pictures in line") && mara.contains("0 % rendered"),
        "{mara}"
    );
    for hidden in ["noor", "Machines", "Pause starts", "What was done"] {
        assert!(!mara.contains(hidden), "a painter sees {hidden}: {mara}");
    }
    let mut lead = signed_in(&world, OTHER, Role::Lead).await;
    let noor = page(&mut lead, &world, &[("pool", "another")], NOW + seconds(3)).await;
    for part in [
        "Team <bdi>studio</bdi>",
        "MARA",
        "noor",
        "In line",
        "Your pictures in line",
    ] {
        assert!(noor.contains(part), "no {part}: {noor}");
    }
    for hidden in ["Pause starts", "What was done", "do=revoke"] {
        assert!(!noor.contains(hidden), "a lead sees {hidden}");
    }
    let mut operator = signed_in(&world, MARA, Role::Operator).await;
    let all = page(&mut operator, &world, &[], NOW + seconds(3)).await;
    for part in [
        "Pool <bdi>default</bdi>",
        "busy for 3 s",
        "for <bdi>mara</bdi>, 0 %",
        "dreamshaper_8.safetensors",
        "starts as needed",
        "Starts and stops of the day",
        "the painter’s next; its lane’s share is 4 times that of batches",
        "do=stop&amp;worker=",
        "What was done",
    ] {
        assert!(all.contains(part), "no {part}: {all}");
    }
}

#[tokio::test]
async fn starts_are_paused_by_who_may_once_and_everybody_can_read_who_did_it() {
    let world = World::new().await;
    let mut operator = signed_in(&world, MARA, Role::Operator).await;
    let question = asked(&mut operator, &world, &PAUSE).await;
    assert!(html(&question).contains("starts as needed"), "{question:?}");
    assert_eq!(pool(&world).await.breaker.forced, None, "nothing is done by asking");
    let body = filled(html(&question), &[]);
    // Not by another site, without the form, or by anybody else.
    let foreign = operator.visit(&world, ACT, &PAUSE, &body, "cross-site", NOW).await;
    assert_eq!(foreign.status, 403);
    assert_eq!(post(&mut operator, &world, &PAUSE, "seen=starts").await.status, 403);
    let mut lead = signed_in(&world, OTHER, Role::Lead).await;
    assert_eq!(asked(&mut lead, &world, &PAUSE).await.status, 403);
    assert_eq!(lead.visit(&world, AUDIT, &[], "", "same-origin", NOW).await.status, 403);
    assert!(lines(&world).iter().all(|it| it.what == "invite"));
    let answer = post(&mut operator, &world, &PAUSE, &body).await;
    assert_eq!(
        (answer.status, answer.location.as_deref()),
        (303, Some("../studio?done=pause&pool=default"))
    );
    assert_eq!(pool(&world).await.breaker.forced, Some(BreakerForce::Open));
    let line = lines(&world).into_iter().find(|it| it.what == "pause").unwrap();
    assert_eq!(
        (
            line.who.as_str(),
            line.on.as_str(),
            line.before.as_str(),
            line.after.as_str()
        ),
        (MARA, "pool default", "starts as needed", "starts paused")
    );
    let shown = page(&mut operator, &world, &[("done", "pause")], NOW + seconds(2)).await;
    assert!(
        shown.contains("Starts are paused.") && shown.contains("Resume starts"),
        "{shown}"
    );
    assert!(shown.contains("Your studio has paused its machines"), "{shown}");
    // The same page again is old.
    let again = post(&mut operator, &world, &PAUSE, &body).await;
    assert!(
        again.status == 409 && html(&again).contains("starts paused"),
        "{again:?}"
    );
    assert_eq!(lines(&world).iter().filter(|it| it.what == "pause").count(), 1);
}

#[tokio::test]
async fn of_two_with_opposite_buttons_the_second_is_told_what_the_first_has_done() {
    let world = World::new().await;
    let mut first = signed_in(&world, MARA, Role::Operator).await;
    let mut second = signed_in(&world, OTHER, Role::Operator).await;
    assert_eq!(done(&mut first, &world, &PAUSE, &[]).await.status, 303);
    // Both see it paused; one resumes, the other one changes the limits.
    let limits = [("do", "limits"), ("pool", POOL)];
    let question = asked(&mut second, &world, &limits).await;
    assert_eq!(done(&mut first, &world, &RESUME, &[]).await.status, 303);
    let body = filled(html(&question), &[("machines", "5"), ("monthly", "500")]);
    let answer = post(&mut second, &world, &limits, &body).await;
    assert_eq!(answer.status, 409);
    for part in [
        "nothing was done",
        "starts paused",
        "starts as needed",
        "<bdi>mara</bdi>: <bdi>resume</bdi>",
    ] {
        assert!(html(&answer).contains(part), "no {part}: {answer:?}");
    }
    assert_eq!(pool(&world).await.max_workers, 2);
    let answer = done(&mut second, &world, &limits, &[("machines", "5"), ("monthly", "500")]).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let pool = pool(&world).await;
    assert_eq!((pool.max_workers, pool.monthly_limit), (5, Some(MicroUsd(500_000_000))));
    for (machines, monthly) in [
        ("-1", ""),
        ("1001", ""),
        ("", ""),
        ("2", "a lot"),
        ("2", "-1"),
        ("2", "NaN"),
    ] {
        let answer = done(
            &mut second,
            &world,
            &limits,
            &[("machines", machines), ("monthly", monthly)],
        )
        .await;
        assert_eq!(answer.status, 400, "{machines} {monthly}");
    }
    for (deed, lifted) in [("lift", true), ("hold", false)] {
        assert_eq!(
            done(&mut second, &world, &[("do", deed), ("pool", POOL)], &[])
                .await
                .status,
            303
        );
        assert_eq!(super::studio::pool(&world).await.meter.lifted, lifted);
    }
}

#[tokio::test]
async fn a_machine_is_woken_as_by_whoever_comes_to_paint() {
    let world = World::new().await;
    let mut operator = signed_in(&world, MARA, Role::Operator).await;
    world.take_queued();
    let wake = [("do", "wake"), ("pool", POOL)];
    assert_eq!(done(&mut operator, &world, &wake, &[]).await.status, 303);
    assert_eq!(world.take_queued().len(), 1, "nobody was told to look");
    world.dispatch_tasks(&[task_id()], NOW + seconds(2)).await;
    assert_eq!(world.workers().len(), 1, "none was started");
    // One comes up: that is enough.
    let answer = done(&mut operator, &world, &wake, &[]).await;
    assert_eq!(answer.location.as_deref(), Some("../studio?done=nothing"));
    // Nor is one started while nothing may be.
    let other = World::new().await;
    let mut operator = signed_in(&other, MARA, Role::Operator).await;
    done(&mut operator, &other, &PAUSE, &[]).await;
    let answer = done(&mut operator, &other, &wake, &[]).await;
    assert!(answer.status == 409 && html(&answer).contains("paused"), "{answer:?}");
}

#[tokio::test]
async fn a_machine_that_is_let_go_ends_its_picture_and_stops() {
    let world = World::new().await;
    world.running(NOW).await;
    let mut operator = signed_in(&world, MARA, Role::Operator).await;
    let drain = [("do", "drain"), ("worker", WORKER)];
    assert_eq!(done(&mut operator, &world, &drain, &[]).await.status, 303);
    let worker = world.worker(WORKER).await;
    assert_eq!((worker.state, worker.run.is_some()), (WorkerState::Draining, true));
    // Kept after all, let go again: the last word holds.
    for (deed, dismissed) in [("keep", false), ("drain", true)] {
        let query = [("do", deed), ("worker", WORKER)];
        assert_eq!(done(&mut operator, &world, &query, &[]).await.status, 303, "{deed}");
        assert_eq!(world.worker(WORKER).await.dismissed.is_some(), dismissed);
    }
    // While it renders it stays, whoever waits.
    world.queued("01a05cd7-2a00-7000-8000-0000000000c1", OTHER, NOW).await;
    world.reap(NOW + minutes(1)).await;
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Draining);
    world
        .alter_worker(WORKER, |worker| worker.release(crate::support::run_id(), NOW))
        .await;
    world.reap(NOW + minutes(2)).await;
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Stopping);
}

#[tokio::test]
async fn a_machine_is_stopped_and_its_picture_waits_at_its_old_place() {
    let world = World::new().await;
    let (before, _) = world.running(NOW).await;
    let mut operator = signed_in(&world, OTHER, Role::Operator).await;
    let stop = [("do", "stop"), ("worker", WORKER)];
    assert_eq!(done(&mut operator, &world, &stop, &[]).await.status, 303);
    let (task, worker) = (world.task(&task_id()).await, world.worker(WORKER).await);
    assert_eq!(
        (task.state, task.start_tag, task.failures),
        (TaskState::Queued, before.start_tag, 0)
    );
    assert_eq!((worker.state, worker.run), (WorkerState::Draining, None));
    assert_eq!(world.take_queued().len(), 1, "nobody is told that it waits");
    // It is not taken back for the picture that waits, nor does it claim it.
    world.reap(NOW + seconds(5)).await;
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Stopping);
    let line = lines(&world).into_iter().find(|it| it.what == "stop").unwrap();
    assert!(
        line.before.contains(&format!("renders {TASK}")) && line.after.contains("to stop"),
        "{line:?}"
    );
    let answer = done(&mut operator, &world, &stop, &[]).await;
    assert_eq!(answer.location.as_deref(), Some("../studio?done=nothing"));
    assert_eq!(
        asked(&mut operator, &world, &[("do", "stop"), ("worker", "w-gone")])
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_machine_that_comes_up_is_stopped_once_it_is_up() {
    let world = World::new().await;
    world.ready(WORKER_2, INSTANCE, NOW).await;
    world
        .alter_worker(WORKER_2, |worker| {
            worker.state = WorkerState::Booting;
            worker.idle_since = None;
        })
        .await;
    let mut operator = signed_in(&world, OTHER, Role::Operator).await;
    let stop = [("do", "stop"), ("worker", WORKER_2)];
    assert_eq!(done(&mut operator, &world, &stop, &[]).await.status, 303);
    assert_eq!(world.worker(WORKER_2).await.state, WorkerState::Booting);
    world
        .alter_worker(WORKER_2, |worker| worker.state = WorkerState::Warming)
        .await;
    world.reap(NOW + minutes(1)).await;
    world.reap(NOW + minutes(2)).await;
    assert_eq!(world.worker(WORKER_2).await.state, WorkerState::Stopping);
}

#[tokio::test]
async fn pictures_are_canceled_by_those_whom_they_concern() {
    let world = World::new().await;
    world.running(NOW).await;
    let cancel = [("do", "cancel"), ("task", TASK)];
    let mut stranger = signed_in(&world, OTHER, Role::Painter).await;
    assert_eq!(asked(&mut stranger, &world, &cancel).await.status, 404);
    // A lead of another team.
    let mut account: Account = world.get(&UserId::new(OTHER)).await;
    account.team = TeamId::new("elsewhere");
    world.put(account).await;
    let mut lead = signed_in(&world, OTHER, Role::Lead).await;
    assert_eq!(asked(&mut lead, &world, &cancel).await.status, 404);
    let mut account: Account = world.get(&UserId::new(OTHER)).await;
    account.team = TeamId::new(crate::support::TEAM);
    world.put(account).await;
    assert_eq!(
        asked(&mut lead, &world, &[("do", "requeue"), ("task", TASK)])
            .await
            .status,
        403
    );
    assert_eq!(done(&mut lead, &world, &cancel, &[]).await.status, 303);
    assert_eq!(world.task(&task_id()).await.state, TaskState::Canceling);
    let line = lines(&world).into_iter().find(|it| it.what == "cancel").unwrap();
    assert_eq!(
        (line.who.as_str(), line.before.contains("running")),
        (OTHER, true),
        "{line:?}"
    );
    // One's own, which waits: what it had reserved is back.
    let own = "01a05cd7-2a00-7000-8000-0000000000c1";
    world.queued(own, MARA, NOW).await;
    let mut painter = signed_in(&world, MARA, Role::Painter).await;
    let answer = done(&mut painter, &world, &[("do", "cancel"), ("task", own)], &[]).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    assert_eq!(world.task(&own.parse().unwrap()).await.state, TaskState::Canceled);
}

#[tokio::test]
async fn a_picture_is_sent_back_in_line() {
    let world = World::new().await;
    let (before, _) = world.running(NOW).await;
    let mut operator = signed_in(&world, OTHER, Role::Operator).await;
    let requeue = [("do", "requeue"), ("task", TASK)];
    let question = asked(&mut operator, &world, &requeue).await;
    assert_eq!(
        post(&mut operator, &world, &requeue, &filled(html(&question), &[]))
            .await
            .status,
        303
    );
    let task = world.task(&task_id()).await;
    assert_eq!(
        (task.state, task.start_tag, task.failures),
        (TaskState::Queued, before.start_tag, 0)
    );
    assert_eq!(world.worker(WORKER).await.state, WorkerState::Ready);
    let again = post(&mut operator, &world, &requeue, &filled(html(&question), &[])).await;
    assert!(again.status == 409 && html(&again).contains("queued"), "{again:?}");
}

#[tokio::test]
async fn users_are_looked_after() {
    let world = World::new().await;
    let mut operator = signed_in(&world, OTHER, Role::Operator).await;
    let of = |deed: &'static str| [("do", deed), ("user", MARA)];
    assert_eq!(
        done(&mut operator, &world, &of("budget"), &[("credits", "2500")])
            .await
            .status,
        303
    );
    assert_eq!(world.get(&UserId::new(MARA)).await.credits, 2500);
    for bad in ["", "-1", "1.5", "99999999999", "many"] {
        assert_eq!(
            done(&mut operator, &world, &of("budget"), &[("credits", bad)])
                .await
                .status,
            400,
            "{bad}"
        );
    }
    let invitation = done(&mut operator, &world, &of("invite"), &[]).await;
    let (_, words) = html(&invitation).split_once("<code>").unwrap();
    let words = words.split('<').next().unwrap();
    let mut mara = Browser::default();
    let answer = mara
        .visit(
            &world,
            "POST /v1/sign-in",
            &[],
            &format!("invitation={words}&next=studio"),
            "same-origin",
            NOW + seconds(4),
        )
        .await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("studio")));
    assert_eq!(
        mara.visit(&world, STUDIO, &[], "", "same-origin", NOW + seconds(4))
            .await
            .status,
        200
    );
    world.painter_socket().await;
    assert_eq!(done(&mut operator, &world, &of("revoke"), &[]).await.status, 303);
    assert_eq!(
        mara.visit(&world, STUDIO, &[], "", "same-origin", NOW + seconds(6))
            .await
            .status,
        303
    );
    assert!(
        world.all::<model::Session>(Table::Sessions).is_empty(),
        "a socket is still open"
    );
    assert_eq!(
        asked(&mut operator, &world, &[("do", "budget"), ("user", "nobody")])
            .await
            .status,
        404
    );
    let what: BTreeSet<_> = lines(&world).into_iter().map(|it| it.what).collect();
    for deed in ["budget", "invite", "revoke"] {
        assert!(what.contains(deed), "{what:?}");
    }
    assert!(
        !format!("{:?}", lines(&world)).contains(words),
        "an invitation stands in the list"
    );
}

#[tokio::test]
async fn whoever_was_signed_out_comes_back_to_the_very_question() {
    let world = World::new().await;
    let mut operator = signed_in(&world, OTHER, Role::Operator).await;
    let question = asked(&mut operator, &world, &PAUSE).await;
    let late = NOW + minutes(60 * 13);
    let body = filled(html(&question), &[]);
    let answer = operator.visit(&world, ACT, &PAUSE, &body, "same-origin", late).await;
    let to = "../sign-in?next=studio%2Fact%3Fdo%3Dpause%26pool%3Ddefault";
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some(to)));
    assert_eq!(pool(&world).await.breaker.forced, None);
    let next = "studio/act?do=pause&pool=default";
    let sign_in = operator
        .visit(&world, "GET /v1/sign-in", &[("next", next)], "", "same-origin", late)
        .await;
    assert_eq!(field(html(&sign_in), "next").replace("&amp;", "&"), next);
    let invitation = crate::pages::invited(&world, OTHER, late).await;
    let form = format!(
        "{invitation}&next={}",
        form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>()
    );
    let answer = operator
        .visit(&world, "POST /v1/sign-in", &[], &form, "same-origin", late)
        .await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some(next)));
    // Nobody is sent elsewhere.
    let mut other = Browser::default();
    let form = format!(
        "{}&next=%2F%2Fevil.example",
        crate::pages::invited(&world, MARA, late).await
    );
    let answer = other
        .visit(&world, "POST /v1/sign-in", &[], &form, "same-origin", late)
        .await;
    assert_eq!(answer.location.as_deref(), Some("account"));
}

/// A command line of `ops audit`.
#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    audit: ops::audit::Command,
}

/// What the authorizer says to a browser that opens a WebSocket with this ticket.
async fn connects(world: &World, ticket: &str, now: Millis) -> Value {
    let mut event = crate::support::golden("authorize", "websocket-connect");
    event["headers"].as_object_mut().unwrap().remove("Authorization");
    event["queryStringParameters"] = json!({ "ticket": ticket });
    event["requestContext"]["requestTimeEpoch"] = now.0.into();
    world.authorize.handle(&event).await.unwrap()
}

#[tokio::test]
async fn a_ticket_opens_one_socket_at_once() {
    let world = World::new().await;
    let mut painter = signed_in(&world, MARA, Role::Painter).await;
    let shown = page(&mut painter, &world, &[], NOW).await;
    let body = format!("form={}", field(&shown, "form"));
    let mut give = async |from: &str, body: &str| painter.visit(&world, TICKET, &[], body, from, NOW).await;
    assert_eq!(give("cross-site", &body).await.status, 403);
    assert_eq!(give("same-origin", "form=x").await.status, 403);
    let mut tickets = Vec::new();
    for _ in 0..3 {
        let answer = give("same-origin", &body).await.ok();
        let (address, ticket) = answer["url"].as_str().unwrap().split_once("?ticket=").unwrap();
        assert_eq!(address, "wss://socket.example/live");
        tickets.push(ticket.to_owned());
    }
    assert!(
        !format!("{:?}", world.memory.items()).contains(&tickets[0]),
        "the ticket itself is kept"
    );
    let effect = |answer: &Value| answer.pointer("/policyDocument/Statement/0/Effect").cloned().unwrap();
    let answer = connects(&world, &tickets[0], NOW + seconds(1)).await;
    assert_eq!(
        (effect(&answer), &answer["context"]["sub"]),
        ("Allow".into(), &json!(MARA))
    );
    for (ticket, now) in [
        (tickets[0].as_str(), NOW + seconds(4)),
        (&tickets[1], NOW + Ticket::LIFE),
        ("forged", NOW),
        ("", NOW),
        (&"x".repeat(5000), NOW),
    ] {
        assert_eq!(effect(&connects(&world, ticket, now).await), "Deny", "{ticket}");
    }
    let mut account: Account = world.get(&UserId::new(MARA)).await;
    account.revoke(NOW + seconds(1));
    world.put(account).await;
    assert_eq!(effect(&connects(&world, &tickets[2], NOW + seconds(4)).await), "Deny");
    let secret = accounts::fingerprint(&tickets[2]);
    assert!(
        world.cloud.store.get(&TicketOf(secret)).await.unwrap().is_none(),
        "it is not used up"
    );
}

fn reads(calls: &[Call]) -> usize {
    calls
        .iter()
        .filter(|it| it.name.starts_with("store.") && it.name != "store.commit")
        .count()
}

/// Puts many items at once.
async fn put_all(world: &World, writes: Vec<Write>) {
    for part in writes.chunks(100) {
        world.memory.cloud().store.commit_all(part).await.unwrap();
    }
}

#[tokio::test]
async fn ten_thousand_pictures_and_two_hundred_machines_fit_on_a_page() {
    let world = World::watched(model::Settings::default()).await;
    let (mut task, mut worker) = world.running(NOW).await;
    (task.version, worker.version) = (0, 0);
    let hostile = "<script>alert(1)</script>\u{202e}\u{200b}".repeat(8);
    let mut writes = Vec::new();
    for number in 0..200_u32 {
        let id = format!("01a05cd7-2a00-7000-8001-{number:012x}");
        let mut worker: Worker = worker.clone();
        worker.worker_id = WorkerId::new(format!("w-{number:032}"));
        worker.models = vec![format!("checkpoints/{hostile}{number}.safetensors")];
        worker.run.as_mut().unwrap().task_id = id.parse().unwrap();
        worker.version = 0;
        writes.push(Write::put(&mut worker).unwrap());
        let mut task = task.clone();
        task.task_id = id.parse().unwrap();
        task.version = 0;
        writes.push(Write::put(&mut task).unwrap());
        let mut account: Account = world.get(&UserId::new(MARA)).await;
        (account.version, account.user_id) = (0, UserId::new(format!("painter-{number}")));
        account.name.clone_from(&hostile);
        writes.push(Write::put(&mut account).unwrap());
    }
    for number in 0..10_000_u32 {
        let mut task = task.clone();
        task.task_id = format!("01a05cd7-2a00-7000-9000-{number:012x}").parse().unwrap();
        (task.version, task.run, task.state) = (0, None, TaskState::Queued);
        task.backlog = Some(task.pool.clone());
        task.start_tag = u64::from(number);
        // Half of all are one painter's.
        task.owner = match number % 2 {
            0 => UserId::new(MARA),
            _ => UserId::new(format!("painter-{}", number % 200)),
        };
        task.model = Some(hostile.clone());
        writes.push(Write::put(&mut task).unwrap());
    }
    put_all(&world, writes).await;
    for (user, role) in [(OTHER, Role::Operator), (MARA, Role::Lead), (MARA, Role::Painter)] {
        let mut browser = signed_in(&world, user, role).await;
        world.faults.take();
        let shown = page(&mut browser, &world, &[], NOW + seconds(5)).await;
        let calls = world.faults.take();
        assert!(reads(&calls) <= 20, "{role:?}: {} reads", reads(&calls));
        assert!(depth(&calls) <= 6, "{role:?}: {} one after the other", depth(&calls));
        assert!(shown.len() <= 200_000, "{role:?}: {} bytes", shown.len());
        assert!(!shown.contains("<script>alert"), "markup is obeyed");
        assert!(
            shown.contains("200 or more") || role == Role::Painter,
            "the line is cut without a word"
        );
    }
}

#[tokio::test]
async fn what_is_gone_or_wrong_is_said() {
    let world = World::new().await;
    let mut operator = signed_in(&world, OTHER, Role::Operator).await;
    let gone = page(&mut operator, &world, &[("pool", "gone")], NOW).await;
    assert!(gone.contains("There is no pool <bdi>gone</bdi>"), "{gone}");
    for (query, status) in [
        (&[("do", "pause"), ("pool", "gone")][..], 404),
        (&[("do", "explode"), ("pool", POOL)], 404),
        (&[("do", "pause")], 404),
        (&[("do", "cancel"), ("task", "../../x")], 404),
        (&[], 404),
    ] {
        assert_eq!(asked(&mut operator, &world, query).await.status, status, "{query:?}");
    }
    for (name, value) in [("team", "not a cursor"), ("team", "e30")] {
        let answer = operator
            .visit(&world, STUDIO, &[(name, value)], "", "same-origin", NOW)
            .await;
        assert_eq!(answer.status, 400, "{value}");
    }
    // Clocks that are minutes ahead or behind, ours and theirs.
    world.running(NOW + minutes(9)).await;
    page(&mut operator, &world, &[], NOW).await;
    page(&mut operator, &world, &[("done", "<b>")], NOW + minutes(9)).await;
    // A pool that somebody has taken away while it was looked at.
    let question = asked(&mut operator, &world, &PAUSE).await;
    let mut pool: Pool = world.get(&PoolId::new(POOL)).await;
    let delete = Write::delete(&mut pool);
    world.memory.cloud().store.commit_all(&[delete]).await.unwrap();
    assert_eq!(
        post(&mut operator, &world, &PAUSE, &filled(html(&question), &[]))
            .await
            .status,
        404
    );
    assert!(world.get(&AllPools).await.pools.contains(&PoolId::new(POOL)));
}

#[tokio::test]
async fn the_audit_list_has_pages_and_ops_shows_it() {
    let world = World::new().await;
    let mut operator = signed_in(&world, OTHER, Role::Operator).await;
    for number in 0..60_u64 {
        let (what, at) = (format!("deed {number}"), NOW + seconds(number));
        let id = format!("{number:012}");
        let line = Audit {
            at,
            id,
            version: 0,
            who: "x\u{1b}[31m".to_owned(),
            what,
            on: "pool <b>".to_owned(),
            before: String::new(),
            after: String::new(),
            ttl: 1,
        };
        world.put(line).await;
    }
    let first = operator.visit(&world, AUDIT, &[], "", "same-origin", NOW).await;
    let first = html(&first);
    assert!(
        first.contains("deed 59") && first.contains("deed 12") && !first.contains("deed 9<"),
        "{first}"
    );
    assert!(first.contains("pool &lt;b&gt;"), "{first}");
    let (_, after) = first.split_once("audit?after=").unwrap();
    let after = after.split('"').next().unwrap();
    let rest = operator
        .visit(&world, AUDIT, &[("after", after)], "", "same-origin", NOW)
        .await;
    assert!(
        html(&rest).contains("deed 9<") && !html(&rest).contains("deed 59"),
        "{rest:?}"
    );
    let bad = operator
        .visit(&world, AUDIT, &[("after", "nowhere")], "", "same-origin", NOW)
        .await;
    assert_eq!(bad.status, 400);
    // The command line's own changes are there, by whom they were made.
    let set = ops::pool::Command::Breaker {
        pool: PoolId::new(POOL),
        position: ops::pool::Position::Open,
    };
    ops::pool::run(&world.cloud.store, set, NOW + minutes(5)).await.unwrap();
    let line: Line = clap::Parser::parse_from(["ops", "--lines", "2"]);
    let text = ops::audit::run(&world.cloud.store, line.audit).await.unwrap();
    let (newest, rest) = text.split_once('\n').unwrap();
    assert!(newest.starts_with("2026-09-01 12:05:00 UTC  ops@"), "{text}");
    assert!(
        newest.ends_with("set breaker  pool default: starts as needed -> starts paused"),
        "{text}"
    );
    assert!(
        rest.contains("deed 59") && rest.contains("ops audit --after ") && !rest.contains('\u{1b}'),
        "{text}"
    );
}

#[tokio::test]
async fn golden_events() {
    golden::walk("studio", async |_, event| {
        let world = World::new().await;
        let answer = world.handled(event, NOW).await;
        let body = if answer.status == 303 {
            Value::Null
        } else {
            json!(html(&answer).len() > 500)
        };
        json!({ "status": answer.status, "location": answer.location, "body": body })
    })
    .await;
}
