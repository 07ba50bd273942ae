//! One list over the table and the archive, and a task that the table has no more.

use cloud::{Write, bucket::Expect, store::StorePort, tables::Id};
use history::index::{Entry, PART, Scope, take_in};
use model::{Account, CancelCause, Millis, Parameters, Role, Task, TaskId, TeamId, UserId};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Answer, MARA, NOW, OTHER, World, changes, http, minutes, painter, seconds};

const ROUTE: &str = "GET /v1/tasks";
const DAY: u64 = 24 * 60;

fn id(number: u64) -> String {
    format!("01a05cd7-2a00-4000-8000-{number:012x}")
}

async fn list(world: &World, who: &Value, query: Value) -> Answer {
    let mut event = http(ROUTE, "", Some(who), &json!(""));
    event["queryStringParameters"] = query;
    world.http(event, NOW).await
}

/// Who leads the team.
const LEAD: &str = "lena";

fn lead() -> Value {
    let mut lead = painter(LEAD);
    lead["role"] = "lead".into();
    lead
}

fn ids(page: &Value) -> Vec<String> {
    let tasks = page["tasks"].as_array().unwrap().iter();
    tasks.map(|it| it["task_id"].as_str().unwrap().to_owned()).collect()
}

/// Every page, in order.
async fn all(world: &World, who: &Value, mut query: Value) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..1000 {
        let page = list(world, who, query.clone()).await.ok();
        found.extend(ids(&page));
        match page.get("next") {
            Some(next) => query["cursor"] = next.clone(),
            None => return found,
        }
    }
    panic!("the list has no end")
}

/// A task that is over, with this prompt.
async fn over(world: &World, number: u64, owner: &str, created: Millis, prompt: &str) -> TaskId {
    let task = world.queued(&id(number), owner, created).await;
    let mut body = world.get(&cloud::tables::BodyOf(task)).await;
    body.parameters = Some(Parameters {
        kind: "generate".to_owned(),
        prompt: prompt.to_owned(),
        ..Parameters::default()
    });
    world.put(body).await;
    let ends = |task: &mut Task| {
        task.kind = Some("generate".to_owned());
        task.cancel(CancelCause::User, created + seconds(9));
    };
    world.alter_task(&task, ends).await;
    task
}

/// DynamoDB deletes it.
async fn expired(world: &World, task: TaskId) {
    let version = world.task(&task).await.version;
    let write = Write {
        key: task.key(),
        expect: version,
        item: None,
    };
    while StorePort::commit(&world.memory, std::slice::from_ref(&write))
        .await
        .is_err()
    {}
}

