//! A year of a busy studio: how many reads its newest page takes, how much the indexes hold, and what that costs.
//!
//! `cargo run --release -p history --example year [TASKS] [PAINTERS]`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]
#![allow(clippy::unwrap_used, reason = "a panic is how it fails")]

use std::time::{Duration, Instant};

use cloud::{
    Bucket,
    fault::Faults,
    memory::{Memory, Unkind},
};
use history::{
    Record,
    index::{Entry, PART, Place, Scope, after, head, take_in},
};
use model::{Millis, Parameters, Task, TaskId, TeamId, UserId};
use serde_json::json;
use uuid::Uuid;

/// The first of January 2026.
const BEGAN: Millis = Millis(1_767_225_600_000);
const YEAR: u64 = 365 * 24 * 60 * 60 * 1000;
const WORDS: [&str; 12] = [
    "a", "fox", "in", "the", "snow", "castle", "on", "hill", "at", "dawn", "oil", "painting",
];

fn record(number: u64, tasks: u64, painters: u64) -> Record {
    let created = Millis(BEGAN.0 + number * (YEAR / tasks));
    let mut chance = fastrand::Rng::with_seed(number);
    let id = Uuid::from_u128((u128::from(created.0) << 80) | (7 << 76) | (2 << 62) | u128::from(chance.u64(..) >> 2));
    let run = Uuid::from_u128(id.as_u128() ^ 0xffff_ffff);
    let prompt: Vec<_> = (0..40).map(|_| WORDS[chance.usize(..WORDS.len())]).collect();
    // As an item, so that what a task has beside these is what it has by itself.
    let task: Task = serde_json::from_value(json!({
        "task_id": id,
        "version": 4,
        "owner": format!("painter-{}", chance.u64(..painters)),
        "team": "studio",
        "pool": "default",
        "start_tag": created.0,
        "lane": "interactive",
        "kind": "generate",
        "state": "succeeded",
        "model": "sdxl/a-checkpoint_v12.safetensors",
        "work": 41.943_04,
        "reserved": 4000,
        "cost": chance.u64(500..4000),
        "created": created,
        "expires_at": created + Duration::from_hours(1),
        "seen_at": created,
        "result": { "key": format!("results/{id}/{run}"), "offsets": [0], "size": chance.u64(1_000_000..2_000_000) },
        "claimed_at": created + Duration::from_secs(2),
        "ended_at": created + Duration::from_secs(chance.u64(4..12)),
        "times": { "fetch_ms": 120, "execute_ms": chance.u64(2000..9000), "upload_ms": 180 },
        "last_run": { "run_id": run, "worker_id": format!("w-{}", chance.u8(..20)) },
        "archived_at": created,
    }))
    .unwrap();
    let parameters = Parameters {
        kind: "generate".to_owned(),
        prompt: prompt.join(" "),
        seed: Some(chance.u64(..)),
        ..Parameters::default()
    };
    Record::new(task, Some(parameters))
}

