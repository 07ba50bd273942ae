//! Uploaded LoRAs: whose they are, how many there may be, and their way to a worker and back.

use base64::{Engine, prelude::BASE64_STANDARD};
use cloud::tables::{LoraOf, Table};
use model::{
    Account, Millis, RunId, Settings, TaskId, TeamId, UploadedLora, UserId,
    worker_api::{Assignment, FreshUrls, RunUrls},
};
use ops::lora::{self, Command};
use serde_json::{Value, json};

use crate::support::{Answer, INSTANCE, MARA, NOW, OTHER, TEAM, WORKER, World, minutes, wire};

/// A painter of another team, whose token still names Mara's.
const ZOE: &str = "zoe";
const SIZE: u64 = 151_108_312;

async fn world() -> World {
    let world = World::new().await;
    let mut account: Account = world.get(&UserId::new(MARA)).await;
    account.user_id = UserId::new(ZOE);
    account.team = TeamId::new("rivals");
    account.version = 0;
    world.put(account).await;
    world
}

fn hash(number: u8) -> String {
    BASE64_STANDARD.encode([number; 32])
}

fn key(team: &str, number: u8) -> String {
    format!("loras/{team}/{}", format!("{number:02x}").repeat(32))
}

async fn ask(world: &World, user: &str, body: &Value, now: Millis) -> Answer {
    world.paint(user, "POST /v1/upload/lora", "", body, now).await
}

async fn upload(world: &World, user: &str, number: u8, now: Millis) -> Value {
    ask(world, user, &json!({ "hash": hash(number), "size": SIZE }), now)
        .await
        .ok()
}

fn entries(world: &World) -> usize {
    let items = world.memory.items();
    items
        .iter()
        .filter(|(key, _)| {
            key.table == Table::Catalog && key.partition.ends_with("#loras") && !key.partition.starts_with('#')
        })
        .count()
}

/// The captured request 01 with a LoRA of this hash.
fn request(number: u8) -> Value {
    let mut request = wire("01_generate");
    request["input"]["workflow"]["models"]["loras"] =
        json!([{ "name": "mine.safetensors", "strength": 0.7, "storage_id": hash(number) }]);
    request
}

#[tokio::test]
async fn one_is_cached_only_for_the_team_that_owns_it() {
    let world = world().await;
    for (user, team) in [(MARA, TEAM), (ZOE, "rivals")] {
        let wanted = json!({
            "status": "upload",
            "url": format!("memory:put/{}?sha256={}&size={SIZE}", key(team, 7), hash(7)),
        });
        assert_eq!(upload(&world, user, 7, NOW).await, wanted);
        // Asked for, but not sent yet.
        assert_eq!(upload(&world, user, 7, NOW).await, wanted);
    }
    world.memory.put_object(&key(TEAM, 7), SIZE, "");
    for user in [MARA, OTHER] {
        assert_eq!(upload(&world, user, 7, NOW).await, json!({ "status": "cached" }));
    }
    assert_eq!(upload(&world, ZOE, 7, NOW).await["status"], "upload");
    // Something shorter is not that file, and what an operator took away is not there.
    world.memory.put_object(&key(TEAM, 7), SIZE - 1, "");
    assert_eq!(upload(&world, MARA, 7, NOW).await["status"], "upload");
    assert_eq!(entries(&world), 2);
}

#[tokio::test]
async fn what_is_no_upload_is_refused() {
    let world = world().await;
    let before = world.written();
    let hash = hash(7);
    for body in [
        json!({}),
        json!({ "hash": hash }),
        json!({ "size": 5 }),
        json!({ "hash": hash, "size": 0 }),
        json!({ "hash": hash, "size": -1 }),
        json!({ "hash": hash, "size": "5" }),
        json!({ "hash": "", "size": 5 }),
        json!({ "hash": "base64sha256=", "size": 5 }),
        json!({ "hash": "../../studio/secret", "size": 5 }),
        json!({ "hash": BASE64_STANDARD.encode([1; 33]), "size": 5 }),
        json!([]),
        json!("no json at all {"),
    ] {
        let answer = ask(&world, MARA, &body, NOW).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.error().len() > 10);
    }
    let large = json!({ "hash": hash, "size": world.settings.max_lora + 1 });
    let answer = ask(&world, MARA, &large, NOW).await.ok();
    assert_eq!(answer, json!({ "status": "too-large", "max": world.settings.max_lora }));
    assert_eq!(
        ask(&world, "nobody", &json!({ "hash": hash, "size": 5 }), NOW)
            .await
            .status,
        401
    );
    assert_eq!(world.written(), before);
}

