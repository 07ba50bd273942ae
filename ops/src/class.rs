//! Classes: whether a team records how its painters' pictures come to be, for teaching.

use anyhow::{Context, Result};
use clap::Subcommand;
use cloud::Store;
use model::{Millis, TeamId};
use tasks::recording;

use crate::{audit::by, user::TABLES};

/// `ops class`.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Say whether a team is recorded.
    Show {
        /// The team.
        #[arg(long, default_value = "studio")]
        team: TeamId,
    },
    /// Record from now on how the team's pictures come to be, unless their painter says no. Painters are told when they sign
    /// in, and whenever Krita connects.
    On {
        /// The team.
        #[arg(long, default_value = "studio")]
        team: TeamId,
    },
    /// Record no more than what painters switch on by themselves. What was recorded stays until they delete it.
    Off {
        /// The team.
        #[arg(long, default_value = "studio")]
        team: TeamId,
    },
}

/// Does it; returns what to print.
pub async fn run(store: &Store, command: Command, now: Millis) -> Result<String> {
    let (team, recording) = match command {
        Command::Show { team } => {
            let recording = recording::class(store, &team).await.context(TABLES)?;
            return Ok(format!("team {team} is {}", word(recording)));
        }
        Command::On { team } => (team, true),
        Command::Off { team } => (team, false),
    };
    let line = |before: bool| {
        let parts = [before, recording].map(|it| vec![word(it).to_owned()]);
        let line = by(now).did("set class", &format!("team {team}"), &parts[0], &parts[1])?;
        Ok(Some(line))
    };
    let before = recording::set_class(store, &team, recording, now, line)
        .await
        .context(TABLES)?;
    let already = if before == recording {
        " already"
    } else {
        " from now on"
    };
    Ok(format!("team {team} is {}{already}", word(recording)))
}

const fn word(recording: bool) -> &'static str {
    if recording { "recorded" } else { "not recorded" }
}
