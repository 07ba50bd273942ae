//! The studio's models: brought in parts, looked at, listed, changed, deleted, and rendered with.

mod trouble;

use std::time::Duration;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use cloud::tables::{Table, UploadOf};
use model::{
    Account, CatalogEntry, Millis, ModelUpload, Role, TeamId, UploadState, UserId, Worker, WorkerState,
    worker_api::{Assignment, ModelFile},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use system_tests::safetensors::{ATTENTION, UNET, checkpoint, safetensors};

use crate::golden::{unknown, walk};
use crate::support::{
    Answer, INSTANCE, MARA, NOW, OTHER, TEAM, WORKER, World, http, minutes, painter, scrubbed, wire, workspace,
};

/// A painter of another team, a lead of Mara's, and an operator of hers.
const ZOE: &str = "zoe";
const LEAD: &str = "lea";
const OPERATOR: &str = "ops";

const fn days(n: u64) -> Duration {
    Duration::from_hours(24 * n)
}

async fn world() -> World {
    let world = World::new().await;
    peopled(world).await
}

async fn peopled(world: World) -> World {
    let mara: Account = world.get(&UserId::new(MARA)).await;
    for (user, team, role) in [
        (ZOE, "rivals", Role::Lead),
        (LEAD, TEAM, Role::Lead),
        (OPERATOR, TEAM, Role::Operator),
    ] {
        let mut account = mara.clone();
        (account.user_id, account.team, account.role) = (UserId::new(user), TeamId::new(team), role);
        account.version = 0;
        world.put(account).await;
    }
    world
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

async fn call(world: &World, user: &str, route: &str, id: &str, body: &Value) -> Answer {
    world.paint(user, route, id, body, NOW).await
}

pub(crate) async fn begin(world: &World, user: &str, name: &str, bytes: &[u8], more: &Value) -> Answer {
    let mut wish = json!({ "name": name, "sha256": sha256(bytes), "size": bytes.len() });
    wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    call(world, user, "POST /v1/models/uploads", "", &wish).await
}

/// Sends these parts.
async fn send(world: &World, user: &str, id: &str, parts: &[(u32, &[u8])]) {
    let hash = |bytes: &[u8]| BASE64_STANDARD.encode(Sha256::digest(bytes));
    let wanted: Vec<_> = parts
        .iter()
        .map(|(number, it)| json!({ "number": number, "sha256": hash(it) }))
        .collect();
    let route = "POST /v1/models/uploads/{id}/parts";
    let places = call(world, user, route, id, &json!({ "parts": wanted })).await.ok();
    for ((number, bytes), place) in parts.iter().zip(places["parts"].as_array().unwrap()) {
        assert_eq!(place["number"], *number);
        world
            .memory
            .put_part(place["url"].as_str().unwrap(), bytes.to_vec().into())
            .unwrap();
    }
}

async fn complete(world: &World, user: &str, id: &str) -> Value {
    call(world, user, "POST /v1/models/uploads/{id}/complete", id, &json!({}))
        .await
        .ok()
}

/// S3's word that a file is there.
async fn stored(world: &World, team: &str, bytes: &[u8]) {
    let event = json!({ "detail": { "object": { "key": format!("models/{team}/{}", sha256(bytes)) } } });
    world.store.handle(&event, NOW).await.unwrap();
}

async fn state(world: &World, user: &str, id: &str) -> Value {
    call(world, user, "GET /v1/models/uploads/{id}", id, &json!({}))
        .await
        .ok()
}

/// Brings a file of one part and gives its upload when it has been looked at.
pub(crate) async fn bring(world: &World, user: &str, name: &str, bytes: &[u8], more: &Value) -> Value {
    let begun = begin(world, user, name, bytes, more).await.ok();
    let id = begun["upload"]["id"].as_str().unwrap().to_owned();
    send(world, user, &id, &[(1, bytes)]).await;
    complete(world, user, &id).await;
    let team = if more["access"] == "shared" { "shared" } else { TEAM };
    let team = if user == ZOE { "rivals" } else { team };
    stored(world, team, bytes).await;
    state(world, user, &id).await
}

fn parameters(query: &str) -> Value {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

async fn list(world: &World, user: &str, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut event = http("GET /v1/models", "", Some(&painter(user)), &json!({}));
        event["queryStringParameters"] = parameters(&format!("{query}{cursor}"));
        let page = world.http(event, NOW).await.ok();
        all.extend(page["models"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { return all };
        cursor = format!("&cursor={next}");
    }
}

/// The store's own: the rest is in the machine image.
async fn names(world: &World, user: &str) -> Vec<String> {
    let all = list(world, user, "limit=200").await;
    let own = all.iter().filter(|it| it["sha256"].is_string());
    own.map(|it| format!("{}@{}", it["name"].as_str().unwrap(), it["version"]))
        .collect()
}

async fn find(world: &World, user: &str, name: &str, version: u32) -> Option<Value> {
    let all = list(world, user, "limit=200").await;
    all.into_iter()
        .find(|it| it["name"] == name && it["version"] == version && it["sha256"].is_string())
}

async fn patch(world: &World, user: &str, model: &Value, change: &Value) -> Answer {
    call(
        world,
        user,
        "PATCH /v1/models/{id}",
        model["id"].as_str().unwrap(),
        change,
    )
    .await
}

/// The run ends, for nobody's good.
async fn failed(world: &World, worker: &Worker, run: &Assignment, now: Millis) {
    let words = json!({ "run_id": run.run_id, "task_id": run.task_id, "class": "user", "message": "no" });
    world.work(worker, "failure", &words, now).await.ok();
}

fn with(checkpoint: &str) -> Value {
    let mut request = wire("01_generate");
    request["input"]["workflow"]["models"]["checkpoint"] = checkpoint.into();
    request
}

/// Nothing is left of an upload: no item, no part, no file.
fn clean(world: &World) {
    let uploads = world.memory.items();
    let left: Vec<_> = uploads.iter().filter(|(key, _)| key.partition == "#uploads").collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(world.memory.unfinished_uploads(), 0);
    assert!(world.memory.files().is_empty(), "{:?}", world.memory.files());
}

#[tokio::test]
async fn golden_events() {
    let golden = walk("catalog", async |name, event| {
        let world = world().await;
        // As the golden events name them.
        let (entry, upload) = (item("catalog.stored"), item("upload"));
        let mut entry: CatalogEntry = serde_json::from_value(entry).unwrap();
        entry.version = 0;
        let mut upload: ModelUpload = serde_json::from_value(upload).unwrap();
        (upload.id, upload.version) = ("01a05cd7-2a00-7000-8000-0000000000f1".to_owned(), 0);
        match name {
            "uploaded" => {
                upload.sha256 = "4e".repeat(32);
                upload.state = UploadState::Checking;
                world
                    .memory
                    .put_file(&upload.key(), b"no safetensors...".as_slice().into());
                world.put(upload).await;
                world.store.handle(&event, NOW).await.unwrap();
                return world.effects();
            }
            "sweep" => {
                upload.until = NOW;
                world.put(upload).await;
                world.store.handle(&event, NOW).await.unwrap();
                return world.effects();
            }
            "restore-model" => entry.deleted = Some(NOW - minutes(5)),
            "models" | "model" | "change-model" | "delete-model" | "upload-model" | "model-upload" | "model-parts"
            | "complete-model" | "end-model-upload" => {}
            other => unknown(other),
        }
        world.put(entry).await;
        world.put(upload).await;
        let answer = world.http(event, NOW).await;
        scrubbed(json!({ "status": answer.status, "body": answer.body, "effects": world.effects() }))
    });
    Box::pin(golden).await;
}

fn item(name: &str) -> Value {
    let path = workspace().join(format!("events/items/0.1.0/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test]
async fn a_checkpoint_comes_is_looked_at_and_goes_to_the_worker_that_renders_with_it() {
    let world = world().await;
    let bytes = checkpoint(1);
    let begun = begin(&world, LEAD, "dream.safetensors", &bytes, &json!({ "licence": "ours" }))
        .await
        .ok();
    let upload = &begun["upload"];
    assert_eq!(
        (&upload["state"], &upload["parts"], &upload["there"]),
        (&json!("receiving"), &json!(1), &json!([]))
    );
    let id = upload["id"].as_str().unwrap();
    // Nothing is complete before all parts are there; nobody else sees it.
    let route = "POST /v1/models/uploads/{id}/complete";
    assert_eq!(call(&world, LEAD, route, id, &json!({})).await.status, 409);
    for stranger in [MARA, ZOE, OPERATOR] {
        assert_eq!(
            call(&world, stranger, "GET /v1/models/uploads/{id}", id, &json!({}))
                .await
                .status,
            404
        );
    }
    send(&world, LEAD, id, &[(1, &bytes)]).await;
    assert_eq!(state(&world, LEAD, id).await["there"], json!([1]));
    assert_eq!(complete(&world, LEAD, id).await["state"], "checking");
    assert!(names(&world, LEAD).await.is_empty(), "not before it was looked at");
    stored(&world, TEAM, &bytes).await;
    stored(&world, TEAM, &bytes).await;
    assert_eq!(state(&world, LEAD, id).await["state"], "registered");
    let model = find(&world, MARA, "dream.safetensors", 1).await.unwrap();
    let shown = json!({
        "kind": "checkpoint", "arch": "sd15", "access": "team", "licence": "ours", "owner": LEAD,
        "size": bytes.len(), "sha256": sha256(&bytes), "resolution": 512,
    });
    for (name, value) in shown.as_object().unwrap() {
        assert_eq!(model[name], *value, "{name}");
    }
    let got = call(
        &world,
        MARA,
        "GET /v1/models/{id}",
        model["id"].as_str().unwrap(),
        &json!({}),
    )
    .await
    .ok();
    assert_eq!(got, model);

    // It is offered by its name, and to its team alone.
    let offered = async |user: &str| {
        let offer = call(&world, user, "GET /v1/plugin/resources", "", &json!({}))
            .await
            .ok();
        offer["checkpoints"]["dream.safetensors"].clone()
    };
    assert_eq!(
        offered(MARA).await,
        json!({ "filename": "dream.safetensors", "arch": "sd15" })
    );
    assert_eq!(offered(ZOE).await, Value::Null);

    // And its file goes with the run.
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    world.submit(MARA, &with("dream.safetensors"), NOW).await.ok();
    let run = world.claimed(&worker, NOW).await.unwrap();
    let file = format!("atelier/{TEAM}/{}.safetensors", sha256(&bytes));
    assert_eq!(
        run.models,
        [ModelFile {
            name: "dream.safetensors".into(),
            folder: "checkpoints".into(),
            file: file.clone(),
            key: format!("models/{TEAM}/{}", sha256(&bytes)),
            sha256: sha256(&bytes),
            size: bytes.len() as u64,
            arch: String::new(),
        }]
    );
    assert_eq!(
        run.urls.models,
        [format!("memory:get/models/{TEAM}/{}", sha256(&bytes))]
    );
    assert!(run.plan.to_string().contains(&file), "the graph names the file");
}

#[tokio::test]
async fn another_teams_model_is_as_if_it_did_not_exist() {
    let world = peopled(World::watched(model::Settings::default()).await).await;
    bring(&world, LEAD, "ours.safetensors", &checkpoint(1), &json!({})).await;
    let model = find(&world, LEAD, "ours.safetensors", 1).await.unwrap();
    // The catalogue that is kept for a minute.
    world.submit(ZOE, &with("none.safetensors"), NOW).await;
    world.faults.take();
    let theirs = world.submit(ZOE, &with("ours.safetensors"), NOW).await;
    let took = world.faults.take().len();
    let nobodys = world.submit(ZOE, &with("none.safetensors"), NOW).await;
    assert!(took > 0);
    assert_eq!(took, world.faults.take().len(), "nor does it take longer");
    let words = |answer: &Answer, name: &str| answer.error().replace(name, "X");
    assert_eq!(theirs.status, 400);
    assert_eq!(words(&theirs, "ours.safetensors"), words(&nobodys, "none.safetensors"));
    let id = model["id"].as_str().unwrap();
    for route in [
        "GET /v1/models/{id}",
        "DELETE /v1/models/{id}",
        "PATCH /v1/models/{id}",
        "POST /v1/models/{id}/restore",
    ] {
        let answer = call(&world, ZOE, route, id, &json!({})).await;
        assert_eq!(
            (answer.status, answer.error()),
            (404, "There is no such model."),
            "{route}"
        );
    }
    assert!(names(&world, ZOE).await.is_empty());
    // The same bytes are theirs when they bring them, and nobody hears of the others.
    let begun = begin(&world, ZOE, "ours.safetensors", &checkpoint(1), &json!({}))
        .await
        .ok();
    assert_eq!(begun["upload"]["state"], "receiving");
    // The file that the graph would name is no name that can be asked for.
    let file = format!("atelier/{TEAM}/{}.safetensors", model["sha256"].as_str().unwrap());
    for name in [
        file.as_str(),
        &file.replace('/', "\\"),
        "atelier/../atelier/studio/x",
        "%2e%2e/ours.safetensors",
    ] {
        for user in [ZOE, MARA] {
            assert_eq!(world.submit(user, &with(name), NOW).await.status, 400, "{name}");
        }
    }
}

/// A file that is a header and nothing else.
fn headed(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

#[tokio::test]
async fn what_is_no_model_is_refused_and_leaves_nothing() {
    let world = world().await;
    let good = checkpoint(1);
    let mut cut = good.clone();
    cut.truncate(good.len() - 5);
    let mut lying = good.clone();
    lying[..8].copy_from_slice(&(1_u64 << 62).to_le_bytes());
    let nothing = safetensors(&[("a.b.c", &[4])], &[], 1);
    let unknown = safetensors(
        &[
            ("input_blocks.0.0.weight", &[320, 4, 3, 3]),
            ("input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", &[320, 1024]),
        ],
        &[],
        1,
    );
    let overlapping = {
        let header = br#"{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[2],"data_offsets":[2,6]}}"#;
        [&(header.len() as u64).to_le_bytes()[..], header, &[0; 6]].concat()
    };
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("a pickle", b"PK\x03\x04 and so on".to_vec(), "Convert it"),
        ("an older pickle", b"\x80\x02}q\x00.....".to_vec(), "Convert it"),
        ("gguf", b"GGUF\x03\0\0\0....".to_vec(), "GGUF"),
        (
            "a page",
            b"<!DOCTYPE html><html>sign in</html>".to_vec(),
            "not a safetensors file",
        ),
        ("cut off", cut, "cut off"),
        ("lying", lying, "not a safetensors file"),
        ("overlapping", overlapping, "damaged"),
        (
            "deep",
            headed(&format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200))),
            "damaged",
        ),
        ("long", headed(&" ".repeat(9 << 20)), "more than any model needs"),
        ("nothing", nothing, "Nothing that ComfyUI could use"),
        ("unknown", unknown, "architecture"),
    ];
    for (name, bytes, words) in cases {
        let upload = bring(&world, LEAD, name, &bytes, &json!({})).await;
        assert_eq!(upload["state"], "refused", "{name}");
        let why = upload["why"].as_str().unwrap();
        assert!(why.contains(words), "{name}: {why}");
        assert!(names(&world, LEAD).await.is_empty());
        assert!(world.memory.files().is_empty(), "{name}");
        // The same again is the same again.
        assert_eq!(
            bring(&world, LEAD, name, &bytes, &json!({})).await["state"],
            "refused",
            "{name}"
        );
    }
    // A name for other bytes: each part is what was signed, and the whole is not what was said.
    let begun = begin(&world, LEAD, "lie", &good, &json!({})).await.ok();
    let id = begun["upload"]["id"].as_str().unwrap();
    let mut other = checkpoint(2);
    send(&world, LEAD, id, &[(1, &other)]).await;
    complete(&world, LEAD, id).await;
    stored(&world, TEAM, &good).await;
    let upload = state(&world, LEAD, id).await;
    assert!(upload["why"].as_str().unwrap().contains("SHA-256"), "{upload}");
    // Other bytes than the part's hash says are refused by S3.
    let begun = begin(&world, LEAD, "part", &good, &json!({})).await.ok();
    let id = begun["upload"]["id"].as_str().unwrap().to_owned();
    let hash = BASE64_STANDARD.encode(Sha256::digest(&good));
    let places = json!({ "parts": [{ "number": 1, "sha256": hash }] });
    let places = call(&world, LEAD, "POST /v1/models/uploads/{id}/parts", &id, &places)
        .await
        .ok();
    other.truncate(good.len());
    assert!(
        world
            .memory
            .put_part(places["parts"][0]["url"].as_str().unwrap(), other.into())
            .is_err()
    );
    call(&world, LEAD, "DELETE /v1/models/uploads/{id}", &id, &json!({}))
        .await
        .ok();
    assert_eq!(
        call(&world, LEAD, "GET /v1/models/uploads/{id}", &id, &json!({}))
            .await
            .status,
        404
    );
    // A week later even the words are gone.
    world.store.handle(&json!({}), NOW + days(8)).await.unwrap();
    clean(&world);
}

#[tokio::test]
async fn a_wish_that_makes_no_sense_is_refused_in_a_sentence() {
    let world = world().await;
    let before = world.written();
    let good = json!({ "name": "a", "sha256": "0".repeat(64), "size": 5 });
    let changes = [
        ("name", json!("")),
        ("name", json!("..")),
        ("name", json!("a/b")),
        ("name", json!("a\\b")),
        ("name", json!("a#b")),
        ("name", json!("a\u{0}b")),
        ("name", json!("x".repeat(121))),
        ("sha256", json!("0".repeat(63))),
        ("sha256", json!("g".repeat(64))),
        ("sha256", json!("../".repeat(21))),
        ("size", json!(0)),
        ("size", json!(-1)),
        ("size", json!(world.settings.max_model + 1)),
        ("arch", json!("sd99")),
        ("access", json!("everybody")),
    ];
    for (name, value) in changes {
        let mut wish = good.clone();
        wish[name] = value.clone();
        let answer = call(&world, LEAD, "POST /v1/models/uploads", "", &wish).await;
        assert_eq!(answer.status, 400, "{name} {value}");
        assert!(answer.error().len() > 10);
    }
    for (user, access) in [(MARA, "team"), (MARA, "shared"), (LEAD, "shared")] {
        let mut wish = good.clone();
        wish["access"] = access.into();
        assert_eq!(
            call(&world, user, "POST /v1/models/uploads", "", &wish).await.status,
            403,
            "{user} {access}"
        );
    }
    assert_eq!(world.written(), before);
    assert_eq!(world.memory.unfinished_uploads(), 0);
}

#[tokio::test]
async fn a_teams_models_have_a_limit() {
    let settings = model::Settings {
        max_team_model_bytes: 1_200_000,
        ..model::Settings::default()
    };
    let world = peopled(World::set(settings).await).await;
    assert!(checkpoint(1).len() < 1_200_000 && checkpoint(1).len() > 600_000 - 100_000);
    bring(&world, LEAD, "a", &checkpoint(1), &json!({})).await;
    // The same bytes under another name cost nothing; an upload that is under way counts.
    assert_eq!(begin(&world, LEAD, "b", &checkpoint(2), &json!({})).await.status, 200);
    let answer = begin(&world, LEAD, "c", &checkpoint(3), &json!({})).await;
    assert_eq!(answer.status, 413);
    assert!(answer.error().contains("GB"), "{}", answer.error());
    assert_eq!(
        begin(&world, LEAD, "a again", &checkpoint(1), &json!({})).await.status,
        200
    );
    assert_eq!(
        begin(&world, ZOE, "a", &checkpoint(3), &json!({})).await.status,
        200,
        "another team has its own"
    );
}

#[tokio::test]
async fn the_same_bytes_are_stored_once_whatever_they_are_called() {
    let world = world().await;
    let bytes = checkpoint(1);
    bring(&world, LEAD, "a", &bytes, &json!({})).await;
    let begun = begin(&world, LEAD, "a", &bytes, &json!({})).await.ok();
    assert_eq!(begun["model"]["name"], "a", "it is there");
    // Two at once, one of whom is late: there is one file, and both names.
    let none = json!({});
    let (b, c) = tokio::join!(
        begin(&world, LEAD, "b", &bytes, &none),
        begin(&world, LEAD, "c", &bytes, &none)
    );
    for begun in [b, c] {
        let id = begun.ok()["upload"]["id"].as_str().unwrap().to_owned();
        send(&world, LEAD, &id, &[(1, &bytes)]).await;
        assert_eq!(
            complete(&world, LEAD, &id).await["state"],
            "registered",
            "no event tells of what was there"
        );
    }
    assert_eq!(names(&world, LEAD).await, ["a@1", "b@1", "c@1"]);
    assert_eq!(world.memory.files().len(), 1);
    // Somebody who only says the hash gets nothing by it.
    let begun = begin(&world, MARA, "d", &bytes, &json!({})).await.ok();
    let id = begun["upload"]["id"].as_str().unwrap();
    send(&world, MARA, id, &[(1, &checkpoint(2)[..bytes.len()])]).await;
    assert_eq!(complete(&world, MARA, id).await["state"], "refused");
    assert_eq!(world.memory.files().len(), 1);
    assert_eq!(world.memory.unfinished_uploads(), 0);
    // Nor by giving up what was begun, while it is completed.
    let begun = begin(&world, OTHER, "e", &bytes, &none).await.ok();
    let id = begun["upload"]["id"].as_str().unwrap();
    let upload: ModelUpload = world.get(&UploadOf(id.to_owned())).await;
    cloud::multipart::MultipartPort::abort(&world.memory, "", &upload.upload)
        .await
        .unwrap();
    let route = "POST /v1/models/uploads/{id}/complete";
    assert_eq!(call(&world, OTHER, route, id, &none).await.status, 409);
    world.store.handle(&json!({}), NOW + days(1)).await.unwrap();
    assert!(find(&world, OTHER, "e", 1).await.is_none());
    // The same wish twice at once is one model.
    let other = checkpoint(5);
    let (one, two) = tokio::join!(
        begin(&world, LEAD, "twice", &other, &none),
        begin(&world, LEAD, "twice", &other, &none)
    );
    for begun in [one, two] {
        let id = begun.ok()["upload"]["id"].as_str().unwrap().to_owned();
        if state(&world, LEAD, &id).await["state"] == "receiving" {
            send(&world, LEAD, &id, &[(1, &checkpoint(5))]).await;
            complete(&world, LEAD, &id).await;
        }
    }
    stored(&world, TEAM, &checkpoint(5)).await;
    assert!(find(&world, LEAD, "twice", 1).await.is_some() && find(&world, LEAD, "twice", 2).await.is_none());
}

#[tokio::test]
async fn what_a_painter_has_for_themselves_is_no_version_of_the_teams() {
    let world = world().await;
    bring(&world, LEAD, "dream", &checkpoint(1), &json!({})).await;
    bring(&world, MARA, "dream", &checkpoint(2), &json!({})).await;
    bring(&world, LEAD, "dream", &checkpoint(3), &json!({})).await;
    let of = async |user, version| {
        // The team's, but hers is its own model.
        let all = list(&world, user, "kind=checkpoint&name=dream").await;
        let own = |it: &Value| (user == MARA) == (it["access"] == "private");
        all.into_iter().find(|it| it["version"] == version && own(it))
    };
    assert!(of(MARA, 2).await.is_none());
    patch(&world, LEAD, &of(LEAD, 1).await.unwrap(), &json!({ "pinned": true }))
        .await
        .ok();
    // Hers does not unpin theirs, and theirs does not take hers along.
    patch(&world, MARA, &of(MARA, 1).await.unwrap(), &json!({ "pinned": true }))
        .await
        .ok();
    assert_eq!(of(LEAD, 1).await.unwrap()["pinned"], true);
    patch(
        &world,
        OPERATOR,
        &of(OPERATOR, 1).await.unwrap(),
        &json!({ "access": "shared" }),
    )
    .await
    .ok();
    assert_eq!(of(MARA, 1).await.unwrap()["pinned"], true);
    assert!(of(ZOE, 1).await.is_some() && of(ZOE, 2).await.is_some() && of(ZOE, 3).await.is_none());
    // No cursor names what its holder may not see.
    bring(&world, MARA, "secret", &checkpoint(4), &json!({})).await;
    bring(&world, LEAD, "terse", &checkpoint(5), &json!({})).await;
    let mut cursor = String::new();
    loop {
        let mut event = http("GET /v1/models", "", Some(&painter(LEAD)), &json!({}));
        event["queryStringParameters"] = parameters(&format!("limit=1{cursor}"));
        let page = world.http(event, NOW).await.ok();
        let Some(next) = page["next"].as_str() else { break };
        let read = BASE64_URL_SAFE_NO_PAD.decode(next.trim_start_matches("s.")).unwrap();
        let read = String::from_utf8(read).unwrap();
        assert!(!read.contains("secret") && !read.contains(MARA), "{read}");
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn an_id_that_cannot_be_one_is_a_404() {
    let world = world().await;
    let long = BASE64_URL_SAFE_NO_PAD.encode(format!("{TEAM}#{}", "x".repeat(1200)));
    for id in [
        "",
        "x",
        "..",
        &long,
        &BASE64_URL_SAFE_NO_PAD.encode([255, 254]),
        &"y".repeat(3000),
    ] {
        for route in [
            "GET /v1/models/{id}",
            "DELETE /v1/models/{id}",
            "GET /v1/models/uploads/{id}",
        ] {
            assert_eq!(
                call(&world, MARA, route, id, &json!({})).await.status,
                404,
                "{route} {id}"
            );
        }
    }
}

#[tokio::test]
async fn a_file_of_several_parts_goes_on_where_it_broke_off() {
    let world = world().await;
    let part = 64 << 20;
    // The header of a checkpoint whose second tensor is large.
    let bytes = safetensors(
        &[
            UNET,
            ATTENTION,
            ("first_stage_model.x", &[(part / 2) as u64]),
            ("first_stage_model.y", &[20]),
        ],
        &[],
        7,
    );
    let begun = begin(&world, LEAD, "large", &bytes, &json!({})).await.ok();
    assert_eq!(begun["upload"]["parts"], 2);
    let id = begun["upload"]["id"].as_str().unwrap().to_owned();
    send(&world, LEAD, &id, &[(2, &bytes[part..])]).await;
    // The program ended; another one begins with the same wish.
    let again = begin(&world, LEAD, "large", &bytes, &json!({})).await.ok();
    assert_eq!(again["upload"]["id"], id.as_str());
    assert_eq!(state(&world, LEAD, &id).await["there"], json!([2]));
    send(&world, LEAD, &id, &[(1, &bytes[..part])]).await;
    complete(&world, LEAD, &id).await;
    // S3's word was lost: the sweep makes it good.
    world.store.handle(&json!({}), NOW + minutes(15)).await.unwrap();
    assert_eq!(state(&world, LEAD, &id).await["state"], "registered");
}

#[tokio::test]
async fn an_abandoned_upload_leaves_nothing() {
    let world = world().await;
    let begun = begin(&world, LEAD, "a", &checkpoint(1), &json!({})).await.ok();
    let id = begun["upload"]["id"].as_str().unwrap();
    send(&world, LEAD, id, &[(1, &checkpoint(1))]).await;
    world.store.handle(&json!({}), NOW + days(6)).await.unwrap();
    assert_eq!(state(&world, LEAD, id).await["there"], json!([1]));
    world.store.handle(&json!({}), NOW + days(7)).await.unwrap();
    clean(&world);
}

#[tokio::test]
async fn versions_are_pinned_rolled_back_and_deprecated() {
    let world = world().await;
    for seed in [1, 2, 3] {
        bring(&world, LEAD, "dream", &checkpoint(seed), &json!({})).await;
    }
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    let renders_with = async |now: Millis| {
        world.submit(MARA, &with("dream"), now).await.ok();
        let run = world.claimed(&worker, now).await.unwrap();
        failed(&world, &worker, &run, now).await;
        let seed = (1..=3).find(|seed| run.models[0].sha256 == sha256(&checkpoint(*seed)));
        seed.unwrap()
    };
    assert_eq!(renders_with(NOW).await, 3);
    let version = async |number| find(&world, LEAD, "dream", number).await.unwrap();
    // One command brings an old one back.
    patch(&world, LEAD, &version(1).await, &json!({ "pinned": true }))
        .await
        .ok();
    assert_eq!(renders_with(NOW + minutes(2)).await, 1);
    patch(&world, LEAD, &version(2).await, &json!({ "pinned": true }))
        .await
        .ok();
    assert_eq!(version(1).await["pinned"], false);
    assert_eq!(renders_with(NOW + minutes(4)).await, 2);
    patch(
        &world,
        LEAD,
        &version(2).await,
        &json!({ "pinned": false, "deprecated": true }),
    )
    .await
    .ok();
    patch(&world, LEAD, &version(3).await, &json!({ "deprecated": true }))
        .await
        .ok();
    assert_eq!(renders_with(NOW + minutes(6)).await, 1);
    patch(&world, LEAD, &version(1).await, &json!({ "deprecated": true }))
        .await
        .ok();
    // Who names it still gets it; nobody else is offered it.
    assert_eq!(renders_with(NOW + minutes(8)).await, 3);
    let offer = call(&world, MARA, "GET /v1/plugin/resources", "", &json!({}))
        .await
        .ok();
    assert_eq!(offer["checkpoints"]["dream"], Value::Null);
}

#[tokio::test]
async fn a_model_goes_from_one_to_the_team_to_all_and_back() {
    let world = world().await;
    bring(&world, MARA, "mine", &checkpoint(1), &json!({})).await;
    let sees = async || {
        let mut seen = Vec::new();
        for user in [MARA, OTHER, LEAD, OPERATOR, ZOE] {
            if !names(&world, user).await.is_empty() {
                seen.push(user);
            }
        }
        seen
    };
    assert_eq!(sees().await, [MARA]);
    // Only she can paint with it.
    assert_eq!(world.submit(OTHER, &with("mine"), NOW).await.status, 400);
    world.submit(MARA, &with("mine"), NOW).await.ok();
    let mine = async |user| find(&world, user, "mine", 1).await.unwrap();
    let refused = patch(&world, MARA, &mine(MARA).await, &json!({ "access": "team" })).await;
    assert_eq!(refused.status, 403, "a painter gives the team nothing");
    // A lead brings it for the team: the same bytes, stored once.
    let begun = begin(&world, LEAD, "teams", &checkpoint(1), &json!({})).await.ok();
    let id = begun["upload"]["id"].as_str().unwrap().to_owned();
    send(&world, LEAD, &id, &[(1, &checkpoint(1))]).await;
    complete(&world, LEAD, &id).await;
    let teams = async |user| find(&world, user, "teams", 1).await;
    assert!(teams(OTHER).await.is_some() && teams(ZOE).await.is_none());
    let shared = json!({ "access": "shared" });
    assert_eq!(
        patch(&world, LEAD, &teams(LEAD).await.unwrap(), &shared).await.status,
        403
    );
    patch(&world, OPERATOR, &teams(OPERATOR).await.unwrap(), &shared)
        .await
        .ok();
    let of_zoe = teams(ZOE).await.unwrap();
    assert_eq!(of_zoe["access"], "shared");
    assert_eq!(
        patch(&world, LEAD, &of_zoe, &json!({ "pinned": true })).await.status,
        403
    );
    // A machine that serves the rivals gets the very file.
    world.submit(ZOE, &with("teams"), NOW).await.ok();
    assert_eq!(world.memory.files().len(), 1);
    // A second of that name cannot take its place, and back it goes.
    bring(&world, OPERATOR, "teams", &checkpoint(2), &json!({})).await;
    let own = list(&world, OPERATOR, "kind=checkpoint&name=teams").await;
    let team = own.iter().find(|it| it["access"] == "team").unwrap();
    assert_eq!(patch(&world, OPERATOR, team, &shared).await.status, 409);
    let id = team["id"].as_str().unwrap();
    call(&world, OPERATOR, "DELETE /v1/models/{id}", id, &json!({}))
        .await
        .ok();
    let answer = patch(&world, OPERATOR, &of_zoe, &json!({ "access": "team" })).await;
    assert_eq!(answer.status, 409, "what was deleted can still come back");
    world.store.handle(&json!({}), NOW + days(31)).await.unwrap();
    patch(&world, OPERATOR, &of_zoe, &json!({ "access": "team" }))
        .await
        .ok();
    assert!(teams(ZOE).await.is_none() && teams(MARA).await.is_some());
    assert_eq!(world.memory.files().len(), 1);
}

/// Each change has its line; what changes nothing has none.
#[tokio::test]
async fn the_audit_list_says_who_brought_and_changed_a_model() {
    let world = world().await;
    bring(&world, LEAD, "dream", &checkpoint(1), &json!({})).await;
    let model = async || find(&world, OPERATOR, "dream", 1).await.unwrap();
    for change in [
        json!({ "pinned": true, "licence": "MIT" }),
        json!({ "pinned": true }),
        json!({ "access": "shared" }),
    ] {
        patch(&world, OPERATOR, &model().await, &change).await.ok();
    }
    let id = model().await["id"].as_str().unwrap().to_owned();
    for route in [
        "DELETE /v1/models/{id}",
        "DELETE /v1/models/{id}",
        "POST /v1/models/{id}/restore",
    ] {
        call(&world, OPERATOR, route, &id, &json!({})).await.ok();
    }
    let lines = accounts::audit::page(&world.cloud.store, None, 50)
        .await
        .unwrap()
        .entries;
    // All are of one moment here, so their order is chance's.
    let mut lines: Vec<_> = lines
        .iter()
        .map(|it| [&it.who, &it.what, &it.before, &it.after].map(String::as_str))
        .collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            [
                LEAD,
                "add model",
                "",
                "for team studio, arch sd15, licence CreativeML OpenRAIL-M"
            ],
            [OPERATOR, "change model", "for team studio", "for every team"],
            [
                OPERATOR,
                "change model",
                "licence CreativeML OpenRAIL-M",
                "pinned, licence MIT"
            ],
            [OPERATOR, "delete model", "", "deleted"],
            [OPERATOR, "restore model", "deleted", ""],
        ]
    );
    let on = accounts::audit::page(&world.cloud.store, None, 1)
        .await
        .unwrap()
        .entries[0]
        .on
        .clone();
    assert!(on.starts_with("checkpoint dream version 1 ("), "{on}");
}

/// Somebody at the command line is named as the machine calls them, like in its other deeds.
#[tokio::test]
async fn the_audit_list_says_who_changed_a_model_at_the_command_line() {
    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: install::models::Command,
    }
    struct Silent;
    impl install::models::Show for Silent {
        fn bar(&self, _: &str, _: u64) -> Box<dyn Fn(u64) + Send + Sync> {
            Box::new(|_| ())
        }
        fn say(&self, _: &str) {}
    }

    let world = world().await;
    bring(&world, LEAD, "dream", &checkpoint(1), &json!({})).await;
    let site = install::models::Site {
        store: world.cloud.store.clone(),
        models: world.cloud.models.clone(),
        masters: world.store.masters.clone(),
        settings: world.settings.clone(),
    };
    let line: Line = clap::Parser::parse_from(["model", "pin", "dream", "--team", TEAM]);
    install::models::run(&site, line.command, &Silent).await.unwrap();
    let page = accounts::audit::page(&world.cloud.store, None, 50).await.unwrap();
    let line = page.entries.iter().find(|it| it.after == "pinned").unwrap();
    assert_eq!(line.who, ops::audit::by(NOW).who);
    assert!(line.who.starts_with("ops@"), "{}", line.who);
}

#[tokio::test]
async fn a_deletion_waits_for_runs_and_can_be_taken_back_for_thirty_days() {
    let world = world().await;
    let bytes = checkpoint(1);
    bring(&world, LEAD, "dream", &bytes, &json!({})).await;
    let model = find(&world, LEAD, "dream", 1).await.unwrap();
    let id = model["id"].as_str().unwrap();
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    world.submit(MARA, &with("dream"), NOW).await.ok();
    let run = world.claimed(&worker, NOW).await.unwrap();
    let delete = async || call(&world, LEAD, "DELETE /v1/models/{id}", id, &json!({})).await;
    let refused = delete().await;
    assert_eq!(refused.status, 409);
    assert!(refused.error().contains("painted"), "{}", refused.error());
    failed(&world, &worker, &run, NOW).await;
    // A task that waits keeps the file that it was promised.
    world.submit(MARA, &with("dream"), NOW + minutes(1)).await.ok();
    assert!(delete().await.ok()["deleted"].is_u64());
    delete().await.ok();
    let run = world.claimed(&worker, NOW + minutes(1)).await.unwrap();
    assert_eq!(run.models[0].sha256, sha256(&bytes));
    failed(&world, &worker, &run, NOW + minutes(1)).await;
    assert_eq!(world.submit(MARA, &with("dream"), NOW + minutes(3)).await.status, 400);
    assert!(names(&world, LEAD).await.is_empty());
    assert_eq!(list(&world, LEAD, "deleted=true").await.len(), 1);
    world.store.handle(&json!({}), NOW + days(29)).await.unwrap();
    call(&world, LEAD, "POST /v1/models/{id}/restore", id, &json!({}))
        .await
        .ok();
    call(&world, LEAD, "POST /v1/models/{id}/restore", id, &json!({}))
        .await
        .ok();
    world.store.handle(&json!({}), NOW + days(40)).await.unwrap();
    assert_eq!(names(&world, LEAD).await, ["dream@1"]);
    world.submit(MARA, &with("dream"), NOW + minutes(5)).await.ok();
    // The same bytes by another name keep the file when this one goes for good.
    bring(&world, LEAD, "other", &checkpoint(2), &json!({})).await;
    delete().await.ok();
    world.store.handle(&json!({}), NOW + days(31)).await.unwrap();
    assert_eq!(names(&world, LEAD).await, ["other@1"]);
    assert_eq!(world.memory.files().len(), 1);
    assert_eq!(
        call(&world, LEAD, "POST /v1/models/{id}/restore", id, &json!({}))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_list_reads_no_more_than_its_kind_and_beginning() {
    let world = world().await;
    for number in 0..30 {
        let entry = CatalogEntry::on_images(TeamId::new(TEAM), "vae", &format!("v{number:02}"), "v");
        world.put(entry).await;
    }
    let of = async |query: &str| {
        let all = list(&world, MARA, query).await;
        all.iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("kind=vae&limit=7").await.len(), 30);
    assert_eq!(of("kind=vae&begins=v1&limit=3").await.len(), 10);
    assert_eq!(of("kind=vae&name=v07").await, ["v07"]);
    assert_eq!(of("kind=vae&text=V2").await.len(), 10);
    for bad in [
        "kind=painting",
        "name=v07",
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=x",
        "cursor=s.x",
    ] {
        let mut event = http("GET /v1/models", "", Some(&painter(MARA)), &json!({}));
        event["queryStringParameters"] = parameters(bad);
        let answer = world.http(event, NOW).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.error().len() > 10);
    }
    // A cursor of another list is no place in this one.
    let mut event = http("GET /v1/models", "", Some(&painter(MARA)), &json!({}));
    event["queryStringParameters"] = parameters("kind=vae&limit=3");
    let next = world.http(event.clone(), NOW).await.ok()["next"]
        .as_str()
        .unwrap()
        .to_owned();
    event["queryStringParameters"] = parameters(&format!("kind=lora&cursor={next}"));
    assert_eq!(world.http(event, NOW).await.status, 400);
    assert!(world.all::<Value>(Table::Catalog).len() > 30);
}

#[tokio::test]
async fn what_came_by_the_plugins_upload_is_among_its_painters_models() {
    let world = world().await;
    let layer = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_k";
    let (down, up) = (format!("{layer}.lora_down.weight"), format!("{layer}.lora_up.weight"));
    let bytes = safetensors(
        &[(&down, &[4, 768]), (&up, &[320, 4])],
        &[("ss_output_name", "ink wash"), ("ss_network_dim", "4")],
        1,
    );
    let hash = BASE64_STANDARD.encode(Sha256::digest(&bytes));
    let ask = async |user: &str| {
        call(
            &world,
            user,
            "POST /v1/upload/lora",
            "",
            &json!({ "hash": hash, "size": bytes.len() }),
        )
        .await
        .ok()
    };
    assert_eq!(ask(MARA).await["status"], "upload");
    let key = format!("loras/{TEAM}/{}", sha256(&bytes));
    world.memory.put_file(&key, bytes.clone().into());
    let event = json!({ "detail": { "object": { "key": key } } });
    for _ in 0..2 {
        world.store.handle(&event, NOW).await.unwrap();
    }
    // Of another team's of that hash nothing is known.
    let other = json!({ "detail": { "object": { "key": key.replace(TEAM, "rivals") } } });
    world.store.handle(&other, NOW).await.unwrap();
    assert_eq!(ask(OTHER).await["status"], "cached");
    let model = find(&world, MARA, "ink wash", 1).await.unwrap();
    assert_eq!(
        (&model["kind"], &model["arch"], &model["access"]),
        (&json!("lora"), &json!("sd15"), &json!("private"))
    );
    assert_eq!(model["training"], json!({ "rank": "4", "title": "ink wash" }));
    assert!(find(&world, OTHER, "ink wash", 1).await.is_none());
    // She paints with it by its name as well as by its hash.
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    for lora in [
        json!({ "name": "ink wash", "strength": 1.0 }),
        json!({ "name": "x", "strength": 1.0, "storage_id": hash }),
    ] {
        let mut request = wire("01_generate");
        request["input"]["workflow"]["models"]["loras"] = json!([lora]);
        world.submit(MARA, &request, NOW).await.ok();
        let run = world.claimed(&worker, NOW).await.unwrap();
        let [file] = run.loras.as_slice() else {
            panic!("{:?}", run.loras)
        };
        assert_eq!((&file.key, file.arch.as_str()), (&key, "sd15"));
        failed(&world, &worker, &run, NOW).await;
    }
    // Deleted and gone for good, it is still the team's by its hash.
    call(
        &world,
        MARA,
        "DELETE /v1/models/{id}",
        model["id"].as_str().unwrap(),
        &json!({}),
    )
    .await
    .ok();
    world.store.handle(&json!({}), NOW + days(31)).await.unwrap();
    assert!(find(&world, MARA, "ink wash", 1).await.is_none());
    assert_eq!(ask(OTHER).await["status"], "cached");
}

#[tokio::test]
async fn a_machine_is_offered_what_comes_next_and_what_is_asked_for_most() {
    let world = world().await;
    for (name, seed) in [("one", 1), ("two", 2), ("three", 3)] {
        bring(&world, LEAD, name, &checkpoint(seed), &json!({})).await;
    }
    let mark = |seed| sha256(&checkpoint(seed))[..8].to_owned();
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    for name in ["one", "two", "three", "one"] {
        world.submit(MARA, &with(name), NOW).await.ok();
    }
    let run = world.claimed(&worker, NOW).await.unwrap();
    let beat = async |on_disk: &[String]| {
        let body = json!({
            "ready": true, "run": { "run_id": run.run_id, "seq": 1, "value": 0.5 }, "on_disk": on_disk,
        });
        let reply = world.work(&worker, "heartbeat", &body, NOW).await.ok();
        let offers = reply["files"].as_array().cloned().unwrap_or_default();
        offers
            .iter()
            .map(|it| it["sha256"].as_str().unwrap()[..8].to_owned())
            .collect::<Vec<_>>()
    };
    // Of the next two in line what is not there; what is on disk goes before, and so does what is known to be small.
    assert_eq!(beat(&[]).await, [mark(1), mark(2)]);
    assert_eq!(beat(&[mark(1)]).await, [mark(2)]);
    // No more than those are looked at.
    assert!(beat(&[mark(1), mark(2)]).await.is_empty());
    assert!(beat(&[mark(1), mark(2), mark(3)]).await.is_empty());
    let odd = ["../../..".to_owned(), "x".repeat(9), mark(1)];
    beat(&odd).await;
    assert_eq!(world.worker(WORKER).await.on_disk, [mark(1)]);
    failed(&world, &worker, &run, NOW).await;
    // What it has on disk goes before what it would have to fetch.
    let worker = world.worker(WORKER).await;
    let run = world.claimed(&worker, NOW).await.unwrap();
    assert_eq!(run.models[0].sha256[..8], mark(1));
    failed(&world, &worker, &run, NOW).await;
    for _ in 0..2 {
        let worker = world.worker(WORKER).await;
        let run = world.claimed(&worker, NOW).await.unwrap();
        failed(&world, &worker, &run, NOW).await;
    }
    // The next machine begins with what is asked for most.
    world
        .alter_worker(WORKER, |worker| {
            (worker.state, worker.generation) = (WorkerState::Booting, 0);
        })
        .await;
    let event = http(
        "POST /v1/workers/register",
        "",
        None,
        &crate::register::registration(&[]),
    );
    let first = world.http(event, NOW).await.ok();
    let offers: Vec<_> = first["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(offers[0], "one");
    let plan = first["warm_up"].to_string();
    assert!(plan.contains(&sha256(&checkpoint(1))), "{plan}");
}
