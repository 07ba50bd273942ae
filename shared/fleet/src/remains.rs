//! What EC2 has of an installation, by its tag: to be looked at, and to be ended when the installation goes.

use aws_sdk_ec2::{
    error::ProvideErrorMetadata,
    primitives::{DateTime, DateTimeFormat},
    types::{Filter, LaunchTemplate, Reservation, VolumeState},
};
use cloud::aws::CallError;
use model::{InstanceId, Millis};

use crate::{
    ec2::{LAUNCHED, STACK_TAG, TERMINATE, filter},
    site::{Image, Site, VERSION_TAG},
};

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Which.
    pub id: InstanceId,
    /// Its state as EC2 names it, e.g. `running`.
    pub state: String,
    /// Its type, e.g. `g5.xlarge`.
    pub instance_type: String,
    /// When it was last started.
    pub started: Millis,
}

impl Machine {
    /// Whether it costs machine time.
    pub fn is_up(&self) -> bool {
        matches!(self.state.as_str(), "pending" | "running" | "stopping")
    }

    /// Whether it is no more, or about to be.
    pub fn is_gone(&self) -> bool {
        matches!(self.state.as_str(), "shutting-down" | "terminated")
    }
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Which.
    pub id: String,
    /// Size, GiB.
    pub gib: u64,
    /// Its throughput, MB/s; 0 for a kind of volume that has none of its own.
    pub throughput: u64,
    /// The instance that has it.
    pub instance: Option<InstanceId>,
    /// When it was made.
    pub made: Millis,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSnapshot {
    /// Which.
    pub id: String,
    /// Size of the volume, GiB: an upper bound of what it is billed for.
    pub gib: u64,
}

/// The image of a launch template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchImage {
    /// Its id.
    pub id: String,
    /// Its state, e.g. `available`; none if this account can see no such image.
    pub state: Option<String>,
    /// When it was made; none if that is not said.
    pub made: Option<Millis>,
    /// Its disks' size, GiB.
    pub gib: u64,
    /// The snapshots behind it.
    pub snapshots: Vec<String>,
}

