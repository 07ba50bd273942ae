//! No list is ended by one item that cannot be read: every list of the tables, and every way to read one.

use std::path::Path;

use cloud::{
    Write,
    memory::{Memory, Unkind},
    store::{Item, StorePort},
    tables::{
        AuditList, AwaitedLoras, Backlog, CatalogOf, CatalogUnder, Deletions, DemandDaysOf, DemandOf, DocumentsIn,
        DocumentsOf, Key, Leavings, List, LorasOf, PresenceIn, Query, SessionsOf, StepsOf, Table, TasksOf, TasksUpTo,
        UnarchivedIn, Uploads, WorkersOf,
    },
};
use model::{DocumentId, PoolId, TeamId, UserId};
use serde_json::json;

use crate::support::{MARA, NOW, WORKER_2, World, minutes, workspace};

/// The Rust sources below a folder, with their paths.
pub(crate) fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let name = path.strip_prefix(workspace()).unwrap().display().to_string();
            found.push((name, std::fs::read_to_string(path).unwrap()));
        }
    }
}

/// Puts items into the list that have its keys and nothing else; how many entries the list has then.
async fn entries<L: List>(list: L) -> usize {
    let memory = Memory::new(Unkind::NOT);
    let Query {
        table,
        index,
        partition,
        prefix,
        ..
    } = list.query();
    let (key, sort) = table.key();
    for number in 0..3 {
        let mut item: Item = [("version".to_owned(), json!(1))].into_iter().collect();
        item.insert(key.to_owned(), json!(format!("broken-{number}")));
        let place = if prefix == "broken" {
            format!("broken-{number}")
        } else {
            format!("{prefix}broken-{number}")
        };
        item.extend(sort.map(|sort| (sort.to_owned(), json!(place))));
        if let Some(index) = index {
            item.extend(index.sort.map(|sort| (sort.to_owned(), json!(number))));
        }
        let attribute = index.map_or(key, |index| index.partition);
        item.insert(attribute.to_owned(), json!(partition));
        let of = |name: &str| item[name].as_str().unwrap().to_owned();
        let key = Key {
            table,
            partition: of(key),
            sort: sort.map(of),
        };
        let write = Write {
            key,
            expect: 0,
            item: Some(item),
        };
        StorePort::commit(&memory, &[write]).await.unwrap();
    }
    let query = list.query();
    let there = StorePort::query(&memory, &query, None, 10).await.unwrap().entries.len();
    assert_eq!(there, 3, "{query:?}");
    memory.cloud().store.list(list).await.unwrap().len()
}

#[tokio::test]
async fn what_cannot_be_read_ends_no_list() {
    let (pool, team, user) = (PoolId::new("p"), TeamId::new("t"), UserId::new("u"));
    let found = [
        ("UnarchivedIn", entries(UnarchivedIn("0", 10)).await),
        ("TasksUpTo", entries(TasksUpTo(&user, NOW)).await),
        ("AwaitedLoras", entries(AwaitedLoras).await),
        // Keys and a version, which every item has.
        ("HistoryOf", 0),
        ("DocumentsOf", entries(DocumentsOf(&user)).await),
        ("DocumentsIn", entries(DocumentsIn(&team)).await),
        ("StepsOf", entries(StepsOf(&user, &DocumentId::new("d"))).await),
        ("CatalogUnder", entries(CatalogUnder("t", "broken")).await),
        ("Deletions", entries(Deletions).await),
        ("Uploads", entries(Uploads).await),
        ("Backlog", entries(Backlog(&pool, 10)).await),
        ("TasksOf", entries(TasksOf(&user)).await),
        ("WorkersOf", entries(WorkersOf(&pool)).await),
        ("PresenceIn", entries(PresenceIn(&pool)).await),
        ("DemandOf", entries(DemandOf(&pool, 10)).await),
        ("DemandDaysOf", entries(DemandDaysOf(&pool, 10)).await),
        ("AuditList", entries(AuditList).await),
        ("Leavings", entries(Leavings).await),
        ("SessionsOf", entries(SessionsOf(&user)).await),
        // Its entries are keys and nothing else, so that there is nothing that cannot be read.
        ("AccountsOf", 0),
        ("CatalogOf", entries(CatalogOf("t")).await),
        ("LorasOf", entries(LorasOf(&team)).await),
    ];
    assert!(found.iter().all(|(_, entries)| *entries == 0), "{found:?}");
    let tables = std::fs::read_to_string(workspace().join("shared/cloud/src/tables.rs")).unwrap();
    let lists = tables.lines().filter_map(|line| line.strip_prefix("impl List for "));
    let lists: Vec<_> = lists.map(|it| it.split(['<', ' ']).next().unwrap()).collect();
    assert_eq!(lists, found.map(|(name, _)| name), "every list is tried here");
}

