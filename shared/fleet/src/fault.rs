//! Every call to EC2, watched: see [`cloud::fault`].

use std::sync::Arc;

use cloud::{BoxFuture, fault::Faults};
use model::{InstanceId, PoolId, WorkerId};

use crate::{Fleet, FleetError, FleetPort, Instance};

/// The same instances, watched.
pub fn watch(faults: &Faults, fleet: &Fleet) -> Fleet {
    Fleet::new(Watched {
        faults: faults.clone(),
        port: Arc::clone(fleet.port()),
    })
}

#[derive(Debug)]
struct Watched {
    faults: Faults,
    port: Arc<dyn FleetPort>,
}

impl FleetPort for Watched {
    fn describe(&self) -> BoxFuture<'_, Result<Vec<Instance>, FleetError>> {
        let make = || self.port.describe();
        Box::pin(self.faults.call("fleet.describe", String::new(), make))
    }

    fn describe_one<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<Option<Instance>, FleetError>> {
        let make = || self.port.describe_one(id);
        Box::pin(self.faults.call("fleet.describe_one", id.to_string(), make))
    }

    fn launch<'a>(
        &'a self,
        worker_id: &'a WorkerId,
        pool: &'a PoolId,
        types: &'a [String],
    ) -> BoxFuture<'a, Result<Instance, FleetError>> {
        let make = move || self.port.launch(worker_id, pool, types);
        Box::pin(self.faults.call("fleet.launch", pool.to_string(), make))
    }

    fn start<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(self.faults.call("fleet.start", id.to_string(), || self.port.start(id)))
    }

    fn stop<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(self.faults.call("fleet.stop", id.to_string(), || self.port.stop(id)))
    }

    fn terminate<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(
            self.faults
                .call("fleet.terminate", id.to_string(), || self.port.terminate(id)),
        )
    }
}

#[cfg(test)]
mod tests {
    use cloud::fault::{Fault, How};

    use super::*;
    use crate::memory::MemoryFleet;

    #[tokio::test]
    async fn what_was_launched_without_an_answer_is_found_again() {
        let (faults, memory) = (Faults::default(), MemoryFleet::default());
        let fleet = watch(&faults, &memory.fleet());
        let (worker, pool, types) = (WorkerId::new("w"), PoolId::new("p"), ["g6.xlarge".to_owned()]);
        for how in [How::LostAnswer, How::Twice] {
            faults.plan(Fault {
                of: Some("fleet.launch"),
                at: 1,
                how,
            });
            let _ = fleet.launch(&worker, &pool, &types).await;
            let found = fleet.describe().await.unwrap();
            assert_eq!((found.len(), &found[0].worker_id), (1, &worker));
            let names: Vec<_> = faults.take().iter().map(|call| call.name).collect();
            assert_eq!(names, ["fleet.launch", "fleet.describe"]);
        }
        assert_eq!(memory.launches(), 1);
    }
}
