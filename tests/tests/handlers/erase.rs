//! `ops user export` and `ops user erase`: all that is stored of what somebody painted, as files, and gone.

use std::{fs, path::Path};

use cloud::{
    fault::{Fault, How},
    tables::{HazardOf, Table},
};
use model::{
    Frailty, Group, GroupId, Hazard, Member, Painter, PoolId, Presence, Role, Settings, TaskState, TeamId, UserId,
    Variant,
};
use ops::{erase, export};
use serde_json::Value;

use crate::{
    keep::{archived, expire, finished},
    support::{MARA, NOW, OTHER, POOL, TASK, TEAM, World, changes, minutes, task_id},
};

const QUEUED: &str = "01a05cd7-2a00-7000-8000-0000000000a7";

/// What an export has written into the folder, by name.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

async fn export_to(world: &World, user: &str, folder: &Path) -> String {
    let arguments = export::Arguments {
        user: UserId::new(user),
        to: folder.to_owned(),
    };
    let done = export::run(&world.cloud, &arguments).await;
    done.unwrap_or_else(|error| format!("{error:#}"))
}

#[tokio::test]
async fn an_export_has_every_task_and_picture_and_goes_on_where_it_was() {
    let world = World::new().await;
    finished(&world, NOW).await;
    world.queued(QUEUED, MARA, NOW).await;
    world.queued("01a05cd7-2a00-7000-8000-0000000000a8", OTHER, NOW).await;
    let key = format!("results/{}/{}", task_id(), crate::support::run_id());
    world.memory.put_object(&key, 20, "RIFF-----.\u{89}PNG-----");
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("mara");
    let wanted = [
        "account.json".to_owned(),
        format!("pictures/{TASK}/0.webp"),
        format!("pictures/{TASK}/1.png"),
        "tasks.jsonl".to_owned(),
        format!("thumbnails/{TASK}/0.webp"),
        format!("thumbnails/{TASK}/1.webp"),
    ];
    let said = export_to(&world, MARA, &to).await;
    assert!(
        said.starts_with("2 tasks with 2 pictures and 2 thumbnails are in "),
        "{said}"
    );
    assert_eq!(files(&to), wanted);
    assert_eq!(fs::read(to.join(&wanted[1])).unwrap(), b"RIFF-----.");
    let lines = fs::read_to_string(to.join("tasks.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |id: &str| lines.iter().find(|line| line["task"]["task_id"] == id).unwrap();
    assert_eq!(of(TASK)["pictures"], serde_json::json!([wanted[1], wanted[2]]));
    assert!(of(QUEUED)["plan"].is_object(), "{lines:?}");
    assert_eq!(lines.len(), 2, "nobody else's");

    // Half of it is there when it is called again, and the bucket has ended the pictures meanwhile.
    fs::remove_file(to.join(&wanted[4])).unwrap();
    fs::remove_file(to.join(&wanted[3])).unwrap();
    world.cloud.bucket.delete(&key).await.unwrap();
    let said = export_to(&world, MARA, &to).await;
    assert!(
        said.starts_with("2 tasks with 2 pictures and 2 thumbnails are in "),
        "{said}"
    );
    assert_eq!(files(&to), wanted);

    let other = folder.path().join("again");
    let said = export_to(&world, MARA, &other).await;
    assert!(said.ends_with("2 pictures were deleted before"), "{said}");
    let said = export_to(&world, "nobody", &folder.path().join("nobody")).await;
    assert_eq!(said, "there is nothing of nobody: no account, no tasks");
}

fn erasing(account: bool, dry_run: bool) -> erase::Arguments {
    erase::Arguments {
        user: UserId::new(MARA),
        account,
        dry_run,
    }
}

/// Somebody who paints, has painted, and is there.
async fn studio(world: &World) {
    finished(world, NOW).await;
    world.memory.put_object(&format!("uploads/{MARA}/two"), 1, "");
    world.memory.put_object(&format!("uploads/{OTHER}/one"), 1, "");
    world.queued(QUEUED, MARA, NOW).await;
    world.socket("mara's", UserId::new(MARA), Role::Painter, NOW).await;
    world
        .put(Presence {
            pool: PoolId::new(POOL),
            user: UserId::new(MARA),
            version: 0,
            since: NOW,
            at: NOW,
            asked_at: None,
            watched: false,
            ttl: 1,
        })
        .await;
    let asks = |user: &str| Painter {
        user: UserId::new(user),
        since: NOW,
        at: NOW,
        asked_at: None,
        gap_ms: Some(9000),
        watched: true,
        frailty: Frailty::default(),
    };
    world
        .put(Hazard {
            painters: vec![asks(OTHER), asks(MARA)],
            ..crate::presence::known()
        })
        .await;
}

/// What of Mara is in tables and bucket, but her account, her usage, and what was done to her.
async fn left(world: &World) -> Vec<String> {
    let items = world.memory.items().into_iter().filter(|(key, item)| {
        let text = format!("{key:?} {item:?}");
        let stays = key.partition.starts_with("user#")
            || key.partition.starts_with("usage#")
            || key.partition.starts_with("identity#")
            || key.partition == "#audit"
            // What removing a user leaves for those who end it everywhere.
            || key.partition == "#leaving";
        !stays && (text.contains(MARA) || text.contains(TASK) || text.contains(QUEUED))
    });
    let mut found: Vec<_> = items.map(|(key, _)| format!("{key:?}")).collect();
    for place in [
        "archive/", "index/", "kept/", "plans/", "results/", "sheets/", "thumbs/", "uploads/",
    ] {
        found.extend(world.cloud.bucket.list(place, None).await.unwrap());
    }
    found
}

#[tokio::test]
async fn erasing_asks_first_and_leaves_nothing_of_what_was_painted() {
    let world = World::new().await;
    studio(&world).await;
    let before = left(&world).await;
    let never = |question: &str| -> anyhow::Result<bool> { panic!("asked: {question}") };
    let said = erase::run(&world.cloud, &erasing(false, true), NOW, never)
        .await
        .unwrap();
    assert!(
        said.starts_with("would be deleted: mara (has an account): 2 tasks"),
        "{said}"
    );
    for part in ["35 days", "The account stays", "others' variants"] {
        assert!(said.contains(part), "{said}");
    }
    let no = erase::run(&world.cloud, &erasing(false, false), NOW, |_| Ok(false)).await;
    assert_eq!(no.unwrap_err().to_string(), "nothing was deleted");
    assert_eq!(left(&world).await, before);

    let said = erase::run(&world.cloud, &erasing(false, false), NOW, |_| Ok(true))
        .await
        .unwrap();
    assert!(said.starts_with("deleted: "), "{said}");
    assert_eq!(left(&world).await, [format!("uploads/{OTHER}/one")]);
    assert!(world.cloud.store.get(&UserId::new(MARA)).await.unwrap().is_some());
    let hazard = world.get(&HazardOf(PoolId::new(POOL))).await;
    assert_eq!(
        hazard.painters.len(),
        1,
        "what was learned of another stays: {hazard:?}"
    );
    let audit = world.all::<Value>(Table::Pools);
    assert!(
        audit.iter().any(|it| it["what"] == "erase" && it["on"] == "user mara"),
        "{audit:?}"
    );
    // Once more, the account too.
    let said = erase::run(&world.cloud, &erasing(true, false), NOW, |_| Ok(true))
        .await
        .unwrap();
    assert!(said.contains("0 tasks") && said.contains("the account"), "{said}");
    assert!(world.cloud.store.get(&UserId::new(MARA)).await.unwrap().is_none());
}

/// A group whose pictures only the archive still has, with its contact sheet.
#[tokio::test]
async fn a_group_that_only_the_archive_knows_goes_with_its_sheet() {
    for group_is_there in [true, false] {
        let world = World::new().await;
        finished(&world, NOW).await;
        let group = GroupId::new(uuid::Uuid::from_u128(7));
        let label = "a fox".to_owned();
        let member = Member {
            task_id: task_id(),
            label: label.clone(),
        };
        let sheet = Group::sheet_key(group);
        world.memory.put_object(&sheet, 9, "the sheet");
        if group_is_there {
            world
                .put(Group {
                    group_id: group,
                    version: 0,
                    owner: UserId::new(MARA),
                    team: TeamId::new(TEAM),
                    created: NOW,
                    members: vec![member],
                    sheet: Some(sheet.clone()),
                    votes: vec![],
                    ttl: 1,
                })
                .await;
        }
        world
            .alter_task(&task_id(), |task| task.variant = Some(Variant { group, label }))
            .await;
        world.stream(changes(&[task_id()]), NOW).await;
        world.put_together(NOW + minutes(25 * 60)).await.unwrap();
        expire(&world, &task_id()).await;
        let folder = tempfile::tempdir().unwrap();
        export_to(&world, MARA, folder.path()).await;
        let exported = files(folder.path());
        let name = format!("sheets/{group}.webp");
        assert_eq!(exported.contains(&name), group_is_there, "{exported:?}");
        erase::run(&world.cloud, &erasing(false, false), NOW, |_| Ok(true))
            .await
            .unwrap();
        let mut rest = left(&world).await;
        // Files that others may be in, and the mark that it was counted.
        rest.retain(|it| !it.ends_with("head.json.gz") && !it.ends_with("all.jsonl.gz") && !it.contains("counted#"));
        assert_eq!(rest, [""; 0], "{group_is_there}");
        assert_eq!(archived(&world, TASK).await, [""; 0], "{group_is_there}");
        assert!(!world.written().contains("a fox"));
    }
}

#[tokio::test]
async fn what_still_runs_is_stopped_and_erased_with_the_next_call() {
    let world = World::new().await;
    let (task, worker) = world.running(NOW).await;
    let said = erase::run(&world.cloud, &erasing(true, false), NOW, |_| Ok(true))
        .await
        .unwrap();
    assert!(said.contains(&format!("but not {TASK}")), "{said}");
    assert!(
        world.cloud.store.get(&UserId::new(MARA)).await.unwrap().is_some(),
        "before its tasks"
    );
    assert_eq!(world.task(&task_id()).await.state, TaskState::Canceling);
    let failure = serde_json::json!({
        "run_id": task.run.unwrap().run_id, "task_id": TASK, "class": null, "message": "",
    });
    world.work(&worker, "failure", &failure, NOW + minutes(1)).await.ok();
    let said = erase::run(&world.cloud, &erasing(true, false), NOW + minutes(1), |_| Ok(true))
        .await
        .unwrap();
    assert!(!said.contains("but not"), "{said}");
    assert_eq!(left(&world).await, [""; 0]);
}

/// Wherever it breaks off, calling it again comes to the same end.
#[tokio::test]
async fn erasing_may_break_off_anywhere() {
    let flow = async |fault: Option<Fault>| {
        let world = World::watched(Settings::default()).await;
        studio(&world).await;
        world.faults.take();
        if let Some(fault) = fault {
            world.faults.plan(fault);
        }
        let arguments = erasing(true, false);
        let mut done = false;
        for _ in 0..4 {
            let erase = erase::run(&world.cloud, &arguments, NOW, |_| Ok(true));
            done = world.faults.run(erase).await.is_some_and(|said| said.is_ok());
            if done {
                break;
            }
        }
        assert!(done, "{fault:?}");
        let calls = world.faults.take().len();
        assert_eq!(left(&world).await, [format!("uploads/{OTHER}/one")], "{fault:?}");
        calls
    };
    let calls = flow(None).await;
    assert!(calls > 20, "{calls}");
    let step = if crate::support::thorough() { 1 } else { 3 };
    for at in (1..=calls).step_by(step) {
        for how in How::ALL {
            flow(Some(Fault { of: None, at, how })).await;
        }
    }
}
