//! The fleet on EC2.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_ec2::{
    Client,
    config::{Builder, http::HttpResponse},
    error::{ProvideErrorMetadata, SdkError},
    types::{
        Filter, FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest,
        FleetLaunchTemplateSpecificationRequest, FleetType, InstanceStateName, InstanceType, ResourceType, Tag,
        TagSpecification, TargetCapacitySpecificationRequest,
    },
};
use cloud::{
    BoxFuture, Env,
    aws::{CallError, note_throttle, time_outs},
    chain,
};
use model::{InstanceId, PoolId, WorkerId};
use policy::watch::{InstanceState, InstanceView};
use tokio::{sync::OnceCell, time::timeout};
use tracing::warn;

use crate::{Fleet, FleetError, FleetPort, Instance};

/// Tag of the installation.
pub(crate) const STACK_TAG: &str = "atelier:stack";
/// Tag of the worker.
const WORKER_TAG: &str = "atelier:worker_id";
/// Tag of the worker's pool.
const POOL_TAG: &str = "atelier:pool";

/// Longest time for one attempt at a call. EC2 is slow: `CreateFleet` looks for a machine while one waits.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(9);
/// Longest time for a call with all its attempts: two whole ones, and ten seconds are left to the functions that handle
/// instances, of which the fastest has thirty (`Timeout` in `template.yaml`).
pub(crate) const OPERATION: Duration = Duration::from_secs(20);

/// Error codes that mean: not here, not now. <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>
const NO_CAPACITY: [&str; 15] = [
    "InsufficientAddressCapacity",
    "InsufficientCapacity",
    "InsufficientFreeAddressesInSubnet",
    "InsufficientHostCapacity",
    "InsufficientInstanceCapacity",
    "InsufficientReservedInstanceCapacity",
    "InsufficientVolumeCapacity",
    "InstanceLimitExceeded",
    "MaxSpotInstanceCountExceeded",
    "PendingVerification",
    "RequestLimitExceeded",
    "UnfulfillableCapacity",
    "Unsupported",
    "VcpuLimitExceeded",
    "VolumeLimitExceeded",
];

/// The version of the launch template that is launched. CloudFormation makes a new one of each change, and leaves the default
/// where it was.
pub(crate) const LAUNCHED: &str = "$Latest";

/// What a fleet says of a type that one of its zones has not, and of a mistake of ours; and what tells the two apart.
/// <https://github.com/compiler-explorer/infra/issues/601>
const IN_NO_SUCH_ZONE: (&str, &str) = (
    "InvalidFleetConfiguration",
    "not supported in your requested Availability Zone",
);

/// Error code of a start or stop that comes too early or too late.
const WRONG_STATE: &str = "IncorrectInstanceState";

/// Longest time to look up the subnets, beside a launch.
const LOOK_UP: Duration = Duration::from_secs(5);

const LAUNCH: &str = "ec2 CreateFleet";
const SUBNETS: &str = "ec2 DescribeSubnets";
pub(crate) const START: &str = "ec2 StartInstances";
pub(crate) const STOP: &str = "ec2 StopInstances";
pub(crate) const TERMINATE: &str = "ec2 TerminateInstances";

/// What launching needs to know.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// The launch template's id.
    pub launch_template: String,
    /// Subnets to launch in, of which the first of each zone is used; empty: the default VPC's.
    pub subnets: Vec<String>,
    /// The installation's name, tagged on each instance.
    pub stack: String,
    /// The launch template's machine image, where somebody is to look after instances with another.
    pub image: Option<String>,
}

impl FleetConfig {
    /// Reads it; problems are left in `env`.
    pub fn read<F: Fn(&str) -> Option<String>>(env: &mut Env<F>) -> Self {
        let subnets = env.optional("SUBNETS").unwrap_or_default();
        Self {
            launch_template: env.required("LAUNCH_TEMPLATE"),
            subnets: subnets
                .split(',')
                .map(str::trim)
                .filter(|it| !it.is_empty())
                .map(str::to_owned)
                .collect(),
            stack: env.required("STACK"),
            image: env.optional("IMAGE_ID"),
        }
    }
}

