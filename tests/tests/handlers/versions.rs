//! Data across releases: what an earlier release has written is read by this one, and what a later one has added is still
//! there after this one has written.

use std::{collections::BTreeMap, fs, path::PathBuf};

use cloud::{
    Store, Write,
    memory::{Memory, Unkind},
    queue::Queued,
    store::{Item, StorePort},
    tables::{
        AddressRateOf, AllPools, AuditAt, AwaitedOf, BodyOf, BrowserOf, CatalogKey, ClassOf, CountedOf, DeletionOf,
        DemandAt, DemandDayAt, DemandOf, DeviceOf, DocumentOf, Entity, ForecastOf, HazardOf, Id, IdentityOf,
        InvitationOf, KeepRuleOf, Key, LeavingAt, LoraCountOf, LoraOf, NodesOf, NumbersOf, OpenCallAt, PaceOf,
        PresenceOf, SignInOf, StepOf, Table, TeamRateOf, TicketOf, UploadOf, UsageOf,
    },
};
use model::{
    Audit, BrowserSession, CatalogEntry, ConnectionId, Deletion, DocumentId, GroupId, Hazard, Identity, Invitation,
    Keep, KeepRule, Leaving, Millis, OpenCall, PoolId, PoolNodes, SignedIn, TaskId, TeamId, TeamRate, Ticket, UserId,
    WorkerId,
    socket::{ClientMessage, ServerMessage},
    worker_api,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use system_tests::safetensors::checkpoint;

use crate::support::{MARA, NOW, POOL, TASK, TEAM, WORKER, World, minutes, seconds, wire, workspace};

fn folder() -> PathBuf {
    workspace().join("events/items")
}

/// Every golden item, message and object, by release and name.
fn golden() -> BTreeMap<(String, String), Value> {
    let mut found = BTreeMap::new();
    for release in fs::read_dir(folder()).unwrap() {
        let release = release.unwrap();
        for file in fs::read_dir(release.path()).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            let name = name.strip_suffix(".json").expect("JSON files").to_owned();
            let value = serde_json::from_str(&fs::read_to_string(file.path()).unwrap()).unwrap();
            found.insert((release.file_name().into_string().unwrap(), name), value);
        }
    }
    assert!(!found.is_empty());
    found
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_else(|| panic!("{name} of {item}"))
}

/// Reads the item as this release does, writes it back, and says what then lies there.
async fn rewritten<I: Id>(id: I, item: &Value) -> Value {
    let memory = Memory::new(Unkind::NOT);
    let store = Store::new(memory.clone());
    let key = id.key();
    let write = Write {
        key: key.clone(),
        expect: 0,
        item: Some(serde_json::from_value(item.clone()).unwrap()),
    };
    StorePort::commit(&memory, &[write]).await.unwrap();
    let mut entity = store.get(&id).await.unwrap().unwrap();
    assert_eq!(entity.key(), key, "{item}");
    store.commit([Write::put(&mut entity).unwrap()]).await.unwrap();
    let mut found: Value = StorePort::get(&memory, &key).await.unwrap().map(Value::Object).unwrap();
    assert_eq!(
        found["version"].as_u64().unwrap(),
        item["version"].as_u64().unwrap() + 1
    );
    found["version"] = item["version"].clone();
    found
}

