//! Whether an account is fit for an installation, in words.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use model::Settings;
use ops::pool::INSTANCE_TYPES;

use super::plan::Step;
use crate::{network::Network, partition::Partition};

/// Quotas, as far as they could be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quotas {
    /// vCPUs of running on-demand instances of the G and VT families.
    pub on_demand: Option<f64>,
    /// The same for Spot.
    pub spot: Option<f64>,
    /// Lambda's concurrent executions.
    pub concurrency: Option<f64>,
}

/// Service and code of each quota, in the order of [`Quotas`].
pub const QUOTAS: [(&str, &str); 3] = [("ec2", "L-DB2E81BA"), ("ec2", "L-3819A6DF"), ("lambda", "L-B99A9384")];

/// Programs that steps run, as far as whoever deploys has to have them.
pub const TOOLS: [&str; 6] = ["cargo", "git", "packer", "python3", "readelf", "sam"];

/// Those of them that these steps run.
pub fn tools(steps: &[Step]) -> BTreeSet<&'static str> {
    let of = |step: &Step| match step {
        Step::BuildRelease => &["cargo", "git", "python3", "readelf"][..],
        Step::BuildImage => &["packer"],
        Step::Deploy | Step::Clear | Step::Wait => &["sam"],
        _ => &[],
    };
    steps.iter().flat_map(of).copied().collect()
}

/// Concurrency that lets a studio paint without being turned away now and then; new accounts have 10.
const CONCURRENCY: f64 = 100.0;

/// What was found that matters here.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// The region.
    pub region: String,
    /// Programs that are on the PATH.
    pub tools: BTreeSet<&'static str>,
    /// Quotas.
    pub quotas: Quotas,
    /// Where machines start.
    pub network: Network,
    /// Zones in which each of the pool's instance types can be had; none if that could not be asked for.
    pub offered: Option<BTreeMap<String, BTreeSet<String>>>,
}

/// What is wanted of it.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Programs that its steps run.
    pub tools: BTreeSet<&'static str>,
    /// Most GPU machines at once.
    pub machines: u32,
    /// Instance types of the pool; none: the usual ones.
    pub types: Option<Vec<String>>,
    /// MB/s of a machine's disk.
    pub throughput: u64,
    /// Settings of the functions that are there already; none: they are made with what the quotas are.
    pub settings: Option<String>,
    /// Whether the machines share a file system, which has one address in each zone.
    pub shared: bool,
}

impl Needs {
    /// Instance types of the pool; an empty word on the command line names none.
    pub fn types(&self) -> Vec<String> {
        let usual = || INSTANCE_TYPES.map(str::to_owned).to_vec();
        let mut types = self.types.clone().unwrap_or_else(usual);
        types.retain(|it| !it.is_empty());
        types
    }
}

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it has to be mended first.
    pub stops: bool,
    /// What is wrong, and what to do.
    pub text: String,
}

fn stops(text: impl Into<String>) -> Finding {
    Finding {
        stops: true,
        text: text.into(),
    }
}

pub(crate) fn says(text: impl Into<String>) -> Finding {
    Finding {
        stops: false,
        text: text.into(),
    }
}

/// vCPUs of an instance type, by its size: the same in all families that have one GPU.
fn vcpus(kind: &str) -> u32 {
    let size = kind.rsplit('.').next().unwrap_or_default();
    match size.strip_suffix("xlarge") {
        Some("") => 4,
        Some(times) => times.parse::<u32>().map_or(4, |times| times * 4),
        None => 4,
    }
}

/// Where a quota is raised. Each partition has a console of its own.
pub(crate) fn link(region: &str, (service, code): (&str, &str)) -> String {
    let console = Partition::of(region).console();
    format!("https://{region}.console.{console}/servicequotas/home/services/{service}/quotas/{code}")
}

/// What is to be done about a program that is not here.
fn without(tool: &str) -> String {
    match tool {
        "sam" => "the AWS SAM CLI is not here; install it: \
                  https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/install-sam-cli.html"
            .to_owned(),
        "packer" => "Packer is not here, and there is no machine image of this release in the account; install it: \
                     https://developer.hashicorp.com/packer/install, or give an image with --image ami-…"
            .to_owned(),
        other => format!("{other} is not here, and building a release needs it (docs/deploy.md)"),
    }
}

