//! How EC2 is called, and how a scaling plan is carried out.
//!
//! Alone in its crate because `aws-sdk-ec2` is by far the slowest dependency to build.

pub mod converge;
pub mod ec2;
pub mod fault;
pub mod memory;
pub mod remains;
pub mod scale;
pub mod site;

use std::sync::Arc;

use cloud::{BoxFuture, aws::CallError};
use model::{InstanceId, PoolId, WorkerId};
use policy::watch::InstanceView;

/// Something went wrong with EC2.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// There is no machine of the wanted kinds to be had now.
    #[error("no capacity: {0}")]
    NoCapacity(String),
    /// EC2 or the way to it.
    #[error("the instances cannot be used")]
    Aws(#[from] CallError),
}

impl FleetError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::NoCapacity(_) => true,
            Self::Aws(error) => error.retryable,
        }
    }
}

/// An instance of ours, as EC2 describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Id and power state.
    pub view: InstanceView,
    /// The worker it was launched for.
    pub worker_id: WorkerId,
    /// The worker's pool.
    pub pool: PoolId,
    /// EC2 instance type.
    pub instance_type: String,
    /// Whether it was launched from another machine image than one that is launched now.
    pub old_image: bool,
}

/// What a fleet must be able to do.
pub trait FleetPort: std::fmt::Debug + Send + Sync {
    /// Every instance of this installation that is not terminated for long.
    fn describe(&self) -> BoxFuture<'_, Result<Vec<Instance>, FleetError>>;
    /// This instance; none if EC2 does not know it or it is not ours.
    fn describe_one<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<Option<Instance>, FleetError>>;
    /// Launches one instance for this worker, of the first type that is to be had. Whoever repeats it gets the same one.
    fn launch<'a>(
        &'a self,
        worker_id: &'a WorkerId,
        pool: &'a PoolId,
        types: &'a [String],
    ) -> BoxFuture<'a, Result<Instance, FleetError>>;
    /// Starts a stopped instance. One that is up stays up; one that is stopping cannot be started yet.
    fn start<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>>;
    /// Stops an instance. One that is stopped stays so.
    fn stop<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>>;
    /// Ends an instance, whatever it does.
    fn terminate<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>>;
}

/// The instances.
#[derive(Debug, Clone)]
pub struct Fleet(Arc<dyn FleetPort>);

impl Fleet {
    /// A fleet over this port.
    pub fn new(port: impl FleetPort + 'static) -> Self {
        Self(Arc::new(port))
    }

    /// What is below, for whoever wraps or tests it.
    pub fn port(&self) -> &Arc<dyn FleetPort> {
        &self.0
    }
}

impl std::ops::Deref for Fleet {
    type Target = dyn FleetPort;
    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}
