use std::{collections::BTreeMap, time::Duration};

use fleet::{
    remains::{Disk, DiskSnapshot, LaunchImage, Machine},
    site::{Image, Subnet},
};
use model::{
    Breaker, BreakerForce, CatalogEntry, InstanceId, Master, MicroUsd, Pool, PoolId, TeamId, UploadedLora, UserId,
    Worker, WorkerState,
};

use super::*;
use crate::{
    aws::{Resource, Stack},
    doctor::{Answer, Catalogue, Drifted, PoolSeen, TableSeen},
};

const NOW: Millis = Millis(1_795_000_000_000);
const KEY: &str = "AAECAw==";

fn hours(many: u64) -> Millis {
    NOW - Duration::from_hours(many)
}

fn worker(state: WorkerState) -> Worker {
    let mut worker = Worker::launching(
        "00000000-0000-0000-0000-000000000000".parse().unwrap(),
        PoolId::new("default"),
        hours(2),
    );
    worker.state = state;
    worker.instance_id = Some(InstanceId::new("i-1"));
    worker
}

fn machine(state: &str) -> Machine {
    Machine {
        id: InstanceId::new("i-1"),
        state: state.to_owned(),
        instance_type: "g5.xlarge".to_owned(),
        started: hours(2),
    }
}

fn answer(status: u16) -> Answer {
    Answer {
        status,
        date: Some(NOW),
        at: NOW,
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    }
}

fn lora() -> UploadedLora {
    UploadedLora {
        owner: TeamId::new("studio"),
        version: 1,
        sha256: "ab".to_owned(),
        size: 5,
        created: NOW,
        stored: true,
        by: None,
    }
}

fn master() -> Master {
    Master {
        sha256: "cd".to_owned(),
        size: 7,
        home: TeamId::new("studio"),
        owner: UserId::new("mara"),
        created: NOW,
        private: false,
        by_plugin: false,
        words: Vec::new(),
        resolution: None,
        training: BTreeMap::new(),
    }
}

/// An image of a release, made so long ago.
fn image_of(version: &str, age: u64) -> Image {
    Image {
        id: format!("ami-{age}"),
        version: version.to_owned(),
        worker: None,
        made: String::new(),
        available: true,
        snapshots: vec![format!("snap-{age}")],
        gib: 100,
    }
}

/// An installation in which nothing is wrong.
fn healthy() -> Snapshot {
    let checkpoint = CatalogEntry {
        version: 1,
        arch: Some("sd15".to_owned()),
        master: Some(master()),
        ..CatalogEntry::on_images(
            TeamId::new(CatalogEntry::SHARED),
            "checkpoint",
            "sd15",
            "sd15.safetensors",
        )
    };
    let mut pool = Pool::new(PoolId::new("default"), 2, vec!["g5.xlarge".to_owned()]);
    pool.warm_up = Some("sd15".to_owned());
    Snapshot {
        name: "atelier".to_owned(),
        region: "eu-central-1".to_owned(),
        account: Ok("123456789012".to_owned()),
        stack: Ok(Some(Stack {
            status: "UPDATE_COMPLETE".to_owned(),
            reason: None,
            outputs: None,
            parameters: BTreeMap::from([
                (
                    "TokenPublicKey".to_owned(),
                    format!("-----BEGIN PUBLIC KEY-----\n{KEY}\n-----END PUBLIC KEY-----\n"),
                ),
                ("InstanceTypes".to_owned(), "g5.*,g6.*".to_owned()),
                ("Settings".to_owned(), "concurrency=1000".to_owned()),
            ]),
            changed: Some(NOW),
        })),
        resources: Ok(Vec::new()),
        drift: Ok(Vec::new()),
        vcpus: Ok(8.0),
        concurrency: Ok(1000.0),
        image: Ok(Some(LaunchImage {
            id: "ami-1".to_owned(),
            state: Some("available".to_owned()),
            made: Some(hours(24)),
            gib: 100,
            snapshots: vec!["snap-1".to_owned()],
        })),
        subnets: Ok(vec![subnet("subnet-1", true), subnet("subnet-2", true)]),
        api: Ok(answer(200)),
        socket: Ok(answer(403)),
        key: Ok(Some(KEY.to_owned())),
        catalogue: Ok(Catalogue {
            models: vec![checkpoint],
            loras: vec![lora()],
            passing: BTreeSet::from(["models/studio/ef".to_owned()]),
        }),
        objects: Ok(BTreeMap::from([
            (lora().key(), 5),
            (master().key(), 7),
            ("models/studio/ef".to_owned(), 9),
        ])),
        pools: Ok(vec![PoolSeen {
            pool,
            workers: vec![worker(WorkerState::Stopped)],
            fault: None,
        }]),
        ticks: BTreeMap::from([
            ("lifecycle", Ok(Some(NOW))),
            ("idle-reaper", Ok(Some(NOW))),
            ("forecast", Ok(Some(NOW))),
        ]),
        dead: Ok(0),
        dead_records: Ok(0),
        tables: BTreeMap::from([(
            "Accounts".to_owned(),
            Ok(TableSeen {
                recoverable: true,
                bytes: 1 << 30,
            }),
        )]),
        machines: Ok(vec![machine("stopped")]),
        disks: Ok(vec![disk(Some("i-1"))]),
        disk_snapshots: Ok(vec![DiskSnapshot {
            id: "snap-1".to_owned(),
            gib: 100,
        }]),
        images: Ok(vec![image_of("0.0.9", 2), image_of("0.1.0", 1)]),
    }
}

