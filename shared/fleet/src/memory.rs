//! EC2 in memory, unkind: instances pass through `pending` and `stopping`, capacity runs out, descriptions lag.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cloud::{BoxFuture, aws::CallError};
use model::{InstanceId, PoolId, WorkerId};
use policy::watch::{InstanceState, InstanceView};

use crate::{
    Fleet, FleetError, FleetPort, Instance,
    ec2::{START, STOP, TERMINATE, check_types},
};

#[derive(Debug, Default)]
struct State {
    instances: BTreeMap<InstanceId, Instance>,
    launched: BTreeMap<WorkerId, Instance>,
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

    /// A new machine image is launched from now on: the instances that are there have an old one.
    pub fn new_image(&self) {
        for instance in self.state().instances.values_mut() {
            instance.old_image = true;
        }
    }

    /// Instances that are stopping are stopped.
    pub fn settle(&self) {
        for instance in self.state().instances.values_mut() {
            if instance.view.state == InstanceState::Stopping {
                instance.view.state = InstanceState::Stopped;
            }
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

    /// Takes an instance along an edge, as EC2 would.
    fn change(
        &self,
        call: &'static str,
        id: &InstanceId,
        edge: impl Fn(InstanceState, bool) -> Result<InstanceState, FleetError>,
    ) -> Result<(), FleetError> {
        let mut state = self.state();
        let no_capacity = state.no_capacity;
        let Some(instance) = state.instances.get_mut(id) else {
            return Err(CallError::refused(call, format!("InvalidInstanceID.NotFound: {id}")).into());
        };
        instance.view.state = edge(instance.view.state, no_capacity)?;
        Ok(())
    }
}

fn wrong_state(call: &'static str, state: InstanceState) -> FleetError {
    CallError::passing(call, format!("IncorrectInstanceState: {state:?}")).into()
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
            check_types(types)?;
            let mut state = self.state();
            // The worker's id is the token of the launch.
            if let Some(launched) = state.launched.get(worker_id) {
                return Ok(launched.clone());
            }
            if state.no_capacity {
                return Err(no_capacity());
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
                old_image: false,
            };
            state
                .instances
                .insert(instance.view.instance_id.clone(), instance.clone());
            state.launched.insert(worker_id.clone(), instance.clone());
            Ok(instance)
        })
    }

    fn start<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move {
            self.change(START, id, |state, none| match state {
                InstanceState::Up => Ok(state),
                InstanceState::Stopped if none => Err(no_capacity()),
                InstanceState::Stopped => Ok(InstanceState::Up),
                InstanceState::Stopping | InstanceState::Gone => Err(wrong_state(START, state)),
            })
        })
    }

    fn stop<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move {
            self.change(STOP, id, |state, _| match state {
                InstanceState::Up => Ok(InstanceState::Stopping),
                InstanceState::Stopping | InstanceState::Stopped => Ok(state),
                InstanceState::Gone => Err(wrong_state(STOP, state)),
            })
        })
    }

    fn terminate<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move { self.change(TERMINATE, id, |_, _| Ok(InstanceState::Gone)) })
    }
}

fn no_capacity() -> FleetError {
    FleetError::NoCapacity("InsufficientInstanceCapacity".to_owned())
}