/// All that is to be said.
pub fn check(site: &Site, needs: &Needs) -> Vec<Finding> {
    let mut found = Vec::new();
    let missing = needs.tools.difference(&site.tools);
    found.extend(missing.map(|it| stops(without(it))));
    match &site.network.vpc {
        None => found.push(stops(format!(
            "there is no default VPC in {}; make one with `aws ec2 create-default-vpc`, or give --vpc and --subnets",
            site.region
        ))),
        Some(vpc) if !site.network.subnets.iter().any(|it| it.way_out) => found.push(stops(format!(
            "no subnet of {vpc} has a way out to the internet, which the GPU machines need; give its route table a route \
             to 0.0.0.0/0 by an internet gateway (with public addresses) or a NAT gateway"
        ))),
        Some(_) => {
            let mut zones = BTreeSet::new();
            for subnet in &site.network.subnets {
                if !subnet.way_out {
                    found.push(says(format!("subnet {} has no way out to the internet; machines that start there do not come up", subnet.id)));
                } else if !zones.insert(&subnet.zone) {
                    let second = format!("subnet {} is a second one in {}", subnet.id, subnet.zone);
                    found.push(if needs.shared {
                        stops(format!("{second}, and SharedModels=efs has one address in each zone; leave one of them out"))
                    } else {
                        says(format!("{second} and is not used"))
                    });
                }
            }
        }
    }
    found.extend(offers(site, needs));
    found.extend(quotas(site, needs));
    if let (Some(settings), Some(quota)) = (&needs.settings, site.quotas.concurrency)
        && let Some((_, text)) = concurrency(settings, quota)
    {
        found.push(says(text));
    }
    found
}

/// Settings with this quota of calls at once, the others as they are.
pub(crate) fn with_concurrency(settings: &str, quota: f64) -> String {
    let others = settings.split([',', ' ']);
    let others = others.filter(|it| !it.is_empty() && !it.starts_with("concurrency="));
    let all: Vec<_> = others
        .map(str::to_owned)
        .chain([format!("concurrency={quota}")])
        .collect();
    all.join(" ")
}

/// What is to be said where the functions reckon with another number of calls at once than the account's quota allows, and
/// how that compares to the quota. It is set at the first deployment, when a new account's quota is still small.
pub(crate) fn concurrency(settings: &str, quota: f64) -> Option<(Ordering, String)> {
    let reckoned = Settings::parse(settings).ok()?.concurrency;
    let compared = f64::from(reckoned).partial_cmp(&quota).filter(|it| it.is_ne())?;
    let text = format!(
        "the functions reckon with {reckoned} calls at once, and the quota “Concurrent executions” is {quota}; if that is \
         not meant so: ops deploy --release DIR --parameter \"Settings={}\"",
        with_concurrency(settings, quota)
    );
    Some((compared, text))
}

/// Whether a machine of the pool can be had where it is to start.
fn offers(site: &Site, needs: &Needs) -> Vec<Finding> {
    let (types, region) = (needs.types(), &site.region);
    if types.is_empty() {
        return Vec::new();
    }
    let all = types.join(", ");
    let Some(offered) = &site.offered else {
        let text = format!("it could not be asked for whether {region} has machines of {all}; look yourself");
        return vec![says(text)];
    };
    // Whoever has an installation may change other things of it, and whoever names types may know better.
    let new = needs.settings.is_none() && needs.types.is_none();
    let bad: fn(String) -> Finding = if new { stops } else { says };
    if offered.is_empty() {
        let text = format!(
            "{region} has no machines of {all}; deploy into another region (AWS_REGION), or give other types with \
             --instance-types"
        );
        return vec![bad(text)];
    }
    let mut found: Vec<_> = types
        .iter()
        .filter(|it| !offered.contains_key(*it))
        .map(|it| says(format!("{region} has no machines of {it}")))
        .collect();
    let zones: BTreeSet<_> = offered.values().flatten().collect();
    let (good, without): (Vec<_>, Vec<_>) = site
        .network
        .subnets
        .iter()
        .filter(|it| it.way_out)
        .partition(|it| zones.contains(&it.zone));
    if good.is_empty() && !without.is_empty() {
        let zones = zones.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ");
        let text = format!(
            "no subnet lies in a zone that has machines of {all}; give some in {zones} with --vpc and --subnets"
        );
        found.push(bad(text));
    } else {
        found.extend(without.iter().map(|it| {
            says(format!(
                "subnet {} lies in {}, which has no machines of {all}; none starts there",
                it.id, it.zone
            ))
        }));
    }
    found
}