fn subnet(id: &str, way_out: bool) -> Subnet {
    Subnet {
        id: id.to_owned(),
        vpc: "vpc-1".to_owned(),
        zone: "eu-central-1a".to_owned(),
        way_out,
        public: true,
    }
}

fn disk(instance: Option<&str>) -> Disk {
    Disk {
        id: "vol-1".to_owned(),
        gib: 100,
        throughput: 250,
        instance: instance.map(InstanceId::new),
        made: hours(2),
    }
}

#[test]
fn a_healthy_installation_costs_something_and_nothing_else() {
    let lines: Vec<_> = examine(&healthy(), NOW).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "note     cost         what lies around costs about US$ 26.05 a month (disks US$ 13.00, snapshots US$ 5.00, \
          tables US$ 0.45, the secret US$ 0.40, metrics, alarms and the dashboard US$ 7.20), without pictures, logs and calls; \
          AWS's list prices in us-east-1, August 2026"
        ]
    );
}

#[test]
fn what_has_no_price_here_is_named() {
    let mut snapshot = healthy();
    snapshot.resources.as_mut().unwrap().push(Resource {
        logical: "FileSystem".to_owned(),
        physical: "fs-1".to_owned(),
        kind: "AWS::EFS::FileSystem".to_owned(),
        status: "CREATE_COMPLETE".to_owned(),
        reason: None,
    });
    let found = examine(&snapshot, NOW);
    assert!(
        found
            .iter()
            .any(|it| it.to_string().contains("without the machines' EFS")),
        "{found:?}"
    );
}

