//! What of EC2 an installation stands on beside its machines: networks, machine images, and what a region offers.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::{
    Client,
    config::Builder,
    types::{BlockDeviceMapping, Filter, Image as Ami, ImageState, LocationType, RouteTable},
};
use cloud::aws::{CallError, time_outs};

use crate::ec2::{ATTEMPT, OPERATION, filter};

/// Tag of a machine image: the release that it was built of.
pub const VERSION_TAG: &str = "atelier:version";

/// Tag of a machine image: SHA-256 of the worker's program in it, hex.
pub const WORKER_TAG: &str = "atelier:worker";

/// A machine image of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its id, `ami-…`.
    pub id: String,
    /// The release that it was built of.
    pub version: String,
    /// SHA-256 of the worker's program in it, hex, as far as it is known.
    pub worker: Option<String>,
    /// When it was made, as ISO 8601; images of one version are ordered by it.
    pub made: String,
    /// Whether it can be launched already.
    pub available: bool,
    /// The snapshots behind it.
    pub snapshots: Vec<String>,
    /// Size of its volumes, GiB.
    pub gib: u64,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// Its zone.
    pub zone: String,
    /// Whether its machines have a way out to the internet.
    pub way_out: bool,
    /// Whether its machines get a public address.
    pub public: bool,
}

/// EC2, for whoever sets an installation up or looks after it.
#[derive(Debug, Clone)]
pub struct Site {
    pub(crate) client: Client,
}

impl Site {
    /// Makes the client; calls nothing.
    pub fn new(sdk: &aws_config::SdkConfig) -> Self {
        let config = Builder::from(sdk).timeout_config(time_outs(ATTEMPT, OPERATION)).build();
        Self {
            client: Client::from_conf(config),
        }
    }

    /// The account's own images that have our tag, the oldest first.
    pub async fn images(&self) -> Result<Vec<Image>, CallError> {
        let call = self.client.describe_images().owners("self");
        let call = call.filters(Filter::builder().name("tag-key").values(VERSION_TAG).build());
        let found = call.into_paginator().items().send().try_collect().await;
        let found = found.map_err(|error| CallError::of("ec2 DescribeImages", error))?;
        let mut images: Vec<_> = found.iter().filter_map(image).collect();
        images.sort_by(|one, other| (&one.made, &one.id).cmp(&(&other.made, &other.id)));
        Ok(images)
    }

    /// The default VPC of the region.
    pub async fn default_vpc(&self) -> Result<Option<String>, CallError> {
        let call = self.client.describe_vpcs().filters(filter("is-default", "true"));
        let found = call.into_paginator().items().send().try_collect().await;
        let found = found.map_err(|error| CallError::of("ec2 DescribeVpcs", error))?;
        let default = found.into_iter().find(|it| it.is_default() == Some(true));
        Ok(default.and_then(|it| it.vpc_id))
    }

    /// The subnets of a VPC.
    pub async fn subnets(&self, vpc: &str) -> Result<Vec<Subnet>, CallError> {
        let subnets = self.client.describe_subnets().filters(filter("vpc-id", vpc));
        let subnets = subnets.into_paginator().items().send().try_collect().await;
        let subnets = subnets.map_err(|error| CallError::of("ec2 DescribeSubnets", error))?;
        let tables = self.client.describe_route_tables().filters(filter("vpc-id", vpc));
        let tables = tables.into_paginator().items().send().try_collect().await;
        let tables = tables.map_err(|error| CallError::of("ec2 DescribeRouteTables", error))?;
        let found = subnets.iter().filter_map(|it| {
            let id = it.subnet_id()?;
            let public = it.map_public_ip_on_launch() == Some(true);
            Some(Subnet {
                id: id.to_owned(),
                vpc: it.vpc_id()?.to_owned(),
                zone: it.availability_zone()?.to_owned(),
                way_out: way_out(&tables, id, public),
                public,
            })
        });
        Ok(found.collect())
    }

