//! What it costs to look into a catalogue of many models.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cloud::Write;
use local::{Options, Renderer, Stack, painter::Painter};
use model::{CatalogEntry, KINDS, Master, Millis, TeamId, UserId};

use crate::median;

/// So many writes go into a transaction.
const AT_ONCE: usize = 100;
/// So many calls of each kind are made.
const CALLS: usize = 60;
/// The longest page.
const PAGE: usize = 200;
/// What one read unit reads, bytes.
const UNIT: usize = 4096;
/// A team may have so many; the rest are everybody's.
const OF_TEAM: usize = 5000;

/// Puts so many models into the tables and looks for them through the API.
#[expect(clippy::print_stdout, reason = "the table is this command's result")]
pub(crate) async fn measure(models: usize) -> Result<()> {
    let options = Options {
        renderer: Renderer::StandIn {
            step_delay: Duration::from_millis(20),
            load_delay: Duration::ZERO,
        },
        settings: "rate_interval=0s".to_owned(),
        ..Options::default()
    };
    let stack = Stack::start(options, |_| ()).await?;
    let painter = stack.seed("painter", "pool").await?.painter;
    let team = TeamId::new("team-of-pool");
    let mut entries: Vec<_> = (0..models).map(|number| entry(number, &team)).collect();
    for chunk in entries.chunks_mut(AT_ONCE) {
        let writes: Result<Vec<_>, _> = chunk.iter_mut().map(Write::put).collect();
        stack.store().commit_all(&writes?).await?;
    }
    let sizes = entries.iter().filter_map(|it| serde_json::to_vec(it).ok());
    let bytes = sizes.map(|it| it.len()).sum::<usize>() / models;
    println!("{models} models, {bytes} bytes each as JSON; {CALLS} calls of each kind, one after the other.\n");
    println!("| call | median ms | p95 ms | read units |\n|---|--:|--:|--:|");
    let ids = pages(&painter, PAGE).await?;
    ensure!(!ids.is_empty(), "no model is listed");
    let kind = |number: usize| KINDS[number % KINDS.len()].0;
    row(&painter, bytes, "page of 50", |_| "models?limit=50".to_owned()).await?;
    row(&painter, bytes, "page of 200", |_| "models?limit=200".to_owned()).await?;
    row(&painter, bytes, "search: a kind, names that begin so", |it| {
        format!("models?limit=50&kind={}&begins=model%200{}", kind(it), it % 10)
    })
    .await?;
    row(&painter, bytes, "search: a word in the names of a page of 200", |it| {
        format!("models?limit=200&kind={}&text=7{}", kind(it), it % 10)
    })
    .await?;
    row(&painter, bytes, "all versions of one", |it| {
        format!("models?kind={}&name=model%20{:05}", kind(it), it)
    })
    .await?;
    row(&painter, bytes, "one", |it| {
        format!("models/{}", ids[it * 7 % ids.len()])
    })
    .await?;
    stack.stop().await;
    Ok(())
}

/// Model of this number: kinds in turn, as long as such entries are.
fn entry(number: usize, team: &TeamId) -> CatalogEntry {
    let team = if number < OF_TEAM {
        team.clone()
    } else {
        TeamId::new(CatalogEntry::SHARED)
    };
    let sha256 = format!("{number:064x}");
    let master = Master {
        sha256,
        size: 2_132_625_612,
        home: team.clone(),
        owner: UserId::new("lead"),
        created: Millis(1_788_264_000_000),
        private: false,
        by_plugin: false,
        words: vec!["ink wash".to_owned(), "line art".to_owned()],
        resolution: Some(1024),
        training: [("rank", "32"), ("steps", "4000"), ("base", "sdxl_base_v1-0")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    };
    let name = format!("model {number:05}");
    let file = master.file(&team);
    CatalogEntry {
        arch: Some("sdxl".to_owned()),
        licence: Some("CreativeML Open RAIL++-M".to_owned()),
        source: Some("https://models.example/of/the/studio".to_owned()),
        master: Some(master),
        ..CatalogEntry::on_images(team, KINDS[number % KINDS.len()].0, &name, &file)
    }
}

/// Ids of the first models.
async fn pages(painter: &Painter, limit: usize) -> Result<Vec<String>> {
    let page = painter.ok("GET", &format!("models?limit={limit}"), None).await?;
    let models = page["models"].as_array().context("no list")?;
    Ok(models
        .iter()
        .filter_map(|it| Some(it["id"].as_str()?.to_owned()))
        .collect())
}

/// Makes the calls; what they took, and the read units of each by DynamoDB's rule: one for each 4 KB that are read consistently,
/// here of the models that were looked at and of the caller's account. (The emulator counts one for each call, whatever it reads.)
#[expect(clippy::print_stdout, reason = "the table is this command's result")]
async fn row(painter: &Painter, bytes: usize, name: &str, path: impl Fn(usize) -> String) -> Result<()> {
    painter.ok("GET", &path(0), None).await?;
    let (mut times, mut units) = (Vec::with_capacity(CALLS), 0);
    for call in 0..CALLS {
        let (path, began) = (path(call), Instant::now());
        let answer = painter.ok("GET", &path, None).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        let shown = answer["models"].as_array().map_or(1, Vec::len);
        // What does not fit a text is read all the same.
        let read = if path.contains("text=") { PAGE } else { shown };
        units += (read * bytes).div_ceil(UNIT).max(1) + 1;
    }
    times.sort_by(f64::total_cmp);
    let p95 = times[CALLS * 95 / 100];
    let units = units as f64 / CALLS as f64;
    println!("| {name} | {:.0} | {p95:.0} | {units:.1} |", median(times.into_iter()));
    Ok(())
}