/// A studio whose painters have asked for one picture every five hours for twelve days: the older half is archived, put together
/// and gone from the table, some of it is archived and still there, the newest have no record. All, newest first.
async fn studio(seed: u64) -> (World, Vec<(TaskId, &'static str)>) {
    let world = World::lagging(seed).await;
    world.seed(LEAD).await;
    let mut lena: Account = world.get(&UserId::new(LEAD)).await;
    lena.role = Role::Lead;
    world.put(lena).await;
    let began = NOW - minutes(12 * DAY);
    let mut tasks = Vec::new();
    for number in 0..58_u64 {
        let owner = if number % 4 == 0 { OTHER } else { MARA };
        // Two at once, as those of a group are.
        let created = began + minutes(number / 2 * 600);
        let prompt = if number % 5 == 0 { "A Fox in the snow" } else { "a tree" };
        tasks.push((over(&world, number, owner, created, prompt).await, owner));
    }
    let ids: Vec<_> = tasks.iter().map(|(task, _)| *task).collect();
    assert_eq!(
        world.stream(changes(&ids[..46]), NOW - minutes(3 * DAY)).await.failures,
        []
    );
    world.put_together(NOW - minutes(2 * DAY)).await.unwrap();
    for task in &ids[..30] {
        expired(&world, *task).await;
    }
    tasks.sort_by_key(|(task, _)| {
        let number: u64 = u64::from_str_radix(&task.to_string()[24..], 16).unwrap();
        std::cmp::Reverse(number)
    });
    // The indexes catch up with time.
    while all(&world, &lead(), json!({ "team": "true" })).await.len()
        + all(&world, &painter(MARA), json!({})).await.len()
        + all(&world, &painter(OTHER), json!({})).await.len()
        < 2 * tasks.len()
    {}
    (world, tasks)
}

fn of(tasks: &[(TaskId, &str)], owner: &str) -> Vec<String> {
    let own = tasks.iter().filter(|(_, it)| *it == owner);
    own.map(|(task, _)| task.to_string()).collect()
}

#[tokio::test]
async fn the_list_goes_on_from_the_table_into_the_archive() {
    let (world, tasks) = studio(5).await;
    for limit in ["1", "3", "50"] {
        for owner in [MARA, OTHER] {
            let found = all(&world, &painter(owner), json!({ "limit": limit })).await;
            assert_eq!(found, of(&tasks, owner), "{owner} by {limit}");
        }
        let team = all(&world, &lead(), json!({ "limit": limit, "team": "true" })).await;
        let every: Vec<_> = tasks.iter().map(|(task, _)| task.to_string()).collect();
        assert_eq!(team, every, "by {limit}");
    }
    assert_eq!(
        list(&world, &painter(MARA), json!({ "team": "true" })).await.status,
        403
    );
    assert_eq!(list(&world, &lead(), json!({ "team": "all" })).await.status, 400);
}

#[tokio::test]
async fn tasks_are_found_by_day_kind_state_and_words_of_their_prompt() {
    let (world, tasks) = studio(6).await;
    let mara = painter(MARA);
    let foxes: Vec<_> = of(&tasks, MARA)
        .into_iter()
        .filter(|task| u64::from_str_radix(&task[24..], 16).unwrap() % 5 == 0)
        .collect();
    assert_eq!(all(&world, &mara, json!({ "text": "fOX in" })).await, foxes);
    assert_eq!(
        all(&world, &mara, json!({ "text": "a whale" })).await,
        Vec::<String>::new()
    );
    assert_eq!(
        all(&world, &mara, json!({ "kind": "generate" })).await,
        of(&tasks, MARA)
    );
    assert_eq!(
        all(&world, &mara, json!({ "kind": "refine" })).await,
        Vec::<String>::new()
    );
    for (without, found) in [("live", of(&tasks, MARA)), ("generate", Vec::new())] {
        assert_eq!(
            all(&world, &mara, json!({ "without": without, "limit": "7" })).await,
            found
        );
    }
    assert_eq!(
        all(&world, &mara, json!({ "state": "canceled", "limit": "2" })).await,
        of(&tasks, MARA)
    );
    assert_eq!(
        all(&world, &mara, json!({ "state": "failed" })).await,
        Vec::<String>::new()
    );
    let mut by_day = Vec::new();
    for before in 0..=12 {
        let day = (NOW - minutes(before * DAY)).day();
        by_day.extend(all(&world, &mara, json!({ "day": day, "limit": "2" })).await);
    }
    assert_eq!(by_day, of(&tasks, MARA), "each is in the list of one day");
    assert_eq!(
        all(&world, &mara, json!({ "day": "2019-02-01" })).await,
        Vec::<String>::new()
    );
    for wrong in [
        json!({ "day": "yesterday" }),
        json!({ "day": "2026-02-30" }),
        json!({ "text": "x".repeat(201) }),
    ] {
        assert_eq!(list(&world, &mara, wrong.clone()).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_task_that_the_table_has_no_more_is_found_with_what_it_was_asked_with() {
    let (world, tasks) = studio(7).await;
    let (oldest, owner) = *tasks.last().unwrap();
    let look = async |who: &Value, task: TaskId| {
        let event = http("GET /v1/tasks/{id}", &task.to_string(), Some(who), &json!(""));
        world.http(event, NOW).await
    };
    let found = look(&painter(owner), oldest).await.ok();
    assert_eq!(found["parameters"]["prompt"], "A Fox in the snow");
    assert_eq!((&found["state"], found.get("result")), (&json!("canceled"), None));
    let other = if owner == MARA { OTHER } else { MARA };
    assert_eq!(
        look(&painter(other), oldest).await.status,
        404,
        "another painter's does not exist"
    );
    assert_eq!(look(&lead(), oldest).await.status, 200);
    assert_eq!(look(&lead(), id(999).parse().unwrap()).await.status, 404);
    // One that the table still has, for the lead of the team.
    let (newest, owner) = tasks[0];
    let other = if owner == MARA { OTHER } else { MARA };
    assert_eq!(look(&lead(), newest).await.status, 200);
    assert_eq!(look(&painter(other), newest).await.status, 404);
}

#[tokio::test]
async fn what_is_damaged_or_gone_takes_nothing_else_along() {
    let (world, tasks) = studio(8).await;
    let bucket = &world.cloud.bucket;
    let mara = painter(MARA);
    let scope = Scope::Owner(UserId::new(MARA));
    let folder = scope.folder();
    let keys = bucket.list(&folder, None).await.unwrap();
    let parts: Vec<_> = keys.iter().filter(|key| !key.ends_with("head.json.gz")).collect();
    for (key, gone) in parts.iter().flat_map(|key| [(key, false), (key, true)]) {
        let whole = bucket.read(key).await.unwrap().unwrap();
        if gone {
            bucket.delete(key).await.unwrap();
        } else {
            let cut = whole.bytes.slice(..whole.bytes.len() / 2);
            bucket.put_if(key, cut, Expect::Anything).await.unwrap();
        }
        let page = list(&world, &mara, json!({ "limit": "50" })).await.ok();
        assert_eq!(page["incomplete"], true, "it says so");
        let found = ids(&page);
        // All that the table has is there.
        let live = tasks.iter().filter(|(_, owner)| *owner == MARA).take(20);
        for (task, _) in live {
            assert!(found.contains(&task.to_string()));
        }
        bucket.put_if(key, whole.bytes, Expect::Anything).await.unwrap();
    }
    let head = bucket.read(&scope.head_key()).await.unwrap().unwrap();
    for damaged in [&b"not gzip"[..], &head.bytes[..head.bytes.len() - 9]] {
        let damaged = axum::body::Bytes::copy_from_slice(damaged);
        bucket
            .put_if(&scope.head_key(), damaged, Expect::Anything)
            .await
            .unwrap();
        let page = list(&world, &mara, json!({ "limit": "50" })).await.ok();
        assert_eq!(page["incomplete"], true);
    }
}

#[tokio::test]
async fn a_record_that_is_damaged_or_gone_takes_no_other_along() {
    let world = World::new().await;
    let bucket = &world.cloud.bucket;
    let mut tasks = Vec::new();
    for number in 1..=4 {
        tasks.push(over(&world, number, MARA, NOW - minutes(3 * DAY), "a tree").await);
    }
    world.stream(changes(&tasks), NOW).await;
    let key = async |at: usize| history::record_key(&world.task(&tasks[at]).await);
    let cut = async |key: &str| {
        let whole = bucket.read(key).await.unwrap().unwrap();
        let half = whole.bytes.slice(..whole.bytes.len() / 2);
        bucket.put_if(key, half, Expect::Anything).await.unwrap();
        whole.bytes
    };
    let (damaged, gone) = (key(0).await, key(1).await);
    let whole = cut(&damaged).await;
    bucket.delete(&gone).await.unwrap();
    // What cannot be read stays where it is, and the others are put together without it.
    for _ in 0..2 {
        world.put_together(NOW).await.unwrap();
        let keys = bucket.list("archive/", None).await.unwrap();
        assert_eq!(keys.len(), 2, "{keys:?}");
        assert!(keys.contains(&damaged));
    }
    let listed = async || {
        let mine = Scope::Owner(UserId::new(MARA));
        let found = history::index::after(bucket, &mine, None, Millis(0), 10).await;
        found.unwrap().entries.len()
    };
    assert_eq!(listed().await, 2);
    // Once it is mended, the next day takes it in.
    bucket.put_if(&damaged, whole, Expect::Anything).await.unwrap();
    let day = bucket
        .list("archive/", None)
        .await
        .unwrap()
        .into_iter()
        .find(|it| *it != damaged);
    let day = day.unwrap();
    let of_day = cut(&day).await;
    // But not into a day's file that cannot be read, which is told and written over by nobody: the record stays a file of its
    // own, and is in the lists.
    assert!(world.put_together(NOW).await.is_err());
    assert!(bucket.read(&day).await.unwrap().unwrap().bytes.len() < of_day.len());
    assert!(bucket.list("archive/", None).await.unwrap().contains(&damaged));
    assert_eq!(listed().await, 3);
    // Its tasks are found by their list, without what they were asked with.
    expired(&world, tasks[2]).await;
    let look = async || {
        let event = http(
            "GET /v1/tasks/{id}",
            &tasks[2].to_string(),
            Some(&painter(MARA)),
            &json!(""),
        );
        world.http(event, NOW).await.ok()
    };
    let found = look().await;
    assert_eq!((&found["state"], found.get("parameters")), (&json!("canceled"), None));
    bucket.put_if(&day, of_day, Expect::Anything).await.unwrap();
    world.put_together(NOW).await.unwrap();
    assert_eq!(
        (listed().await, look().await["parameters"]["prompt"].clone()),
        (3, json!("a tree"))
    );
}

#[tokio::test]
async fn a_month_without_tasks_is_an_empty_page_and_ends_no_list() {
    let world = World::new().await;
    let mara = painter(MARA);
    let month = 30 * DAY;
    let mut tasks = Vec::new();
    // The next month has none.
    for (number, before) in [(1, 4 * month), (2, 4 * month - DAY), (3, month), (4, 1)] {
        let created = NOW - minutes(before);
        let task = over(&world, number, MARA, created, "a tree").await;
        tasks.insert(0, task.to_string());
        if before > 1 {
            world.stream(changes(&[task]), created + minutes(1)).await;
            world.put_together(created + minutes(2 * DAY)).await.unwrap();
            expired(&world, task).await;
        }
    }
    for limit in ["1", "2", "50"] {
        assert_eq!(all(&world, &mara, json!({ "limit": limit })).await, tasks, "by {limit}");
    }
    for before in [2 * month, 3 * month, 40 * month] {
        let day = (NOW - minutes(before)).day();
        let page = list(&world, &mara, json!({ "day": day })).await.ok();
        assert_eq!(
            (ids(&page).len(), page.get("next"), page.get("incomplete")),
            (0, None, None),
            "{day}"
        );
    }
    // Nor has anybody used anything in it.
    let asked = ops::usage::Arguments {
        team: TeamId::new("studio"),
        month: Some((NOW - minutes(3 * month)).month()),
        csv: true,
    };
    let used = ops::usage::run(&world.cloud.store, &asked, NOW).await.unwrap();
    let month = asked.month.unwrap();
    assert!(
        used.contains(&format!("\nstudio,{month},{MARA},0,0,0,0,0,1000")),
        "{used}"
    );
}

#[tokio::test]
async fn a_record_that_comes_late_or_twice_counts_once() {
    let world = World::new().await;
    let mut tasks = Vec::new();
    for number in 1..=9 {
        tasks.push(over(&world, number, MARA, NOW - minutes(3 * DAY) + minutes(number), "a tree").await);
    }
    let bucket = &world.cloud.bucket;
    // Written again after each time that they were put together: the stream's doubles, and what came late.
    for round in 1..=4_usize {
        for task in &tasks[..=2 * round] {
            let mut task = world.task(task).await;
            task.archived_at = None;
            world.put(task).await;
        }
        world.stream(changes(&tasks[..=2 * round]), NOW).await;
        world.put_together(NOW).await.unwrap();
        let keys = bucket.list("archive/", None).await.unwrap();
        assert_eq!(keys.len(), 1, "{keys:?}");
        let day = bucket.read(&keys[0]).await.unwrap().unwrap();
        assert_eq!(history::lines(&keys[0], &day.bytes).unwrap().len(), 2 * round + 1);
        for scope in [Scope::Owner(UserId::new(MARA)), Scope::Team(TeamId::new("studio"))] {
            let found = history::index::after(bucket, &scope, None, Millis(0), 100)
                .await
                .unwrap();
            assert_eq!(found.entries.len(), 2 * round + 1);
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_when_the_putting_together_breaks_off() {
    for how in cloud::fault::How::ALL {
        for at in 1..=40 {
            let world = World::watched(model::Settings::default()).await;
            let mut tasks = Vec::new();
            for number in 1..=3 {
                tasks.push(over(&world, number, MARA, NOW - minutes(2 * DAY), "a tree").await);
            }
            world.stream(changes(&tasks), NOW).await;
            world.faults.take();
            // The first forty calls are the lists of days.
            world.faults.plan(cloud::fault::Fault {
                of: Some("bucket.put_if"),
                at,
                how,
            });
            let _ = world.faults.run(world.put_together(NOW)).await;
            let calls = world
                .faults
                .take()
                .iter()
                .filter(|it| it.name == "bucket.put_if")
                .count();
            world.put_together(NOW + minutes(1)).await.unwrap();
            let bucket = &world.cloud.bucket;
            assert_eq!(bucket.list("archive/", None).await.unwrap().len(), 1);
            let scope = Scope::Owner(UserId::new(MARA));
            let found = history::index::after(bucket, &scope, None, Millis(0), 10)
                .await
                .unwrap();
            assert_eq!((found.entries.len(), found.damaged), (3, 0), "{how:?} {at}");
            if calls < at {
                break;
            }
        }
    }
}

#[tokio::test]
async fn cursors_are_good_for_their_own_list() {
    let (world, _) = studio(9).await;
    let page = list(&world, &painter(MARA), json!({ "limit": "1" })).await.ok();
    let cursor = page["next"].as_str().unwrap();
    assert_eq!(page["looked_until"], page["tasks"][0]["created"]);
    let team = json!({ "cursor": cursor, "team": "true" });
    assert_eq!(list(&world, &lead(), team).await.status, 400);
    assert_eq!(
        list(&world, &painter(OTHER), json!({ "cursor": cursor })).await.status,
        400
    );
    // Whatever is chosen, the place is one.
    assert_eq!(
        list(&world, &painter(MARA), json!({ "cursor": cursor, "text": "fox" }))
            .await
            .status,
        200
    );
    // That of an earlier release.
    let old = "eyJjcmVhdGVkIjoxLCJvd25lciI6Im1hcmEiLCJ0YXNrX2lkIjoiMDFhMDVjZDcifQ";
    let refused = list(&world, &painter(MARA), json!({ "cursor": old })).await;
    assert!(
        refused.status == 400 && refused.error().contains("Leave it out"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_forged_cursor_is_a_place_in_ones_own_list_and_no_more() {
    let (world, tasks) = studio(10).await;
    let mine = Scope::Owner(UserId::new(MARA));
    let at = |created: u64, number: u64| history::index::Place {
        created: Millis(created),
        task_id: id(number).parse().unwrap(),
    };
    let own = of(&tasks, MARA);
    for (place, found) in [
        (at(0, 0), &[][..]),
        (at(u64::MAX, 0), &own),
        (at(NOW.0, u64::MAX >> 16), &own),
    ] {
        let cursor = tasks::list::cursor::written(&mine, place);
        let query = json!({ "cursor": cursor, "limit": "50" });
        assert_eq!(all(&world, &painter(MARA), query).await, found, "{place:?}");
    }
    // Whoever makes one of another's list has one that is good for that list alone.
    for scope in [Scope::Owner(UserId::new(OTHER)), Scope::Team(TeamId::new("studio"))] {
        let cursor = tasks::list::cursor::written(&scope, at(NOW.0, 0));
        assert_eq!(
            list(&world, &painter(MARA), json!({ "cursor": cursor })).await.status,
            400
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    /// However entries come, an index has each task once, newest first, in parts of which a page needs few.
    #[test]
    fn an_index_has_each_task_once_however_they_come(
        batches in prop::collection::vec((0_u64..1500, 1_u64..700, 1_u64..90), 1..6),
        page in 1_usize..120,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let faults = cloud::fault::Faults::default();
            let memory = cloud::memory::Memory::new(cloud::memory::Unkind::NOT);
            let bucket = faults.cloud(&memory.cloud()).bucket;
            let scope = Scope::Owner(UserId::new(MARA));
            let mut all = std::collections::BTreeSet::new();
            for (first, many, apart) in batches {
                let entry = |number: u64| {
                    let task_id = id(number).parse().unwrap();
                    // Three at once, over some months.
                    let created = NOW - minutes(number / 3 * 60 * 80);
                    let task = crate::support::task(task_id, MARA, created);
                    Entry { task, prompt: String::new() }
                };
                let entries: Vec<_> = (0..many).map(|at| entry((first + at * apart) % 1500)).collect();
                all.extend(entries.iter().map(Entry::place));
                take_in(&bucket, &scope, &entries).await.unwrap();
                // Once more.
                take_in(&bucket, &scope, &entries[..entries.len() / 2]).await.unwrap();
            }
            let (head, _) = history::index::head(&bucket, &scope).await.unwrap();
            assert!(head.parts.iter().all(|part| (1..=PART).contains(&part.count)));
            assert_eq!(head.parts.iter().map(|part| part.count).sum::<usize>(), all.len());
            let keys = bucket.list(&scope.folder(), None).await.unwrap();
            assert_eq!(keys.len(), head.parts.len() + 1, "nothing is left behind");
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let looked = history::index::after(&bucket, &scope, after, Millis(0), page).await.unwrap();
                let places: Vec<_> = looked.entries.iter().map(Entry::place).take(page).collect();
                let Some(last) = places.last() else { break };
                after = Some(*last);
                found.extend(places);
            }
            let wanted: Vec<_> = all.into_iter().rev().collect();
            assert_eq!(found, wanted);
        });
    }
}
