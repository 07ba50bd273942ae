//! Many at once: all of a group or none of it, priced before, in the batch lane, followed and canceled as one.

use cloud::{
    bucket::Expect,
    fault::{Fault, How},
    tables::{BodyOf, Table},
};
use futures_util::future::join_all;
use model::{Account, Group, Lane, Settings, TaskBody, TaskId, TaskState, UserId, Worker};
use serde_json::{Value, json};

use crate::{
    pages::Browser,
    support::{
        Answer, INSTANCE, MARA, NOW, OTHER, TEAM, WORKER, World, changes, http, minutes, painter, seconds, thorough,
        wire,
    },
};

const SUBMIT: &str = "POST /v1/generate";
const GROUPS: &str = "GET /v1/groups";
const GROUP: &str = "GET /v1/groups/{id}";
const PAGE: &str = "GET /v1/groups/{id}/page";
const CANCEL: &str = "POST /v1/groups/{id}/cancel";

/// The captured request 01 for one picture, with these variants.
fn asked(variants: &Value) -> Value {
    let mut body = wire("01_generate");
    body["input"]["workflow"]["batch_count"] = 1.into();
    body["input"]["variants"] = variants.clone();
    body
}

/// Two samplers and two seeds.
fn grid() -> Value {
    asked(&json!({ "samplers": ["euler", "dpmpp_2m"], "seeds": [1, 2] }))
}

async fn keyed(world: &World, key: &str, body: &Value) -> Answer {
    let mut event = http(SUBMIT, "", Some(&painter(MARA)), body);
    event["headers"]["idempotency-key"] = key.into();
    world.http(event, NOW).await
}

fn id(submitted: &Value) -> String {
    submitted["group"].as_str().unwrap().to_owned()
}

async fn seen(world: &World, group: &str) -> Value {
    world.paint(MARA, GROUP, group, &json!(null), NOW).await.ok()
}

async fn budget(world: &World, credits: u64) {
    let mut account = world.get(&UserId::new(MARA)).await;
    account.credits = credits;
    world.put(account).await;
}

async fn painted(world: &World, worker: &Worker) -> TaskId {
    let run = world.claimed(worker, NOW).await.unwrap();
    let result = json!({
        "task_id": run.task_id, "run_id": run.run_id, "offsets": [0], "size": 9,
        "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 },
    });
    world.work(worker, "result", &result, NOW + seconds(3)).await.ok();
    run.task_id
}

#[tokio::test]
async fn a_grid_is_a_group_of_ordinary_tasks_in_the_batch_lane() {
    let world = World::new().await;
    let cost = world.paint(MARA, "POST /v1/admin/cost", "", &grid(), NOW).await.ok();
    let submitted = world.submit(MARA, &grid(), NOW).await.ok();
    let tasks = world.tasks();
    assert_eq!(tasks.len(), 4);
    let labels: Vec<_> = submitted["variants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["label"])
        .collect();
    assert_eq!(
        labels,
        [
            "euler · seed 1",
            "euler · seed 2",
            "dpmpp_2m · seed 1",
            "dpmpp_2m · seed 2"
        ]
    );
    for variant in submitted["variants"].as_array().unwrap() {
        let task = world.task(&variant["id"].as_str().unwrap().parse().unwrap()).await;
        assert_eq!((task.lane, task.state), (Lane::Batch, TaskState::Queued));
        assert_eq!(task.expires_at, NOW + world.settings.batch_expiry);
        let of = task.variant.unwrap();
        assert_eq!(
            (of.group.to_string(), of.label.as_str()),
            (id(&submitted), variant["label"].as_str().unwrap())
        );
        let body: TaskBody = world.get(&BodyOf(task.task_id)).await;
        let sampler = of.label.split(' ').next().unwrap();
        let seed = format!("\"noise_seed\":{}", of.label.rsplit(' ').next().unwrap());
        let plan = body.plan.unwrap();
        assert!(
            plan.contains(&format!("\"{sampler}\"")) && plan.contains(&seed),
            "{plan}"
        );
    }
    // The sum was said before, and is what is reserved.
    assert_eq!(
        world.usage(MARA).await.reserved.credits_needed().to_string(),
        cost.to_string()
    );
    // One message: whoever gets it looks at the whole line.
    assert_eq!(world.take_queued().len(), 1);
    // They come after one another, so that others' come between them.
    let mut tags: Vec<_> = world.tasks().iter().map(|it| it.start_tag).collect();
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 4);
}