/// The same for an item by the name of its file, of whatever kind that is.
async fn read_and_written(name: &str, item: &Value) -> Value {
    let kind = name.split('.').next().unwrap();
    let of = |name: &str| text(item, name).to_owned();
    match kind {
        "task" => rewritten(of("task_id").parse::<TaskId>().unwrap(), item).await,
        "group" => rewritten(of("group_id").parse::<GroupId>().unwrap(), item).await,
        "body" => rewritten(BodyOf(of("task_id").parse().unwrap()), item).await,
        "worker" => rewritten(WorkerId::new(of("worker_id")), item).await,
        "session" => rewritten(ConnectionId::new(of("connection_id")), item).await,
        "account" => rewritten(UserId::new(of("user_id")), item).await,
        "usage" => rewritten(UsageOf(UserId::new(of("user_id")), of("month")), item).await,
        "keep-rule" => rewritten(KeepRuleOf(TeamId::new(of("keeps"))), item).await,
        "team-rate" => rewritten(TeamRateOf(TeamId::new(of("limits"))), item).await,
        "sign-in" => rewritten(SignInOf(of("code")), item).await,
        "device" => rewritten(DeviceOf(of("client")), item).await,
        "address-rate" => rewritten(AddressRateOf(of("address")), item).await,
        "open-call" => rewritten(OpenCallAt(item["place"].as_u64().unwrap()), item).await,
        "invitation" => rewritten(InvitationOf(of("secret")), item).await,
        "browser" => rewritten(BrowserOf(of("secret")), item).await,
        "ticket" => rewritten(TicketOf(of("secret")), item).await,
        "audit" => rewritten(AuditAt(Millis(item["at"].as_u64().unwrap()), of("id")), item).await,
        "identity" => rewritten(IdentityOf(of("name")), item).await,
        "pool" => rewritten(PoolId::new(of("pool")), item).await,
        "pools" => rewritten(AllPools, item).await,
        "nodes" => rewritten(NodesOf(PoolId::new(of("pool"))), item).await,
        "pace" => rewritten(PaceOf(PoolId::new(of("pool"))), item).await,
        "hazard" => rewritten(HazardOf(PoolId::new(of("pool"))), item).await,
        "presence" => {
            let pool = of("pool").strip_prefix("presence#").unwrap().to_owned();
            rewritten(PresenceOf(PoolId::new(pool), UserId::new(of("user"))), item).await
        }
        "demand" | "demand-day" => {
            let (pool, at) = (PoolId::new(of("asked_of")), Millis(item["at"].as_u64().unwrap()));
            match kind {
                "demand" => rewritten(DemandAt(pool, at), item).await,
                _ => rewritten(DemandDayAt(pool, at), item).await,
            }
        }
        "forecast" => rewritten(ForecastOf(PoolId::new(of("forecast_of"))), item).await,
        "counted" => rewritten(CountedOf(of("task").parse().unwrap()), item).await,
        "catalog" => rewritten(CatalogKey(TeamId::new(of("team")), of("entry")), item).await,
        "upload" => rewritten(UploadOf(of("id")), item).await,
        "deletion" => rewritten(DeletionOf(TeamId::new(of("of")), of("what")), item).await,
        "lora" => rewritten(LoraOf(TeamId::new(of("owner")), of("sha256")), item).await,
        "lora-count" => rewritten(LoraCountOf(TeamId::new(of("of"))), item).await,
        "leaving" => {
            rewritten(
                LeavingAt(UserId::new(of("who")), Millis(item["at"].as_u64().unwrap()), of("id")),
                item,
            )
            .await
        }
        "awaited-lora" => rewritten(AwaitedOf(TeamId::new(of("of")), of("hash")), item).await,
        "class" => rewritten(ClassOf(TeamId::new(of("class"))), item).await,
        "document" => {
            rewritten(
                DocumentOf(UserId::new(of("owner")), DocumentId::new(of("document"))),
                item,
            )
            .await
        }
        "step" => {
            let (owner, document) = (UserId::new(of("owner")), DocumentId::new(of("document")));
            let asked = Millis(item["asked"].as_u64().unwrap());
            rewritten(StepOf(owner, document, asked, of("task_id").parse().unwrap()), item).await
        }
        "numbers" => rewritten(NumbersOf(TeamId::new(of("of")), of("model")), item).await,
        other => panic!("there is no kind of item {other}"),
    }
}

fn is_message(name: &str) -> bool {
    name.starts_with("message-") || name.starts_with("object-") || name.starts_with("api-")
}

#[tokio::test]
async fn items_of_every_release_are_read_and_written_back_whole() {
    for ((release, name), item) in golden() {
        if !is_message(&name) {
            assert_eq!(read_and_written(&name, &item).await, item, "{release}/{name}");
        }
    }
}