/// Only `Store::list` and `Store::page` read lists from the tables, and they leave out what cannot be read.
#[test]
fn every_list_is_read_in_one_way() {
    let mut found = Vec::new();
    for folder in ["shared", "functions", "ops"] {
        sources(&workspace().join(folder), &mut found);
    }
    let raw = |text: &str| {
        let text: String = text.split_whitespace().collect();
        text.contains("port.query(") || text.contains("port().query(") || text.contains("StorePort::query(")
    };
    let mut callers: Vec<_> = found
        .iter()
        .filter(|(_, text)| raw(text))
        .map(|(name, _)| name.as_str())
        .collect();
    callers.sort_unstable();
    assert_eq!(
        callers,
        [
            "shared/cloud/src/ahead.rs",
            "shared/cloud/src/fault/ports.rs",
            "shared/cloud/src/store.rs"
        ]
    );
    let elsewhere =
        |(name, text): &&(String, String)| name != "shared/cloud/src/tables.rs" && text.contains("impl List for");
    let elsewhere: Vec<_> = found.iter().filter(elsewhere).map(|(name, _)| name).collect();
    assert!(elsewhere.is_empty(), "lists belong into tables.rs: {elsewhere:?}");
}

/// After a roll-back: what a later release wrote in a state of its own stays as it is, whatever runs, and takes nothing
/// along.
#[tokio::test]
async fn a_state_of_another_release_is_left_alone() {
    let world = World::new().await;
    let (running, worker) = world.running(NOW).await;
    world.ready(WORKER_2, "i-two", NOW).await;
    // More than a claim tries for, before the one that it can read.
    let mut strangers = vec![running.task_id];
    for _ in 0..9 {
        strangers.push(world.submitted(NOW).await);
    }
    let known = world.submitted(NOW).await;
    let strange = |key: &Key| {
        strangers.iter().any(|id| key.partition == id.to_string()) && key.table == Table::Tasks
            || key.partition == worker.worker_id.to_string() && key.table == Table::Fleet
    };
    let mut before = Vec::new();
    for (key, mut item) in world.memory.items().into_iter().filter(|(key, _)| strange(key)) {
        item.insert("state".to_owned(), json!("rehearsing"));
        let write = Write {
            expect: item["version"].as_u64().unwrap(),
            key: key.clone(),
            item: Some(item),
        };
        StorePort::commit(&world.memory, &[write]).await.unwrap();
        let written = world.memory.items().into_iter().find(|(it, _)| *it == key).unwrap();
        before.push(written);
    }
    assert_eq!(before.len(), strangers.len() + 1, "the tasks and a worker: {before:?}");
    let other = world.worker(WORKER_2).await;
    let (mut now, mut rendered) = (NOW, None);
    for _ in 0..30 {
        now = now + minutes(1);
        world.tick(now).await;
        world.reap(now).await;
        world.dispatch_tasks(&strangers, now).await;
        if rendered.is_none() {
            rendered = world.claimed(&other, now).await.map(|run| run.task_id);
        }
        for (route, id) in [
            ("POST /v1/status/{id}", strangers[1]),
            ("POST /v1/cancel/{worker}/{id}", running.task_id),
        ] {
            let answer = world.paint(MARA, route, &id.to_string(), &json!({}), now).await;
            assert_eq!(answer.status, 500, "{answer:?}");
        }
        world.paint(MARA, "GET /v1/tasks", "", &json!({}), now).await.ok();
    }
    assert_eq!(rendered, Some(known), "the others' tasks are rendered");
    let after: Vec<_> = world
        .memory
        .items()
        .into_iter()
        .filter(|(key, _)| strange(key))
        .collect();
    assert_eq!(after, before);
}
