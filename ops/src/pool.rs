//! Pools: their limits, how they stand, and what they may start.

use std::fmt::Write as _;

use accounts::audit::{self, By};
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use cloud::{
    Store, StoreError, Write, on_conflict,
    tables::{AllPools, Backlog, CatalogOf, HazardOf, PaceOf, WorkersOf},
};
use model::{
    Boot, Breaker, BreakerForce, CatalogEntry, Estimate, Estimates, Hazard, MicroUsd, Millis, Pool, PoolId, Worker,
    WorkerState,
};
use policy::{breaker, meter};

use crate::{audit::by, user::TABLES};

/// `ops pool`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the pools.
    List,
    /// Show a pool: limits, breaker, workers, what waits there, how long things take, and how its machines came up.
    Show {
        /// The pool.
        pool: PoolId,
    },
    /// Change what is given and leave the rest; make the pool if there is none of that name.
    Set {
        /// The pool.
        pool: PoolId,
        /// The rest.
        #[command(flatten)]
        limits: Limits,
    },
    /// Pause or resume what a pool starts. Machines that are up go on.
    Breaker {
        /// The pool.
        pool: PoolId,
        /// What is to hold from now on.
        position: Position,
    },
    /// Let a pool start machines above its monthly limit until the month (UTC) ends.
    Lift {
        /// The pool.
        pool: PoolId,
        /// Let the limit hold again.
        #[arg(long)]
        undo: bool,
    },
}

/// What of a pool is to change.
#[derive(Debug, Default, Clone, Args)]
pub struct Limits {
    /// Most GPU instances of the pool at once. [default: as it is; 2 for a new pool]
    #[arg(long)]
    pub max_workers: Option<u32>,
    /// Instance types of the pool, best first; empty for none. [default: as they are; g6.xlarge,g5.xlarge,g4dn.xlarge for
    /// a new pool]
    #[arg(long, value_delimiter = ',', value_parser = instance_type)]
    pub instance_types: Option<Vec<String>>,
    /// The checkpoint that a fresh worker loads before it counts as ready; empty for none. [default: as it is; none for a
    /// new pool]
    #[arg(long)]
    pub warm_up: Option<String>,
    /// Prices of an hour in US$, where they are not those of on-demand Linux in us-east-1: `g5.xlarge=0.45,default=0.10`;
    /// `default` is for machines of another or no type. [default: as they are]
    #[arg(long, value_delimiter = ',', value_parser = price)]
    pub prices: Vec<(String, MicroUsd)>,
    /// What the pool's machines may cost in a month (UTC) in US$, by these prices, idle time included; once that is
    /// reached no machine starts. `none` for no limit. [default: as it is; none for a new pool]
    #[arg(long, value_parser = monthly_limit)]
    pub monthly_limit: Option<MonthlyLimit>,
}

/// What a pool's machines may cost in a month; none: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthlyLimit(pub Option<MicroUsd>);

/// What a new pool tries, best first.
pub const INSTANCE_TYPES: [&str; 3] = ["g6.xlarge", "g5.xlarge", "g4dn.xlarge"];

/// Most machines of a new pool at once.
pub const MAX_WORKERS: u32 = 2;

/// A position of a breaker.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Position {
    /// Start nothing.
    Open,
    /// Start whatever is needed, however many starts fail.
    Closed,
    /// Pause by itself when starts fail. What failed up to now is forgotten.
    Auto,
}

fn instance_type(text: &str) -> Result<String, &'static str> {
    let word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
    };
    let fits = text.is_empty()
        || text
            .split_once('.')
            .is_some_and(|(family, size)| word(family) && word(size));
    fits.then(|| text.to_owned())
        .ok_or("this is no instance type, e.g. g6.xlarge")
}

fn price(text: &str) -> Result<(String, MicroUsd), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let price = pair.and_then(|(name, text)| Some((name.to_owned(), usd(text, 1000.0)?)));
    price.ok_or_else(|| "write it as type=US$ of an hour, 0 to 1000, e.g. g5.xlarge=1.006".to_owned())
}

fn monthly_limit(text: &str) -> Result<MonthlyLimit, &'static str> {
    let limit = match text {
        "none" => Some(None),
        text => usd(text, 1e9).map(Some),
    };
    limit.map(MonthlyLimit).ok_or("write it in US$, e.g. 500, or `none`")
}