#[tokio::test]
async fn one_request_may_ask_for_the_batch_lane_and_for_no_other() {
    let world = World::new().await;
    let mut body = wire("01_generate");
    body["input"]["options"]["lane"] = "batch".into();
    world.submit(MARA, &body, NOW).await.ok();
    assert_eq!(world.tasks()[0].lane, Lane::Batch);
    for other in [json!("live"), json!("Batch"), json!(1), json!(["batch"])] {
        body["input"]["options"]["lane"] = other;
        let refused = world.submit(MARA, &body, NOW).await;
        assert_eq!(refused.status, 400);
        assert_eq!(
            refused.error(),
            "Validation error: `lane` may only be `batch`. Leave it out, and the request says how urgent it is."
        );
    }
}

#[tokio::test]
async fn a_stroke_of_whoever_paints_along_is_listed_as_one() {
    let world = World::new().await;
    let mut body = wire("01_generate");
    for (live, kind) in [
        (json!(true), "live"),
        (json!(false), "generate"),
        (json!("true"), "generate"),
        (Value::Null, "generate"),
    ] {
        body["input"]["options"]["live"] = live;
        let task = world.submit(MARA, &body, NOW).await.ok()["id"].clone();
        let task = world.tasks().into_iter().find(|it| json!(it.task_id) == task).unwrap();
        assert_eq!(task.kind.as_deref(), Some(kind));
    }
}

#[tokio::test]
async fn whoever_cannot_pay_for_all_gets_none() {
    let world = World::new().await;
    let cost: u64 = world
        .paint(MARA, "POST /v1/admin/cost", "", &grid(), NOW)
        .await
        .ok()
        .as_u64()
        .unwrap();
    budget(&world, cost - 1).await;
    let before = world.written();
    let refused = world.submit(MARA, &grid(), NOW).await;
    assert_eq!(refused.status, 402);
    assert!(
        refused
            .error()
            .starts_with(&format!("This needs up to {cost} credits; ")),
        "{}",
        refused.error()
    );
    assert_eq!(world.written(), before, "nothing is kept");
    budget(&world, cost).await;
    world.submit(MARA, &grid(), NOW).await.ok();
}

