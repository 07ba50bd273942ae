//! `generate`: the caller's own tasks.

use cloud::{store::StorePort, tables::Id};
use model::{Millis, Outcome, RunTimes, TaskId, TaskResult};
use serde_json::{Value, json};

use crate::support::{Answer, MARA, NOW, OTHER, World, http, painter, run_id, seconds};

const ROUTE: &str = "GET /v1/tasks";

async fn list(world: &World, user: &str, query: Value) -> Answer {
    let mut event = http(ROUTE, "", Some(&painter(user)), &json!(""));
    event["queryStringParameters"] = query;
    world.http(event, NOW).await
}

fn id(number: usize) -> String {
    format!("01a05cd7-2a00-7000-8000-{number:012x}")
}

fn ids(page: &Value) -> Vec<String> {
    let tasks = page["tasks"].as_array().unwrap().iter();
    tasks.map(|it| it["task_id"].as_str().unwrap().to_owned()).collect()
}

/// Every page, in order.
async fn all(world: &World, user: &str, limit: u32) -> Vec<String> {
    let (mut found, mut query) = (Vec::new(), json!({ "limit": limit.to_string() }));
    loop {
        let page = list(world, user, query.clone()).await.ok();
        assert!(page["tasks"].as_array().unwrap().len() <= limit as usize);
        found.extend(ids(&page));
        match page.get("next") {
            Some(next) => query["cursor"] = next.clone(),
            None => return found,
        }
    }
}

#[tokio::test]
async fn a_painter_sees_their_own_tasks_newest_first_page_by_page() {
    // Pages are short there, and so one that is full says nothing of the next.
    let world = World::lagging(7).await;
    for number in 1..=23 {
        let owner = if number % 4 == 0 { OTHER } else { MARA };
        world
            .queued(&id(number), owner, NOW - seconds(1000 - number as u64))
            .await;
    }
    let own = |mine: bool| -> Vec<String> {
        let numbers = (1..=23).rev().filter(|number| (number % 4 != 0) == mine);
        numbers.map(id).collect()
    };
    // The index catches up with time.
    while all(&world, MARA, 50).await.len() + all(&world, OTHER, 50).await.len() < 23 {}
    for limit in [1, 2, 5, 50] {
        assert_eq!(all(&world, MARA, limit).await, own(true), "by {limit}");
        assert_eq!(all(&world, OTHER, limit).await, own(false), "by {limit}");
    }
    assert_eq!(list(&world, "nobody", json!({})).await.status, 401);
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_refused_in_words() {
    let world = World::new().await;
    for number in 1..=3 {
        world.queued(&id(number), MARA, NOW - seconds(number as u64)).await;
    }
    let page = list(&world, MARA, json!({ "limit": "1" })).await.ok();
    let cursor = page["next"].as_str().unwrap();
    // Another painter's place is none of one's own, whatever else it names.
    for query in [
        json!({ "cursor": "" }),
        json!({ "cursor": "page 2" }),
        json!({ "cursor": &cursor[1..] }),
    ] {
        let answer = list(&world, MARA, query).await;
        assert_eq!(answer.status, 400);
        assert!(answer.error().contains("Leave it out"), "{answer:?}");
    }
    assert_eq!(list(&world, OTHER, json!({ "cursor": cursor })).await.status, 400);
    for limit in ["0", "51", "-1", "many", "", "99999999999999999999"] {
        let answer = list(&world, MARA, json!({ "limit": limit })).await;
        assert_eq!(
            (answer.status, answer.error()),
            (400, "`limit` must be a number from 1 to 50.")
        );
    }
    let answer = list(&world, MARA, json!({ "state": "lost" })).await;
    assert!(
        answer.status == 400 && answer.error().contains("queued, running"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn pictures_come_with_the_list_and_states_can_be_chosen() {
    let world = World::new().await;
    world.running(NOW - seconds(9)).await;
    world.queued(&id(2), MARA, NOW - seconds(5)).await;
    let done = TaskResult {
        key: "results/t/r".to_owned(),
        offsets: vec![0, 10],
        size: 20,
        lora_warning: false,
        pose: None,
        ..TaskResult::default()
    };
    let times = RunTimes::default();
    let ended: Millis = NOW - seconds(1);
    let task = crate::support::task_id();
    world
        .alter_task(&task, |it| {
            it.end_run(run_id(), Outcome::Succeeded(done, times), ended).unwrap();
        })
        .await;
    let page = list(&world, MARA, json!({})).await.ok();
    assert_eq!(ids(&page), [id(2), task.to_string()]);
    let (waits, done) = (&page["tasks"][0], &page["tasks"][1]);
    assert_eq!((&waits["state"], waits.get("ended_at")), (&json!("queued"), None));
    assert_eq!(done["ended_at"], ended.0);
    assert_eq!(done["created"], (NOW - seconds(9)).0);
    assert!(
        done["result"]["url"].as_str().unwrap().contains("results/t/r"),
        "{done}"
    );
    for (state, wanted) in [
        ("succeeded", vec![task.to_string()]),
        ("queued", vec![id(2)]),
        ("failed", vec![]),
    ] {
        let page = list(&world, MARA, json!({ "state": state })).await.ok();
        assert_eq!(ids(&page), wanted, "{state}");
    }
}

#[tokio::test]
async fn one_item_that_cannot_be_read_takes_no_other_along() {
    let world = World::new().await;
    for number in 1..=3 {
        world.queued(&id(number), MARA, NOW - seconds(number as u64)).await;
    }
    // A state of a later release, after a roll-back, which the index shows; and what only the item itself shows.
    for (number, change) in [(1, ("state", json!("dreaming"))), (2, ("lane", json!("of no kind")))] {
        let task: TaskId = id(number).parse().unwrap();
        let items = world.memory.items();
        let (key, item) = items.into_iter().find(|(key, _)| *key == task.key()).unwrap();
        let mut item = item;
        item.insert(change.0.to_owned(), change.1);
        item.insert("version".to_owned(), json!(9));
        let write = cloud::Write {
            key,
            expect: 1,
            item: Some(item),
        };
        StorePort::commit(&world.memory, &[write]).await.unwrap();
    }
    let page = list(&world, MARA, json!({})).await.ok();
    assert_eq!(ids(&page), [id(3)]);
}
