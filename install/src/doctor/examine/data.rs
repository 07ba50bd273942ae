//! Catalogue and files, tables, messages that nobody could handle, and what lies around at which cost.

use std::collections::BTreeSet;

use model::MicroUsd;

use super::Findings;
use crate::{doctor::Snapshot, prices};

/// Tables whose items nothing else can make again: the template recovers them to any moment.
const RECOVERABLE: [&str; 4] = ["Accounts", "Catalog", "History", "Tasks"];

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
    if let Some(models) = findings.seen("catalogue", "the catalogue", &snapshot.models)
        && !models.iter().any(|it| it.kind == "checkpoint")
    {
        findings.broken(
            "catalogue",
            "it has no checkpoint, so every picture is refused",
            "`ops seed --catalog`",
        );
    }
    let (Some(loras), Some(objects)) = (
        findings.seen("catalogue", "the catalogue", &snapshot.loras),
        findings.seen("catalogue", "the bucket of models", &snapshot.objects),
    ) else {
        return;
    };
    for it in loras.iter().filter(|it| it.stored) {
        let wrong = match objects.get(&it.key()) {
            None => "is not in the bucket".to_owned(),
            Some(size) if *size != it.size => format!("has {size} bytes in the bucket instead of {}", it.size),
            Some(_) => continue,
        };
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
    let known: BTreeSet<_> = loras.iter().map(model::UploadedLora::key).collect();
    let unknown = objects
        .iter()
        .filter(|(key, _)| key.starts_with("loras/") && !known.contains(*key));
    let (count, bytes) = unknown.fold((0, 0), |(count, bytes), (_, size)| (count + 1, bytes + size));
    if count > 0 {
        let price = prices::in_words(prices::of_bytes(bytes, prices::BUCKET_GIB_MONTH));
        findings.note(
            "catalogue",
            format!("{count} files of LoRAs are in no list and cost {price} a month"),
        );
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
    let files: u64 = snapshot
        .objects
        .iter()
        .flat_map(std::collections::BTreeMap::values)
        .sum();
    let tables: u64 = snapshot.tables.values().flatten().map(|it| it.bytes).sum();
    let is_efs = |it: &crate::aws::Resource| it.kind == "AWS::EFS::FileSystem";
    let shared = snapshot.resources.iter().flatten().any(is_efs);
    let parts = [
        ("disks", MicroUsd(disks)),
        ("snapshots", prices::of_gib(images, prices::SNAPSHOT_GIB_MONTH)),
        ("model files", prices::of_bytes(files, prices::BUCKET_GIB_MONTH)),
        ("tables", prices::of_bytes(tables, prices::TABLE_GIB_MONTH)),
        ("the secret", prices::SECRET_MONTH),
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