fn quotas(site: &Site, needs: &Needs) -> Vec<Finding> {
    let types = needs.types();
    let one = types.iter().map(|it| vcpus(it)).min().unwrap_or(4);
    let (one, all) = (f64::from(one), f64::from(one) * f64::from(needs.machines));
    let mut found = Vec::new();
    let mut ask = |name: &str, quota: (&str, &str), has: f64, wants: f64, effect: &str| {
        found.push(says(format!(
            "the quota “{name}” is {has}; {effect}. Ask AWS for {wants}: {}",
            link(site.region.as_str(), quota)
        )));
    };
    let [on_demand, _, concurrency] = QUOTAS;
    let name = "Running On-Demand G and VT instances";
    match site.quotas.on_demand {
        Some(has) if has < one => ask(name, on_demand, has, all, "no GPU machine can start, and pictures wait"),
        Some(has) if has < all => ask(
            name,
            on_demand,
            has,
            all,
            "not all of the pool's machines can run at once",
        ),
        _ => {}
    }
    if let Some(has) = site.quotas.concurrency.filter(|has| *has < CONCURRENCY) {
        let effect = "enough for a few painters, more are refused now and then";
        ask("Concurrent executions", concurrency, has, 1000.0, effect);
    }
    if site.quotas.on_demand.is_none() || site.quotas.concurrency.is_none() {
        found.push(says(format!(
            "the quotas could not be asked for; look at them yourself: {} (at least {all} vCPUs)",
            link(&site.region, on_demand)
        )));
    }
    // Spot is not launched yet: its quota is nobody's trouble.
    found
}

#[cfg(test)]
mod tests {
    use fleet::site::Subnet;

    use super::*;

    fn good() -> Site {
        Site {
            region: "eu-west-1".to_owned(),
            tools: BTreeSet::from(["sam", "packer"]),
            quotas: Quotas {
                on_demand: Some(8.0),
                spot: Some(0.0),
                concurrency: Some(1000.0),
            },
            network: Network {
                vpc: Some("vpc-1".to_owned()),
                subnets: vec![subnet("subnet-1", "a", true)],
                is_default: true,
            },
            offered: Some(BTreeMap::from([
                zones_of("g6.xlarge"),
                zones_of("g5.xlarge"),
                zones_of("g4dn.xlarge"),
            ])),
        }
    }

    fn zones_of(kind: &str) -> (String, BTreeSet<String>) {
        (kind.to_owned(), BTreeSet::from(["a".to_owned()]))
    }

    fn subnet(id: &str, zone: &str, way_out: bool) -> Subnet {
        Subnet {
            id: id.to_owned(),
            vpc: "vpc-1".to_owned(),
            zone: zone.to_owned(),
            way_out,
            public: true,
        }
    }

    fn needs() -> Needs {
        Needs {
            tools: BTreeSet::from(["packer", "sam"]),
            machines: 2,
            types: None,
            throughput: 250,
            settings: Some("idle_stop=20m concurrency=1000".to_owned()),
            shared: false,
        }
    }

