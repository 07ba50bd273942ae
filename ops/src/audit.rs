//! `ops audit`: what those who run the studio have done, newest first.

use std::fmt::Write as _;

use accounts::audit::{self, By};
use anyhow::{Context, Result};
use clap::Args;
use cloud::{Store, config::process_env, page::Cursor};
use model::Millis;

use crate::user::TABLES;

/// `ops audit`.
#[derive(Debug, Args)]
pub struct Command {
    /// How many lines, at most 50.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=50))]
    lines: u32,
    /// Go on behind this place, as an earlier call has printed it.
    #[arg(long)]
    after: Option<String>,
}

/// Whoever calls `ops` on this machine, as the machine calls them.
pub fn by(now: Millis) -> By {
    let env = process_env();
    let name = env.optional("USER").or_else(|| env.optional("LOGNAME"));
    By {
        who: format!("ops@{}", name.unwrap_or_else(|| "unknown".to_owned())),
        now,
    }
}

/// Does it; returns what to print.
pub async fn run(store: &Store, command: Command) -> Result<String> {
    let after = command.after.map(Cursor::from);
    let page = audit::page(store, after.as_ref(), command.lines)
        .await
        .context(TABLES)?;
    let mut text = String::new();
    for line in &page.entries {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}  {}  {}  {}: {} -> {}",
            line.at.written(),
            plain(&line.who),
            plain(&line.what),
            plain(&line.on),
            plain(&line.before),
            plain(&line.after)
        );
    }
    if text.is_empty() {
        text.push_str("nothing yet\n");
    }
    if let Some(next) = &page.next {
        let _ = writeln!(text, "older: ops audit --after {}", next.as_ref());
    }
    Ok(text.trim_end().to_owned())
}

/// Without what a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).collect()
}