#[tokio::test]
async fn what_is_too_much_or_senseless_is_refused_before_anything_is_stored() {
    let world = World::new().await;
    budget(&world, u64::MAX / 2000).await;
    let before = world.written();
    let thousand: Vec<_> = (1..=1000).collect();
    for (variants, words) in [
        (
            json!({ "seeds": 10_000 }),
            "these are 10,000 variants, and at most 96 may be asked for at once.",
        ),
        (
            json!({ "seeds": thousand, "guidance": thousand }),
            "these are 1,000,000 variants, and at most 96 may be asked for at once.",
        ),
        (
            json!({ "seeds": u64::MAX, "steps": thousand, "guidance": thousand, "samplers": ["euler"] }),
            "these are 18,446,744,073,709,551,615,000,000 variants, and at most 96 may be asked for at once.",
        ),
        (
            json!({}),
            "the variants name nothing to vary. Give seeds, prompts, checkpoints, samplers, steps, guidance or LoRAs.",
        ),
        (json!({ "samplers": [] }), "the variants' samplers are empty."),
        (
            json!({ "samplers": ["euler", "euler"] }),
            "the variants' samplers have \"euler\" twice.",
        ),
        (
            json!({ "loras": { "ink.safetensors": [0.5] } }),
            "this request (generate) has no weights of the LoRA \"ink.safetensors\" to vary.",
        ),
        (
            json!({ "samplers": ["euler", "quick"] }),
            "variant 2 (quick): the sampler \"quick\" is not on this server. Choose another in the style settings.",
        ),
        (
            json!({ "steps": [20, -3] }),
            "variant 2 (-3 steps): the number of steps is -3, but must be from 1 to 1000.",
        ),
        (
            json!("all"),
            "the variants cannot be read: \"invalid type: string \"all\", expected struct Variants\".",
        ),
    ] {
        for answer in [
            world.submit(MARA, &asked(&variants), NOW).await,
            world
                .paint(MARA, "POST /v1/admin/cost", "", &asked(&variants), NOW)
                .await,
        ] {
            assert_eq!(answer.status, 400, "{variants}");
            assert_eq!(answer.error(), format!("Validation error: {words}"), "{variants}");
        }
    }
    let mut upscale = wire("07_upscale_simple");
    upscale["input"]["variants"] = json!({ "seeds": 2 });
    let refused = world.submit(MARA, &upscale, NOW).await;
    assert_eq!(
        refused.error(),
        "Validation error: this request (upscale_simple) has no seeds to vary."
    );
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn the_largest_group_is_one_transaction_even_with_a_teams_rate() {
    let world = World::set(Settings::parse("team_rate_interval=1s max_variants=500").unwrap()).await;
    budget(&world, 100_000).await;
    let submitted = world.submit(MARA, &asked(&json!({ "seeds": 96 })), NOW).await.ok();
    assert_eq!(submitted["variants"].as_array().unwrap().len(), 96);
    assert_eq!(world.tasks().len(), 96);
    // One more is too many, whatever is set: no transaction would take them.
    assert_eq!(
        world.submit(MARA, &asked(&json!({ "seeds": 97 })), NOW).await.status,
        400
    );
    let group = seen(&world, &id(&submitted)).await;
    assert_eq!(group["counts"], json!({ "queued": 96 }));
}

#[tokio::test]
async fn a_repeated_request_finds_its_group() {
    let world = World::new().await;
    let first = keyed(&world, "again", &grid()).await.ok();
    // Whatever is in this one.
    let again = keyed(&world, "again", &wire("01_generate")).await.ok();
    assert_eq!(
        (&first["group"], &first["variants"]),
        (&again["group"], &again["variants"])
    );
    assert_eq!(world.tasks().len(), 4);
    // Many at once, of which each could be the first.
    let asked = grid();
    let at_once = join_all((0..5).map(|_| keyed(&world, "at once", &asked))).await;
    let groups: Vec<_> = at_once.into_iter().map(|it| id(&it.ok())).collect();
    assert!(groups.iter().all(|it| *it == groups[0]), "{groups:?}");
    assert_eq!(world.tasks().len(), 8);
}

#[tokio::test]
async fn a_group_shows_its_pictures_as_they_come_and_is_canceled_as_one() {
    let world = World::new().await;
    let submitted = world.submit(MARA, &grid(), NOW).await.ok();
    let group = id(&submitted);
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let done = painted(&world, &worker).await;
    let running = world.claimed(&worker, NOW + seconds(3)).await.unwrap().task_id;
    let shown = seen(&world, &group).await;
    assert_eq!(shown["counts"], json!({ "queued": 2, "running": 1, "succeeded": 1 }));
    assert_eq!(shown["finished"], false);
    for variant in shown["variants"].as_array().unwrap() {
        let task = &variant["task"];
        assert_eq!(variant["id"], task["task_id"]);
        assert_eq!(task["result"]["url"].is_string(), task["task_id"] == done.to_string());
    }
    let canceled = world
        .paint(MARA, CANCEL, &group, &json!({}), NOW + seconds(4))
        .await
        .ok();
    assert_eq!(
        canceled["counts"],
        json!({ "canceled": 2, "canceling": 1, "succeeded": 1 })
    );
    assert_eq!(world.task(&running).await.state, TaskState::Canceling);
    // What was reserved for those that waited is free again; asking twice changes nothing.
    let reserved = world.usage(MARA).await.reserved;
    assert_eq!(reserved, world.task(&running).await.reserved);
    let again = world
        .paint(MARA, CANCEL, &group, &json!({}), NOW + seconds(5))
        .await
        .ok();
    assert_eq!(again, canceled);
    assert_eq!(world.usage(MARA).await.reserved, reserved);
}

#[tokio::test]
async fn whoever_asks_for_a_picture_is_before_a_group_that_waits() {
    let world = World::new().await;
    budget(&world, 10_000).await;
    world.submit(MARA, &asked(&json!({ "seeds": 40 })), NOW).await.ok();
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let begun = world.claimed(&worker, NOW).await.unwrap();
    let stroke = world.submit(OTHER, &wire("01_generate"), NOW).await.ok();
    let result = json!({
        "task_id": begun.task_id, "run_id": begun.run_id, "offsets": [0], "size": 9,
        "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 },
    });
    let next = world.work(&worker, "result", &result, NOW + seconds(3)).await.ok();
    assert_eq!(next["assignment"]["task_id"], stroke["id"], "{next}");
}

#[tokio::test]
async fn another_painters_group_does_not_exist_but_a_lead_sees_the_teams() {
    let world = World::new().await;
    let group = id(&world.submit(MARA, &grid(), NOW).await.ok());
    for route in [GROUP, CANCEL] {
        let refused = world.paint(OTHER, route, &group, &json!({}), NOW).await;
        assert_eq!((refused.status, refused.error()), (404, "There is no such group."));
        let unknown = "01a05cd7-2a00-7000-8000-00000000ffff";
        assert_eq!(world.paint(MARA, route, unknown, &json!({}), NOW).await.status, 404);
        assert_eq!(world.paint(MARA, route, "none", &json!({}), NOW).await.status, 404);
    }
    assert_eq!(
        world.tasks().iter().filter(|it| it.state == TaskState::Queued).count(),
        4
    );
    // A task is no group, nor the other way round.
    let task = world.tasks()[0].task_id.to_string();
    assert_eq!(world.paint(MARA, GROUP, &task, &json!({}), NOW).await.status, 404);
    let lead = |team: &str| json!({ "sub": OTHER, "team": team, "role": "lead", "iat": NOW.seconds() });
    let asks = async |team: &str| {
        world
            .handled(http(GROUP, &group, Some(&lead(team)), &json!(null)), NOW)
            .await
    };
    assert_eq!(asks(TEAM).await.ok()["variants"].as_array().unwrap().len(), 4);
    assert_eq!(asks("another").await.status, 404);
}

#[tokio::test]
async fn groups_are_found_again_newest_first_by_whom_they_concern() {
    let world = World::new().await;
    budget(&world, 100_000).await;
    let mut mine = Vec::new();
    // Two of one moment, as a program may ask.
    for minute in [1, 2, 2, 3, 4] {
        let asked = asked(&json!({ "seeds": [1, 2] }));
        mine.push(id(&world.submit(MARA, &asked, NOW + minutes(minute)).await.ok()));
    }
    let theirs = id(&world.submit(OTHER, &grid(), NOW + minutes(9)).await.ok());
    let list = async |who: &Value, query: Value| {
        let mut event = http(GROUPS, "", Some(who), &json!(null));
        event["queryStringParameters"] = query;
        world.handled(event, NOW + minutes(10)).await
    };
    let all = async |who: &Value, mut query: Value| {
        let mut found = Vec::new();
        for _ in 0..20 {
            let page = list(who, query.clone()).await.ok();
            found.extend(page["groups"].as_array().unwrap().iter().cloned());
            match page.get("next") {
                Some(next) => query["cursor"] = next.clone(),
                None => return found,
            }
        }
        panic!("the list has no end")
    };
    let mara = painter(MARA);
    for limit in ["1", "2", "3", "50"] {
        let found = all(&mara, json!({ "limit": limit })).await;
        let mut ids: Vec<_> = found.iter().map(|it| it["id"].as_str().unwrap()).collect();
        let created: Vec<_> = found.iter().map(|it| it["created"].as_u64().unwrap()).collect();
        assert!(created.is_sorted_by(|one, next| one >= next), "{created:?}");
        ids.sort_unstable();
        let mut wanted: Vec<_> = mine.iter().map(String::as_str).collect();
        wanted.sort_unstable();
        assert_eq!(ids, wanted, "each once, by {limit}");
        assert_eq!(
            (&found[0]["variants"], &found[0]["label"]),
            (&json!(2), &json!("seed 1"))
        );
        assert_eq!((found[0].get("sheet"), found[0].get("owner")), (None, None));
    }
    let mut lead = painter(MARA);
    lead["role"] = "lead".into();
    let team = all(&lead, json!({ "team": "true", "limit": "4" })).await;
    assert_eq!(
        (team.len(), &team[0]["id"], &team[0]["owner"]),
        (6, &json!(theirs), &json!(OTHER))
    );
    let mut elsewhere = lead.clone();
    elsewhere["team"] = "another".into();
    assert_eq!(all(&elsewhere, json!({ "team": "true" })).await, Vec::<Value>::new());

    // Cursors of others, of another list, forged, or cut.
    let page = list(&mara, json!({ "limit": "1" })).await.ok();
    let cursor = page["next"].as_str().unwrap().to_owned();
    let mut event = http("GET /v1/tasks", "", Some(&mara), &json!(null));
    event["queryStringParameters"] = json!({ "limit": "1" });
    let of_tasks = world.http(event, NOW + minutes(10)).await.ok()["next"].clone();
    let noor = painter(OTHER);
    for (who, query, status) in [
        (&noor, json!({ "cursor": cursor }), 400),
        (&lead, json!({ "cursor": cursor, "team": "true" }), 400),
        (&mara, json!({ "cursor": of_tasks }), 400),
        (&mara, json!({ "cursor": &cursor[..cursor.len() - 1] }), 400),
        (&mara, json!({ "cursor": "?" }), 400),
        (&mara, json!({ "cursor": "A".repeat(5000) }), 400),
        (&mara, json!({ "limit": "0" }), 400),
        (&mara, json!({ "limit": "51" }), 400),
        (&mara, json!({ "team": "all" }), 400),
        (&mara, json!({ "team": "true" }), 403),
        (&mara, json!({ "cursor": cursor }), 200),
    ] {
        assert_eq!(list(who, query.clone()).await.status, status, "{query}");
    }
    assert_eq!(all(&painter("nobody-yet"), json!({})).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_group_does_not_end_because_nobody_looks() {
    let world = World::new().await;
    world.submit(MARA, &grid(), NOW).await.ok();
    world.tick(NOW + minutes(120)).await;
    assert!(world.tasks().iter().all(|it| it.state == TaskState::Queued));
    world.tick(NOW + world.settings.batch_expiry).await;
    assert!(world.tasks().iter().all(|it| it.state == TaskState::Expired));
    assert_eq!(world.usage(MARA).await.reserved.0, 0);
}

/// All of the group or nothing of it, and the budget to match.
async fn whole(world: &World) {
    let (tasks, groups) = (world.tasks(), groups(world));
    let each: Vec<_> = groups.iter().flat_map(|it| &it.members).map(|it| it.task_id).collect();
    assert_eq!(tasks.len(), each.len());
    for task in each {
        let _: TaskBody = world.get(&BodyOf(task)).await;
    }
    let reserved: u64 = tasks.iter().map(|it| it.reserved.0).sum();
    assert_eq!(world.usage(MARA).await.reserved.0, reserved);
}

fn groups(world: &World) -> Vec<Group> {
    let all: Vec<Value> = world.all(Table::TaskBodies);
    all.into_iter()
        .filter_map(|it| serde_json::from_value(it).ok())
        .collect()
}

#[tokio::test]
async fn any_call_may_go_wrong_and_the_group_is_whole_or_not_there() {
    let calls = {
        let world = World::watched(Settings::default()).await;
        world.faults.take();
        keyed(&world, "one", &grid()).await.ok();
        world.faults.take().len()
    };
    assert!(calls > 8, "{calls}");
    let step = if thorough() { 1 } else { 3 };
    for how in How::ALL {
        for at in (1..=calls).step_by(step) {
            let world = World::watched(Settings::default()).await;
            world.faults.take();
            world.faults.plan(Fault { of: None, at, how });
            let first = world.faults.run(keyed(&world, "one", &grid())).await;
            whole(&world).await;
            if first.is_none_or(|it| it.status != 200) {
                // What every client does.
                keyed(&world, "one", &grid()).await.ok();
            }
            whole(&world).await;
            assert_eq!(groups(&world).len(), 1, "{how:?} {at}");
        }
    }
}

#[tokio::test]
async fn an_unkind_world_lets_in_all_or_nothing() {
    for seed in 0..if thorough() { 40 } else { 4 } {
        let world = World::unkind(seed).await;
        let (mut tries, mut answer) = (0, world.submit(MARA, &grid(), NOW).await);
        while answer.status == 503 && tries < 20 {
            whole(&world).await;
            tries += 1;
            answer = world.submit(MARA, &grid(), NOW).await;
        }
        answer.ok();
        whole(&world).await;
    }
}

#[tokio::test]
async fn an_account_that_was_removed_has_no_groups() {
    let world = World::new().await;
    let mut event = http(SUBMIT, "", Some(&painter("nobody")), &grid());
    event["headers"]["idempotency-key"] = "one".into();
    assert_eq!(world.http(event, NOW).await.status, 401);
    let accounts: Vec<Value> = world.all(Table::Accounts);
    assert!(
        !accounts
            .iter()
            .any(|it| serde_json::from_value::<Account>(it.clone()).is_ok_and(|it| it.user_id.as_str() == "nobody"))
    );
}

#[tokio::test]
async fn the_page_shows_each_variant_to_whom_it_concerns() {
    let world = World::new().await;
    let mut body = grid();
    body["input"]["variants"]["prompts"] = json!(["<script>alert(1)</script> & more"]);
    let group = id(&world.submit(MARA, &body, NOW).await.ok());
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    painted(&world, &worker).await;
    let mut mara = Browser::signed_in(&world, MARA, NOW).await;
    let page = mara.look(&world, PAGE, &group, NOW).await;
    assert_eq!(page.status, 200, "{page:?}");
    let page = page.body.as_str().unwrap();
    assert_eq!(page.matches("<figure>").count(), 4);
    assert_eq!(page.matches("<img ").count(), 1, "those that are there");
    for part in [
        "2 waiting, 1 being rendered, 1 done.",
        "euler · &lt;script&gt;alert(1)&lt;/script&gt; &amp; more · seed 1",
        "Look again",
    ] {
        assert!(page.contains(part), "no {part}: {page}");
    }
    assert!(!page.contains("<script"), "{page}");
    // Neither another painter nor anybody without a session.
    let mut noor = Browser::signed_in(&world, OTHER, NOW).await;
    for (browser, id, status) in [
        (&mut noor, group.as_str(), 404),
        (&mut Browser::default(), &group, 303),
        (&mut mara, "none", 404),
    ] {
        assert_eq!(browser.look(&world, PAGE, id, NOW).await.status, status, "{id}");
    }
    let mut account = world.get(&UserId::new(OTHER)).await;
    account.role = model::Role::Lead;
    world.put(account).await;
    assert_eq!(
        noor.look(&world, PAGE, &group, NOW).await.status,
        200,
        "the team's lead"
    );
}

/// Looks at two of the group, by their places.
async fn compared(world: &World, browser: &mut Browser, group: &str, pair: [&str; 2]) -> Answer {
    let mut event = http(PAGE, group, None, &json!(""));
    event["queryStringParameters"] = json!({ "one": pair[0], "other": pair[1] });
    browser.sent(world, event, "same-origin", NOW).await
}

async fn vote(world: &World, browser: &mut Browser, group: &str, body: &str, from: &str) -> Answer {
    let event = http("POST /v1/groups/{id}/page", group, None, &json!(body));
    browser.sent(world, event, from, NOW).await
}

fn html(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body.as_str().unwrap()
}

/// A group of four of which three are painted, and the places of those.
async fn three_of_four(world: &World) -> (String, Vec<usize>) {
    let submitted = world.submit(MARA, &grid(), NOW).await.ok();
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let mut places = Vec::new();
    for _ in 0..3 {
        let task = painted(world, &worker).await.to_string();
        let variants = submitted["variants"].as_array().unwrap();
        places.push(variants.iter().position(|it| it["id"] == task).unwrap());
    }
    places.sort_unstable();
    (id(&submitted), places)
}

#[tokio::test]
async fn two_are_compared_blind_and_each_has_one_vote() {
    let world = World::new().await;
    let (group, places) = three_of_four(&world).await;
    let waits = (0..4).find(|at| !places.contains(at)).unwrap().to_string();
    let [one, other] = [places[0].to_string(), places[1].to_string()];
    let mut mara = Browser::signed_in(&world, MARA, NOW).await;
    let whole = mara.look(&world, PAGE, &group, NOW).await;
    assert!(html(&whole).contains("Compare two of them blind"), "{whole:?}");
    assert_eq!(
        html(&whole).matches("<option").count(),
        6,
        "those that are there, twice"
    );

    let asked = compared(&world, &mut mara, &group, [&other, &one]).await;
    let page = html(&asked);
    for part in ["Which is better?", "A is better", "B is better"] {
        assert!(page.contains(part), "no {part}: {page}");
    }
    assert!(
        !page.contains("seed") && !page.contains("euler") && !page.contains("<script"),
        "{page}"
    );
    assert_eq!(page.matches("<img ").count(), 2);
    let secret = crate::pages::field(page, "form");
    for wrong in [["0", "0"], ["0", "4"], ["0", ""], ["-1", "x"], [&one, &waits]] {
        assert_eq!(
            compared(&world, &mut mara, &group, wrong).await.status,
            400,
            "{wrong:?}"
        );
    }

    // Neither by another site's page, nor by one of nobody's, nor by whom it does not concern.
    let good = format!("form={secret}&better={other}&worse={one}");
    let mut noor = Browser::signed_in(&world, OTHER, NOW).await;
    let theirs = crate::pages::field(html(&noor.look(&world, "GET /v1/account", "", NOW).await), "form");
    let of_noor = format!("form={theirs}&better={one}&worse={other}");
    let (equal, unknown) = (
        format!("form={secret}&better=0&worse=0"),
        format!("form={secret}&better=0&worse=96"),
    );
    for (browser, body, from, status) in [
        (&mara, &good, "cross-site", 403),
        (&mara, &of_noor, "same-origin", 403),
        (&mara, &"better=0&worse=1".to_owned(), "same-origin", 403),
        (&mara, &equal, "same-origin", 400),
        (&mara, &unknown, "same-origin", 400),
        (&mara, &format!("form={secret}&better=first"), "same-origin", 400),
        (&noor, &of_noor, "same-origin", 404),
        (&Browser::default(), &good, "same-origin", 303),
    ] {
        let answer = vote(&world, &mut browser.clone(), &group, body, from).await;
        assert_eq!(answer.status, status, "{body} {from}");
    }
    assert!(groups(&world)[0].votes.is_empty());

    // Once, as it was said first, whatever is said again.
    let again = format!("form={secret}&better={one}&worse={other}");
    for body in [&good, &good, &again] {
        let answer = vote(&world, &mut mara, &group, body, "same-origin").await;
        let place = format!("page?one={one}&other={other}");
        assert_eq!((answer.status, answer.location), (303, Some(place)));
    }
    let stored = groups(&world);
    assert_eq!(stored[0].votes.len(), 1);
    assert_eq!(
        (stored[0].votes[0].better, stored[0].votes[0].worse),
        (places[1], places[0])
    );
    let labels = [places[0], places[1]].map(|at| stored[0].members[at].label.clone());
    let told = compared(&world, &mut mara, &group, [&one, &other]).await;
    for part in ["Compared", &labels[0], &labels[1], "0 : 1", "You preferred"] {
        assert!(html(&told).contains(part), "no {part}: {told:?}");
    }
    assert!(!html(&told).contains("is better"), "{told:?}");

    // The team's lead, who is not told before.
    let mut account = world.get(&UserId::new(OTHER)).await;
    account.role = model::Role::Lead;
    world.put(account).await;
    let whole = noor.look(&world, PAGE, &group, NOW).await;
    let asked = compared(&world, &mut noor, &group, [&one, &other]).await;
    assert!(!html(&whole).contains("0 : 1") && !html(&asked).contains("0 : 1"));
    assert_eq!(
        vote(&world, &mut noor, &group, &of_noor, "same-origin").await.status,
        303
    );
    let whole = noor.look(&world, PAGE, &group, NOW).await;
    assert!(html(&whole).contains("1 : 1"), "{whole:?}");
}

#[tokio::test]
async fn a_vote_that_goes_wrong_and_is_sent_again_counts_once() {
    let tried = async |fault: Option<Fault>| {
        let world = World::watched(Settings::default()).await;
        let (group, places) = three_of_four(&world).await;
        let mut mara = Browser::signed_in(&world, MARA, NOW).await;
        let secret = crate::pages::field(html(&mara.look(&world, "GET /v1/account", "", NOW).await), "form");
        let body = format!("form={secret}&better={}&worse={}", places[0], places[2]);
        world.faults.take();
        if let Some(fault) = fault {
            world.faults.plan(fault);
        }
        let _ = world
            .faults
            .run(vote(&world, &mut mara, &group, &body, "same-origin"))
            .await;
        let calls = world.faults.take().len();
        assert!(groups(&world)[0].votes.len() <= 1);
        assert_eq!(vote(&world, &mut mara, &group, &body, "same-origin").await.status, 303);
        assert_eq!(groups(&world)[0].votes.len(), 1);
        calls
    };
    let calls = tried(None).await;
    assert!(calls >= 3, "{calls}");
    for how in How::ALL {
        for at in 1..=calls {
            tried(Some(Fault { of: None, at, how })).await;
        }
    }
}

#[tokio::test]
async fn the_accounts_page_leads_to_the_last_groups() {
    let world = World::new().await;
    let mut mara = Browser::signed_in(&world, MARA, NOW).await;
    let account = async |browser: &mut Browser| {
        let page = browser.look(&world, "GET /v1/account", "", NOW + minutes(9)).await;
        page.body.as_str().unwrap().to_owned()
    };
    assert!(!account(&mut mara).await.contains("variants"), "nobody asked for any");
    let mut groups = Vec::new();
    for minute in 1..=7 {
        let mut body = asked(&json!({ "seeds": 2 }));
        body["input"]["variants"]["prompts"] = json!(["<b>a fox</b>"]);
        groups.push(id(&world.submit(MARA, &body, NOW + minutes(minute)).await.ok()));
    }
    let theirs = id(&world.submit(OTHER, &grid(), NOW + minutes(8)).await.ok());
    let page = account(&mut mara).await;
    let places = groups
        .iter()
        .rev()
        .map(|it| page.find(&format!("href=\"groups/{it}/page\"")));
    let places: Vec<_> = places.collect();
    assert!(places[..6].is_sorted() && places[0].is_some(), "newest first: {page}");
    assert_eq!(places[6], None, "six of them");
    assert!(
        page.contains("2 variants of 1 Sep") && page.contains("&lt;b&gt;a fox"),
        "{page}"
    );
    assert!(!page.contains(&theirs), "another painter's");
    for group in &groups[1..] {
        assert_eq!(mara.look(&world, PAGE, group, NOW + minutes(9)).await.status, 200);
    }
}

/// What the stream says of these variants.
fn changed(tasks: &[TaskId]) -> Value {
    let mut event = changes(tasks);
    for record in event["Records"].as_array_mut().unwrap() {
        record["dynamodb"]["NewImage"]["variant"] = json!({ "M": {} });
    }
    event
}

#[tokio::test]
async fn a_group_that_is_over_has_a_contact_sheet_which_goes_with_any_of_its_pictures() {
    let world = World::new().await;
    let submitted = world.submit(MARA, &grid(), NOW).await.ok();
    let group = id(&submitted);
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let mut small = Vec::new();
    image::RgbImage::from_pixel(64, 48, image::Rgb([200, 0, 0]))
        .write_to(&mut std::io::Cursor::new(&mut small), image::ImageFormat::WebP)
        .unwrap();
    let mut done = Vec::new();
    for bytes in [small, b"no picture".to_vec()] {
        let run = world.claimed(&worker, NOW).await.unwrap();
        let result = json!({
            "task_id": run.task_id, "run_id": run.run_id, "offsets": [0], "size": 9, "thumbnails": [bytes.len()],
            "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 },
        });
        world.work(&worker, "result", &result, NOW + seconds(3)).await.ok();
        let task = world.task(&run.task_id).await;
        let key = task.result.unwrap().thumbnail_keys().next().unwrap();
        let put = world.cloud.bucket.put_if(&key, bytes.into(), Expect::Anything);
        assert!(put.await.unwrap());
        done.push(run.task_id);
    }
    // Not while others are not over.
    assert!(world.stream(changed(&done), NOW).await.failures.is_empty());
    assert!(seen(&world, &group).await["sheet"].is_null());
    let running = world.claimed(&worker, NOW).await.unwrap();
    world.paint(MARA, CANCEL, &group, &json!({}), NOW).await.ok();
    let failure = json!({ "task_id": running.task_id, "run_id": running.run_id });
    world.work(&worker, "failure", &failure, NOW).await.ok();
    let all: Vec<_> = world.tasks().iter().map(|it| it.task_id).collect();
    assert!(world.tasks().iter().all(|it| it.state.is_terminal()));
    // Each of them may be the one that is seen last, and twice.
    for _ in 0..2 {
        assert!(world.stream(changed(&all), NOW).await.failures.is_empty());
    }
    let shown = seen(&world, &group).await;
    let key = format!("sheets/{group}.webp");
    assert_eq!(shown["sheet"], format!("memory:get/{key}"));
    let sheet = world.cloud.bucket.read(&key).await.unwrap().unwrap();
    let sheet = image::load_from_memory(&sheet.bytes).unwrap().to_rgb8();
    assert_eq!((sheet.width(), sheet.height()), (2 * 268 + 12, 2 * 308 + 12));
    let red = sheet.get_pixel(12 + 128, 12 + 128).0;
    assert!(red[0] > 150 && red[1] < 60, "{red:?}");
    assert_eq!(groups(&world)[0].version, 2, "written once");
    // Whoever deletes one of the pictures deletes what shows it.
    let route = "DELETE /v1/tasks/{id}";
    let deleted = world.paint(MARA, route, &done[0].to_string(), &json!({}), NOW).await;
    assert!(deleted.status < 300, "{deleted:?}");
    assert!(world.cloud.bucket.read(&key).await.unwrap().is_none());
    assert!(seen(&world, &group).await["sheet"].is_null());
}