#[tokio::test]
async fn what_a_later_release_has_added_is_still_there_after_this_one_has_written() {
    for ((release, name), mut item) in golden() {
        if is_message(&name) {
            continue;
        }
        item["of_tomorrow"] = json!({ "deep": [1, { "x": "y" }] });
        for part in [
            "run",
            "result",
            "breaker",
            "estimates",
            "gpu",
            "error",
            "times",
            "boot",
            "master",
        ] {
            if item[part].is_object() {
                item[part]["of_tomorrow"] = "kept".into();
            }
        }
        assert_eq!(read_and_written(&name, &item).await, item, "{release}/{name}");
    }
}

fn read_back<T: DeserializeOwned + Serialize>(value: &Value) -> Value {
    let read: T = serde_json::from_value(value.clone()).unwrap();
    serde_json::to_value(read).unwrap()
}

/// What is only read again, and not kept: each must be readable, with something that this release does not know too.
#[test]
fn messages_and_objects_of_every_release_are_read() {
    for ((release, name), mut value) in golden() {
        value["of_tomorrow"] = true.into();
        let read = match name.as_str() {
            "message-queued" => read_back::<Queued>(&value),
            "message-progress" | "message-sync" => read_back::<ClientMessage>(&value),
            "message-task" | "message-wake" | "message-cancel" => read_back::<ServerMessage>(&value),
            "object-plan" => read_back::<workflow::Plan>(&value),
            "api-register" => read_back::<worker_api::Register>(&value),
            "api-registered" => read_back::<worker_api::Registered>(&value),
            "api-assignment" => read_back::<worker_api::Assignment>(&value),
            "api-heartbeat" => read_back::<worker_api::Heartbeat>(&value),
            "api-heartbeat-reply" => read_back::<worker_api::HeartbeatReply>(&value),
            "api-result" => read_back::<worker_api::RunResult>(&value),
            "api-failure" => read_back::<worker_api::RunFailure>(&value),
            "api-urls" => read_back::<worker_api::FreshUrls>(&value),
            name if is_message(name) => panic!("{release}/{name} is of no known kind"),
            _ => continue,
        };
        // What it said is still said; this release may say more.
        value.as_object_mut().unwrap().remove("of_tomorrow");
        assert!(says(&read, &value), "{release}/{name}: {read}\nof {value}");
    }
}

fn says(read: &Value, said: &Value) -> bool {
    match (read, said) {
        (Value::Object(read), Value::Object(said)) => said
            .iter()
            .all(|(field, was)| read.get(field).is_some_and(|is| says(is, was))),
        (Value::Array(read), Value::Array(said)) => {
            read.len() == said.len() && read.iter().zip(said).all(|(is, was)| says(is, was))
        }
        (read, said) => read == said,
    }
}

/// Each kind of item that this release keeps is among the golden ones, so that a new kind cannot be forgotten.
#[tokio::test]
async fn what_a_whole_flow_leaves_behind_is_of_known_kinds() {
    let world = Box::pin(flow()).await;
    #[expect(clippy::disallowed_methods, reason = "a switch of this test alone")]
    if std::env::var("UPDATE_ITEMS").is_ok() {
        dump(&world);
    }
    let known: Vec<_> = golden().into_keys().map(|(_, name)| name).collect();
    for (key, _) in world.memory.items() {
        let kind = kind(&key);
        assert!(
            known.iter().any(|name| name.split('.').next() == Some(kind)),
            "there is no golden {kind}: UPDATE_ITEMS=1 writes what this release makes"
        );
    }
}