/// Connects to EC2 and primes the client.
pub async fn connect(config: FleetConfig) -> Fleet {
    connect_with(&cloud::sdk_config().await, config).await
}

/// The same with a given configuration of the SDK.
pub async fn connect_with(sdk: &aws_config::SdkConfig, config: FleetConfig) -> Fleet {
    let client = Builder::from(sdk).timeout_config(time_outs(ATTEMPT, OPERATION)).build();
    let ec2 = Ec2 {
        client: Client::from_conf(client),
        config,
        one_a_zone: OnceCell::new(),
    };
    // Refused to those who only start or only stop, which is as good: the connection is open afterwards.
    let _ = timeout(Duration::from_secs(2), ec2.client.describe_instances().send()).await;
    Fleet::new(ec2)
}

#[derive(Debug)]
struct Ec2 {
    client: Client,
    config: FleetConfig,
    /// Of the subnets, those to launch in, once that is known.
    one_a_zone: OnceCell<Vec<String>>,
}

impl Ec2 {
    async fn describe_by(&self, filters: Vec<Filter>) -> Result<Vec<Instance>, FleetError> {
        let mut pages = self
            .client
            .describe_instances()
            .set_filters(Some(filters))
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| CallError::of("ec2 DescribeInstances", error))?;
            let instances = page
                .reservations
                .unwrap_or_default()
                .into_iter()
                .flat_map(|it| it.instances.unwrap_or_default());
            found.extend(instances.filter_map(|it| self.ours(&it)));
        }
        Ok(found)
    }

    fn ours(&self, instance: &aws_sdk_ec2::types::Instance) -> Option<Instance> {
        let tag = |name: &str| {
            instance
                .tags()
                .iter()
                .find(|tag| tag.key() == Some(name))
                .and_then(Tag::value)
        };
        if tag(STACK_TAG) != Some(&self.config.stack) {
            return None;
        }
        if tag(WORKER_TAG).is_none() || tag(POOL_TAG).is_none() {
            warn!(
                instance.id = instance.instance_id(),
                "an instance with this stack's tag has no worker's: nobody looks after it"
            );
        }
        Some(Instance {
            view: InstanceView {
                instance_id: InstanceId::new(instance.instance_id()?),
                state: state(instance.state().and_then(|state| state.name())),
            },
            worker_id: WorkerId::new(tag(WORKER_TAG)?),
            pool: PoolId::new(tag(POOL_TAG)?),
            instance_type: instance
                .instance_type()
                .map(|it| it.as_str().to_owned())
                .unwrap_or_default(),
            old_image: self.config.image.is_some() && self.config.image.as_deref() != instance.image_id(),
        })
    }

    /// The subnets to launch in. EC2 refuses a fleet with two of one zone, which is looked up before the first launch.
    async fn subnets(&self) -> &[String] {
        let configured = self.config.subnets.as_slice();
        if configured.len() < 2 {
            return configured;
        }
        let found = self.one_a_zone.get_or_try_init(async || {
            let call = self.client.describe_subnets().set_subnet_ids(Some(configured.to_vec()));
            let reply = call.send().await.map_err(|error| CallError::of(SUBNETS, error))?;
            let zones = reply
                .subnets()
                .iter()
                .filter_map(|it| Some((it.subnet_id()?.to_owned(), it.availability_zone()?.to_owned())));
            Ok::<_, CallError>(one_a_zone(configured, &zones.collect()))
        });
        match timeout(LOOK_UP, found).await {
            Ok(Ok(found)) => return found,
            // EC2 says at the launch what is wrong with them.
            Ok(Err(error)) => warn!(error = chain(&error), "the zones of SubnetIds could not be looked up"),
            Err(_) => warn!("the zones of SubnetIds could not be looked up in time"),
        }
        configured
    }

    async fn launch(&self, worker_id: &WorkerId, pool: &PoolId, types: &[String]) -> Result<Instance, FleetError> {
        check_types(types)?;
        let template = FleetLaunchTemplateSpecificationRequest::builder()
            .launch_template_id(&self.config.launch_template)
            .version(LAUNCHED)
            .build();
        let subnets = self.subnets().await;
        let subnets: Vec<Option<&String>> = if subnets.is_empty() {
            vec![None]
        } else {
            subnets.iter().map(Some).collect()
        };
        let overrides = types.iter().zip(0_u32..).flat_map(|(kind, rank)| {
            subnets.iter().map(move |subnet| {
                FleetLaunchTemplateOverridesRequest::builder()
                    .instance_type(InstanceType::from(kind.as_str()))
                    .priority(f64::from(rank))
                    .set_subnet_id(subnet.cloned())
                    .build()
            })
        });
        let tags = [
            (STACK_TAG, self.config.stack.as_str()),
            (WORKER_TAG, worker_id.as_str()),
            (POOL_TAG, pool.as_str()),
        ];
        let tags = tags
            .iter()
            .map(|(key, value)| Tag::builder().key(*key).value(*value).build())
            .collect();
        let reply = self
            .client
            .create_fleet()
            .client_token(worker_id.as_str())
            .r#type(FleetType::Instant)
            .launch_template_configs(
                FleetLaunchTemplateConfigRequest::builder()
                    .launch_template_specification(template)
                    .set_overrides(Some(overrides.collect()))
                    .build(),
            )
            .on_demand_options(
                aws_sdk_ec2::types::OnDemandOptionsRequest::builder()
                    .allocation_strategy(aws_sdk_ec2::types::FleetOnDemandAllocationStrategy::Prioritized)
                    .build(),
            )
            .target_capacity_specification(
                TargetCapacitySpecificationRequest::builder()
                    .total_target_capacity(1)
                    .on_demand_target_capacity(1)
                    .default_target_capacity_type(aws_sdk_ec2::types::DefaultTargetCapacityType::OnDemand)
                    .build(),
            )
            .tag_specifications(
                TagSpecification::builder()
                    .resource_type(ResourceType::Instance)
                    .set_tags(Some(tags))
                    .build(),
            )
            .send()
            .await
            .map_err(|error| classify(LAUNCH, error))?;
        let launched = reply
            .instances()
            .iter()
            .find_map(|set| Some((set.instance_ids().first()?, set)));
        let Some((id, set)) = launched else {
            let errors = reply.errors().iter();
            let errors: Vec<_> = errors
                .map(|it| {
                    (
                        it.error_code().unwrap_or_default(),
                        it.error_message().unwrap_or_default(),
                    )
                })
                .collect();
            return Err(not_launched(&errors));
        };
        Ok(Instance {
            view: InstanceView {
                instance_id: InstanceId::new(id),
                state: InstanceState::Up,
            },
            worker_id: worker_id.clone(),
            pool: pool.clone(),
            instance_type: set.instance_type().map(|it| it.as_str().to_owned()).unwrap_or_default(),
            old_image: false,
        })
    }
}

