//! Accounts, Catalog and Pools as files, and back.
//!
//! A backup is a folder: one JSON Lines file for each table, an item a line as DynamoDB writes it, and a manifest with
//! their checksums, which is written last. Restoring is idempotent and overwrites nothing, unless it is told to.

mod files;
mod items;
mod restore;
pub(crate) mod tables;

use std::{fmt::Write as _, path::PathBuf};

use anyhow::Result;
use aws_config::SdkConfig;
use clap::Args;
use cloud::tables::{Table, TableNames};
use model::Millis;

pub use files::{FORMAT, Manifest};
pub(crate) use items::plain;
pub use restore::{Counts, Key};

/// What a backup holds: what a person has put there and nothing else can make again.
pub const TABLES: [Table; 3] = [Table::Accounts, Table::Catalog, Table::Pools];

/// `ops backup`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Backup {
    /// The folder to write, which must hold no backup yet. Only you can read it: it names people.
    #[arg(long)]
    pub out: PathBuf,
}

/// `ops restore`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Restore {
    /// The folder that `ops backup` wrote.
    #[arg(long)]
    pub from: PathBuf,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Put the backup's items also over others that are there.
    #[arg(long)]
    pub overwrite: bool,
    /// Only these tables: accounts, catalog or pools. [default: all of them]
    #[arg(long = "table", value_name = "TABLE", value_delimiter = ',', value_parser = table)]
    pub tables: Vec<Table>,
}

fn table(name: &str) -> Result<Table, &'static str> {
    let found = TABLES.into_iter().find(|it| files::name(*it) == name);
    found.ok_or("a backup has the tables accounts, catalog and pools")
}

/// Writes a backup; returns what to print.
pub async fn backup(sdk: &SdkConfig, names: &TableNames, arguments: &Backup, now: Millis) -> Result<String> {
    let client = tables::client(sdk);
    let mut folder = files::Folder::begin(&arguments.out)?;
    for table in TABLES {
        let mut file = folder.file(table)?;
        tables::each_page(&client, names.of(table), async |items| {
            for item in items {
                if !items::is_expired(&item, now) {
                    file.add(&items::to_json(&item))?;
                }
            }
            Ok(())
        })
        .await?;
        folder.close(file)?;
    }
    let manifest = folder.finish(now)?;
    let mut text = format!("the backup is in {}:", arguments.out.display());
    for (name, table) in &manifest.tables {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{name:<10} {} items", table.items);
    }
    Ok(text)
}

/// Puts a backup's items back; returns what to print.
pub async fn restore(sdk: &SdkConfig, names: &TableNames, arguments: &Restore, now: Millis) -> Result<String> {
    let manifest = files::verify(&arguments.from)?;
    let client = tables::client(sdk);
    let mut text = format!(
        "{} of {} (UTC), made by ops {}:",
        if arguments.dry_run {
            "restoring would do this from the backup"
        } else {
            "restored from the backup"
        },
        files::day(manifest.made_at),
        manifest.made_by,
    );
    let (mut put, mut kept) = (Vec::new(), Vec::new());
    let chosen = |it: &Table| arguments.tables.is_empty() || arguments.tables.contains(it);
    for table in TABLES.into_iter().filter(chosen) {
        let how = restore::How {
            table,
            name: names.of(table),
            dry_run: arguments.dry_run,
            overwrite: arguments.overwrite,
            now,
        };
        let counts = restore::table(&client, &arguments.from, &how).await?;
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{:<10} {counts}", files::name(table));
        let named = |it: String| format!("{} {it}", files::name(table));
        put.extend(counts.put.into_iter().map(named));
        kept.extend(counts.kept.into_iter().map(named));
    }
    if !arguments.dry_run {
        put.clear();
    }
    for (what, items) in [
        ("to be put:", put),
        (
            "kept, since something else is there (`--overwrite` takes the backup's):",
            kept,
        ),
    ] {
        if !items.is_empty() {
            let _ = write!(text, "\n{what}\n  {}", items.join("\n  "));
        }
    }
    Ok(text)
}
