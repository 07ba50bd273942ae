//! Tasks, workers, instances and sockets to begin with, and what became of them.

use cloud::{queue::Queued, tables::Table};
use fleet::Instance;
use model::{
    ConnectionId, InstanceId, Lane, MicroUsd, Millis, PoolId, Role, Run, RunRef, Session, Task, TaskBody, TaskId,
    TaskState, TeamId, UserId, Worker, WorkerId, WorkerState,
};
use policy::watch::{InstanceState, InstanceView};
use serde_json::{Value, json};

use super::{
    INSTANCE, MARA, NOW, PAINTER_SOCKET, POOL, TASK, TEAM, WORKER, World, minutes, run_id, scrubbed, worker_id,
};

impl World {
    /// A waiting task with this id, its plan included.
    pub(crate) async fn queued(&self, id: &str, owner: &str, now: Millis) -> TaskId {
        let task_id: TaskId = id.parse().unwrap();
        self.put(TaskBody {
            task_id,
            version: 0,
            plan: Some(json!({ "graph": {} }).to_string()),
            plan_key: None,
            parameters: None,
            inputs: None,
            loras: vec![],
            models: vec![],
            ttl: 0,
        })
        .await;
        self.put(task(task_id, owner, now)).await;
        task_id
    }

    /// A ready worker on an instance that runs.
    pub(crate) async fn ready(&self, id: &str, instance: &str, now: Millis) -> Worker {
        let mut worker = Worker::launching(WorkerId::new(id), PoolId::new(POOL), now);
        worker.instance_id = Some(InstanceId::new(instance));
        worker.state = WorkerState::Ready;
        worker.idle_since = Some(now);
        worker.generation = 1;
        worker.protocol = Some(model::worker_api::PROTOCOL);
        self.put(worker).await;
        self.instance(instance, id, InstanceState::Up);
        self.worker(id).await
    }

    /// An instance, as EC2 has it.
    pub(crate) fn instance(&self, id: &str, worker: &str, state: InstanceState) {
        self.instances.insert(Instance {
            view: InstanceView {
                instance_id: InstanceId::new(id),
                state,
            },
            worker_id: WorkerId::new(worker),
            pool: PoolId::new(POOL),
            instance_type: "g6.xlarge".to_owned(),
            old_image: false,
        });
    }

    pub(crate) fn power(&self, id: &str) -> InstanceState {
        let all = self.instances.all();
        let found = all.iter().find(|it| it.view.instance_id == InstanceId::new(id));
        found.unwrap().view.state
    }

    /// The golden task, running on the golden worker.
    pub(crate) async fn running(&self, now: Millis) -> (Task, Worker) {
        self.ready(WORKER, INSTANCE, now).await;
        let id = self.queued(TASK, MARA, now).await;
        let run = Run {
            run_id: run_id(),
            worker_id: worker_id(),
            claimed_at: now,
            generation: Some(1),
            lease_until: now + self.settings.lease,
            deadline: now + minutes(10),
            seq: 0,
            progress: 0.0,
        };
        self.alter_task(&id, |task| task.start(run).unwrap()).await;
        let worker = self
            .alter_worker(WORKER, |worker| {
                let held = RunRef {
                    task_id: id,
                    run_id: run_id(),
                };
                worker.start(held, now).unwrap();
            })
            .await;
        (self.task(&id).await, worker)
    }

    /// An open WebSocket.
    pub(crate) async fn socket(&self, connection: &str, owner: UserId, role: Role, now: Millis) -> ConnectionId {
        let connection_id = ConnectionId::new(connection);
        self.put(Session {
            connection_id: connection_id.clone(),
            version: 0,
            owner,
            team: TeamId::new(TEAM),
            role,
            device: None,
            opened_at: now,
            look: None,
            ttl: 0,
        })
        .await;
        connection_id
    }

    /// Mara's WebSocket.
    pub(crate) async fn painter_socket(&self) -> ConnectionId {
        self.socket(PAINTER_SOCKET, UserId::new(MARA), Role::Painter, NOW).await
    }

    /// Messages to sockets since the last call, as (connection, message).
    pub(crate) fn sent(&self) -> Vec<(String, Value)> {
        let sent = self.memory.take_sent();
        sent.into_iter().map(|(to, what)| (to.to_string(), what)).collect()
    }

    /// What a user used this month.
    pub(crate) async fn usage(&self, user: &str) -> model::Usage {
        accounts::usage(&self.cloud.store, &UserId::new(user), NOW)
            .await
            .unwrap()
    }

    pub(crate) fn take_queued(&self) -> Vec<Queued> {
        self.memory.take_queued()
    }

    /// What anybody could see afterwards: states of everything, and what was said since the last look.
    pub(crate) fn effects(&self) -> Value {
        let tasks: Vec<_> = self.tasks().iter().map(|it| json!({
            "id": it.task_id, "state": it.state, "failures": it.failures, "run": it.run.as_ref().map(|run| run.run_id),
            "error": it.error, "seen_s_ago": NOW.since(it.seen_at).as_secs(),
        })).collect();
        let workers: Vec<_> = self
            .workers()
            .iter()
            .map(|it| {
                json!({
                    "id": it.worker_id, "state": it.state, "generation": it.generation, "instance": it.instance_id,
                    "run": it.run.map(|run| run.run_id), "connection": it.connection,
                })
            })
            .collect();
        let instances: Vec<_> = self
            .instances
            .all()
            .iter()
            .map(|it| {
                json!({
                    "id": it.view.instance_id, "worker": it.worker_id, "power": it.view.state, "type": it.instance_type,
                })
            })
            .collect();
        let sessions: Vec<_> = self
            .all::<Session>(Table::Sessions)
            .iter()
            .map(|it| json!({ "connection": it.connection_id, "owner": it.owner, "role": it.role }))
            .collect();
        scrubbed(json!({
            "tasks": tasks,
            "workers": workers,
            "instances": instances,
            "sessions": sessions,
            "queued": self.take_queued(),
            "sent": self.sent(),
        }))
    }

    /// What was written down, for "nothing was": but for how often an address has called, which every call of the sign-in changes.
    pub(crate) fn written(&self) -> String {
        let mut items = self.memory.items();
        items.retain(|(key, _)| !key.partition.starts_with("address#"));
        format!("{items:?} {:?}", self.memory.take_queued())
    }
}

/// A waiting task.
pub(crate) fn task(task_id: TaskId, owner: &str, now: Millis) -> Task {
    Task {
        task_id,
        version: 0,
        owner: UserId::new(owner),
        team: TeamId::new(TEAM),
        pool: PoolId::new(POOL),
        backlog: Some(PoolId::new(POOL)),
        start_tag: now.0,
        lane: Lane::Interactive,
        document: None,
        kind: None,
        state: TaskState::Queued,
        model: Some("dreamshaper_8.safetensors".to_owned()),
        work: 40.0,
        reserved: MicroUsd::default(),
        cost: MicroUsd::default(),
        created: now,
        expires_at: now + minutes(60),
        seen_at: now,
        eta: None,
        run: None,
        cancel: None,
        failures: 0,
        preempted: 0,
        failed_on: None,
        unpaid_ms: 0,
        result: None,
        error: None,
        claimed_at: None,
        ended_at: None,
        times: None,
        last_run: None,
        unarchived: None,
        offer_at: None,
        archived_at: None,
        ttl: None,
        variant: None,
    }
}
