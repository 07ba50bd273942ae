//! Thumbnails, pictures that are kept, and tasks that are deleted with all that was stored of them.

use std::time::Duration;

use cloud::{
    fault::{Fault, How},
    tables::{BodyOf, KeepRuleOf, Table},
};
use model::{
    Group, GroupId, Keep, KeepRule, Member, Millis, Outcome, RunTimes, Settings, TaskBody, TaskId, TaskResult,
    TaskState, TeamId, UserId, Variant, WorkerState, worker_api::InputBlob,
};
use serde_json::{Value, json};
use tasks::keep;

use crate::support::{Answer, MARA, NOW, OTHER, TASK, TEAM, WORKER, World, changes, minutes, run_id, seconds, task_id};

const KEEP: &str = "POST /v1/tasks/{id}/keep";
const KEEP_NO_LONGER: &str = "DELETE /v1/tasks/{id}/keep";
const DELETE: &str = "DELETE /v1/tasks/{id}";
const SHOW: &str = "GET /v1/tasks/{id}";
const fn days(n: u64) -> Duration {
    minutes(n * 24 * 60)
}

const UPLOADED: &str = "uploads/mara/one";

/// The golden task, finished then, with all that can lie in the bucket of it.
pub(crate) async fn finished(world: &World, ended: Millis) -> TaskId {
    let id = task_id();
    world.running(ended - minutes(1)).await;
    let result = TaskResult {
        key: TaskResult::key_of(id, run_id()),
        offsets: vec![0, 10],
        size: 20,
        thumbnails: true,
        ..TaskResult::default()
    };
    world.memory.put_object(&result.key, 20, "pictures");
    for key in result.thumbnail_keys() {
        world.memory.put_object(&key, 4, "thumbnail");
    }
    // A worker that was lost came too late.
    for key in ["results", "thumbs", "plans"].map(|place| format!("{place}/{id}/late")) {
        world.memory.put_object(&key, 20, "late");
    }
    world.memory.put_object(UPLOADED, 20, "inputs");
    world
        .alter_task(&id, |task| {
            let end = Outcome::Succeeded(result, RunTimes::default());
            task.end_run(run_id(), end, ended).unwrap();
        })
        .await;
    world
        .alter_worker(WORKER, |worker| {
            worker.run = None;
            worker.state = WorkerState::Ready;
        })
        .await;
    let mut body: TaskBody = world.get(&BodyOf(id)).await;
    body.inputs = Some(InputBlob {
        base64: None,
        key: Some(UPLOADED.to_owned()),
        etag: None,
        offsets: vec![0],
        size: 20,
    });
    world.put(body).await;
    id
}

async fn call(world: &World, user: &str, route: &str, now: Millis) -> Answer {
    world
        .paint(user, route, &task_id().to_string(), &Value::Null, now)
        .await
}

/// Every object of the bucket.
async fn objects(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for place in ["kept/", "plans/", "results/", "thumbs/", "uploads/"] {
        found.extend(
            cloud::Bucket::new(world.memory.clone())
                .list(place, None)
                .await
                .unwrap(),
        );
    }
    found
}

fn kept_key() -> String {
    format!("kept/always/{}/{}", task_id(), run_id())
}

fn result_key() -> String {
    TaskResult::key_of(task_id(), run_id())
}

#[tokio::test]
async fn kept_pictures_outlive_the_week() {
    let world = World::new().await;
    finished(&world, NOW).await;
    let shown = call(&world, MARA, SHOW, NOW).await.ok();
    assert_eq!(shown["result"]["gone_at"], (NOW + TaskResult::LIFE).0);
    assert_eq!(shown["result"].get("kept"), None);
    for _ in 0..2 {
        let kept = call(&world, MARA, KEEP, NOW + minutes(5)).await.ok();
        assert_eq!(kept["result"]["url"], format!("memory:get/{}", kept_key()));
        assert_eq!(kept["result"]["kept"], "always");
        assert_eq!(kept["result"].get("gone_at"), None);
        assert_eq!(kept["result"]["offsets"], json!([0, 10]));
    }
    // The bucket's own rule.
    world.cloud.bucket.delete(&result_key()).await.unwrap();
    let late = NOW + days(30);
    let shown = call(&world, MARA, SHOW, late).await.ok();
    assert_eq!(shown["result"]["url"], format!("memory:get/{}", kept_key()));
    assert_eq!(world.cloud.bucket.get(&kept_key()).await.unwrap(), "pictures");
    let status = call(&world, MARA, "POST /v1/status/{id}", late).await.ok();
    assert_eq!(status["output"]["images"]["url"], format!("memory:get/{}", kept_key()));
    assert_eq!(
        call(&world, MARA, KEEP, late).await.status,
        200,
        "doubled, and long after"
    );
}

