//! Any one call to AWS may fail, do its work and lose the answer, be done twice, or be the last thing that a function does.
//! After any of them, clients that try again and the next ticks, nothing is lost, rendered into two results, charged
//! wrongly or left running.

use std::collections::{BTreeMap, BTreeSet};

use cloud::{
    fault::{Fault, How},
    queue::Queued,
    tables::Table,
};
use model::{InstanceId, Millis, Settings, Task, TaskId, TaskState, Usage, UserId};
use policy::watch::InstanceState;
use serde_json::{Value, json};

use crate::support::{
    Answer, MARA, NOW, World, claims, golden, http, minutes, painter, seconds, socket_event, sqs, thorough, wire,
    worker_context,
};

/// A studio in which machines stop soon, so that a day is short.
fn settings() -> Settings {
    let text = "idle_blind=2m idle_stop=3m presence=1m min_billing=10s capacity_pause=1m breaker_pause=1m";
    Settings::parse(text).unwrap()
}

/// A worker's process on an instance.
#[derive(Default)]
struct Process {
    generation: u32,
    registered: bool,
    proofs: u64,
}

/// One painter, their studio, and what was seen of it.
struct Day {
    world: World,
    at: Millis,
    messages: Vec<Queued>,
    processes: BTreeMap<InstanceId, Process>,
    /// Results that were accepted, by task.
    accepted: BTreeMap<String, BTreeSet<String>>,
}

fn good(answer: &Answer) -> bool {
    answer.status < 500
}

impl Day {
    async fn new() -> Self {
        let world = World::watched(settings()).await;
        world.painter_socket().await;
        world.faults.take();
        Self {
            world,
            at: NOW,
            messages: Vec::new(),
            processes: BTreeMap::new(),
            accepted: BTreeMap::new(),
        }
    }

    /// Makes a call until it is answered, as every client does.
    async fn call(&mut self, event: Value) -> Answer {
        for _ in 0..5 {
            let answer = self.world.faults.run(self.world.http(event.clone(), self.at)).await;
            self.messages.extend(self.world.take_queued());
            match answer {
                Some(answer) if good(&answer) => return answer,
                _ => self.at = self.at + seconds(1),
            }
        }
        panic!("no answer to {}", event["routeKey"])
    }

    async fn paint(&mut self, route: &str, id: &str, body: &Value, key: Option<&str>) -> Value {
        let mut event = http(route, id, Some(&painter(MARA)), body);
        if let Some(key) = key {
            event["headers"]["idempotency-key"] = key.into();
        }
        self.call(event).await.ok()
    }

    async fn submit(&mut self, key: &str) -> TaskId {
        let body = self
            .paint("POST /v1/generate", "", &wire("01_generate"), Some(key))
            .await;
        body["id"].as_str().unwrap().parse().unwrap()
    }

    /// SQS hands messages over until they are taken, three times at most.
    async fn deliver(&mut self) {
        for _ in 0..3 {
            let messages = std::mem::take(&mut self.messages);
            if messages.is_empty() {
                return;
            }
            let bodies: Vec<_> = messages.iter().map(|it| serde_json::to_string(it).unwrap()).collect();
            let done = self.world.faults.run(self.world.dispatch(sqs(&bodies), self.at)).await;
            self.messages.extend(self.world.take_queued());
            if !done.is_some_and(|it| it.batch_item_failures.is_empty()) {
                self.messages.extend(messages);
            }
        }
        self.messages.clear();
    }

    /// The minute's ticks; what goes wrong in one is left to the next.
    async fn minute(&mut self) {
        self.at = self.at + seconds(45);
        let tick = self.world.lifecycle(golden("lifecycle", "tick"), self.at);
        let _ = self.world.faults.run(tick).await;
        let _ = self.world.faults.run(self.world.try_reap(self.at)).await;
        self.messages.extend(self.world.take_queued());
        for instance in self.world.instances.all() {
            if instance.view.state == InstanceState::Stopping {
                self.world
                    .instances
                    .set(&instance.view.instance_id, InstanceState::Stopped);
            }
        }
        self.deliver().await;
    }

    /// What the processes on all running instances do: come up, and render whatever there is.
    async fn machines(&mut self) {
        for instance in self.world.instances.all() {
            let id = instance.view.instance_id.clone();
            if instance.view.state == InstanceState::Up {
                let process = self.processes.remove(&id).unwrap_or_default();
                let process = self.work(process, instance.worker_id.as_str(), &id).await;
                self.processes.insert(id, process);
            } else {
                // The next start begins a new one.
                self.processes.entry(id).and_modify(|it| it.registered = false);
            }
        }
    }

