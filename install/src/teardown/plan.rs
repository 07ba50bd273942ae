//! What would go and what would stay. Pure.

use std::collections::BTreeSet;

use fleet::{
    remains::{Disk, DiskSnapshot, Machine},
    site::Image,
};
use serde::{Deserialize, Serialize};

use super::look::SAM;
use crate::{
    aws::Resource,
    prices,
    resources::{self, End},
};

/// A resource of the stack, as it is remembered until all is done: once the stack is gone, AWS does not say any more what
/// it kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name in the template.
    pub logical: String,
    /// Its name in the account.
    pub physical: String,
    /// Its type.
    pub kind: String,
    /// Whether the stack keeps it when it goes.
    pub kept: bool,
}

impl Part {
    /// Of the stack's resources, where the template keeps these.
    pub(crate) fn all(resources: &[Resource], kept: &BTreeSet<String>) -> Vec<Self> {
        let there = resources
            .iter()
            .filter(|it| it.status != "DELETE_COMPLETE" && !it.physical.is_empty());
        let parts = there.map(|it| Self {
            logical: it.logical.clone(),
            physical: it.physical.clone(),
            kind: it.kind.clone(),
            kept: kept.contains(&it.logical),
        });
        parts.collect()
    }

    /// Whether it goes.
    pub(crate) fn goes(&self, purge: bool) -> bool {
        !self.kept || (purge && self.end() == End::IfPurged)
    }

    pub(crate) fn end(&self) -> End {
        resources::of(&self.kind).map_or(End::WithStack, |it| it.end)
    }

    pub(crate) fn is_billable(&self) -> bool {
        resources::of(&self.kind).is_none_or(|it| it.billable)
    }

    /// Whether it is what the end of an ARN names: some types have the whole ARN as their name, a firewall has more after it.
    pub(crate) fn is(&self, named: &Self) -> bool {
        let physical = self.physical.replace('|', "/");
        let rest = physical.strip_prefix(&named.physical);
        self.kind == named.kind
            && (rest.is_some_and(|it| it.is_empty() || it.starts_with('/'))
                || physical.ends_with(&format!(":{}", named.physical)))
    }
}

/// What there is.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Name of the stack.
    pub stack: String,
    /// Whether the stack is there.
    pub there: bool,
    /// What it consists of.
    pub parts: Vec<Part>,
    /// Instances that are not gone.
    pub machines: Vec<Machine>,
    /// Volumes.
    pub disks: Vec<Disk>,
    /// Machine images of the account that were made for Atelier.
    pub images: Vec<Image>,
    /// Their snapshots, those of images that are gone, and those with the stack's tag.
    pub disk_snapshots: Vec<DiskSnapshot>,
    /// Other installations of the account, whose images they may be.
    pub neighbours: Vec<String>,
    /// Log groups outside the stack.
    pub log_groups: Vec<String>,
    /// What else has the stack's tag and costs, if it is still there: nothing here looks.
    pub named: Vec<Part>,
    /// Whether SAM's own stack is there, with the bucket of what it deploys.
    pub sam: bool,
}

impl Found {
    /// Whether it is a firewall, which launches nothing.
    fn is_edge(&self) -> bool {
        self.parts.iter().any(|it| it.kind == "AWS::WAFv2::WebACL")
    }

    /// The images that go: another installation may launch the same.
    pub(crate) fn own_images(&self) -> &[Image] {
        if self.neighbours.is_empty() && !self.is_edge() {
            &self.images
        } else {
            &[]
        }
    }

    /// The snapshots that go.
    pub(crate) fn own_snapshots(&self) -> Vec<&str> {
        if self.is_edge() {
            return Vec::new();
        }
        let of_neighbours: BTreeSet<_> = match self.neighbours.as_slice() {
            [] => BTreeSet::new(),
            _ => self.images.iter().flat_map(|it| &it.snapshots).collect(),
        };
        self.disk_snapshots
            .iter()
            .map(|it| &it.id)
            .filter(|it| !of_neighbours.contains(it))
            .map(String::as_str)
            .collect()
    }

    /// Whether there is nothing to do.
    pub fn is_nothing(&self) -> bool {
        !self.there
            && self.parts.is_empty()
            && self.machines.is_empty()
            && self.disks.is_empty()
            && self.own_images().is_empty()
            && self.own_snapshots().is_empty()
            && self.log_groups.is_empty()
    }
}

