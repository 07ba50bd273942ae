//! What painters used: a table for people, CSV for programs.

use std::{cmp::Reverse, fmt::Write as _};

use anyhow::{Context, Result, ensure};
use clap::Args;
use cloud::{
    Store,
    tables::{AccountKey, AccountsOf, UsageOf},
};
use futures_util::{StreamExt, stream};
use model::{Account, Millis, TeamId, Usage};

use crate::user::TABLES;

/// `ops usage`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The team.
    #[arg(long, default_value = "studio")]
    pub team: TeamId,
    /// The month, `yyyy-mm`, UTC. [default: this one]
    #[arg(long, value_parser = month)]
    pub month: Option<String>,
    /// As CSV, for a spreadsheet.
    #[arg(long)]
    pub csv: bool,
}

/// Reads of users at once.
const AT_ONCE: usize = 16;

fn month(text: &str) -> Result<String, &'static str> {
    let good = match text.as_bytes() {
        [year @ .., b'-', tens, ones] if year.len() == 4 => {
            year.iter().all(u8::is_ascii_digit) && matches!((tens, ones), (b'0', b'1'..=b'9') | (b'1', b'0'..=b'2'))
        }
        _ => false,
    };
    good.then(|| text.to_owned())
        .ok_or("a month is written yyyy-mm, e.g. 2026-05")
}

/// What the team's users used in the month, most spent first, and the sum. Who was removed is not in it.
pub async fn run(store: &Store, arguments: &Arguments, now: Millis) -> Result<String> {
    let Arguments { team, month, csv } = arguments;
    let month = month.clone().unwrap_or_else(|| now.month());
    let keys = store.list(AccountsOf(team)).await.context(TABLES)?;
    let users = keys.iter().filter_map(AccountKey::user);
    let read = users.map(async |user| {
        let used = UsageOf(user.clone(), month.clone());
        let (account, usage) = tokio::try_join!(store.get(&user), store.get(&used))?;
        // Whoever was removed may be in the index for a moment.
        Ok::<_, cloud::StoreError>(account.map(|it| (it, usage.unwrap_or_else(|| Usage::new(used.0, used.1)))))
    });
    let read: Vec<_> = stream::iter(read).buffer_unordered(AT_ONCE).collect().await;
    let rows: Result<Vec<_>, _> = read.into_iter().filter_map(Result::transpose).collect();
    let mut rows = rows.context(TABLES)?;
    ensure!(
        !rows.is_empty(),
        "team {team} has no users; `ops user add USER --team {team}` makes one"
    );
    rows.sort_by_key(|(account, used)| (Reverse(used.spent), account.user_id.clone()));
    let rows: Vec<_> = rows.iter().map(|(account, used)| Row::of(account, used)).collect();
    Ok(if *csv {
        as_csv(&rows, team, &month)
    } else {
        as_table(&rows)
    })
}

/// What a user used: credits rounded up, seconds rounded up.
struct Row {
    user: String,
    pictures: u64,
    gpu: u64,
    unpaid: u64,
    spent: u64,
    reserved: u64,
    budget: u64,
}

impl Row {
    fn of(account: &Account, used: &Usage) -> Self {
        Self {
            user: account.user_id.to_string(),
            pictures: used.images,
            gpu: used.gpu_ms.div_ceil(1000),
            unpaid: used.unpaid_ms.div_ceil(1000),
            spent: used.spent.credits_needed(),
            reserved: used.reserved.credits_needed(),
            budget: account.credits,
        }
    }

    const NAMES: [&str; 6] = ["pictures", "GPU s", "unpaid s", "spent", "reserved", "budget"];

    const fn numbers(&self) -> [u64; 6] {
        [
            self.pictures,
            self.gpu,
            self.unpaid,
            self.spent,
            self.reserved,
            self.budget,
        ]
    }
}

fn as_table(rows: &[Row]) -> String {
    let mut sum = [0_u64; 6];
    let mut text = line("user", &Row::NAMES.map(str::to_owned));
    for row in rows {
        for (sum, number) in sum.iter_mut().zip(row.numbers()) {
            *sum = sum.saturating_add(number);
        }
        text.push_str(&line(&row.user, &row.numbers().map(|it| it.to_string())));
    }
    text.push_str(&line("all", &sum.map(|it| it.to_string())));
    text.trim_end().to_owned()
}

fn line(user: &str, cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().map(|it| format!("{it:>9}")).collect();
    format!("{user:<24} {}\n", cells.join(" "))
}

fn as_csv(rows: &[Row], team: &TeamId, month: &str) -> String {
    let mut text = format!("team,month,user,{}", Row::NAMES.join(","));
    for row in rows {
        let numbers = row.numbers().map(|it| it.to_string()).join(",");
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{},{month},{},{numbers}", cell(team.as_str()), cell(&row.user));
    }
    text
}

/// An id has neither commas nor quotes, but may begin as a spreadsheet's formula does.
fn cell(id: &str) -> String {
    let formula = id.starts_with(['=', '-', '+', '@']);
    format!("{}{id}", if formula { "'" } else { "" })
}