    /// The zones of the region in which each of these instance types can be had; none that can be had nowhere.
    pub async fn offered(&self, types: &[String]) -> Result<BTreeMap<String, BTreeSet<String>>, CallError> {
        let kinds = Filter::builder().name("instance-type").set_values(Some(types.to_vec()));
        let call = self.client.describe_instance_type_offerings();
        let call = call
            .location_type(LocationType::AvailabilityZone)
            .filters(kinds.build());
        let found = call.into_paginator().items().send().try_collect().await;
        let found = found.map_err(|error| CallError::of("ec2 DescribeInstanceTypeOfferings", error))?;
        let mut offered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for it in found {
            if let (Some(kind), Some(zone)) = (it.instance_type, it.location) {
                offered.entry(kind.as_str().to_owned()).or_default().insert(zone);
            }
        }
        Ok(offered)
    }
}

fn image(ami: &Ami) -> Option<Image> {
    let tag = |name: &str| ami.tags().iter().find(|tag| tag.key() == Some(name));
    let version = tag(VERSION_TAG)?;
    let disks = || ami.block_device_mappings().iter().filter_map(BlockDeviceMapping::ebs);
    Some(Image {
        id: ami.image_id()?.to_owned(),
        version: version.value().unwrap_or_default().to_owned(),
        worker: tag(WORKER_TAG)
            .and_then(|it| it.value())
            .filter(|it| !it.is_empty())
            .map(str::to_owned),
        made: ami.creation_date().unwrap_or_default().to_owned(),
        available: ami.state() == Some(&ImageState::Available),
        snapshots: disks().filter_map(|it| it.snapshot_id.clone()).collect(),
        gib: disks()
            .filter_map(|it| it.volume_size)
            .filter_map(|it| u64::try_from(it).ok())
            .sum(),
    })
}

/// Whether the subnet's route table, or the VPC's main one where it has none, leads everywhere by something that is there.
/// An internet gateway is of use only to machines with a public address.
fn way_out(tables: &[RouteTable], subnet: &str, public: bool) -> bool {
    let of = |table: &&RouteTable| table.associations().iter().any(|it| it.subnet_id() == Some(subnet));
    let main = |table: &&RouteTable| table.associations().iter().any(|it| it.main() == Some(true));
    let table = tables.iter().find(of).or_else(|| tables.iter().find(main));
    table.is_some_and(|table| {
        table.routes().iter().any(|route| {
            route.destination_cidr_block() == Some("0.0.0.0/0")
                && route.state().is_none_or(|it| it.as_str() == "active")
                && (public || !route.gateway_id().is_some_and(|it| it.starts_with("igw-")))
        })
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{Route, RouteState, RouteTableAssociation};

    use super::*;

    fn table(subnet: Option<&str>, route: Route) -> RouteTable {
        let association = RouteTableAssociation::builder()
            .main(subnet.is_none())
            .set_subnet_id(subnet.map(str::to_owned));
        RouteTable::builder()
            .associations(association.build())
            .routes(route)
            .build()
    }

    #[test]
    fn a_way_out_is_an_active_route_to_everywhere() {
        let to = |gateway: &str, state| {
            let route = Route::builder().destination_cidr_block("0.0.0.0/0").gateway_id(gateway);
            route.state(state).build()
        };
        let out = to("igw-1", RouteState::Active);
        assert!(way_out(&[table(None, out.clone())], "a", true));
        assert!(!way_out(&[table(None, out.clone())], "a", false), "no address");
        assert!(!way_out(&[table(Some("b"), out.clone())], "a", true), "another's table");
        assert!(!way_out(&[table(None, to("igw-1", RouteState::Blackhole))], "a", true));
        let inside = Route::builder()
            .destination_cidr_block("10.0.0.0/16")
            .gateway_id("local");
        let own = table(Some("a"), inside.build());
        assert!(
            !way_out(&[table(None, out), own], "a", true),
            "its own comes before the main one"
        );
    }
}