#[tokio::test]
async fn a_team_has_limits_of_its_own() {
    let world = world().await;
    let limits = &world.settings;
    let full = json!({ "status": "limit-exceeded" });
    let of = async |user: &str, number: u8, size: u64| {
        let body = json!({ "hash": hash(number), "size": size });
        ask(&world, user, &body, NOW).await.ok()
    };
    for number in 0..limits.max_team_loras {
        assert_eq!(of(MARA, number as u8, 1000).await["status"], "upload", "{number}");
    }
    assert_eq!(of(OTHER, 255, 1000).await, full);
    // One that it has counts once.
    assert_eq!(of(OTHER, 0, 1000).await["status"], "upload");
    for number in 0..limits.max_team_lora_bytes / limits.max_lora {
        assert_eq!(
            of(ZOE, number as u8, limits.max_lora).await["status"],
            "upload",
            "{number}"
        );
    }
    assert_eq!(of(ZOE, 255, 1).await, full);
}

/// Who asks at once is counted one after the other.
#[tokio::test]
async fn of_many_at_once_no_more_are_let_in_than_there_is_room_for() {
    let settings = Settings::parse("max_team_loras=3").unwrap();
    let world = World::watched(settings).await;
    let asked = (0..6_u8).map(|number| {
        let body = json!({ "hash": hash(number), "size": 1000 });
        let world = &world;
        async move { ask(world, if number % 2 == 0 { MARA } else { OTHER }, &body, NOW).await }
    });
    let answers = futures_util::future::join_all(asked).await;
    // Who met too many others is told to come again, and is counted then.
    let mut let_in = 0;
    for (number, answer) in (0_u8..).zip(answers) {
        let answer = if answer.status == 503 {
            ask(&world, MARA, &json!({ "hash": hash(number), "size": 1000 }), NOW).await
        } else {
            answer
        };
        let_in += usize::from(answer.ok()["status"] == "upload");
    }
    assert_eq!((let_in, entries(&world)), (3, 3));
}

#[tokio::test]
async fn uploads_that_were_given_up_are_forgotten() {
    let world = world().await;
    let later = NOW + world.settings.url_life + minutes(61);
    upload(&world, MARA, 1, NOW).await;
    upload(&world, MARA, 2, NOW).await;
    upload(&world, MARA, 3, later).await;
    assert_eq!(entries(&world), 1, "nobody sent the first two");
    // This one came, and nobody has asked for it since.
    upload(&world, MARA, 4, NOW).await;
    world.memory.put_object(&key(TEAM, 4), SIZE, "");
    upload(&world, MARA, 5, later).await;
    let lora: UploadedLora = world.get(&LoraOf(TeamId::new(TEAM), "04".repeat(32))).await;
    assert!(lora.stored);
}

#[tokio::test]
async fn one_that_came_a_second_ago_can_be_painted_with() {
    let world = world().await;
    // The catalogue is in memory now, for a minute.
    world.submitted(NOW).await;
    upload(&world, MARA, 7, NOW).await;
    let refused = world.submit(MARA, &request(7), NOW).await;
    assert_eq!(refused.status, 400, "nothing was sent yet");
    assert!(
        refused.error().contains("\"mine.safetensors\" was not uploaded"),
        "{refused:?}"
    );
    world.memory.put_object(&key(TEAM, 7), SIZE, "");
    world.submit(MARA, &request(7), NOW).await.ok();
    for (user, number) in [(ZOE, 7), (MARA, 8)] {
        let answer = world.submit(user, &request(number), NOW).await;
        assert_eq!(answer.status, 400, "{user}");
        assert!(answer.error().contains("was not uploaded"), "{answer:?}");
    }
    // An object that nobody of the team asked to send is none of its LoRAs either.
    world.memory.put_object(&key(TEAM, 9), SIZE, "");
    assert_eq!(world.submit(MARA, &request(9), NOW).await.status, 400);
    let many: Vec<_> = (0..65)
        .map(|number| json!({ "name": "x", "strength": 1, "storage_id": hash(number) }))
        .collect();
    let mut request = request(7);
    request["input"]["workflow"]["models"]["loras"] = many.into();
    assert!(world.submit(MARA, &request, NOW).await.error().contains("too many"));
}

