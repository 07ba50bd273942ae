//! Machines, their image, where they start, and what of them lies around.

use std::{collections::BTreeSet, time::Duration};

use fleet::site::Image;
use model::{Millis, Worker, WorkerState, worker_api::PROTOCOL};

use super::{Findings, ago};
use crate::{
    doctor::{Answer, Severity, Snapshot, TICK_WITHIN},
    prices,
};

/// Security fixes of two months are missing in an older image.
const OLD: Duration = Duration::from_hours(60 * 24);
/// A machine that is up so long without a worker that knows of it does not belong to a start.
const STUCK: Duration = Duration::from_mins(30);

pub(super) fn examine(snapshot: &Snapshot, findings: &mut Findings, now: Millis) {
    image(snapshot, findings, now);
    subnets(snapshot, findings);
    ticks(snapshot, findings);
    stuck(snapshot, findings, now);
    workers(snapshot, findings);
    orphans(snapshot, findings, now);
}

fn image(snapshot: &Snapshot, findings: &mut Findings, now: Millis) {
    let Some(image) = findings.seen("image", "the machine image", &snapshot.image) else {
        return;
    };
    let todo = "`ops deploy --new-image` makes one";
    let Some(image) = image else {
        findings.broken("image", "the launch template names no machine image", todo);
        return;
    };
    match image.state.as_deref() {
        None => {
            let account = snapshot.account.as_deref().unwrap_or("this account");
            findings.broken(
                "image",
                format!(
                    "{} is not there, or not shared with {account}: no machine can start",
                    image.id
                ),
                format!(
                    "if another account made it, share it from there in {}; else {todo}",
                    snapshot.region
                ),
            );
        }
        Some("available") => {}
        Some(state) => findings.broken("image", format!("{} is {state}: no machine can start", image.id), todo),
    }
    if let Some(made) = image.made.filter(|made| now.since(*made) > OLD) {
        let what = format!("{} is {} old, and so are its security fixes", image.id, ago(made, now));
        findings.warning("image", what, todo);
    }
}

fn subnets(snapshot: &Snapshot, findings: &mut Findings) {
    let Some(subnets) = findings.seen("subnet", "the subnets", &snapshot.subnets) else {
        return;
    };
    let todo = "give it a route to an internet or NAT gateway (with an internet gateway, public addresses too), or deploy \
                with other SubnetIds";
    if subnets.is_empty() {
        findings.broken(
            "subnet",
            "there is no subnet to start machines in",
            "deploy with VpcId and SubnetIds",
        );
        return;
    }
    let shut: Vec<_> = subnets.iter().filter(|it| !it.way_out).collect();
    let all = shut.len() == subnets.len();
    for it in shut {
        let what = format!(
            "{} ({}) has no way out to the internet: its machines never register",
            it.id, it.zone
        );
        if all {
            findings.broken("subnet", what, todo);
        } else {
            findings.warning("subnet", what, todo);
        }
    }
}

fn ticks(snapshot: &Snapshot, findings: &mut Findings) {
    for (function, seen) in &snapshot.ticks {
        if let Some(None) = findings.seen(function, "its log", seen) {
            let means = match *function {
                "lifecycle" => "lost pictures stay lost and nothing is started",
                "forecast" => "the next hour is not forecast",
                _ => "idle machines run on and cost money",
            };
            let what = format!(
                "no tick of it has gone well for {} min: {means}",
                TICK_WITHIN.as_secs() / 60
            );
            let todo = format!("see its log, and whether its rule in EventBridge is enabled; `sam logs -n {function}`");
            if *function == "forecast" {
                findings.warning(function, what, todo);
            } else {
                findings.broken(function, what, todo);
            }
        }
    }
}

fn stuck(snapshot: &Snapshot, findings: &mut Findings, now: Millis) {
    let Some(machines) = findings.seen("machine", "the instances", &snapshot.machines) else {
        return;
    };
    // Without the pools nobody knows which machines are meant to be up; that is a finding already.
    let Ok(pools) = &snapshot.pools else { return };
    let workers: Vec<&Worker> = pools.iter().flat_map(|it| &it.workers).collect();
    for it in machines
        .iter()
        .filter(|it| !it.is_gone() && now.since(it.started) > STUCK)
    {
        let worker = workers
            .iter()
            .find(|worker| worker.instance_id.as_ref() == Some(&it.id));
        let end = format!("`aws ec2 terminate-instances --instance-ids {}`", it.id);
        let known = format!("{} ({})", it.id, it.instance_type);
        let hour = prices::in_words(policy::price::hour(None, Some(&it.instance_type)));
        let since = ago(it.started, now);
        match worker {
            None if it.is_up() => {
                findings.broken(
                    "machine",
                    format!("{known} is up for {since} at {hour} an hour, and nobody knows it"),
                    end,
                );
            }
            None => findings.warning(
                "machine",
                format!("{known} is stopped, and nobody knows it; its disk costs"),
                end,
            ),
            Some(worker) if it.is_up() && !worker.state.is_up() => findings.broken(
                "machine",
                format!(
                    "{known} is up for {since} at {hour} an hour, though its worker is {:?}",
                    worker.state
                ),
                format!("the tick of lifecycle should end it within minutes; if it does not, {end}"),
            ),
            Some(worker) if it.is_up() && is_stuck(worker, now) => findings.broken(
                "machine",
                format!(
                    "{known} is {:?} for {} at {hour} an hour",
                    worker.state,
                    ago(worker.state_since, now)
                ),
                format!("see its console output and the log of lifecycle; {end}"),
            ),
            Some(_) => {}
        }
    }
}