fn state(name: Option<&InstanceStateName>) -> InstanceState {
    match name {
        Some(InstanceStateName::Pending | InstanceStateName::Running) => InstanceState::Up,
        Some(InstanceStateName::Stopping) => InstanceState::Stopping,
        Some(InstanceStateName::Stopped) => InstanceState::Stopped,
        _ => InstanceState::Gone,
    }
}

/// The first subnet of each zone, and those whose zone is not known.
fn one_a_zone(subnets: &[String], zones: &BTreeMap<String, String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let (used, surplus): (Vec<_>, Vec<_>) = subnets
        .iter()
        .cloned()
        .partition(|subnet| zones.get(subnet).is_none_or(|zone| seen.insert(zone)));
    if !surplus.is_empty() {
        warn!(
            ?surplus,
            "SubnetIds names several subnets of a zone; nothing is launched in these"
        );
    }
    used
}

pub(crate) fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// What the errors (code and message) in a reply without an instance mean: an instant fleet reports what is wrong with
/// us, too, in a reply that looks good.
fn not_launched(errors: &[(&str, &str)]) -> FleetError {
    let not_here = |code: &str, message: &str| {
        let (of_zone, zone) = IN_NO_SUCH_ZONE;
        NO_CAPACITY.contains(&code) || (code == of_zone && message.contains(zone))
    };
    if let Some((code, message)) = errors.iter().find(|(code, message)| !not_here(code, message)) {
        return CallError::of_code(LAUNCH, code, message).into();
    }
    let codes: Vec<_> = errors.iter().map(|(code, _)| *code).collect();
    FleetError::NoCapacity(codes.join(", "))
}