/// An amount in US$ of at most so much.
fn usd(text: &str, most: f64) -> Option<MicroUsd> {
    let usd = text.parse::<f64>().ok().filter(|usd| (0.0..=most).contains(usd))?;
    Some(MicroUsd((usd * 1e6).round() as u64))
}

/// Does it; returns what to print.
pub async fn run(store: &Store, command: Command, now: Millis) -> Result<String> {
    match command {
        Command::List => list(store).await,
        Command::Show { pool } => show(store, &pool, now).await,
        Command::Set { pool, limits } => set(store, &pool, &limits, now).await,
        Command::Breaker { pool, position } => breaker(store, &pool, position, now).await,
        Command::Lift { pool, undo } => lift(store, &pool, !undo, now).await,
    }
}

/// The pool; an error that says what to do if there is none.
pub(crate) async fn find(store: &Store, pool: &PoolId) -> Result<Pool> {
    if let Some(found) = store.get(pool).await.context(TABLES)? {
        return Ok(found);
    }
    let known = names(store).await?;
    let there = if known.is_empty() {
        String::new()
    } else {
        let known: Vec<_> = known.iter().map(PoolId::as_str).collect();
        format!("there is {}, and ", known.join(", "))
    };
    bail!("there is no pool {pool}; {there}`ops pool set {pool}` makes it")
}

async fn names(store: &Store) -> Result<Vec<PoolId>> {
    let mut names = store.get(&AllPools).await.context(TABLES)?.unwrap_or_default().pools;
    names.sort();
    Ok(names)
}

/// Makes or changes a pool.
pub(crate) async fn put(store: &Store, id: &PoolId, limits: &Limits, by: Option<&By>) -> Result<Pool, StoreError> {
    on_conflict!({
        let found = store.get(id).await?;
        let types = INSTANCE_TYPES.map(str::to_owned).to_vec();
        let before = found.as_ref().map(audit::of_pool).unwrap_or_default();
        let mut pool = found.unwrap_or_else(|| Pool::new(id.clone(), MAX_WORKERS, types));
        limits.apply(&mut pool);
        let mut writes = vec![Write::put(&mut pool)?];
        if let Some(by) = by {
            writes.push(by.did("set pool", &format!("pool {id}"), &before, &audit::of_pool(&pool))?);
        }
        let mut names = store.get(&AllPools).await?.unwrap_or_default();
        if !names.pools.contains(id) {
            names.pools.push(id.clone());
            writes.push(Write::put(&mut names)?);
        }
        store.commit_all(&writes).await?;
        Ok(pool)
    })
}

impl Limits {
    fn apply(&self, pool: &mut Pool) {
        pool.max_workers = self.max_workers.unwrap_or(pool.max_workers);
        if let Some(types) = &self.instance_types {
            pool.instance_types = types.iter().filter(|it| !it.is_empty()).cloned().collect();
        }
        if let Some(warm_up) = &self.warm_up {
            pool.warm_up = Some(warm_up.clone()).filter(|it| !it.is_empty());
        }
        pool.prices.extend(self.prices.iter().cloned());
        if let Some(MonthlyLimit(limit)) = self.monthly_limit
            && limit != pool.monthly_limit
        {
            pool.monthly_limit = limit;
            // Whoever was told was told of another limit.
            pool.meter.told = 0;
        }
    }

    /// Whether the pool has them already.
    pub fn hold(&self, pool: &Pool) -> bool {
        let mut changed = pool.clone();
        self.apply(&mut changed);
        changed == *pool
    }
}

async fn set(store: &Store, id: &PoolId, limits: &Limits, now: Millis) -> Result<String> {
    if let Some(name) = limits.warm_up.as_deref().filter(|name| !name.is_empty()) {
        let entries = store.list(CatalogOf(CatalogEntry::SHARED)).await.context(TABLES)?;
        ensure!(
            catalog::assemble(&entries).checkpoint(name).is_some(),
            "there is no checkpoint {name} that every team may use; `ops seed --catalog` writes the catalogue"
        );
    }
    Ok(lines(&put(store, id, limits, Some(&by(now))).await.context(TABLES)?))
}