#[tokio::test]
async fn what_is_kept_no_longer_has_what_is_left_of_its_week() {
    let world = World::new().await;
    finished(&world, NOW).await;
    call(&world, MARA, KEEP, NOW).await.ok();
    for _ in 0..2 {
        let shown = call(&world, MARA, KEEP_NO_LONGER, NOW + minutes(5)).await.ok();
        assert_eq!(shown["result"]["url"], format!("memory:get/{}", result_key()));
        assert_eq!(shown["result"]["gone_at"], (NOW + TaskResult::LIFE).0);
        assert!(!objects(&world).await.contains(&kept_key()));
    }
    call(&world, MARA, KEEP, NOW + minutes(6)).await.ok();
    assert!(objects(&world).await.contains(&kept_key()), "kept anew");
}

#[tokio::test]
async fn what_is_gone_cannot_be_kept() {
    let world = World::new().await;
    finished(&world, NOW).await;
    world.cloud.bucket.delete(&result_key()).await.unwrap();
    let answer = call(&world, MARA, KEEP, NOW + days(8)).await;
    assert_eq!(answer.status, 410);
    assert_eq!(
        answer.error(),
        "The pictures are no longer there: what nobody keeps is deleted after 7 days."
    );
    assert_eq!(world.task(&task_id()).await.result.unwrap().kept, None);
    let shown = call(&world, MARA, SHOW, NOW + days(8)).await.ok();
    assert_eq!(shown["result"]["thumbnails"].as_array().unwrap().len(), 2, "{shown}");
}

#[tokio::test]
async fn another_painters_task_is_no_task() {
    let world = World::new().await;
    finished(&world, NOW).await;
    let before = (world.written(), objects(&world).await);
    for route in [KEEP, KEEP_NO_LONGER, DELETE] {
        let theirs = call(&world, OTHER, route, NOW).await;
        let id = "01a05cd7-2a00-7000-8000-0000000000ff";
        let unknown = world.paint(MARA, route, id, &Value::Null, NOW).await;
        for answer in [theirs, unknown] {
            assert_eq!(
                (answer.status, answer.error()),
                (404, "There is no such task."),
                "{route}"
            );
        }
        let odd = world.paint(MARA, route, "no-id", &Value::Null, NOW).await;
        assert_eq!(odd.status, 404, "{route}");
    }
    assert_eq!((world.written(), objects(&world).await), before);
}

#[tokio::test]
async fn without_pictures_there_is_nothing_to_keep_and_nothing_unfinished_is_deleted() {
    let world = World::new().await;
    world.running(NOW).await;
    for state in [TaskState::Queued, TaskState::Running, TaskState::Canceling] {
        world
            .alter_task(&task_id(), |task| {
                task.state = state;
                task.backlog = (state == TaskState::Queued).then(|| task.pool.clone());
            })
            .await;
        for route in [KEEP, KEEP_NO_LONGER] {
            let answer = call(&world, MARA, route, NOW).await;
            assert_eq!(answer.status, 409, "{route}");
            assert!(answer.error().contains("succeeded"), "{answer:?}");
        }
        let answer = call(&world, MARA, DELETE, NOW).await;
        assert_eq!(
            (answer.status, answer.error()),
            (
                409,
                "This picture is not finished yet. Cancel it first, then delete it."
            )
        );
    }
}

#[tokio::test]
async fn deleting_leaves_nothing() {
    let world = World::new().await;
    let other = world.submitted(NOW).await;
    finished(&world, NOW).await;
    call(&world, MARA, KEEP, NOW).await.ok();
    assert_eq!(objects(&world).await.len(), 8);
    world
        .memory
        .put_object("results/01a05cd7-2a00-7000-8000-0000000000ff/r", 1, "another's");
    let answer = call(&world, MARA, DELETE, NOW + minutes(1)).await.ok();
    assert!(answer["left"].as_str().unwrap().contains("35 days"), "{answer}");
    assert_eq!(
        objects(&world).await,
        ["results/01a05cd7-2a00-7000-8000-0000000000ff/r"]
    );
    let of_task = world.memory.items().into_iter().filter(|(key, _)| {
        matches!(key.table, Table::Tasks | Table::TaskBodies) && key.partition == task_id().to_string()
    });
    assert_eq!(of_task.count(), 0);
    assert_eq!(world.task(&other).await.state, TaskState::Queued);
    for route in [DELETE, SHOW, KEEP] {
        assert_eq!(call(&world, MARA, route, NOW + minutes(2)).await.status, 404, "{route}");
    }
    let listed = world
        .paint(MARA, "GET /v1/tasks", "", &Value::Null, NOW + minutes(2))
        .await
        .ok();
    assert!(!listed.to_string().contains(&task_id().to_string()), "{listed}");
}