/// Without a type EC2 takes the launch template's, which is for launches by hand.
pub(crate) fn check_types(types: &[String]) -> Result<(), CallError> {
    if types.is_empty() {
        return Err(CallError::refused(LAUNCH, "the pool has no instance types"));
    }
    Ok(())
}

fn classify<E>(call: &'static str, error: SdkError<E, HttpResponse>) -> FleetError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match error.code() {
        Some(code) if NO_CAPACITY.contains(&code) => {
            note_throttle(call, code);
            FleetError::NoCapacity(code.to_owned())
        }
        // It stops, or it is on its way to its end: another time it is neither.
        Some(WRONG_STATE) => CallError::passing(call, error).into(),
        _ => CallError::of(call, error).into(),
    }
}

impl FleetPort for Ec2 {
    fn describe(&self) -> BoxFuture<'_, Result<Vec<Instance>, FleetError>> {
        Box::pin(self.describe_by(vec![filter(&format!("tag:{STACK_TAG}"), &self.config.stack)]))
    }

    fn describe_one<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<Option<Instance>, FleetError>> {
        Box::pin(async move {
            let found = self.describe_by(vec![filter("instance-id", id.as_str())]).await?;
            // Some emulators do not know the filter.
            Ok(found.into_iter().find(|it| it.view.instance_id == *id))
        })
    }

    fn launch<'a>(
        &'a self,
        worker_id: &'a WorkerId,
        pool: &'a PoolId,
        types: &'a [String],
    ) -> BoxFuture<'a, Result<Instance, FleetError>> {
        Box::pin(self.launch(worker_id, pool, types))
    }

    fn start<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move {
            let start = self.client.start_instances().instance_ids(id.as_str()).send().await;
            start.map(drop).map_err(|error| classify(START, error))
        })
    }

    fn stop<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move {
            let stop = self.client.stop_instances().instance_ids(id.as_str()).send().await;
            stop.map(drop).map_err(|error| classify(STOP, error))
        })
    }

    fn terminate<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move {
            let end = self.client.terminate_instances().instance_ids(id.as_str()).send().await;
            end.map(drop).map_err(|error| classify(TERMINATE, error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_without_an_instance_says_why() {
        let none = ("InsufficientInstanceCapacity", "none here");
        let verdict = |errors: &[(&str, &str)]| not_launched(errors);
        assert!(matches!(verdict(&[none, none]), FleetError::NoCapacity(codes) if codes.contains(none.0)));
        assert!(matches!(verdict(&[]), FleetError::NoCapacity(_)));
        let zone = (
            "InvalidFleetConfiguration",
            "Your requested instance type (g6.xlarge) is not supported in your requested Availability Zone (us-east-1e).",
        );
        assert!(matches!(verdict(&[none, zone]), FleetError::NoCapacity(_)));
        let duplicate = (zone.0, "The fleet configuration contains duplicate instance pools");
        assert!(matches!(verdict(&[zone, duplicate]), FleetError::Aws(_)));
        let ours = verdict(&[none, ("UnauthorizedOperation", "you may not")]);
        assert!(!ours.is_retryable(), "{ours}");
        let theirs = verdict(&[("InternalError", "try again")]);
        assert!(
            matches!(&theirs, FleetError::Aws(_)) && theirs.is_retryable(),
            "{theirs}"
        );
    }
}
