//! EC2 in memory, unkind: instances pass through `pending` and `stopping`, capacity runs out, descriptions lag.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cloud::BoxFuture;
use model::{InstanceId, PoolId, WorkerId};
use policy::watch::{InstanceState, InstanceView};

use crate::{Fleet, FleetError, FleetPort, Instance};

#[derive(Debug, Default)]
struct State {
    instances: BTreeMap<InstanceId, Instance>,
    no_capacity: bool,
    launches: u32,
    hidden: bool,
}

/// The in-memory EC2.
#[derive(Debug, Default, Clone)]
pub struct MemoryFleet(Arc<Mutex<State>>);

impl MemoryFleet {
    /// A handle for handlers.
    pub fn fleet(&self) -> Fleet {
        Fleet::new(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether starts and launches find no capacity from now on.
    pub fn no_capacity(&self, is: bool) {
        self.state().no_capacity = is;
    }

    /// Whether descriptions are empty from now on, as right after a launch.
    pub fn hide(&self, is: bool) {
        self.state().hidden = is;
    }

    /// How many instances were ever launched.
    pub fn launches(&self) -> u32 {
        self.state().launches
    }

    /// Sets an instance's power state.
    pub fn set(&self, id: &InstanceId, state: InstanceState) {
        if let Some(instance) = self.state().instances.get_mut(id) {
            instance.view.state = state;
        }
    }

    /// Every instance.
    pub fn all(&self) -> Vec<Instance> {
        self.state().instances.values().cloned().collect()
    }

    /// Puts an instance that nobody launched through us.
    pub fn insert(&self, instance: Instance) {
        self.state()
            .instances
            .insert(instance.view.instance_id.clone(), instance);
    }

    fn change(&self, id: &InstanceId, to: InstanceState) -> Result<(), FleetError> {
        let mut state = self.state();
        match state.instances.get_mut(id) {
            Some(instance) => {
                instance.view.state = to;
                Ok(())
            }
            None => Err(FleetError::Aws {
                operation: "change",
                source: "there is no such instance".into(),
            }),
        }
    }
}

impl FleetPort for MemoryFleet {
    fn describe(&self) -> BoxFuture<'_, Result<Vec<Instance>, FleetError>> {
        Box::pin(async move { Ok(if self.state().hidden { Vec::new() } else { self.all() }) })
    }

    fn describe_one<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<Option<Instance>, FleetError>> {
        Box::pin(async move { Ok(self.state().instances.get(id).cloned()) })
    }

    fn launch<'a>(
        &'a self,
        worker_id: &'a WorkerId,
        pool: &'a PoolId,
        types: &'a [String],
    ) -> BoxFuture<'a, Result<Instance, FleetError>> {
        Box::pin(async move {
            let mut state = self.state();
            if state.no_capacity {
                return Err(FleetError::NoCapacity("InsufficientInstanceCapacity".to_owned()));
            }
            state.launches += 1;
            let instance = Instance {
                view: InstanceView {
                    instance_id: InstanceId::new(format!("i-{:08x}", state.launches)),
                    state: InstanceState::Up,
                },
                worker_id: worker_id.clone(),
                pool: pool.clone(),
                instance_type: types.first().cloned().unwrap_or_default(),
            };
            state
                .instances
                .insert(instance.view.instance_id.clone(), instance.clone());
            Ok(instance)
        })
    }

    fn start<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move {
            if self.state().no_capacity {
                return Err(FleetError::NoCapacity("InsufficientInstanceCapacity".to_owned()));
            }
            self.change(id, InstanceState::Up)
        })
    }

    fn stop<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move { self.change(id, InstanceState::Stopping) })
    }

    fn terminate<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move { self.change(id, InstanceState::Gone) })
    }
}