#[tokio::test]
async fn a_worker_gets_it_and_says_whether_it_did_something() {
    let world = world().await;
    world.memory.put_object(&key(TEAM, 7), SIZE, "");
    upload(&world, MARA, 7, NOW).await;
    let mut request = request(7);
    let own = request["input"]["workflow"]["models"]["loras"].take();
    // Twice the same one: for the whole picture and for its only region.
    request["input"]["workflow"]["models"]["loras"] = own.clone();
    let data = json!({ "base64": BASE64_STANDARD.encode([1; 9]), "offsets": [0] });
    request["input"]["workflow"]["image_data"] = data;
    let region = json!({ "mask": 0, "bounds": [0, 0, 9, 9], "positive": "x", "control": [], "loras": own });
    request["input"]["workflow"]["conditioning"]["regions"] = json!([region]);
    let id = world.submit(MARA, &request, NOW).await.ok()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let run: Assignment = world.claimed(&worker, NOW).await.unwrap();
    let [lora] = run.loras.try_into().unwrap();
    assert_eq!(
        (lora.name.as_str(), lora.size, lora.arch.as_str()),
        ("mine.safetensors", SIZE, "sd15")
    );
    assert_eq!(
        (lora.key, lora.sha256.as_str()),
        (key(TEAM, 7), "07".repeat(32).as_str())
    );
    assert_eq!(lora.file, format!("atelier/{TEAM}/{}.safetensors", lora.sha256));
    assert!(run.plan.to_string().contains(&lora.file));
    let url = format!("memory:get/{}", key(TEAM, 7));
    assert_eq!(run.urls.loras, [url.as_str()]);
    let fresh = json!(FreshUrls {
        run_id: run.run_id,
        task_id: run.task_id,
        size: None,
        thumbnails: vec![],
    });
    let worker = world.worker(WORKER).await;
    let urls: RunUrls = world.work(&worker, "urls", &fresh, NOW).await.parsed();
    assert_eq!(urls.loras, [url]);

    let result = |task_id: TaskId, run_id: RunId| {
        json!({
            "task_id": task_id, "run_id": run_id, "offsets": [0], "size": 9, "lora_warning": true,
            "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 },
        })
    };
    world
        .work(&worker, "result", &result(run.task_id, run.run_id), NOW)
        .await
        .ok();
    let status = world
        .paint(MARA, "POST /v1/status/{id}", &id, &json!({}), NOW)
        .await
        .ok();
    assert_eq!(
        (status["status"].as_str(), &status["output"]["lora_warning"]),
        (Some("COMPLETED"), &json!(true))
    );

    // Without a LoRA the word does not appear.
    let plain = world.submitted(NOW).await;
    let worker = world.worker(WORKER).await;
    let run = world.claimed(&worker, NOW).await.unwrap();
    let mut quiet = result(plain, run.run_id);
    quiet["lora_warning"] = false.into();
    world
        .work(&world.worker(WORKER).await, "result", &quiet, NOW)
        .await
        .ok();
    let status = world
        .paint(MARA, "POST /v1/status/{id}", &plain.to_string(), &json!({}), NOW)
        .await
        .ok();
    assert_eq!(status["status"], "COMPLETED");
    assert!(status["output"].get("lora_warning").is_none());
}

#[tokio::test]
async fn an_operator_shows_and_removes_them() {
    let world = world().await;
    let ops = async |command: Command| {
        let done = lora::run(&world.cloud.store, &world.cloud.models, command, NOW).await;
        done.unwrap_or_else(|error| format!("{error:#}"))
    };
    let team = || TeamId::new(TEAM);
    assert_eq!(
        ops(Command::List { team: team() }).await,
        "team studio has uploaded no LoRAs"
    );
    for user in [MARA, ZOE] {
        upload(&world, user, 7, NOW).await;
    }
    upload(&world, MARA, 8, NOW).await;
    world.memory.put_object(&key(TEAM, 7), SIZE, "");
    upload(&world, MARA, 7, NOW).await;
    let sha256 = "07".repeat(32);
    let listed = ops(Command::List { team: team() }).await;
    let line = |number: &str, note: &str| format!("{}     144.1 MiB{note}\n", number.repeat(32));
    let wanted = [
        line("07", ""),
        line("08", "  not seen in the bucket yet"),
        "2 files, 288.2 MiB".to_owned(),
    ];
    assert_eq!(listed, wanted.concat());

    let remove = |sha256: &str| Command::Remove {
        team: team(),
        sha256: vec![sha256.to_owned()],
    };
    assert_eq!(ops(remove(&sha256)).await, "removed 1 of team studio");
    let lines = accounts::audit::page(&world.cloud.store, None, 50)
        .await
        .unwrap()
        .entries;
    let removed = lines.iter().find(|it| it.what == "remove LoRA").unwrap();
    assert_eq!(removed.on, format!("LoRA {sha256} of team studio"));
    assert_eq!(world.cloud.models.head(&key(TEAM, 7)).await.unwrap(), None);
    assert_eq!(world.submit(MARA, &request(7), NOW).await.status, 400);
    assert_eq!(upload(&world, MARA, 7, NOW).await["status"], "upload");
    let unknown = ops(remove("../rivals/x")).await;
    assert!(unknown.contains("`ops lora list --team studio`"), "{unknown}");
    assert_eq!(entries(&world), 3, "the other team's is still there");
}