fn kind(key: &Key) -> &'static str {
    let begins = |with: &str| key.partition.starts_with(with);
    match (key.table, key.sort.as_deref()) {
        (Table::Tasks, _) => "task",
        (Table::TaskBodies, _) if begins("group#") => "group",
        (Table::TaskBodies, _) => "body",
        (Table::Fleet, _) => "worker",
        (Table::Sessions, _) => "session",
        (Table::Catalog, _) if begins("#counted") => "lora-count",
        (Table::Pools, _) if begins("#leaving") => "leaving",
        (Table::Catalog, _) if begins("#awaited") => "awaited-lora",
        (Table::Catalog, _) if key.partition.ends_with("#loras") => "lora",
        (Table::Catalog, _) if begins("#uploads") => "upload",
        (Table::Catalog, _) if begins("#deletions") => "deletion",
        (Table::Catalog, _) if begins("#numbers") => "numbers",
        (Table::Catalog, _) => "catalog",
        (Table::Pools, _) if begins("#audit") => "audit",
        (Table::Pools, Some("now")) if begins("open#") => "open-call",
        (Table::Pools, Some("now")) if begins("counted#") => "counted",
        (Table::Pools, Some("now")) if begins("forecast#") => "forecast",
        (Table::Pools, _) if begins("demand#") => "demand",
        (Table::Pools, _) if begins("demand-days#") => "demand-day",
        (Table::Pools, Some("now")) => "pool",
        (Table::Pools, Some("nodes")) => "nodes",
        (Table::Pools, Some("pace")) => "pace",
        (Table::Pools, Some("hazard")) => "hazard",
        (Table::Pools, Some("names")) => "pools",
        (Table::Pools, _) => "presence",
        (Table::History, Some(entry)) if entry.starts_with("step#") => "step",
        (Table::History, _) => "document",
        (Table::Accounts, _) if begins("class#") => "class",
        (Table::Accounts, _) if begins("user#") => "account",
        (Table::Accounts, _) if begins("usage#") => "usage",
        (Table::Accounts, _) if begins("keep#") => "keep-rule",
        (Table::Accounts, _) if begins("team#") => "team-rate",
        (Table::Accounts, _) if begins("address#") => "address-rate",
        (Table::Accounts, _) if begins("code#") => "sign-in",
        (Table::Accounts, _) if begins("device#") => "device",
        (Table::Accounts, _) if begins("invitation#") => "invitation",
        (Table::Accounts, _) if begins("identity#") => "identity",
        (Table::Accounts, _) if begins("browser#") => "browser",
        (Table::Accounts, _) if begins("ticket#") => "ticket",
        other => panic!("an item of no known kind: {other:?}"),
    }
}

