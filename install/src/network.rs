//! Where machines start.

use anyhow::{Context, Result};
use fleet::site::Subnet;

use crate::aws::Aws;

/// A VPC with subnets.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// The VPC; none if none is named and there is no default one.
    pub vpc: Option<String>,
    /// Its subnets; of them only those that are named, if any are.
    pub subnets: Vec<Subnet>,
    /// Whether it is the region's default VPC.
    pub is_default: bool,
}

impl Network {
    /// By the stack's parameters `VpcId` and `SubnetIds`; empty ones name none.
    pub async fn look(aws: &Aws, vpc: &str, subnets: &str) -> Result<Self> {
        let look = async {
            let is_default = vpc.is_empty();
            let vpc = if is_default {
                aws.site.default_vpc().await?
            } else {
                Some(vpc.to_owned())
            };
            let mut found = match &vpc {
                Some(vpc) => aws.site.subnets(vpc).await?,
                None => Vec::new(),
            };
            let named: Vec<_> = subnets.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
            found.retain(|it| named.is_empty() || named.contains(&it.id.as_str()));
            Ok::<_, anyhow::Error>(Self {
                vpc,
                subnets: found,
                is_default,
            })
        };
        look.await.context("the network cannot be looked at")
    }

    /// The subnet that Packer has to be told: in the default VPC it finds one itself. Rather a public one, since Packer comes to its
    /// machine by SSH.
    pub fn of_packer(&self) -> Option<&str> {
        let mut out: Vec<_> = self
            .subnets
            .iter()
            .filter(|it| it.way_out && !self.is_default)
            .collect();
        out.sort_by_key(|it| !it.public);
        out.first().map(|it| it.id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packer_is_told_a_subnet_of_ones_own() {
        let subnet = |id: &str, way_out, public| Subnet {
            id: id.to_owned(),
            vpc: "vpc-1".to_owned(),
            zone: "a".to_owned(),
            way_out,
            public,
        };
        let mut network = Network {
            vpc: Some("vpc-1".to_owned()),
            subnets: vec![subnet("subnet-1", false, true), subnet("subnet-2", true, false)],
            is_default: false,
        };
        assert_eq!(
            network.of_packer(),
            Some("subnet-2"),
            "behind a NAT, where there is no other"
        );
        network.subnets.push(subnet("subnet-3", true, true));
        assert_eq!(network.of_packer(), Some("subnet-3"));
        network.is_default = true;
        assert_eq!(network.of_packer(), None);
    }
}