async fn bytes(bucket: &Bucket, folder: &str) -> (usize, u64) {
    let (mut objects, mut size, mut after) = (0, 0, None);
    loop {
        let keys = bucket.list(folder, after.as_deref()).await.unwrap();
        for key in &keys {
            size += bucket.head(key).await.unwrap().unwrap().size;
        }
        objects += keys.len();
        match keys.last() {
            Some(last) => after = Some(last.clone()),
            None => return (objects, size),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|it| it.parse::<u64>().unwrap());
    let tasks = arguments.next().unwrap_or(1_000_000);
    let painters = arguments.next().unwrap_or(100);
    let faults = Faults::default();
    let cloud = faults.cloud(&Memory::new(Unkind::NOT).cloud());
    let bucket = &cloud.bucket;
    let (team, owner) = (
        Scope::Team(TeamId::new("studio")),
        Scope::Owner(UserId::new("painter-0")),
    );
    let began = Instant::now();
    // A week at a time, so that parts are put together as they would be, but not as often.
    for week in 0..=52 {
        let from = tasks * week / 53;
        let entries: Vec<_> = (from..tasks * (week + 1) / 53)
            .map(|number| Entry::from(&record(number, tasks, painters)))
            .collect();
        let own: Vec<_> = entries
            .iter()
            .filter(|it| it.task.owner.as_str() == "painter-0")
            .cloned()
            .collect();
        take_in(bucket, &owner, &own).await.unwrap();
        take_in(bucket, &team, &entries).await.unwrap();
    }
    println!(
        "{tasks} tasks of {painters} painters, taken in within {:.0?}\n",
        began.elapsed()
    );
    println!("| index | entries | parts | bytes of the head | bytes of all |\n|---|---|---|---|---|");
    for (name, scope) in [("team", &team), ("a painter", &owner)] {
        let (found, _) = head(bucket, scope).await.unwrap();
        let entries: usize = found.parts.iter().map(|part| part.count).sum();
        let head = bucket.head(&scope.head_key()).await.unwrap().unwrap().size;
        let (_, all) = bytes(bucket, &scope.folder()).await;
        println!("| {name} | {entries} | {} | {head} | {all} |", found.parts.len());
        assert!(found.parts.iter().all(|part| part.count <= PART));
    }
    println!("\n| page of the team | reads of objects | found | time |\n|---|---|---|---|");
    let half = Place {
        created: Millis(BEGAN.0 + YEAR / 2),
        task_id: TaskId::new(Uuid::nil()),
    };
    for (name, place, most) in [
        ("newest, 50 tasks", None, 51),
        ("of half a year ago, 50 tasks", Some(half), 51),
        ("search in the newest 500 prompts", None, 501),
    ] {
        faults.take();
        let began = Instant::now();
        let found = after(bucket, &team, place, Millis(0), most).await.unwrap();
        let took = began.elapsed();
        let reads = faults.take().iter().filter(|call| call.name == "bucket.read").count();
        println!("| {name} | {reads} | {} | {took:.1?} |", found.entries.len().min(most));
    }
    price(bucket, &team, tasks, painters).await;
}

/// Dollars for a GiB and month in a bucket; in a table with recovery; for a million writes into each.
const BUCKET_GIB: f64 = 0.023;
const TABLE_GIB: f64 = 0.45;
const MILLION_PUTS: f64 = 5.0;
const MILLION_WRITES: f64 = 0.625;
/// Most bytes of a thumbnail, which stays a year.
const THUMBNAIL: f64 = 20_000.0;
/// Days that a task's item stays, and those of a year.
const DAYS: f64 = 7.0;
const YEAR_DAYS: f64 = 365.0;

/// What all of it costs in the month after that year, by AWS's list prices of us-east-1 as of August 2026.
async fn price(bucket: &Bucket, team: &Scope, tasks: u64, painters: u64) {
    let day = usize::try_from(tasks / 365).unwrap().max(1);
    let lines: Vec<_> = (0..day as u64)
        .map(|number| record(number, tasks, painters).line().unwrap())
        .collect();
    let record = history::packed(lines.iter().map(String::as_str)).len() as f64 / day as f64;
    let line = lines.iter().map(String::len).sum::<usize>() as f64 / day as f64;
    let (_, index) = bytes(bucket, &team.folder()).await;
    let (all, gib) = (tasks as f64, 1024.0 * 1024.0 * 1024.0);
    // In the index of its team, its painter and its machine.
    let index = 3.0 * index as f64 / all;
    let month = all / 12.0;
    println!("\n| what | bytes of a task | GiB | dollars a month |\n|---|---|---|---|");
    let items = all / YEAR_DAYS * DAYS * line / gib;
    println!(
        "| items of the table, seven days | {line:.0} | {items:.2} | {:.3} |",
        items * TABLE_GIB
    );
    for (name, each) in [
        ("records of the year", record),
        ("lists of the year", index),
        ("thumbnails of the year, at most", THUMBNAIL),
    ] {
        println!(
            "| {name} | {each:.0} | {:.2} | {:.3} |",
            all * each / gib,
            all * each / gib * BUCKET_GIB
        );
    }
    println!("| a PUT of each record | | | {:.3} |", month / 1e6 * MILLION_PUTS);
    println!("| a PUT of each thumbnail | | | {:.3} |", month / 1e6 * MILLION_PUTS);
    // The task, and its keys out of the index of those without a record.
    println!(
        "| noting it on the item | | | {:.3} |",
        month / 1e6 * 3.0 * MILLION_WRITES
    );
}