/// A studio in which everything has happened once.
async fn flow() -> World {
    let world = World::new().await;
    let (task, worker) = world.running(NOW).await;
    world.painter_socket().await;
    world.submitted(NOW).await;
    let mut many = wire("01_generate");
    many["input"]["variants"] = json!({ "seeds": 2 });
    world.submit(MARA, &many, NOW).await.ok();
    let beat = json!({ "ready": true, "models": ["dreamshaper_8.safetensors"], "gpu": { "percent": 97, "vram_used_mib": 4000, "vram_total_mib": 24000 } });
    world.work(&worker, "heartbeat", &beat, NOW + seconds(5)).await.ok();
    let run = task.run.unwrap().run_id;
    let result = json!({
        "task_id": TASK, "run_id": run, "offsets": [0, 10], "size": 20,
        "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 },
    });
    world.work(&worker, "result", &result, NOW + seconds(9)).await.ok();
    let over = world.task(&task.task_id).await;
    tasks::demand::count(&world.cloud.store, &[over], NOW + seconds(10))
        .await
        .unwrap();
    let pool = PoolId::new(POOL);
    let counts = world.cloud.store.list(DemandOf(&pool, 10)).await.unwrap();
    world.put(policy::count::day(&counts, NOW.day_began())).await;
    world.forecast(false, NOW + minutes(10)).await;
    let device = json!({ "client_id": "a-device-of-mara", "client_info": "Krita" });
    world
        .http(crate::support::http("POST /v1/auth/initiate", "", None, &device), NOW)
        .await
        .ok();
    let lora = json!({ "hash": "paWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU=", "size": 12 });
    world.paint(MARA, "POST /v1/upload/lora", "", &lora, NOW).await.ok();
    let stored = crate::models::bring(&world, MARA, "ink.safetensors", &checkpoint(1), &json!({})).await;
    assert_eq!(stored["state"], "registered");
    crate::models::begin(&world, MARA, "wash.safetensors", &checkpoint(2), &json!({})).await;
    let master = CatalogEntry::on_images(TeamId::new(TEAM), "lora", "old", "old");
    world
        .put(Deletion {
            of: master.team.clone(),
            what: master.key(),
            version: 0,
            at: NOW,
            master: None,
        })
        .await;
    world
        .put(Invitation {
            secret: "ab".repeat(32),
            version: 0,
            user_id: UserId::new(MARA),
            made_at: NOW,
            expires_at: NOW + minutes(60),
            ttl: 1,
        })
        .await;
    world
        .put(Identity {
            name: Identity::email("Mara@example.org"),
            version: 0,
            user_id: UserId::new(MARA),
        })
        .await;
    let user = UserId::new(MARA);
    let browser = BrowserSession::new("cd".repeat(32), "ef".repeat(16), user.clone(), NOW);
    world.put(browser).await;
    world.put(Ticket::new("12".repeat(32), user.clone(), NOW, NOW)).await;
    world
        .put(Audit {
            at: NOW,
            id: "0123456789ab".to_owned(),
            version: 0,
            who: "noor".to_owned(),
            what: "pause".to_owned(),
            on: "pool default".to_owned(),
            before: "starts as needed".to_owned(),
            after: "starts paused".to_owned(),
            ttl: 1,
        })
        .await;
    world
        .put(Leaving::new(user.clone(), NOW, "0123456789ab".to_owned()))
        .await;
    let mut account = world.get(&user).await;
    account.sign_in(SignedIn {
        id: "0123456789abcdef".to_owned(),
        name: "Krita".to_owned(),
        at: NOW,
    });
    world.put(account).await;
    crate::recording::recorded(&world, NOW).await;
    tasks::recording::set_class(&world.cloud.store, &TeamId::new(TEAM), true, NOW, |_| Ok(None))
        .await
        .unwrap();
    world
        .put(OpenCall {
            place: 2,
            version: 0,
            task: TASK.parse().unwrap(),
            until: NOW + seconds(2),
            ttl: 1,
        })
        .await;
    world
        .put(TeamRate {
            team: TeamId::new(TEAM),
            version: 0,
            bucket: NOW,
        })
        .await;
    world
        .put(KeepRule {
            team: TeamId::new(TEAM),
            version: 0,
            keep: Keep::Month,
        })
        .await;
    world
        .put(PoolNodes {
            pool: PoolId::new(POOL),
            version: 0,
            nodes: vec!["IPAdapter".to_owned()],
        })
        .await;
    world
        .alter_worker(WORKER, |worker| worker.no_capacity_at = Some(NOW))
        .await;
    let learned = Box::pin(crate::presence::learned()).await;
    world.put(Hazard { version: 0, ..learned }).await;
    world
}

fn dump(world: &World) {
    let release = folder().join(env!("CARGO_PKG_VERSION"));
    fs::create_dir_all(&release).unwrap();
    let write = |name: &str, value: &Value| {
        let text = serde_json::to_string_pretty(value).unwrap() + "\n";
        fs::write(release.join(format!("{name}.json")), text).unwrap();
    };
    let mut seen: BTreeMap<(&str, String), Item> = BTreeMap::new();
    for (key, item) in world.memory.items() {
        let state = item.get("state").and_then(Value::as_str).unwrap_or("only");
        let kind = kind(&key);
        let state = if kind == "catalog" && item.contains_key("master") {
            "stored".to_owned()
        } else if kind == "catalog" {
            text(&json!(item), "kind").to_owned()
        } else {
            state.to_owned()
        };
        seen.insert((kind, state), item);
    }
    for ((kind, state), item) in seen {
        let name = if state == "only" {
            kind.to_owned()
        } else {
            format!("{kind}.{state}")
        };
        write(&name, &Value::Object(item));
    }
    write("object-plan", &{
        let items = world
            .memory
            .items()
            .into_iter()
            .filter(|(key, _)| kind(key) == "catalog");
        let entries: Vec<CatalogEntry> = items
            .map(|(_, item)| serde_json::from_value(Value::Object(item)).unwrap())
            .collect();
        let inventory = catalog::assemble(&entries);
        let input = wire("01_generate").pointer("/input/workflow").unwrap().clone();
        let plan = workflow::compile(&workflow::WorkflowInput::read(input).unwrap(), &inventory).unwrap();
        serde_json::to_value(plan).unwrap()
    });
}