/// Whichever call goes wrong, saying it again comes to the same end, and nothing is left that nobody knows of.
#[tokio::test]
async fn any_call_may_go_wrong_and_saying_it_again_mends_it() {
    for (routes, wanted) in [
        (&[KEEP][..], Some(Keep::Always)),
        (&[KEEP, KEEP_NO_LONGER], Some(Keep::Nothing)),
        (&[KEEP, DELETE], None),
    ] {
        let flow = async |fault: Option<Fault>| {
            let world = World::watched(Settings::default()).await;
            finished(&world, NOW).await;
            world.faults.take();
            if let Some(fault) = fault {
                world.faults.plan(fault);
            }
            for route in routes {
                let mut answered = false;
                for again in 0..6 {
                    let now = NOW + seconds(again);
                    let answer = world.faults.run(call(&world, MARA, route, now)).await;
                    // Deleted already, where the answer was lost.
                    answered = answer.is_some_and(|it| it.status == 200 || *route == DELETE && it.status == 404);
                    if answered {
                        break;
                    }
                }
                assert!(answered, "{route} {fault:?}");
            }
            let calls = world.faults.take().len();
            let found = objects(&world).await;
            match wanted {
                Some(how) => {
                    let result = world.task(&task_id()).await.result.unwrap();
                    assert_eq!(result.kept.unwrap().how, how, "{fault:?}");
                    assert_eq!(found.contains(&kept_key()), how == Keep::Always, "{fault:?} {found:?}");
                }
                None => assert!(found.is_empty(), "{fault:?} {found:?}"),
            }
            calls
        };
        let calls = flow(None).await;
        assert!(calls >= 4, "{calls}");
        for at in 1..=calls {
            for how in How::ALL {
                flow(Some(Fault { of: None, at, how })).await;
            }
        }
    }
}

/// The bucket ends what is said to end, and the server says so.
#[test]
fn the_buckets_rules_are_those_that_are_told() {
    let template = std::fs::read_to_string(crate::support::workspace().join("template.yaml")).unwrap();
    let ends = |prefix: &str, life: std::time::Duration| {
        let rule = format!(
            "Prefix: {prefix}/, Status: Enabled, ExpirationInDays: {} }}",
            life.as_secs() / 86_400
        );
        assert!(template.contains(&rule), "no rule {rule}");
    };
    ends("results", TaskResult::LIFE);
    for how in Keep::ALL {
        match how.life().filter(|life| !life.is_zero()) {
            Some(life) => ends(&format!("kept/{}", how.word()), life),
            None => assert!(!template.contains(&format!("Prefix: kept/{}/", how.word()))),
        }
    }
    let written = Keep::ALL.map(|how| json!(how));
    assert_eq!(written, Keep::ALL.map(|how| json!(how.word())));
}

#[tokio::test]
async fn a_picture_that_is_deleted_while_it_is_kept_is_not_kept() {
    let mut met = 0;
    for seed in 0..40 {
        let world = World::unkind(seed).await;
        finished(&world, NOW).await;
        world.port.dawdle(seed);
        let (kept, deleted) = tokio::join!(call(&world, MARA, KEEP, NOW), call(&world, MARA, DELETE, NOW));
        assert!(matches!(kept.status, 200 | 404 | 410), "{seed}: {kept:?}");
        assert_eq!(deleted.status, 200, "{seed}: {deleted:?}");
        assert_eq!(objects(&world).await, [""; 0], "{seed}: {kept:?}");
        met += u32::from(kept.status == 404);
    }
    assert!(met > 0, "they never met");
}

