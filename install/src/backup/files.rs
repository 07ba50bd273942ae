//! The folder of a backup.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use cloud::tables::Table;
use model::Millis;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::TABLES;

/// Version of the folder's layout. A higher one is of a later release and is refused.
pub const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";

/// What a backup consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout, see [`FORMAT`].
    pub format: u32,
    /// When it was finished.
    pub made_at: Millis,
    /// Release of the `ops` that made it.
    pub made_by: String,
    /// Each table's file, by the table's name.
    pub tables: BTreeMap<String, TableFile>,
}

/// A table's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFile {
    /// Its name in the folder.
    pub file: String,
    /// How many items it has, one a line.
    pub items: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
}

/// A table's name in a backup.
pub(crate) fn name(table: Table) -> String {
    format!("{table:?}").to_lowercase()
}

/// The day and time, UTC.
pub(crate) fn day(at: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(i64::MAX)).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// A backup that is being written.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    tables: BTreeMap<String, TableFile>,
}

/// A table's file that is being written.
#[derive(Debug)]
pub(crate) struct TableWriter {
    table: Table,
    file: BufWriter<File>,
    items: u64,
    sha256: Sha256,
}

impl Folder {
    /// Begins a backup, also over one that was not finished.
    pub(crate) fn begin(path: &Path) -> Result<Self> {
        ensure!(
            !path.join(MANIFEST).exists(),
            "there is a backup in {} already; give another folder",
            path.display()
        );
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700);
        folder
            .create(path)
            .with_context(|| format!("the folder {} cannot be made", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            tables: BTreeMap::new(),
        })
    }

    pub(crate) fn file(&self, table: Table) -> Result<TableWriter> {
        let path = self.path.join(format!("{}.jsonl", name(table)));
        Ok(TableWriter {
            table,
            file: BufWriter::new(create(&path)?),
            items: 0,
            sha256: Sha256::new(),
        })
    }

    pub(crate) fn close(&mut self, file: TableWriter) -> Result<()> {
        let name = name(file.table);
        file.file
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?
            .sync_all()?;
        let entry = TableFile {
            file: format!("{name}.jsonl"),
            items: file.items,
            sha256: format!("{:x}", file.sha256.finalize()),
        };
        self.tables.insert(name, entry);
        Ok(())
    }

    /// Writes the manifest, without which a folder is no backup.
    pub(crate) fn finish(self, now: Millis) -> Result<Manifest> {
        let manifest = Manifest {
            format: FORMAT,
            made_at: now,
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            tables: self.tables,
        };
        let unfinished = self.path.join("manifest.json.part");
        let mut file = create(&unfinished)?;
        serde_json::to_writer_pretty(&mut file, &manifest)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.path.join(MANIFEST))?;
        Ok(manifest)
    }
}

impl TableWriter {
    pub(crate) fn add(&mut self, item: &Value) -> Result<()> {
        let line = format!("{item}\n");
        self.sha256.update(&line);
        self.items += 1;
        self.file
            .write_all(line.as_bytes())
            .context("the backup cannot be written; is the disk full?")
    }
}

fn create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// The manifest, if everything that it names is there, whole, and of a release that this one knows.
pub(crate) fn verify(folder: &Path) -> Result<Manifest> {
    let path = folder.join(MANIFEST);
    let text = fs::read_to_string(&path).with_context(|| {
        format!(
            "{} cannot be read: there is no backup in this folder, or it was never finished",
            path.display()
        )
    })?;
    let damaged = || format!("{} is damaged; nothing was restored", path.display());
    let manifest: Value = serde_json::from_str(&text).with_context(damaged)?;
    let format = manifest["format"].as_u64().with_context(damaged)?;
    ensure!(
        format <= u64::from(FORMAT),
        "the backup is of a later release (format {format}, this is `ops` {} with format {FORMAT}); restore it with the \
         `ops` that made it, {}",
        env!("CARGO_PKG_VERSION"),
        manifest["made_by"].as_str().unwrap_or("or a later one"),
    );
    let manifest: Manifest = serde_json::from_value(manifest).with_context(damaged)?;
    for table in TABLES {
        let entry = manifest
            .tables
            .get(&name(table))
            .with_context(|| format!("the backup lacks {}", name(table)))?;
        ensure!(
            entry.file == format!("{}.jsonl", name(table)),
            "the backup names another file than its own, {}; nothing was restored",
            entry.file
        );
        let path = folder.join(&entry.file);
        let (mut items, mut sha256) = (0, Sha256::new());
        for line in lines(folder, table)? {
            let line = line.with_context(|| format!("{} cannot be read", path.display()))?;
            sha256.update(&line);
            sha256.update("\n");
            items += 1;
        }
        if (items, format!("{:x}", sha256.finalize())) != (entry.items, entry.sha256.clone()) {
            bail!(
                "{} is damaged: it is not what was backed up; nothing was restored",
                path.display()
            );
        }
    }
    Ok(manifest)
}

/// A table's lines.
pub(crate) fn lines(folder: &Path, table: Table) -> Result<std::io::Lines<BufReader<File>>> {
    let path = folder.join(format!("{}.jsonl", name(table)));
    let file = File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(BufReader::new(file).lines())
}
