//! The LoRAs that a team's painters have uploaded: shown, removed.

use anyhow::{Context, Result};
use clap::Subcommand;
use cloud::{
    Bucket, Store, StoreError, Write, on_conflict,
    tables::{CatalogOf, LoraOf, LorasOf},
};
use model::{CatalogEntry, Millis, TeamId};

use crate::audit::by;

/// `ops lora`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List a team's uploaded LoRAs.
    List {
        /// The team.
        #[arg(long, default_value = "studio")]
        team: TeamId,
    },
    /// Delete uploaded LoRAs. Whoever still paints with one uploads it again.
    Remove {
        /// The team.
        #[arg(long, default_value = "studio")]
        team: TeamId,
        /// SHA-256 of each file, as `list` shows it.
        #[arg(required = true)]
        sha256: Vec<String>,
    },
}

/// Does it; what is to be said about it.
pub async fn run(store: &Store, models: &Bucket, command: Command, now: Millis) -> Result<String> {
    match command {
        Command::List { team } => list(store, &team).await,
        Command::Remove { team, sha256 } => {
            for sha256 in &sha256 {
                remove(store, models, &team, sha256, now).await?;
            }
            Ok(format!("removed {} of team {team}", sha256.len()))
        }
    }
}

async fn list(store: &Store, team: &TeamId) -> Result<String> {
    let loras = store
        .list(LorasOf(team))
        .await
        .context("the catalogue cannot be read")?;
    if loras.is_empty() {
        return Ok(format!("team {team} has uploaded no LoRAs"));
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let lines = loras.iter().map(|lora| {
        let note = if lora.stored {
            ""
        } else {
            "  not seen in the bucket yet"
        };
        format!("{}  {:8.1} MiB{note}\n", lora.sha256, mib(lora.size))
    });
    let all = loras.iter().map(|lora| lora.size).sum();
    Ok(format!(
        "{}{} files, {:.1} MiB",
        lines.collect::<String>(),
        loras.len(),
        mib(all)
    ))
}

async fn remove(store: &Store, models: &Bucket, team: &TeamId, sha256: &str, now: Millis) -> Result<()> {
    let id = LoraOf(team.clone(), sha256.to_owned());
    let unknown = || format!("team {team} has no LoRA {sha256}; `ops lora list --team {team}` shows what it has");
    let lora = store
        .get(&id)
        .await
        .context("the catalogue cannot be read")?
        .with_context(unknown)?;
    // The file first: an entry without one is forgotten, a file without an entry would stay.
    models.delete(&lora.key()).await.context("the file was not deleted")?;
    let deleted = on_conflict!({
        match store.get(&id).await? {
            Some(mut lora) => {
                let on = format!("LoRA {sha256} of team {team}");
                let line = by(now).did("remove LoRA", &on, &["uploaded".to_owned()], &["removed".to_owned()])?;
                store.commit([Write::delete(&mut lora), line]).await
            }
            None => Ok::<_, StoreError>(()),
        }
    });
    deleted.context("the file is gone, but its entry is not: run this again")?;
    let mut entries = Vec::new();
    for part in [team.as_str(), CatalogEntry::SHARED] {
        entries.extend(
            store
                .list(CatalogOf(part))
                .await
                .context("the catalogue cannot be read")?,
        );
    }
    let file = lora.key();
    let of_it = |it: &CatalogEntry| it.master.as_ref().is_some_and(|it| it.key() == file);
    for mut entry in entries.into_iter().filter(of_it) {
        let deleted = store.commit([Write::delete(&mut entry)]).await;
        deleted.context("the file is gone, but a model still names it: run this again")?;
    }
    Ok(())
}