#[tokio::test]
async fn a_teams_rule_keeps_what_nobody_has_decided() {
    let world = World::new().await;
    let rule = async |how| {
        let team = TeamId::new(TEAM);
        let command = ops::team::Command::Keep { team, how };
        ops::team::run(&world.cloud.store, command, NOW).await.unwrap()
    };
    let apply = async || {
        let task = world.task(&task_id()).await;
        keep::by_rule(&world.cloud, &task, NOW).await.unwrap();
        world.task(&task_id()).await.result.unwrap().kept.map(|kept| kept.how)
    };
    finished(&world, NOW).await;
    assert_eq!(apply().await, None, "no rule");
    assert_eq!(
        rule(Keep::Quarter).await,
        "team studio: from now on pictures are kept for 90 days"
    );
    for _ in 0..2 {
        assert_eq!(apply().await, Some(Keep::Quarter));
    }
    let shown = call(&world, MARA, SHOW, NOW).await.ok();
    let place = format!("memory:get/kept/90d/{}/{}", task_id(), run_id());
    assert_eq!(
        (&shown["result"]["url"], &shown["result"]["kept"]),
        (&json!(place), &json!("90d"))
    );
    assert_eq!(shown["result"]["gone_at"], (NOW + days(90)).0);
    // A painter's word is above the rule's, whichever.
    call(&world, MARA, KEEP, NOW).await.ok();
    let found = objects(&world).await;
    assert!(
        found.contains(&kept_key()) && !found.iter().any(|key| key.starts_with("kept/90d")),
        "{found:?}"
    );
    assert_eq!(apply().await, Some(Keep::Always));
    call(&world, MARA, KEEP_NO_LONGER, NOW).await.ok();
    assert_eq!(apply().await, Some(Keep::Nothing));
}

/// A record is written all the same.
#[tokio::test]
async fn a_rule_that_cannot_be_read_is_none() {
    let world = World::new().await;
    finished(&world, NOW).await;
    world.damage(&KeepRuleOf(TeamId::new(TEAM))).await;
    let archived = tasks::archive::write(&world.cloud, &Settings::default(), task_id(), NOW).await;
    assert!(archived.unwrap());
    assert_eq!(world.task(&task_id()).await.result.unwrap().kept, None);
}

#[tokio::test]
async fn a_rule_does_without_what_is_gone() {
    let world = World::new().await;
    finished(&world, NOW).await;
    let rule = KeepRule {
        team: TeamId::new(TEAM),
        version: 0,
        keep: Keep::Always,
    };
    world.put(rule).await;
    world.cloud.bucket.delete(&result_key()).await.unwrap();
    let task = world.task(&task_id()).await;
    keep::by_rule(&world.cloud, &task, NOW).await.unwrap();
    assert_eq!(world.task(&task_id()).await.result.unwrap().kept, None);
}

#[tokio::test]
async fn a_deleted_variant_has_no_label_in_its_group() {
    let world = World::new().await;
    finished(&world, NOW).await;
    let group_id: GroupId = "01a05cd7-2a00-7000-8000-0000000000c1".parse().unwrap();
    let member = |id: &str, label: &str| Member {
        task_id: id.parse().unwrap(),
        label: label.to_owned(),
    };
    let other = "01a05cd7-2a00-7000-8000-0000000000a2";
    world
        .put(Group {
            group_id,
            version: 0,
            owner: UserId::new(MARA),
            team: TeamId::new(TEAM),
            created: NOW,
            members: vec![member(TASK, "a cat"), member(other, "a dog")],
            sheet: None,
            votes: vec![],
            ttl: 1,
        })
        .await;
    let variant = Variant {
        group: group_id,
        label: "a cat".to_owned(),
    };
    world.alter_task(&task_id(), |task| task.variant = Some(variant)).await;
    call(&world, MARA, DELETE, NOW).await.ok();
    let written = world.written();
    assert!(!written.contains("a cat") && written.contains("a dog"), "{written}");
}

/// Everything of the archive that names this task.
pub(crate) async fn archived(world: &World, id: &str) -> Vec<String> {
    let bucket = cloud::Bucket::new(world.memory.clone());
    let mut found = Vec::new();
    for place in ["archive/", "index/"] {
        for key in bucket.list(place, None).await.unwrap() {
            let object = bucket.read(&key).await.unwrap().unwrap();
            if history::lines(&key, &object.bytes)
                .unwrap()
                .iter()
                .any(|line| line.contains(id))
            {
                found.push(key);
            }
        }
    }
    found
}

