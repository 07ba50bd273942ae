//! Catalogue and files, tables, messages that nobody could handle, and what lies around at which cost.

use std::collections::{BTreeMap, BTreeSet};

use model::{Master, MicroUsd, UploadedLora};

use super::Findings;
use crate::{
    cost::WATCHING,
    doctor::{Catalogue, RECOVERABLE, Snapshot},
    prices,
};

pub(super) fn examine(snapshot: &Snapshot, findings: &mut Findings) {
    catalogue(snapshot, findings);
    tables(snapshot, findings);
    if let Some(dead) = findings.seen("queue", "the queue of dead tasks", &snapshot.dead)
        && *dead > 0
    {
        findings.warning(
            "queue",
            format!("{dead} messages could not be handled; their pictures were found by the tick, late"),
            "see the log of dispatch; then empty the queue of dead tasks",
        );
    }
    if let Some(dead) = findings.seen("records", "the queue of dead records", &snapshot.dead_records)
        && *dead > 0
    {
        findings.warning(
            "records",
            format!("{dead} ends of tasks could not be archived; each is tried again every hour"),
            "see the log of archive; then empty the queue of dead records",
        );
    }
    cost(snapshot, findings);
}

fn catalogue(snapshot: &Snapshot, findings: &mut Findings) {
    let catalogue = findings.seen("catalogue", "the catalogue", &snapshot.catalogue);
    let objects = findings.seen("catalogue", "the bucket of models", &snapshot.objects);
    let Some(catalogue) = catalogue else { return };
    let models = || catalogue.models.iter().filter(|it| it.deleted.is_none());
    let mut checkpoints = models().filter(|it| it.kind == "checkpoint").peekable();
    if checkpoints.peek().is_none() {
        findings.broken(
            "catalogue",
            "it has no checkpoint, so every picture is refused",
            "`ops seed --catalog`",
        );
    } else if checkpoints.all(|it| it.master.is_none()) {
        findings.note(
            "catalogue",
            "no checkpoint has a file in the bucket of models: each has to be in the machine image, which nobody sees from here",
        );
    }
    let Some(objects) = objects else { return };
    let wrong = |key: &str, size: u64| match objects.get(key) {
        None => Some("is not in the bucket".to_owned()),
        Some(there) if *there != size => Some(format!("has {there} bytes in the bucket instead of {size}")),
        Some(_) => None,
    };
    for it in models() {
        // What came by the plugin is a LoRA below.
        let master = it.master.as_ref().filter(|it| !it.by_plugin);
        if let Some(wrong) = master.and_then(|it| wrong(&it.key(), it.size)) {
            let named = format!("{}/{}@{}", it.kind, it.name, it.number);
            findings.warning(
                "catalogue",
                format!(
                    "the file of {named} of {} {wrong}: pictures with it fail on machines that do not have it yet",
                    it.team
                ),
                format!(
                    "`ops model delete --team {} {named}`, and bring the file again by `ops model add`",
                    it.team
                ),
            );
        }
    }
    for it in catalogue.loras.iter().filter(|it| it.stored) {
        if let Some(wrong) = wrong(&it.key(), it.size) {
            findings.warning(
                "catalogue",
                format!(
                    "the file of LoRA {} of {} {wrong}: pictures with it fail",
                    it.sha256, it.owner
                ),
                format!(
                    "`ops lora remove --team {} {}`; whoever uses it uploads it again",
                    it.owner, it.sha256
                ),
            );
        }
    }
    unlisted(catalogue, objects, findings);
}

/// Files that nothing leads to.
fn unlisted(catalogue: &Catalogue, objects: &BTreeMap<String, u64>, findings: &mut Findings) {
    let masters = catalogue.models.iter().filter_map(|it| it.master.as_ref());
    let known: BTreeSet<_> = masters
        .map(Master::key)
        .chain(catalogue.loras.iter().map(UploadedLora::key))
        .chain(catalogue.passing.iter().cloned())
        .collect();
    for (prefix, what) in [(UploadedLora::PREFIX, "LoRAs"), (Master::PREFIX, "models")] {
        let of_these = |key: &str| key.strip_prefix(prefix).is_some_and(|it| it.starts_with('/'));
        let unknown = objects.iter().filter(|(key, _)| of_these(key) && !known.contains(*key));
        let (count, bytes) = unknown.fold((0, 0), |(count, bytes), (_, size)| (count + 1, bytes + size));
        if count > 0 {
            let price = prices::in_words(prices::of_bytes(bytes, prices::BUCKET_GIB_MONTH));
            findings.note(
                "catalogue",
                format!("{count} files of {what} are in no list and cost {price} a month"),
            );
        }
    }
}

fn tables(snapshot: &Snapshot, findings: &mut Findings) {
    for (name, seen) in &snapshot.tables {
        if let Some(table) = findings.seen("table", name, seen)
            && RECOVERABLE.contains(&name.as_str())
            && !table.recoverable
        {
            findings.warning(
                "table",
                format!("{name} cannot be recovered to an earlier moment: point-in-time recovery is off"),
                "switch it on again in DynamoDB, and see docs/recovery.md",
            );
        }
    }
}

/// What is paid for although nobody paints. What could not be seen is not in it, and a finding of its own.
fn cost(snapshot: &Snapshot, findings: &mut Findings) {
    let disks = snapshot.disks.iter().flatten().map(|it| prices::of_disk(it).0).sum();
    let images: u64 = snapshot.disk_snapshots.iter().flatten().map(|it| it.gib).sum();
    let files: u64 = snapshot.objects.iter().flat_map(BTreeMap::values).sum();
    let tables: u64 = snapshot.tables.values().flatten().map(|it| it.bytes).sum();
    let is_efs = |it: &crate::aws::Resource| it.kind == "AWS::EFS::FileSystem";
    let shared = snapshot.resources.iter().flatten().any(is_efs);
    let parts = [
        ("disks", MicroUsd(disks)),
        ("snapshots", prices::of_gib(images, prices::SNAPSHOT_GIB_MONTH)),
        ("model files", prices::of_bytes(files, prices::BUCKET_GIB_MONTH)),
        ("tables", prices::of_bytes(tables, prices::TABLE_GIB_MONTH)),
        ("the secret", prices::SECRET_MONTH),
        ("metrics, alarms and the dashboard", WATCHING),
    ];
    let sum = MicroUsd(parts.iter().map(|(_, it)| it.0).sum());
    let listed: Vec<_> = parts.iter().filter(|(_, it)| it.0 >= 10_000).collect();
    let listed: Vec<_> = listed
        .iter()
        .map(|(what, it)| format!("{what} {}", prices::in_words(*it)))
        .collect();
    findings.note(
        "cost",
        format!(
            "what lies around costs about {} a month ({}), without pictures, logs and calls{}; {}",
            prices::in_words(sum),
            listed.join(", "),
            if shared {
                ", and without the machines' EFS, which is paid for by its size and by what is read"
            } else {
                ""
            },
            prices::SOURCE
        ),
    );
}
