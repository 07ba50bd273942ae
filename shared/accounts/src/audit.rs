//! The audit list: what those who run the studio have done. The line of a change is written with it, in one transaction.
//! What a thing was and is, is told in parts, so that a line holds only those that have changed; the same words tell a page
//! whether what it shows still holds.

use cloud::{
    Store, StoreError, Write, cut,
    page::{Cursor, Page},
    tables::AuditList,
};
use model::{Account, Audit, BreakerForce, Millis, Pool, Role, Task, Worker, WorkerState};

/// Most lines of a page.
pub const MOST: u32 = 50;

/// The newest lines, from behind the cursor on.
pub async fn page(store: &Store, after: Option<&Cursor>, limit: u32) -> Result<Page<Audit>, StoreError> {
    store.page(AuditList, after, limit.clamp(1, MOST)).await
}

/// Who does something, and when.
#[derive(Debug, Clone)]
pub struct By {
    /// A user's id; `ops@…` for somebody at the command line.
    pub who: String,
    /// When.
    pub now: Millis,
}

impl By {
    /// The line of a change from these parts to those.
    pub fn did(&self, what: &str, on: &str, before: &[String], after: &[String]) -> Result<Write, StoreError> {
        let differ = |these: &[String], others: &[String]| {
            let differing: Vec<_> = these.iter().filter(|part| !others.contains(part)).cloned().collect();
            short(&differing.join(", "))
        };
        // Tells apart what happens in one millisecond.
        let id = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let mut line = Audit {
            at: self.now,
            id,
            version: 0,
            who: short(&self.who),
            what: short(what),
            on: short(on),
            before: differ(before, after),
            after: differ(after, before),
            ttl: (self.now + Audit::KEPT).seconds(),
        };
        Write::put(&mut line)
    }
}

fn short(text: &str) -> String {
    let mut text = text.to_owned();
    cut(&mut text, Audit::TEXT);
    text
}

/// What of a pool an operator may change.
pub fn of_pool(pool: &Pool) -> Vec<String> {
    let starts = match pool.breaker.forced {
        Some(BreakerForce::Open) => "starts paused",
        Some(BreakerForce::Closed) => "starts whatever fails",
        None => "starts as needed",
    };
    let usd = |amount: model::MicroUsd| amount.0 as f64 / 1e6;
    let mut parts = vec![starts.to_owned(), format!("at most {} machines", pool.max_workers)];
    parts.push(match pool.monthly_limit {
        Some(limit) => format!("at most US$ {} a month", usd(limit)),
        None => "no monthly limit".to_owned(),
    });
    if pool.meter.lifted {
        parts.push(format!("limit lifted for {}", pool.meter.month));
    }
    parts.push(format!("types {}", pool.instance_types.join(" ")));
    parts.push(format!("warm-up {}", pool.warm_up.as_deref().unwrap_or("none")));
    for (name, price) in &pool.prices {
        parts.push(format!("{name} US$ {} an hour", usd(*price)));
    }
    parts
}

/// What of a user an operator may change.
pub fn of_account(account: &Account) -> Vec<String> {
    let mut parts = vec![
        format!("name {}", account.name),
        role(account.role).to_owned(),
        format!("team {}", account.team),
        format!("pool {}", account.pool),
        format!("{} credits a month", account.credits),
    ];
    parts.extend(account.email.as_ref().map(|it| format!("e-mail {it}")));
    parts.extend(account.subject.as_ref().map(|it| format!("subject {it}")));
    parts.push(format!("revoked before {}", account.tokens_valid_from.seconds()));
    parts
}

/// A role's name.
pub const fn role(role: Role) -> &'static str {
    match role {
        Role::Painter => "painter",
        Role::Lead => "lead",
        Role::Worker => "worker",
        Role::Operator => "operator",
    }
}

/// What of a worker an operator may change.
pub fn of_worker(worker: &Worker) -> Vec<String> {
    use WorkerState::{Booting, Busy, Draining, Failed, Gone, Launching, Ready, Starting, Stopped, Stopping, Warming};
    // Not what it renders at the moment, which would be another one a moment later.
    let state = match worker.state {
        Launching | Starting | Booting | Warming => "comes up",
        Ready | Busy => "serves",
        Draining => "drains",
        Stopping => "stops",
        Stopped => "off",
        Failed => "failed",
        Gone => "gone",
    };
    let mut parts = vec![state.to_owned()];
    if worker.dismissed.is_some() {
        parts.push("to stop".to_owned());
    }
    parts
}

/// What of a task somebody else than its painter may change.
pub fn of_task(task: &Task) -> Vec<String> {
    let mut parts = vec![task.state.word().to_owned()];
    parts.extend(task.run.as_ref().map(|run| format!("on {}", run.worker_id)));
    parts
}