/// What the table's own expiry does.
pub(crate) async fn expire(world: &World, id: &TaskId) {
    let mut task = world.task(id).await;
    assert!(task.ttl.is_some(), "{task:?}");
    let write = cloud::Write::delete(&mut task);
    cloud::store::StorePort::commit(&world.memory, &[write]).await.unwrap();
}

const ANOTHER: &str = "01a05cd7-2a00-7000-8000-0000000000a9";

/// The golden task and another one, both over and with their records; those put together if that is wanted.
async fn with_records(together: bool) -> World {
    let world = World::new().await;
    finished(&world, NOW).await;
    let another = world.queued(ANOTHER, MARA, NOW).await;
    world
        .alter_task(&another, |task| {
            task.cancel(model::CancelCause::User, NOW);
        })
        .await;
    world.stream(changes(&[task_id(), another]), NOW).await;
    if together {
        world.put_together(NOW + days(1)).await.unwrap();
    }
    world
}

#[tokio::test]
async fn deleting_reaches_record_and_lists_and_leaves_the_others() {
    for (together, expired) in [(false, false), (true, false), (true, true)] {
        let world = with_records(together).await;
        assert!(!archived(&world, TASK).await.is_empty());
        let others = archived(&world, ANOTHER).await.len();
        if expired {
            expire(&world, &task_id()).await;
            let shown = call(&world, MARA, SHOW, NOW + days(9)).await.ok();
            assert_eq!(shown["thumbnails"].as_array().unwrap().len(), 2, "{shown}");
            assert_eq!(call(&world, OTHER, DELETE, NOW + days(9)).await.status, 404);
        }
        call(&world, MARA, DELETE, NOW + days(9)).await.ok();
        assert_eq!(archived(&world, TASK).await, [""; 0], "{together} {expired}");
        assert_eq!(archived(&world, ANOTHER).await.len(), others, "{together} {expired}");
        assert_eq!(objects(&world).await, [""; 0]);
        // Whatever the stream brings late.
        world.stream(changes(&[task_id()]), NOW + days(9)).await;
        assert_eq!(archived(&world, TASK).await, [""; 0]);
        for route in [SHOW, DELETE] {
            assert_eq!(call(&world, MARA, route, NOW + days(9)).await.status, 404, "{route}");
        }
    }
}

#[tokio::test]
async fn a_record_that_is_written_while_its_task_is_deleted_does_not_stay() {
    let world = World::new().await;
    finished(&world, NOW).await;
    let (cloud, settings) = (world.memory.cloud(), world.settings.clone());
    let deletes = |writes: &[cloud::Write]| {
        writes
            .iter()
            .any(|it| it.key.table == Table::Tasks && it.item.is_none())
    };
    world.port.before_commit(deletes, async move || {
        assert!(tasks::archive::write(&cloud, &settings, task_id(), NOW).await.unwrap());
    });
    call(&world, MARA, DELETE, NOW).await.ok();
    assert!(world.port.hook_is_spent());
    assert_eq!(archived(&world, TASK).await, [""; 0]);
}