    async fn work(&mut self, mut process: Process, worker: &str, instance: &InstanceId) -> Process {
        if !process.registered {
            let answer = self.register(&mut process, worker, instance).await;
            if answer.status != 200 {
                return process;
            }
            process.generation = u32::try_from(
                claims(answer.body["token"].as_str().unwrap())["generation"]
                    .as_u64()
                    .unwrap(),
            )
            .unwrap();
            process.registered = true;
        }
        let beat = self
            .operate(&process, worker, "heartbeat", &json!({ "ready": true }))
            .await;
        if beat.status != 200 {
            process.registered = false;
            return process;
        }
        let claimed = self.operate(&process, worker, "claim", &json!({})).await;
        let mut assignment = claimed.body["assignment"].clone();
        while assignment.is_object() {
            assignment = self.render(&process, worker, &assignment).await;
        }
        process
    }

    async fn register(&mut self, process: &mut Process, worker: &str, instance: &InstanceId) -> Answer {
        let body = golden("claim", "register")["body"].as_str().unwrap().to_owned();
        let mut body: Value = serde_json::from_str(&body).unwrap();
        for _ in 0..5 {
            // Each proof is good once.
            process.proofs += 1;
            let second = self.at.since(NOW).as_secs() + process.proofs;
            let date = format!(
                "20260901T{:02}{:02}{:02}Z",
                12 + second / 3600,
                second / 60 % 60,
                second % 60
            );
            body["proof"]["x-amz-date"] = date.into();
            body["proof"]["x-atelier-worker"] = worker.into();
            body["proof"]["x-amz-security-token"] = format!("not-a-session-token-of-{instance}").into();
            let event = http("POST /v1/workers/register", "", None, &body);
            let answer = self.world.faults.run(self.world.http(event, self.at)).await;
            if let Some(answer) = answer.filter(good) {
                return answer;
            }
        }
        panic!("{worker} could not register")
    }

    async fn operate(&mut self, process: &Process, worker: &str, operation: &str, body: &Value) -> Answer {
        let route = format!("POST /v1/workers/{{id}}/{operation}");
        let caller = worker_context(worker, process.generation, self.at);
        self.call(http(&route, worker, Some(&caller), body)).await
    }

    async fn render(&mut self, process: &Process, worker: &str, assignment: &Value) -> Value {
        let (task, run) = (&assignment["task_id"], &assignment["run_id"]);
        let said = json!({ "action": "progress", "task_id": task, "run_id": run, "seq": 1, "value": 0.4 });
        let caller = worker_context(worker, process.generation, self.at);
        let event = socket_event("progress", "workers-socket=", &caller, Some(&said));
        let _ = self.world.faults.run(self.world.push(event, self.at)).await;
        let run_progress = json!({ "run_id": run, "seq": 2, "value": 0.5 });
        let beat = json!({ "ready": true, "run": run_progress });
        self.operate(process, worker, "heartbeat", &beat).await;
        self.at = self.at + seconds(2);
        let result = json!({
            "task_id": task, "run_id": run, "offsets": [0, 10], "size": 20,
            "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 },
        });
        let ended = self.operate(process, worker, "result", &result).await;
        if ended.body["accepted"] == true {
            let runs = self.accepted.entry(task.as_str().unwrap().to_owned()).or_default();
            runs.insert(run.as_str().unwrap().to_owned());
        }
        ended.body["assignment"].clone()
    }

    fn tasks(&self) -> BTreeMap<TaskId, Task> {
        self.world
            .tasks()
            .into_iter()
            .map(|task| (task.task_id, task))
            .collect()
    }

    fn is_over(&self, ids: &[TaskId]) -> bool {
        let tasks = self.tasks();
        ids.iter()
            .all(|id| tasks.get(id).is_some_and(|task| task.state.is_terminal()))
    }

    fn is_dark(&self) -> bool {
        let up = |it: &fleet::Instance| matches!(it.view.state, InstanceState::Up | InstanceState::Stopping);
        !self.world.instances.all().iter().any(up)
    }

    /// Somebody who was invited signs in.
    async fn sign_in(&mut self) {
        let life = std::time::Duration::from_hours(1);
        let unwatched = self.world.memory.cloud().store;
        let invitation = ops::invite::invite(&unwatched, &UserId::new(MARA), life, NOW)
            .await
            .unwrap();
        let device = json!({ "client_id": "0b9c9e6c-6a0e-4b6e-9d0e-2f4d9a4f5b11", "client_info": "Krita" });
        let post = |route, body: Value| http(route, "", None, &body);
        let started = self.call(post("POST /v1/auth/initiate", device.clone())).await.ok();
        let code = started["url"].as_str().unwrap().replace("/sign-in?code=", "");
        let mut page = http("GET /v1/sign-in", "", None, &json!(""));
        page["queryStringParameters"] = json!({ "code": code });
        assert_eq!(self.call(page).await.status, 200);
        let form = format!("code={code}&invitation={invitation}");
        // Who presses the button again may read that it is over.
        let approved = self.call(post("POST /v1/sign-in", form.into())).await;
        assert!([200, 404].contains(&approved.status), "{approved:?}");
        let given = self.call(post("POST /v1/auth/confirm", device)).await.ok();
        let claims = claims(given["token"].as_str().unwrap());
        assert_eq!(claims["sub"], MARA);
        let left = self.world.memory.items();
        let invitations = left.iter().filter(|(it, _)| it.partition.starts_with("invitation#"));
        assert_eq!(invitations.count(), 0, "it was used");
    }

