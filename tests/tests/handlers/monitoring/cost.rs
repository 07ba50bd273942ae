//! What docs/monitoring.md says of the metrics and of what all of it costs, made from the table, the template and the lines that
//! are written. `UPDATE_MONITORING=1 cargo test -p system-tests --test handlers monitoring` writes it anew.

use std::fs;

use cloud::metrics::collect;
use model::metrics::{Rhythm, TABLE};
use serde_json::{Value, json};

use super::{emf::NAMESPACE, template::alarms};
use crate::support::{INSTANCE, NOW, WORKER, World, golden, seconds, workspace};

/// A small studio: one pool of two instance types; painters are there for 22 days of 10 hours, with one machine up, and ask for
/// 300 pictures an hour together.
const POOLS: usize = 1;
const TYPES: usize = 2;
const PAINTING: f64 = 220.0;
const PICTURES: f64 = 300.0;
/// Hours of a month, as AWS counts them.
const MONTH: f64 = 730.0;

/// List prices of us-east-1, US$, <https://aws.amazon.com/cloudwatch/pricing/>, without what is free for each account: a metric
/// for a month, by the hour in which it gets values; an alarm; a dashboard; a GB of logs taken in.
const METRIC: f64 = 0.30;
const ALARM: f64 = 0.10;
const DASHBOARD: f64 = 3.0;
const GIGABYTE: f64 = 0.50;
const MOST: f64 = 15.0;

fn series(rhythm: Rhythm) -> usize {
    let rows = TABLE.iter().filter(|row| row.rhythm == rhythm);
    rows.map(|row| row.series(POOLS, TYPES)).sum()
}

/// Bytes of a tick's lines, a heartbeat's, and those of a picture from submit to result.
async fn bytes() -> (f64, f64, f64) {
    let size = async |work: std::pin::Pin<Box<dyn Future<Output = ()> + '_>>| {
        let ((), measured) = collect(work).await;
        // CloudWatch Logs counts 26 bytes more for each line.
        let bytes = |line: &String| steady(line).len() + 26;
        measured.lines(NAMESPACE, NOW).iter().map(bytes).sum::<usize>() as f64
    };
    let world = World::new().await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let tick = Box::pin(async { drop(world.lifecycle(golden("lifecycle", "tick"), NOW).await) });
    let beat = json!({
        "ready": true,
        "gpu": { "percent": 97, "vram_used_mib": 9000, "vram_total_mib": 24000 },
        "host": { "ram_percent": 40, "disk_percent": 70 },
    });
    let beat = Box::pin(async { drop(world.work(&worker, "heartbeat", &beat, NOW + seconds(5)).await.ok()) });
    let (tick, beat) = (size(tick).await, size(beat).await);
    let picture = Box::pin(async {
        world.submitted(NOW + seconds(6)).await;
        let run = world.claimed(&worker, NOW + seconds(7)).await.unwrap();
        let done = json!({
            "task_id": run.task_id, "run_id": run.run_id, "offsets": [0], "size": 1000,
            "times": { "fetch_ms": 1, "execute_ms": 9000, "upload_ms": 1 },
        });
        world.work(&worker, "result", &done, NOW + seconds(19)).await.ok();
    });
    (tick, beat, size(picture).await)
}

/// The same line whatever time it took to make it.
fn steady(line: &str) -> String {
    let mut line: Value = serde_json::from_str(line).unwrap();
    if let Some(took) = line.get_mut("TickTime") {
        *took = 12.345_678.into();
    }
    line.to_string()
}

fn block(page: &str, name: &str, content: &str) -> String {
    let (begin, end) = (format!("<!-- made: {name} -->\n"), format!("<!-- end: {name} -->"));
    let (before, rest) = page.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    format!("{before}{begin}{content}\n{end}{after}")
}

#[tokio::test]
async fn the_page_says_what_there_is_and_what_it_costs() {
    let mut table = vec![
        "| metric | unit | by | means |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    table.extend(TABLE.iter().map(ToString::to_string));

    let (always, working) = (series(Rhythm::Tick), series(Rhythm::Work));
    let alarms = alarms().len();
    let (tick, beat, picture) = bytes().await;
    let beats = PAINTING * 3600.0 / 5.0;
    let written = tick * 2.0 * 60.0 * MONTH + beat * beats + picture * PICTURES * PAINTING;
    let parts = [
        (
            format!("{always} series with a value each minute"),
            always as f64 * METRIC,
        ),
        (
            format!(
                "{working} series that have values while somebody paints or a machine is up, {PAINTING} h of {MONTH}"
            ),
            working as f64 * METRIC * PAINTING / MONTH,
        ),
        (format!("{alarms} alarms"), alarms as f64 * ALARM),
        ("the dashboard".to_owned(), DASHBOARD),
        (
            format!(
                "{:.2} GB of log lines: {tick:.0} bytes a tick, {beat:.0} a heartbeat, {picture:.0} a picture",
                written / 1e9
            ),
            written / 1e9 * GIGABYTE,
        ),
    ];
    // What `ops deploy` says before there is anything.
    let watching = (parts[0].1 + parts[2].1 + parts[3].1) * 1e6;
    assert_eq!(install::cost::WATCHING.0, watching.round() as u64);
    let sum: f64 = parts.iter().map(|(_, usd)| usd).sum();
    let mut costs = vec!["| what | US$ a month |".to_owned(), "|---|---|".to_owned()];
    costs.extend(parts.iter().map(|(what, usd)| format!("| {what} | {usd:.2} |")));
    costs.push(format!("| **together** | **{sum:.2}** |"));
    assert!(sum <= MOST, "{costs:#?}");

    let path = workspace().join("docs/monitoring.md");
    let page = fs::read_to_string(&path).unwrap();
    let new = block(&block(&page, "metrics", &table.join("\n")), "costs", &costs.join("\n"));
    if std::env::var_os("UPDATE_MONITORING").is_some() {
        fs::write(&path, &new).unwrap();
    } else {
        assert_eq!(
            page, new,
            "docs/monitoring.md is old: UPDATE_MONITORING=1 writes it anew"
        );
    }
}