#[tokio::test]
async fn what_is_kept_is_shown_when_only_the_archive_knows_of_it() {
    let world = with_records(false).await;
    call(&world, MARA, KEEP, NOW + days(1)).await.ok();
    let task = world.task(&task_id()).await;
    assert_eq!((task.archived_at, task.ttl), (None, None), "its record is old");
    world.stream(changes(&[task_id()]), NOW + days(1)).await;
    world.put_together(NOW + days(2)).await.unwrap();
    expire(&world, &task_id()).await;
    let late = NOW + days(100);
    let shown = call(&world, MARA, SHOW, late).await.ok();
    assert_eq!(shown["result"]["url"], format!("memory:get/{}", kept_key()));
    let listed = world.paint(MARA, "GET /v1/tasks", "", &Value::Null, late).await.ok();
    let listed = listed["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["task_id"] == TASK);
    assert_eq!(listed.unwrap()["result"]["kept"], "always");
}

#[tokio::test]
async fn what_only_the_archive_has_can_be_kept_and_kept_no_longer() {
    for rule in [None, Some(Keep::Month)] {
        let world = World::new().await;
        finished(&world, NOW).await;
        if let Some(keep) = rule {
            let team = TeamId::new(TEAM);
            world.put(KeepRule { team, version: 0, keep }).await;
        }
        world.stream(changes(&[task_id()]), NOW).await;
        world.put_together(NOW + days(1)).await.unwrap();
        expire(&world, &task_id()).await;
        if rule.is_some() {
            // The bucket's own rule.
            world.cloud.bucket.delete(&result_key()).await.unwrap();
        }
        let late = NOW + days(if rule.is_some() { 20 } else { 6 });
        for route in [KEEP, KEEP_NO_LONGER] {
            assert_eq!(call(&world, OTHER, route, late).await.status, 404, "{route}");
        }
        for _ in 0..2 {
            let kept = call(&world, MARA, KEEP, late).await.ok();
            assert_eq!(kept["result"]["url"], format!("memory:get/{}", kept_key()));
            assert_eq!(kept["result"]["kept"], "always");
        }
        // Its record says so, and the lists of all whom it concerns; there is no second record.
        let named = archived(&world, "\"how\":\"always\"").await;
        assert_eq!(named.iter().filter(|key| key.starts_with("archive/")).count(), 1);
        assert_eq!(
            named.iter().filter(|key| key.starts_with("index/")).count(),
            3,
            "{named:?}"
        );
        assert_eq!(archived(&world, TASK).await.len(), named.len());
        let copies: Vec<_> = objects(&world)
            .await
            .into_iter()
            .filter(|it| it.starts_with("kept/"))
            .collect();
        assert_eq!(copies, [kept_key()]);
        let shown = call(&world, MARA, SHOW, NOW + days(400)).await.ok();
        assert_eq!(shown["result"]["kept"], "always");

        let ended = call(&world, MARA, KEEP_NO_LONGER, late).await.ok();
        assert_eq!(
            ended["result"].is_null(),
            rule.is_some(),
            "what is left of its week: {ended}"
        );
        assert!(!objects(&world).await.iter().any(|it| it.starts_with("kept/")));
        // Once it is gone everywhere, it is said so.
        world.cloud.bucket.delete(&result_key()).await.unwrap();
        let gone = call(&world, MARA, KEEP, late + days(30)).await;
        assert_eq!(gone.status, 410, "{gone:?}");
        // Deleting reaches all of it.
        call(&world, MARA, DELETE, late).await.ok();
        assert_eq!(archived(&world, TASK).await, [""; 0]);
        assert_eq!(call(&world, MARA, KEEP, late).await.status, 404);
    }
}

/// Wherever the keeping of it breaks off, said again it is kept, and deleted it leaves nothing.
#[tokio::test]
async fn keeping_what_only_the_archive_has_may_break_off_anywhere() {
    let flow = async |fault: Option<Fault>| {
        let world = World::watched(Settings::default()).await;
        finished(&world, NOW).await;
        world.stream(changes(&[task_id()]), NOW).await;
        world.put_together(NOW + days(1)).await.unwrap();
        expire(&world, &task_id()).await;
        world.faults.take();
        if let Some(fault) = fault {
            world.faults.plan(fault);
        }
        world.faults.run(call(&world, MARA, KEEP, NOW + days(6))).await;
        let calls = world.faults.take().len();
        if fault.is_some_and(|fault| fault.at % 2 == 0) {
            let kept = call(&world, MARA, KEEP, NOW + days(6)).await.ok();
            assert_eq!(kept["result"]["kept"], "always", "{fault:?}");
            assert_eq!(world.cloud.bucket.get(&kept_key()).await.unwrap(), "pictures");
        }
        call(&world, MARA, DELETE, NOW + days(6)).await.ok();
        assert_eq!(archived(&world, TASK).await, [""; 0], "{fault:?}");
        assert_eq!(objects(&world).await, [""; 0], "{fault:?}");
        calls
    };
    let calls = flow(None).await;
    assert!(calls > 10, "{calls}");
    for at in 1..=calls {
        for how in How::ALL {
            flow(Some(Fault { of: None, at, how })).await;
        }
    }
}

#[tokio::test]
async fn the_stream_brings_a_teams_rule_to_its_pictures() {
    let world = World::new().await;
    finished(&world, NOW).await;
    let rule = KeepRule {
        team: TeamId::new(TEAM),
        version: 0,
        keep: Keep::Month,
    };
    world.put(rule).await;
    world.stream(changes(&[task_id()]), NOW).await;
    let task = world.task(&task_id()).await;
    assert_eq!(task.result.unwrap().kept.map(|kept| kept.how), Some(Keep::Month));
    assert!(task.archived_at.is_some());
    let record = archived(&world, "\"how\":\"30d\"").await;
    assert_eq!(record.len(), 1, "{record:?}");
}
