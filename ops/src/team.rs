//! What holds for a whole team.

use anyhow::{Context, Result};
use clap::{
    Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use cloud::{Store, StoreError, Write, on_conflict, tables::KeepRuleOf};
use model::{Keep, KeepRule, Millis, TeamId};

use crate::{audit::by, user::TABLES};

/// `ops team`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what holds for a team.
    Show {
        /// The team.
        #[arg(default_value = "studio")]
        team: TeamId,
    },
    /// Keep a team's pictures beyond the week in which every picture is there, where their painters say nothing else. It
    /// holds for pictures from now on.
    Keep {
        /// The team.
        team: TeamId,
        /// How long.
        #[arg(value_parser = how())]
        how: Keep,
    },
}

/// One of the words of [`Keep`].
fn how() -> impl TypedValueParser<Value = Keep> {
    let of = |word: String| Keep::ALL.into_iter().find(|it| it.word() == word);
    PossibleValuesParser::new(Keep::ALL.map(Keep::word)).try_map(move |word| of(word).ok_or("no such time"))
}

/// Does it; returns what to print.
pub async fn run(store: &Store, command: Command, now: Millis) -> Result<String> {
    match command {
        Command::Show { team } => {
            let rule = store.get(&KeepRuleOf(team.clone())).await.context(TABLES)?;
            let keep = rule.map(|rule| rule.keep).unwrap_or_default();
            Ok(format!("team      {team}\npictures  {}", words(keep)))
        }
        Command::Keep { team, how } => {
            keep(store, &team, how, now).await.context(TABLES)?;
            Ok(format!("team {team}: from now on pictures are {}", words(how)))
        }
    }
}

fn words(keep: Keep) -> String {
    match keep {
        Keep::Nothing => "kept for 7 days, or as long as their painters say".to_owned(),
        Keep::Always => "kept until their painters delete them".to_owned(),
        other => format!("kept for {}", other.word().replace('d', " days")),
    }
}

async fn keep(store: &Store, team: &TeamId, how: Keep, now: Millis) -> Result<(), StoreError> {
    on_conflict!({
        let found = store.get(&KeepRuleOf(team.clone())).await?;
        let mut rule = found.unwrap_or_else(|| KeepRule {
            team: team.clone(),
            version: 0,
            keep: Keep::Nothing,
        });
        let before = [words(rule.keep)];
        rule.keep = how;
        let line = by(now).did("keep pictures", &format!("team {team}"), &before, &[words(how)])?;
        store.commit([Write::put(&mut rule)?, line]).await
    })
}