/// What one thing that is wrong is said to be: severity, subject, a part of the line.
type Case = (fn(&mut Snapshot), &'static str);

const WRONG: [Case; 52] = [
    (
        |it| it.stack = Ok(None),
        "broken   stack        there is no stack atelier in eu-central-1; give --stack",
    ),
    (
        |it| status(it, "UPDATE_ROLLBACK_COMPLETE"),
        "warning  stack        the last change of atelier failed",
    ),
    (
        |it| status(it, "UPDATE_IN_PROGRESS"),
        "warning  stack        atelier is being changed",
    ),
    (
        |it| status(it, "ROLLBACK_COMPLETE"),
        "broken   stack        atelier is ROLLBACK_COMPLETE",
    ),
    (
        |it| status(it, "REVIEW_IN_PROGRESS"),
        "broken   stack        of atelier there is only a plan that nobody carried out; `ops deploy` makes it",
    ),
    (
        |it| it.resources = Ok(vec![resource()]),
        "warning  stack        New is a AWS::New::Thing, which this",
    ),
    (
        |it| it.drift = Ok(vec![drifted(true)]),
        "broken   drift        TaskQueue (AWS::SQS::Queue) was deleted by hand; no deployment makes it again",
    ),
    (
        |it| it.drift = Ok(vec![drifted(false)]),
        "warning  drift        TaskQueue (AWS::SQS::Queue) was changed by hand: /A; no deployment changes it back",
    ),
    (
        |it| it.vcpus = Ok(4.0),
        "warning  quota        the account may run 4 vCPUs of G and VT instances at once, the pools' limits ask for 8; ask",
    ),
    (
        |it| it.vcpus = Ok(0.0),
        "broken   quota        the account may run 0 vCPUs of G and VT instances at once, the pools' limits ask for 8: no machine",
    ),
    (
        |it| {
            it.vcpus = Ok(4.0);
            it.region = "cn-north-1".to_owned();
        },
        "warning  quota        the account may run 4 vCPUs of G and VT instances at once, the pools' limits ask for 8; ask AWS for \
         8 (EC2, Running On-Demand G and VT instances): https://cn-north-1.console.amazonaws.cn/servicequotas",
    ),
    (
        |it| {
            it.concurrency = Ok(10.0);
            settings(it, "");
        },
        "warning  quota        only 10 calls of functions",
    ),
    (
        |it| settings(it, "idle_stop=20m"),
        "note     settings     the functions reckon with 10 calls at once, and the quota “Concurrent executions” is 1000",
    ),
    (
        |it| settings(it, "concurrency=2000"),
        "warning  settings     the functions reckon with 2000 calls at once",
    ),
    (
        |it| it.image = Ok(None),
        "broken   image        the launch template names no machine image",
    ),
    (
        |it| image(it).state = None,
        "broken   image        ami-1 is not there, or not shared with 123456789012",
    ),
    (
        |it| image(it).state = Some("failed".to_owned()),
        "broken   image        ami-1 is failed",
    ),
    (
        |it| image(it).made = Some(hours(61 * 24)),
        "warning  image        ami-1 is 61 days old",
    ),
    (
        |it| it.subnets = Ok(Vec::new()),
        "broken   subnet       there is no subnet",
    ),
    (
        |it| it.subnets = Ok(vec![subnet("s", false)]),
        "broken   subnet       s (eu-central-1a) has no way out",
    ),
    (
        |it| it.subnets = Ok(vec![subnet("s", false), subnet("t", true)]),
        "warning  subnet       s (eu-central-1a) has no way out",
    ),
    (
        |it| it.api = Ok(answer(500)),
        "broken   API          it answers with status 500",
    ),
    (
        |it| it.api = Err("no route".to_owned()),
        "broken   API          it cannot be reached from here: no route",
    ),
    (
        |it| it.socket = Ok(answer(502)),
        "broken   WebSocket    it answers with status 502",
    ),
    (
        |it| clock(it, NOW + Duration::from_secs(90)),
        "warning  clock        this machine's clock is 90 s behind AWS's",
    ),
    (
        |it| clock(it, hours(1)),
        "broken   clock        this machine's clock is 3600 s ahead of AWS's: AWS refuses",
    ),
    (
        |it| it.api.as_mut().unwrap().version = Some("0.0.1".to_owned()),
        "warning  version      the functions are of release 0.0.1",
    ),
    (
        |it| it.key = Ok(None),
        "broken   key          the secret holds no key yet",
    ),
    (
        |it| it.key = Ok(Some("AAEC".to_owned())),
        "broken   key          the stored key is not the one",
    ),
    (
        |it| {
            // What was deleted can be had back, and is not offered.
            checkpoint(it).deleted = Some(NOW);
            pool(it).warm_up = None;
        },
        "broken   catalogue    it has no checkpoint",
    ),
    (
        |it| {
            checkpoint(it).master = None;
            objects(it).remove(&master().key());
        },
        "note     catalogue    no checkpoint has a file in the bucket of models",
    ),
    (
        |it| {
            objects(it).remove(&master().key());
        },
        "warning  catalogue    the file of checkpoint/sd15@1 of shared is not in the bucket: pictures with it fail on machines \
         that do not have it yet; `ops model delete --team shared checkpoint/sd15@1`",
    ),
    (
        |it| {
            objects(it).insert(master().key(), 8);
        },
        "warning  catalogue    the file of checkpoint/sd15@1 of shared has 8 bytes in the bucket instead of 7",
    ),
    (
        |it| {
            objects(it).insert("models/studio/01".to_owned(), 1 << 30);
        },
        "note     catalogue    1 files of models are in no list and cost US$ 0.02 a month",
    ),
    (
        |it| {
            objects(it).remove(&lora().key());
        },
        "warning  catalogue    the file of LoRA ab of studio is not in the bucket",
    ),
    (
        |it| {
            objects(it).insert(lora().key(), 4);
        },
        "warning  catalogue    the file of LoRA ab of studio has 4 bytes in the bucket instead of 5",
    ),
    (
        |it| catalogue(it).loras.clear(),
        "note     catalogue    1 files of LoRAs are in no list",
    ),
    (
        |it| {
            it.pools = Ok(Vec::new());
            it.machines = Ok(Vec::new());
        },
        "broken   pool         there are no pools",
    ),
    (
        |it| pool(it).max_workers = 0,
        "warning  pool         default may have no machines",
    ),
    (
        |it| pool(it).instance_types.clear(),
        "broken   pool         default has no instance types",
    ),
    (
        |it| pool(it).instance_types.push("p3.xlarge".to_owned()),
        "warning  pool         default asks for p3.xlarge",
    ),
    (
        |it| pool(it).warm_up = Some("sdxl".to_owned()),
        "warning  pool         default warms up with sdxl",
    ),
    (
        |it| pool(it).monthly_limit = Some(MicroUsd(0)),
        "broken   pool         default has reached its monthly limit",
    ),
    (
        |it| breaker(it).forced = Some(BreakerForce::Open),
        "broken   breaker      default starts nothing, by hand; `ops pool breaker default auto`",
    ),
    (
        |it| breaker(it).forced = Some(BreakerForce::Closed),
        "warning  breaker      default starts machines however many fail",
    ),
    (
        |it| breaker(it).opened_at = Some(hours(3)),
        "broken   breaker      machines of default have not come up for 3 h",
    ),
    (
        |it| drop(it.ticks.insert("idle-reaper", Ok(None))),
        "broken   idle-reaper  no tick of it has gone well for 10 min: idle machines",
    ),
    (
        |it| it.dead = Ok(3),
        "warning  queue        3 messages could not be handled",
    ),
    (
        |it| it.dead_records = Ok(2),
        "warning  records      2 ends of tasks could not be archived",
    ),
    (
        |it| drop(it.ticks.insert("forecast", Ok(None))),
        "warning  forecast     no tick of it has gone well for 10 min: the next hour",
    ),
    (
        |it| it.pools.as_mut().unwrap()[0].fault = Some("the forecast's model is damaged".to_owned()),
        "warning  forecast     default has none: the forecast's model is damaged",
    ),
    (
        |it| {
            let table = TableSeen {
                recoverable: false,
                bytes: 0,
            };
            it.tables.insert("Accounts".to_owned(), Ok(table));
        },
        "warning  table        Accounts cannot be recovered",
    ),
];

const MACHINES: [Case; 9] = [
    (
        |it| known(it, None, "running"),
        "broken   machine      i-1 (g5.xlarge) is up for 2 h at US$ 1.01 an hour, and nobody knows it",
    ),
    (
        |it| known(it, None, "stopped"),
        "warning  machine      i-1 (g5.xlarge) is stopped, and nobody knows it",
    ),
    (
        |it| known(it, Some(WorkerState::Stopped), "running"),
        "broken   machine      i-1 (g5.xlarge) is up for 2 h at US$ 1.01 an hour, though its worker is Stopped",
    ),
    (
        |it| known(it, Some(WorkerState::Booting), "running"),
        "broken   machine      i-1 (g5.xlarge) is Booting for 2 h",
    ),
    (
        |it| workers(it)[0].protocol = Some(1),
        "warning  version      worker 00000000-0000-0000-0000-000000000000 speaks version 1",
    ),
    (
        |it| it.disks = Ok(vec![disk(None)]),
        "warning  volume       vol-1 (100 GiB) belongs to no machine and costs US$ 13.00 a month; `aws ec2 delete-volume",
    ),
    (
        |it| {
            workers(it)[0].release = Some("0.0.9".to_owned());
            workers(it)[0].old_image = true;
        },
        "note     version      worker 00000000-0000-0000-0000-000000000000 is of release 0.0.9, the functions of",
    ),
    (
        |it| {
            image(it).snapshots.clear();
            it.images = Ok(Vec::new());
        },
        "warning  snapshot     snap-1 (100 GiB) belongs to no image and costs up to US$ 5.00 a month",
    ),
    (
        // Before the way back, and between it and what is launched; what is newer waits.
        |it| {
            let images = [("0.0.8", 9), ("0.0.9", 2), ("0.1.0", 8), ("0.1.0", 1), ("0.1.0", 7)];
            it.images = Ok(images.map(|(version, age)| image_of(version, age)).into());
        },
        "note     image        2 of the machine images are neither launched nor of the release before, and cost up to US$ 10.00 \
         a month: ami-9, ami-8; if no other installation launches them, `aws ec2 deregister-image",
    ),
];

fn status(it: &mut Snapshot, status: &str) {
    it.stack.as_mut().unwrap().as_mut().unwrap().status = status.to_owned();
}

fn settings(it: &mut Snapshot, settings: &str) {
    let stack = it.stack.as_mut().unwrap().as_mut().unwrap();
    stack.parameters.insert("Settings".to_owned(), settings.to_owned());
}

fn resource() -> Resource {
    Resource {
        logical: "New".to_owned(),
        physical: "new".to_owned(),
        kind: "AWS::New::Thing".to_owned(),
        status: "CREATE_COMPLETE".to_owned(),
        reason: None,
    }
}

fn drifted(deleted: bool) -> Drifted {
    Drifted {
        logical: "TaskQueue".to_owned(),
        kind: "AWS::SQS::Queue".to_owned(),
        deleted,
        properties: vec!["/A".to_owned()],
    }
}

fn image(it: &mut Snapshot) -> &mut LaunchImage {
    it.image.as_mut().unwrap().as_mut().unwrap()
}

fn catalogue(it: &mut Snapshot) -> &mut Catalogue {
    it.catalogue.as_mut().unwrap()
}

fn checkpoint(it: &mut Snapshot) -> &mut CatalogEntry {
    &mut catalogue(it).models[0]
}

fn objects(it: &mut Snapshot) -> &mut BTreeMap<String, u64> {
    it.objects.as_mut().unwrap()
}

fn clock(it: &mut Snapshot, date: Millis) {
    it.api.as_mut().unwrap().date = Some(date);
}

fn pool(it: &mut Snapshot) -> &mut Pool {
    &mut it.pools.as_mut().unwrap()[0].pool
}

fn breaker(it: &mut Snapshot) -> &mut Breaker {
    &mut pool(it).breaker
}

fn workers(it: &mut Snapshot) -> &mut Vec<Worker> {
    &mut it.pools.as_mut().unwrap()[0].workers
}

fn known(it: &mut Snapshot, as_what: Option<WorkerState>, state: &str) {
    *workers(it) = as_what.map(worker).into_iter().collect();
    it.machines = Ok(vec![machine(state)]);
}

#[test]
fn each_thing_that_is_wrong_is_one_line() {
    for (change, wanted) in WRONG.iter().chain(&MACHINES) {
        let mut snapshot = healthy();
        change(&mut snapshot);
        let found: Vec<_> = examine(&snapshot, NOW).iter().map(ToString::to_string).collect();
        let new: Vec<_> = found.iter().filter(|it| !it.starts_with("note     cost")).collect();
        assert!(new.len() == 1 && new[0].starts_with(wanted), "{wanted}\n{found:#?}");
    }
}

#[test]
fn the_worst_comes_first_and_what_starts_or_ends_now_is_nothing() {
    let mut snapshot = healthy();
    snapshot.dead = Ok(1);
    snapshot.key = Ok(None);
    let severities: Vec<_> = examine(&snapshot, NOW).iter().map(|it| it.severity).collect();
    assert_eq!(severities, [Severity::Broken, Severity::Warning, Severity::Note]);

    let mut snapshot = healthy();
    known(&mut snapshot, None, "running");
    snapshot.machines.as_mut().unwrap()[0].started = NOW;
    let mut ended = machine("terminated");
    ended.id = InstanceId::new("i-2");
    snapshot.machines.as_mut().unwrap().push(ended);
    snapshot.disks = Ok(vec![Disk {
        made: NOW,
        ..disk(None)
    }]);
    assert_eq!(examine(&snapshot, NOW).len(), 1);
}

#[test]
fn what_cannot_be_looked_at_is_a_finding() {
    let healthy = healthy();
    let why = || "AccessDenied".to_owned();
    let blind = Snapshot {
        name: healthy.name.clone(),
        region: healthy.region.clone(),
        account: Err(why()),
        stack: Err(why()),
        resources: Err(why()),
        drift: Err(why()),
        vcpus: Err(why()),
        concurrency: Err(why()),
        image: Err(why()),
        subnets: Err(why()),
        api: Err(why()),
        socket: Err(why()),
        key: Err(why()),
        catalogue: Err(why()),
        objects: Err(why()),
        pools: Err(why()),
        ticks: BTreeMap::from([
            ("lifecycle", Err(why())),
            ("idle-reaper", Err(why())),
            ("forecast", Err(why())),
        ]),
        dead: Err(why()),
        dead_records: Err(why()),
        tables: BTreeMap::from([("Accounts".to_owned(), Err(why()))]),
        machines: Err(why()),
        disks: Err(why()),
        disk_snapshots: Err(why()),
        images: Err(why()),
    };
    let findings = examine(&blind, NOW);
    // One for each source, and the note on costs.
    assert_eq!(findings.len(), 25, "{findings:#?}");
    let said = findings
        .iter()
        .filter(|it| it.what.contains("AccessDenied") && it.severity < Severity::Note);
    assert_eq!(said.count(), 24);
}