/// What would go and what would stay, in words.
pub fn in_words(found: &Found, purge: bool) -> String {
    let mut lines = vec![format!("This takes {} down.\n\nGoes:", found.stack)];
    let mut line = |it: String| lines.push(format!("  {it}"));
    for it in &found.machines {
        line(format!("instance {} ({}, {})", it.id, it.instance_type, it.state));
    }
    for it in &found.disks {
        line(format!("volume {} ({} GiB)", it.id, it.gib));
    }
    if found.there {
        let going: Vec<_> = found.parts.iter().filter(|it| !it.kept).collect();
        line(match counted(&going) {
            none if none.is_empty() => format!("stack {}, in which nothing is", found.stack),
            some => format!("stack {} ({some})", found.stack),
        });
    }
    for it in found.parts.iter().filter(|it| it.kept && it.goes(purge)) {
        line(format!(
            "{} {}, with everything in it, for good: {}",
            noun(&it.kind),
            it.logical,
            it.physical
        ));
    }
    for it in found.own_images() {
        line(format!("machine image {} ({})", it.id, it.version));
    }
    for it in found.own_snapshots() {
        line(format!("snapshot {it}"));
    }
    for it in &found.log_groups {
        line(format!("log group {it}"));
    }
    lines.push("\nStays:".to_owned());
    let mut line = |it: String| lines.push(format!("  {it}"));
    for it in found.parts.iter().filter(|it| !it.goes(purge)) {
        let why = match it.end() {
            End::IfPurged => "it has what cannot be made again, and costs what its size costs; `--purge` deletes it",
            End::ByHand => "it has what cannot be made again; delete it in the console",
            End::WithStack | End::Stays => "others of the account may use it; it costs nothing",
        };
        line(format!("{} {} ({}): {why}", noun(&it.kind), it.logical, it.physical));
    }
    if !found.neighbours.is_empty() {
        line(format!(
            "{} machine images: {} may launch them",
            found.images.len(),
            found.neighbours.join(", ")
        ));
    }
    if found.sam {
        line(format!(
            "the bucket `{SAM}-…` of SAM: other stacks may use it, and it costs what its size costs"
        ));
    }
    lines.join(
        "
",
    )
}

/// What is left and costs something, in words; none: nothing.
pub fn left_in_words(found: &Found, billable: &[&Part]) -> Option<String> {
    let mut lines: Vec<String> = Vec::new();
    for it in found.machines.iter().filter(|it| it.is_up()) {
        let hour = policy::price::hour(None, Some(&it.instance_type));
        lines.push(format!("instance {} at {} an hour", it.id, prices::in_words(hour)));
    }
    for it in &found.disks {
        let price = prices::in_words(prices::of_disk(it));
        lines.push(format!("volume {} at {price} a month", it.id));
    }
    let own: BTreeSet<_> = found.own_snapshots().into_iter().collect();
    for it in found.disk_snapshots.iter().filter(|it| own.contains(it.id.as_str())) {
        let price = prices::in_words(prices::of_gib(it.gib, prices::SNAPSHOT_GIB_MONTH));
        lines.push(format!("snapshot {} at up to {price} a month", it.id));
    }
    lines.extend(
        billable
            .iter()
            .map(|it| format!("{} {} ({})", noun(&it.kind), it.logical, it.physical)),
    );
    lines.extend(found.log_groups.iter().map(|it| format!("log group {it}")));
    (!lines.is_empty()).then(|| lines.join("\n  "))
}

/// `AWS::Logs::LogGroup` is a log group.
fn noun(kind: &str) -> String {
    let mut words = String::new();
    for it in kind.rsplit("::").next().unwrap_or(kind).chars() {
        if it.is_uppercase() && words.ends_with(char::is_lowercase) {
            words.push(' ');
        }
        words.push(it);
    }
    words.to_lowercase()
}