    /// Two pictures are painted, one is canceled, one is forgotten; then everybody goes home.
    async fn pass(&mut self) {
        self.paint("GET /v1/user", "", &Value::from(""), None).await;
        self.paint("POST /v1/upload/image", "", &json!({}), None).await;
        let lora = json!({ "hash": "paWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU=", "size": 12 });
        self.paint("POST /v1/upload/lora", "", &lora, None).await;
        let painted = [self.submit("one").await, self.submit("two").await];
        let canceled = self.submit("three").await;
        self.paint("POST /v1/cancel/{worker}/{id}", &canceled.to_string(), &json!({}), None)
            .await;
        self.deliver().await;
        for _ in 0..20 {
            self.machines().await;
            if self.is_over(&painted) {
                break;
            }
            // Whoever waits asks more often than a machine is given up for.
            self.at = self.at + seconds(30);
            for id in painted {
                self.paint("POST /v1/status/{id}", &id.to_string(), &json!({}), None)
                    .await;
            }
            self.minute().await;
        }
        for _ in 0..20 {
            if self.is_dark() {
                break;
            }
            self.machines().await;
            self.minute().await;
        }
        // Nobody asks for this one, and its message is lost.
        let forgotten = self.submit("four").await;
        self.messages.clear();
        self.at = self.at + minutes(1);
        for _ in 0..20 {
            self.minute().await;
            if self.is_over(&[forgotten]) && self.is_dark() {
                break;
            }
            self.machines().await;
        }

        let tasks = self.tasks();
        let state = |id: &TaskId| tasks[id].state;
        assert_eq!(painted.map(|id| state(&id)), [TaskState::Succeeded; 2], "{tasks:#?}");
        assert_eq!(
            (state(&canceled), state(&forgotten)),
            (TaskState::Canceled, TaskState::Expired),
            "{tasks:#?}"
        );
        assert_eq!(tasks.len(), 4, "a request became two tasks: {tasks:#?}");
        for id in painted {
            let runs = &self.accepted[&id.to_string()];
            let key = tasks[&id].result.as_ref().unwrap().key.clone();
            assert!(
                runs.len() == 1 && key.ends_with(runs.first().unwrap()),
                "{runs:?} {key}"
            );
        }
        self.world.port.check_budgets();
        let usage: Vec<Usage> = self
            .world
            .memory
            .items()
            .into_iter()
            .filter(|(key, _)| key.table == Table::Accounts && key.partition.starts_with("usage#"))
            .map(|(_, item)| serde_json::from_value(Value::Object(item)).unwrap())
            .collect();
        assert!(usage.iter().all(|it| it.reserved.0 == 0), "{usage:?}");
        assert_eq!(usage.iter().map(|it| it.images).sum::<u64>(), 4, "{usage:?}");
        let workers = self.world.workers();
        assert!(workers.iter().all(|it| it.run.is_none()), "{workers:#?}");
        assert!(self.is_dark(), "{:#?} {workers:#?}", self.world.instances.all());
    }
}

/// Of so many calls one goes wrong in `cargo test`, another one for each way in which it may; with `THOROUGH` set, each does.
const SHARE: usize = 12;

/// Lets this happen once for each call that it makes, of which another one goes wrong each time.
#[expect(clippy::print_stdout, reason = "the harness shows it only of a day that goes wrong")]
async fn sweep(how: How, least: usize, flow: impl AsyncFn(&mut Day)) {
    let mut day = Day::new().await;
    flow(&mut day).await;
    let calls = day.world.faults.take();
    assert!(calls.len() >= least, "{}", calls.len());
    let (first, step) = if thorough() {
        (0, 1)
    } else {
        (3 * how as usize % SHARE, SHARE)
    };
    for (call, at) in calls.iter().zip(1..).skip(first).step_by(step) {
        // Shown where the day goes wrong.
        println!("{how:?}: {call}, call {at} of {}", calls.len());
        let mut day = Day::new().await;
        day.world.faults.plan(Fault { of: None, at, how });
        flow(&mut day).await;
    }
}

async fn sweep_all(how: How) {
    Box::pin(sweep(how, 100, Day::pass)).await;
    Box::pin(sweep(how, 10, Day::sign_in)).await;
}

#[tokio::test]
async fn any_call_may_fail() {
    sweep_all(How::Fail).await;
}

#[tokio::test]
async fn any_answer_may_be_lost() {
    sweep_all(How::LostAnswer).await;
}

#[tokio::test]
async fn any_call_may_be_done_twice() {
    sweep_all(How::Twice).await;
}

#[tokio::test]
async fn any_call_may_be_a_functions_last() {
    sweep_all(How::Crash).await;
}