/// Changes a pool that there is.
async fn alter(store: &Store, id: &PoolId, what: &str, now: Millis, mut change: impl FnMut(&mut Pool)) -> Result<()> {
    find(store, id).await?;
    let altered = on_conflict!({
        let Some(mut pool) = store.get(id).await? else {
            return Ok(());
        };
        let before = audit::of_pool(&pool);
        change(&mut pool);
        let line = by(now).did(what, &format!("pool {id}"), &before, &audit::of_pool(&pool))?;
        store.commit([Write::put(&mut pool)?, line]).await
    });
    altered.context(TABLES)
}

async fn lift(store: &Store, id: &PoolId, lifted: bool, now: Millis) -> Result<String> {
    alter(store, id, "lift limit", now, |pool| meter::lift(pool, lifted, now)).await?;
    Ok(if lifted {
        format!("{id} starts machines whatever they cost until {} ends", now.month())
    } else {
        format!("{id} keeps to its monthly limit")
    })
}

async fn breaker(store: &Store, id: &PoolId, position: Position, now: Millis) -> Result<String> {
    let forced = match position {
        Position::Open => Some(BreakerForce::Open),
        Position::Closed => Some(BreakerForce::Closed),
        Position::Auto => None,
    };
    alter(store, id, "set breaker", now, |pool| {
        breaker::force(&mut pool.breaker, forced);
    })
    .await?;
    Ok(match position {
        Position::Open => format!(
            "{id} starts nothing until `ops pool breaker {id} auto`; machines that are up go on, pictures wait in line"
        ),
        Position::Closed => format!("{id} starts machines however many fail, until `ops pool breaker {id} auto`"),
        Position::Auto => format!("{id} starts machines, and pauses by itself when they do not come up"),
    })
}

async fn list(store: &Store) -> Result<String> {
    let mut text = String::new();
    for id in names(store).await? {
        if let Some(pool) = store.get(&id).await.context(TABLES)? {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{id:<24} at most {} workers, breaker {}",
                pool.max_workers,
                word(&pool.breaker)
            );
        }
    }
    ensure!(!text.is_empty(), "there are no pools; `ops pool set default` makes one");
    Ok(text.trim_end().to_owned())
}

/// Most waiting tasks that are counted.
const PAGE: u32 = 1000;

async fn show(store: &Store, id: &PoolId, now: Millis) -> Result<String> {
    let pool = find(store, id).await?;
    let (pace, hazard) = (PaceOf(id.clone()), HazardOf(id.clone()));
    let (workers, backlog, pace, hazard) = tokio::try_join!(
        store.list(WorkersOf(id)),
        store.list(Backlog(id, PAGE)),
        store.get(&pace),
        store.get_readable(&hazard)
    )
    .context(TABLES)?;
    let more = if backlog.len() >= PAGE as usize { " or more" } else { "" };
    let mut text = format!(
        "{}\nmeter     {}\nbreaker   {}\nworkers   {}\nwaiting   {}{more}",
        lines(&pool),
        metered(&pool, &workers, now),
        in_words(&pool.breaker, now),
        by_state(&workers),
        backlog.len(),
    );
    if let Some(at) = pool.no_capacity_at {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\ncapacity  the last launch that found none was {} ago",
            ago(at, now)
        );
    }
    let _ = write!(
        text,
        "\nlearned   {}\npauses    {}",
        learned(&pace.map(|pace| pace.estimates).unwrap_or_default()),
        hazard
            .as_ref()
            .map_or_else(|| "nothing is known of them yet".to_owned(), pauses),
    );
    text += &boots(&workers.iter().filter_map(|it| it.boot).collect::<Vec<_>>(), now);
    Ok(text)
}

fn lines(pool: &Pool) -> String {
    let none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    let mut text = format!(
        "pool      {}\nlimit     {} at once\ntypes     {}\nwarm-up   {}",
        pool.pool,
        pool.max_workers,
        none(pool.instance_types.join(", ")),
        none(pool.warm_up.clone().unwrap_or_default()),
    );
    for (name, usd) in &pool.prices {
        // Writing to a string cannot fail.
        let _ = write!(text, "\nprice     {name} US$ {} an hour", usd.0 as f64 / 1e6);
    }
    if let Some(limit) = pool.monthly_limit {
        let _ = write!(text, "\nmonthly   at most US$ {}", limit.0 as f64 / 1e6);
    }
    text
}