/// Whether it is in a state that passes within minutes when all is well.
fn is_stuck(worker: &Worker, now: Millis) -> bool {
    let passes = !matches!(
        worker.state,
        WorkerState::Ready | WorkerState::Busy | WorkerState::Stopped | WorkerState::Gone
    );
    passes && now.since(worker.state_since) > STUCK
}

fn workers(snapshot: &Snapshot, findings: &mut Findings) {
    let Ok(pools) = &snapshot.pools else { return };
    for worker in pools
        .iter()
        .flat_map(|it| &it.workers)
        .filter(|it| it.state != WorkerState::Gone)
    {
        if let Some(protocol) = worker.protocol.filter(|it| *it != PROTOCOL) {
            findings.warning(
                "version",
                format!(
                    "worker {} speaks version {protocol} of the protocol, the functions {PROTOCOL}",
                    worker.worker_id
                ),
                "deploy with an image of this release; machines with the old one are replaced",
            );
        } else if let (
            Some(release),
            Ok(Answer {
                version: Some(version), ..
            }),
        ) = (&worker.release, &snapshot.api)
            && release != version
        {
            let goes = if worker.old_image {
                "; its machine has an old image and is replaced once it has no picture"
            } else {
                ""
            };
            findings.note(
                "version",
                format!(
                    "worker {} is of release {release}, the functions of {version}{goes}",
                    worker.worker_id
                ),
            );
        }
    }
}

/// Images that nobody needs any more: neither the launched one, nor the newest of another release, which is the way back, nor what
/// is newer than the launched one and waits for its deployment.
fn old_images(snapshot: &Snapshot, images: &[Image], findings: &mut Findings) {
    let launched = snapshot.image.as_ref().ok().and_then(Option::as_ref);
    let Some(at) = launched.and_then(|launched| images.iter().position(|it| it.id == launched.id)) else {
        return;
    };
    let back = images.iter().rfind(|it| it.version != images[at].version);
    let old = images[..at].iter().filter(|it| Some(*it) != back);
    let old: Vec<_> = old.collect();
    if old.is_empty() {
        return;
    }
    let gib = old.iter().map(|it| it.gib).sum();
    let price = prices::in_words(prices::of_gib(gib, prices::SNAPSHOT_GIB_MONTH));
    let ids: Vec<_> = old.iter().map(|it| it.id.as_str()).collect();
    findings.add(
        Severity::Note,
        "image",
        format!(
            "{} of the machine images are neither launched nor of the release before, and cost up to {price} a month: {}",
            ids.len(),
            ids.join(", ")
        ),
        "if no other installation launches them, `aws ec2 deregister-image --delete-associated-snapshots --image-id` with each",
    );
}

fn orphans(snapshot: &Snapshot, findings: &mut Findings, now: Millis) {
    if let Some(disks) = findings.seen("volume", "the volumes", &snapshot.disks) {
        let orphaned = |it: &&fleet::remains::Disk| it.instance.is_none() && now.since(it.made) > STUCK;
        for it in disks.iter().filter(orphaned) {
            let price = prices::in_words(prices::of_disk(it));
            findings.warning(
                "volume",
                format!(
                    "{} ({} GiB) belongs to no machine and costs {price} a month",
                    it.id, it.gib
                ),
                format!("`aws ec2 delete-volume --volume-id {}`", it.id),
            );
        }
    }
    let found = findings.seen("snapshot", "the snapshots", &snapshot.disk_snapshots);
    let Some(images) = findings.seen("snapshot", "the images of this account", &snapshot.images) else {
        return;
    };
    old_images(snapshot, images, findings);
    let launched = snapshot.image.iter().flatten().flat_map(|it| &it.snapshots);
    let needed: BTreeSet<_> = images.iter().flat_map(|it| &it.snapshots).chain(launched).collect();
    for it in found.into_iter().flatten().filter(|it| !needed.contains(&it.id)) {
        let price = prices::in_words(prices::of_gib(it.gib, prices::SNAPSHOT_GIB_MONTH));
        findings.warning(
            "snapshot",
            format!(
                "{} ({} GiB) belongs to no image and costs up to {price} a month",
                it.id, it.gib
            ),
            format!("`aws ec2 delete-snapshot --snapshot-id {}`", it.id),
        );
    }
}