    #[test]
    fn a_good_account_is_not_talked_about() {
        assert_eq!(check(&good(), &needs()), []);
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let one = |change: fn(&mut Site), stops: bool, part: &str| {
            let mut site = good();
            change(&mut site);
            let found = check(&site, &needs());
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].stops == stops && found[0].text.contains(part), "{found:?}");
        };
        one(|it| it.tools.retain(|tool| *tool != "sam"), true, "install-sam-cli");
        one(|it| it.tools.retain(|tool| *tool != "packer"), true, "--image");
        one(|it| it.network.vpc = None, true, "create-default-vpc");
        one(|it| it.network.subnets[0].way_out = false, true, "way out");
        one(
            |it| it.network.subnets.push(subnet("subnet-2", "a", true)),
            false,
            "second one",
        );
        one(|it| it.quotas.on_demand = Some(0.0), false, "no GPU machine can start");
        one(
            |it| it.quotas.on_demand = Some(4.0),
            false,
            "Ask AWS for 8: https://eu-west-1.",
        );
        one(
            |it| it.quotas.concurrency = Some(2000.0),
            false,
            "ops deploy --release DIR --parameter \"Settings=idle_stop=20m concurrency=2000\"",
        );
        one(|it| it.quotas.on_demand = None, false, "could not be asked");
        one(|it| it.offered = None, false, "look yourself");
        one(
            |it| drop(it.offered.as_mut().unwrap().remove("g6.xlarge")),
            false,
            "eu-west-1 has no machines of g6.xlarge",
        );
        one(
            |it| it.network.subnets.push(subnet("subnet-2", "b", true)),
            false,
            "subnet subnet-2 lies in b, which has no machines of g6.xlarge, g5",
        );
    }

    #[test]
    fn a_new_pool_has_machines_somewhere() {
        let mut site = good();
        let new = Needs {
            settings: None,
            ..needs()
        };
        let stops = |site: &Site, needs: &Needs, part: &str| {
            let found = check(site, needs);
            assert!(found.len() == 1 && found[0].text.contains(part), "{found:?}");
            found[0].stops
        };
        site.network.subnets[0].zone = "b".to_owned();
        assert!(stops(&site, &new, "give some in a with"));
        assert!(!stops(&site, &needs(), "give some in a with"), "it is there");
        site.offered = Some(BTreeMap::new());
        assert!(stops(
            &site,
            &new,
            "eu-west-1 has no machines of g6.xlarge, g5.xlarge, g4dn.xlarge"
        ));
        let of = |types: &[&str]| Needs {
            types: Some(types.iter().map(|it| (*it).to_owned()).collect()),
            ..new.clone()
        };
        assert!(
            !stops(&site, &of(&["p9.xlarge"]), "machines of p9.xlarge;"),
            "as it was asked for"
        );
        site.offered = None;
        assert_eq!(check(&site, &of(&[""])), []);
    }

    #[test]
    fn a_release_is_built_where_it_can_be() {
        let needs = Needs {
            tools: tools(&[Step::BuildRelease, Step::Deploy]),
            ..needs()
        };
        let mut site = good();
        site.tools = TOOLS.into_iter().filter(|it| *it != "readelf").collect();
        let found = check(&site, &needs);
        assert!(
            found.len() == 1 && found[0].stops && found[0].text.starts_with("readelf is not here"),
            "{found:?}"
        );
    }

    #[test]
    fn a_shared_file_system_has_one_address_in_a_zone() {
        let mut site = good();
        site.network.subnets.push(subnet("subnet-2", "a", true));
        let needs = Needs {
            shared: true,
            ..needs()
        };
        let found = check(&site, &needs);
        assert!(
            found.len() == 1 && found[0].stops && found[0].text.contains("subnet-2"),
            "{found:?}"
        );
    }

    #[test]
    fn a_new_account_has_few_calls_at_once() {
        let mut site = good();
        site.quotas.concurrency = Some(10.0);
        let needs = Needs {
            settings: None,
            ..needs()
        };
        let found = check(&site, &needs);
        assert!(found.len() == 1 && found[0].text.contains("L-B99A9384"), "{found:?}");
        assert_eq!(
            concurrency("concurrency=1000", 10.0).map(|it| it.0),
            Some(Ordering::Greater)
        );
        assert_eq!(concurrency("", 10.0), None, "the default");
    }

    #[test]
    fn a_size_has_its_vcpus() {
        for (kind, count) in [("g6.xlarge", 4), ("g5.2xlarge", 8), ("g6e.8xlarge", 32)] {
            assert_eq!(vcpus(kind), count, "{kind}");
        }
    }
}