fn counted(parts: &[&Part]) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for it in parts {
        *counts.entry(noun(&it.kind)).or_insert(0) += 1;
    }
    let words: Vec<_> = counts
        .into_iter()
        .map(|(noun, count)| format!("{count} {noun}"))
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(logical: &str, kind: &str, kept: bool) -> Part {
        Part {
            logical: logical.to_owned(),
            physical: logical.to_lowercase(),
            kind: kind.to_owned(),
            kept,
        }
    }

    fn found() -> Found {
        Found {
            stack: "atelier".to_owned(),
            there: true,
            parts: vec![
                part("Accounts", "AWS::DynamoDB::Table", true),
                part("Pools", "AWS::DynamoDB::Table", false),
                part("Models", "AWS::S3::Bucket", true),
                part("ApiLogsRole", "AWS::IAM::Role", true),
                part("Users", "AWS::Cognito::UserPool", true),
            ],
            images: vec![Image {
                id: "ami-1".to_owned(),
                version: "0.1.0".to_owned(),
                worker: None,
                made: String::new(),
                available: true,
                snapshots: vec!["snap-1".to_owned()],
                gib: 8,
            }],
            disk_snapshots: vec![
                DiskSnapshot {
                    id: "snap-1".to_owned(),
                    gib: 8,
                },
                DiskSnapshot {
                    id: "snap-2".to_owned(),
                    gib: 10,
                },
            ],
            sam: true,
            ..Found::default()
        }
    }

    #[test]
    fn what_cannot_be_made_again_goes_only_when_asked_for() {
        insta::assert_snapshot!(in_words(&found(), false), @r"
        This takes atelier down.

        Goes:
          stack atelier (1 table)
          machine image ami-1 (0.1.0)
          snapshot snap-1
          snapshot snap-2

        Stays:
          table Accounts (accounts): it has what cannot be made again, and costs what its size costs; `--purge` deletes it
          bucket Models (models): it has what cannot be made again, and costs what its size costs; `--purge` deletes it
          role ApiLogsRole (apilogsrole): others of the account may use it; it costs nothing
          user pool Users (users): it has what cannot be made again; delete it in the console
          the bucket `aws-sam-cli-managed-default-…` of SAM: other stacks may use it, and it costs what its size costs
        ");
        insta::assert_snapshot!(in_words(&found(), true), @r"
        This takes atelier down.

        Goes:
          stack atelier (1 table)
          table Accounts, with everything in it, for good: accounts
          bucket Models, with everything in it, for good: models
          machine image ami-1 (0.1.0)
          snapshot snap-1
          snapshot snap-2

        Stays:
          role ApiLogsRole (apilogsrole): others of the account may use it; it costs nothing
          user pool Users (users): it has what cannot be made again; delete it in the console
          the bucket `aws-sam-cli-managed-default-…` of SAM: other stacks may use it, and it costs what its size costs
        ");
    }

    #[test]
    fn a_firewall_takes_no_images_along() {
        let mut found = found();
        found.parts.push(part("Firewall", "AWS::WAFv2::WebACL", false));
        assert!(found.own_images().is_empty() && found.own_snapshots().is_empty());
    }

    #[test]
    fn an_arn_names_a_part() {
        let of = |kind: &str, physical: &str| Part {
            physical: physical.to_owned(),
            ..part("It", kind, false)
        };
        let (alarm, secret, firewall) = (
            "AWS::CloudWatch::Alarm",
            "AWS::SecretsManager::Secret",
            "AWS::WAFv2::WebACL",
        );
        for (one, named, same) in [
            (of(alarm, "a-b"), of(alarm, "a-b"), true),
            (of(alarm, "a-b"), of(alarm, "b"), false),
            (of(alarm, "a-b"), of(alarm, "a"), false),
            (of(alarm, "a-b"), of(secret, "a-b"), false),
            (
                of(secret, "arn:aws:secretsmanager:r:1:secret:Key-a"),
                of(secret, "Key-a"),
                true,
            ),
            (of(firewall, "edge|12|CLOUDFRONT"), of(firewall, "edge/12"), true),
            (of(firewall, "edge|12|CLOUDFRONT"), of(firewall, "edge/1"), false),
        ] {
            assert_eq!(one.is(&named), same, "{one:?} {named:?}");
        }
    }

    #[test]
    fn what_neighbours_launch_stays() {
        let found = Found {
            neighbours: vec!["atelier-test".to_owned()],
            ..found()
        };
        assert_eq!((found.own_images().len(), found.own_snapshots()), (0, vec!["snap-2"]));
        let text = in_words(&found, true);
        assert!(
            text.contains("1 machine images: atelier-test may launch them"),
            "{text}"
        );
        let left = left_in_words(&found, &[]).unwrap();
        assert_eq!(left, "snapshot snap-2 at up to US$ 0.50 a month");
        assert_eq!(left_in_words(&Found::default(), &[]), None);
    }
}