fn metered(pool: &Pool, workers: &[Worker], now: Millis) -> String {
    let used = meter::used(pool, workers, now).0 as f64 / 1e6;
    let share =
        meter::percent(pool, workers, now).map_or(String::new(), |percent| format!(", {percent} % of the limit"));
    let means = if meter::is_lifted(pool, now) {
        "; the limit is lifted until the month ends"
    } else if meter::is_reached(pool, workers, now) {
        "; nothing is started"
    } else {
        ""
    };
    format!("US$ {used:.2} in {} (UTC){share}{means}", now.month())
}

fn word(breaker: &Breaker) -> &'static str {
    match (breaker.forced, breaker.opened_at) {
        (Some(BreakerForce::Open), _) => "open (by ops)",
        (Some(BreakerForce::Closed), _) => "closed (by ops)",
        (None, Some(_)) => "open",
        (None, None) => "closed",
    }
}

fn in_words(breaker: &Breaker, now: Millis) -> String {
    let all = breaker.outcomes.len();
    let failed = breaker.outcomes.iter().filter(|it| !it.ok).count();
    let means = match (breaker.forced, breaker.opened_at) {
        (Some(BreakerForce::Open), _) => "nothing is started".to_owned(),
        (Some(BreakerForce::Closed), _) => "machines are started however many fail".to_owned(),
        (None, None) => "machines are started as they are needed".to_owned(),
        (None, Some(opened)) => {
            let tried = breaker.probed_at.filter(|probed| *probed > opened);
            let last = tried.map_or(String::new(), |at| format!(", the last {} ago", ago(at, now)));
            format!(
                "machines have not come up for {}; one is tried every breaker_pause{last}",
                ago(opened, now)
            )
        }
    };
    format!("{}: {means}; failed starts: {failed} of the last {all}", word(breaker))
}

fn ago(at: Millis, now: Millis) -> String {
    match now.since(at).as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

fn by_state(workers: &[Worker]) -> String {
    let counts = WorkerState::ALL
        .into_iter()
        .filter(|it| *it != WorkerState::Gone)
        .filter_map(|state| {
            let count = workers.iter().filter(|it| it.state == state).count();
            (count > 0).then(|| format!("{count} {}", format!("{state:?}").to_lowercase()))
        });
    let counts: Vec<_> = counts.collect();
    if counts.is_empty() {
        "none".to_owned()
    } else {
        counts.join(", ")
    }
}

/// How each machine of the pool came up the last time: the latest, and what is usual. Stages that no machine told are left out.
fn boots(all: &[Boot], now: Millis) -> String {
    let Some(last) = all.iter().max_by_key(|boot| boot.at) else {
        return String::new();
    };
    let rows = |boot: &Boot| boot.times.stages().into_iter().chain([("in all", Some(boot.total))]);
    let mut text = format!(
        "\nboots     {:<10}{:>8}{:>18}",
        "",
        "last",
        format!("median of {}", all.len())
    );
    for (row, (stage, latest)) in rows(last).enumerate() {
        let mut times: Vec<_> = all.iter().filter_map(|boot| rows(boot).nth(row)?.1).collect();
        times.sort_unstable();
        let Some(median) = times.get(times.len() / 2).copied() else {
            continue;
        };
        let seconds = |ms: Option<u64>| ms.map_or("-".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1000.0));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n          {stage:<10}{:>8}{:>18}",
            seconds(latest),
            seconds(Some(median))
        );
    }
    let _ = write!(
        text,
        "\n          the last was {} ago; in all is from when the machine was asked for",
        ago(last.at, now)
    );
    text
}

/// What is known of painters' pauses, and whether anything is done by it.
fn pauses(hazard: &Hazard) -> String {
    let by = if policy::hazard::acts(hazard) {
        "machines stay and start by them"
    } else {
        "machines stay and start by fixed times"
    };
    format!(
        "learned from {:.0} requests; {by}: lately ${:.2} against ${:.2} by fixed times, waits included",
        policy::hazard::evidence(hazard),
        hazard.learned.usd,
        hazard.fixed.usd,
    )
}

fn learned(estimates: &Estimates) -> String {
    let mean = |what: &str, it: Estimate| {
        (it.samples > 0).then(|| format!("{what} {:.1} s (of {})", it.mean / 1000.0, it.samples))
    };
    let known: Vec<_> = [
        mean("a start takes", estimates.start),
        mean("a run takes", estimates.run),
        mean("ETAs are off by", estimates.eta_error),
    ]
    .into_iter()
    .flatten()
    .collect();
    if known.is_empty() {
        "nothing yet".to_owned()
    } else {
        known.join(", ")
    }
}
