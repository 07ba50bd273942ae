//! No list is ended by one item that cannot be read: every list of the tables, and every way to read one.

use std::path::Path;

use cloud::{
    Write,
    memory::{Memory, Unkind},
    store::{Item, StorePort},
    tables::{Backlog, CatalogOf, Key, List, LorasOf, PresenceIn, Query, SessionsOf, TasksOf, WorkersOf},
};
use model::{PoolId, TeamId, UserId};
use serde_json::json;

use crate::support::workspace;

/// The Rust sources below a folder, with their paths.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
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
        ..
    } = list.query();
    let (key, sort) = table.key();
    for number in 0..3 {
        let mut item: Item = [("version".to_owned(), json!(1))].into_iter().collect();
        item.insert(key.to_owned(), json!(format!("broken-{number}")));
        item.extend(sort.map(|sort| (sort.to_owned(), json!(format!("broken-{number}")))));
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
        ("Backlog", entries(Backlog(&pool, 10)).await),
        ("TasksOf", entries(TasksOf(&user)).await),
        ("WorkersOf", entries(WorkersOf(&pool)).await),
        ("PresenceIn", entries(PresenceIn(&pool)).await),
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
        ["shared/cloud/src/fault/ports.rs", "shared/cloud/src/store.rs"]
    );
    let elsewhere =
        |(name, text): &&(String, String)| name != "shared/cloud/src/tables.rs" && text.contains("impl List for");
    let elsewhere: Vec<_> = found.iter().filter(elsewhere).map(|(name, _)| name).collect();
    assert!(elsewhere.is_empty(), "lists belong into tables.rs: {elsewhere:?}");
}