impl Site {
    /// The installation's instances, those that were ended lately among them.
    pub async fn machines(&self, stack: &str) -> Result<Vec<Machine>, CallError> {
        let call = self.client.describe_instances().filters(tag(STACK_TAG, stack));
        let mut pages = call.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| CallError::of("ec2 DescribeInstances", error))?;
            for it in page.reservations().iter().flat_map(Reservation::instances) {
                let state = it.state().and_then(|it| it.name()).map_or("pending", |it| it.as_str());
                found.push(Machine {
                    id: InstanceId::new(it.instance_id().unwrap_or_default()),
                    state: state.to_owned(),
                    instance_type: it.instance_type().map(|it| it.as_str().to_owned()).unwrap_or_default(),
                    started: it.launch_time().map(millis).unwrap_or_default(),
                });
            }
        }
        Ok(found)
    }

    /// The installation's volumes, without those that are being deleted.
    pub async fn disks(&self, stack: &str) -> Result<Vec<Disk>, CallError> {
        let mut pages = self
            .client
            .describe_volumes()
            .filters(tag(STACK_TAG, stack))
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| CallError::of("ec2 DescribeVolumes", error))?;
            let there = page
                .volumes()
                .iter()
                .filter(|it| it.state() != Some(&VolumeState::Deleting));
            found.extend(there.map(|it| {
                Disk {
                    id: it.volume_id().unwrap_or_default().to_owned(),
                    gib: count(it.size()),
                    throughput: count(it.throughput()),
                    instance: it
                        .attachments()
                        .iter()
                        .find_map(|it| it.instance_id())
                        .map(InstanceId::new),
                    made: it.create_time().map(millis).unwrap_or_default(),
                }
            }));
        }
        Ok(found)
    }

    /// The snapshots that have the installation's tag, those of its images, and those that Packer tagged as parts of an
    /// image, which may be gone already.
    pub async fn disk_snapshots(&self, stack: &str, images: &[Image]) -> Result<Vec<DiskSnapshot>, CallError> {
        let mut pages = self
            .client
            .describe_snapshots()
            .owner_ids("self")
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| CallError::of("ec2 DescribeSnapshots", error))?;
            for it in page.snapshots() {
                let id = it.snapshot_id().unwrap_or_default();
                let ours = it.tags().iter().any(|tag| match tag.key() {
                    Some(STACK_TAG) => tag.value() == Some(stack),
                    key => key == Some(VERSION_TAG),
                });
                if ours || images.iter().any(|image| image.snapshots.iter().any(|it| it == id)) {
                    found.push(DiskSnapshot {
                        id: id.to_owned(),
                        gib: count(it.volume_size()),
                    });
                }
            }
        }
        Ok(found)
    }

    /// What the launch template launches, by its latest version, as [`crate::ec2`] does; none if it names no image.
    pub async fn launch_image(&self, launch_template: &str) -> Result<Option<LaunchImage>, CallError> {
        let call = self.client.describe_launch_template_versions();
        let reply = call.launch_template_id(launch_template).versions(LAUNCHED).send().await;
        let reply = reply.map_err(|error| CallError::of("ec2 DescribeLaunchTemplateVersions", error))?;
        let data = reply
            .launch_template_versions()
            .first()
            .and_then(|it| it.launch_template_data());
        let Some(id) = data.and_then(|it| it.image_id()) else {
            return Ok(None);
        };
        let mut image = LaunchImage {
            id: id.to_owned(),
            state: None,
            made: None,
            gib: 0,
            snapshots: Vec::new(),
        };
        match self.client.describe_images().image_ids(id).send().await {
            Ok(reply) => {
                if let Some(it) = reply.images().first() {
                    let disks = || it.block_device_mappings().iter().filter_map(|it| it.ebs());
                    image.state = it.state().map(|it| it.as_str().to_owned());
                    image.made = it
                        .creation_date()
                        .and_then(|it| DateTime::from_str(it, DateTimeFormat::DateTimeWithOffset).ok())
                        .map(|at| millis(&at));
                    image.gib = disks().map(|it| count(it.volume_size())).sum();
                    image.snapshots = disks().filter_map(|it| it.snapshot_id.clone()).collect();
                }
            }
            Err(error) if error.code().is_some_and(|code| code.starts_with("InvalidAMIID")) => {}
            Err(error) => return Err(CallError::of("ec2 DescribeImages", error)),
        }
        Ok(Some(image))
    }

    /// The other installations of the account in this region, which may launch the same images.
    pub async fn neighbours(&self, stack: &str) -> Result<Vec<String>, CallError> {
        let filter = Filter::builder().name("tag-key").values(STACK_TAG).build();
        let call = self.client.describe_launch_templates().filters(filter);
        let found = call.into_paginator().items().send().try_collect().await;
        let found = found.map_err(|error| CallError::of("ec2 DescribeLaunchTemplates", error))?;
        let tags = found.iter().flat_map(LaunchTemplate::tags);
        let names = tags
            .filter(|tag| tag.key() == Some(STACK_TAG))
            .filter_map(|tag| tag.value());
        let mut names: Vec<_> = names.filter(|name| *name != stack).map(str::to_owned).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Ends instances for good, whatever state they are in.
    pub async fn end_machines(&self, ids: &[InstanceId]) -> Result<(), CallError> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids = ids.iter().map(ToString::to_string).collect();
        let ended = self
            .client
            .terminate_instances()
            .set_instance_ids(Some(ids))
            .send()
            .await;
        gone(
            ended
                .map(drop)
                .map_err(|error| (error.code().map(str::to_owned), CallError::of(TERMINATE, error))),
        )
    }

    /// Deletes a volume that no instance has.
    pub async fn delete_disk(&self, id: &str) -> Result<(), CallError> {
        let deleted = self.client.delete_volume().volume_id(id).send().await;
        gone(deleted.map(drop).map_err(|error| {
            (
                error.code().map(str::to_owned),
                CallError::of("ec2 DeleteVolume", error),
            )
        }))
    }

    /// Deletes a snapshot that no image needs.
    pub async fn delete_disk_snapshot(&self, id: &str) -> Result<(), CallError> {
        let deleted = self.client.delete_snapshot().snapshot_id(id).send().await;
        gone(deleted.map(drop).map_err(|error| {
            (
                error.code().map(str::to_owned),
                CallError::of("ec2 DeleteSnapshot", error),
            )
        }))
    }

    /// Removes an image; its snapshots stay.
    pub async fn deregister(&self, id: &str) -> Result<(), CallError> {
        let removed = self.client.deregister_image().image_id(id).send().await;
        gone(removed.map(drop).map_err(|error| {
            (
                error.code().map(str::to_owned),
                CallError::of("ec2 DeregisterImage", error),
            )
        }))
    }
}

/// What is not there any more is ended.
fn gone(done: Result<(), (Option<String>, CallError)>) -> Result<(), CallError> {
    match done {
        Err((Some(code), _)) if code.contains(".NotFound") || code == "InvalidAMIID.Unavailable" => Ok(()),
        done => done.map_err(|(_, error)| error),
    }
}

fn tag(name: &str, value: &str) -> Filter {
    filter(&format!("tag:{name}"), value)
}

fn millis(at: &DateTime) -> Millis {
    Millis(at.to_millis().ok().and_then(|it| u64::try_from(it).ok()).unwrap_or(0))
}

fn count(number: Option<i32>) -> u64 {
    number.and_then(|it| u64::try_from(it).ok()).unwrap_or(0)
}
