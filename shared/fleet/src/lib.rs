//! How EC2 is called, and how a scaling plan is carried out.
//!
//! Alone in its crate because `aws-sdk-ec2` is by far the slowest dependency to build.

pub mod converge;
pub mod ec2;
pub mod memory;
pub mod scale;

use std::sync::Arc;

use cloud::{BoxError, BoxFuture};
use model::{InstanceId, PoolId, WorkerId};
use policy::watch::InstanceView;

/// Something went wrong with EC2.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// There is no machine of the wanted kinds to be had now.
    #[error("no capacity: {0}")]
    NoCapacity(String),
    /// EC2 or the way to it.
    #[error("ec2 {operation} failed")]
    Aws {
        /// Which call.
        operation: &'static str,
        /// Why.
        #[source]
        source: BoxError,
    },
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
}

/// What a fleet must be able to do.
pub trait FleetPort: std::fmt::Debug + Send + Sync {
    /// Every instance of this installation that is not terminated for long.
    fn describe(&self) -> BoxFuture<'_, Result<Vec<Instance>, FleetError>>;
    /// This instance; none if EC2 does not know it or it is not ours.
    fn describe_one<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<Option<Instance>, FleetError>>;
    /// Launches one instance for this worker, of the first type that is to be had.
    fn launch<'a>(
        &'a self,
        worker_id: &'a WorkerId,
        pool: &'a PoolId,
        types: &'a [String],
    ) -> BoxFuture<'a, Result<Instance, FleetError>>;
    /// Starts a stopped instance.
    fn start<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>>;
    /// Stops an instance.
    fn stop<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>>;
    /// Ends an instance.
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
}

impl std::ops::Deref for Fleet {
    type Target = dyn FleetPort;
    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}
