//! What goes wrong with models: two at once, what is lost on the way, S3 that refuses, names that are meant to be paths.

use cloud::{
    fault::{Fault, How},
    multipart::MultipartPort,
    tables::{AwaitedLoras, Deletions, Uploads},
};

use super::*;

/// A LoRA for SD1.5, as its trainer wrote it.
fn lora(title: &str) -> Vec<u8> {
    let layer = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_k";
    let (down, up) = (format!("{layer}.lora_down.weight"), format!("{layer}.lora_up.weight"));
    safetensors(&[(&down, &[4, 768]), (&up, &[320, 4])], &[("ss_output_name", title)], 1)
}

async fn watched() -> World {
    peopled(World::watched(model::Settings::default()).await).await
}

#[tokio::test]
async fn of_two_pins_at_once_one_is_left() {
    let world = watched().await;
    for seed in [1, 2, 3] {
        bring(&world, LEAD, "dream", &checkpoint(seed), &json!({})).await;
    }
    let one = find(&world, LEAD, "dream", 1).await.unwrap();
    let two = find(&world, LEAD, "dream", 2).await.unwrap();
    let pin = json!({ "pinned": true });
    let (first, second) = tokio::join!(patch(&world, LEAD, &one, &pin), patch(&world, LEAD, &two, &pin));
    first.ok();
    second.ok();
    let all = list(&world, LEAD, "kind=checkpoint&name=dream").await;
    let pinned = all.iter().filter(|it| it["pinned"] == true).count();
    assert_eq!(pinned, 1, "{all:#?}");
}

#[tokio::test]
async fn a_number_says_nothing_of_what_others_have_for_themselves() {
    let world = world().await;
    bring(&world, LEAD, "dream", &checkpoint(1), &json!({})).await;
    bring(&world, MARA, "dream", &checkpoint(2), &json!({})).await;
    bring(&world, OTHER, "dream", &checkpoint(3), &json!({})).await;
    bring(&world, MARA, "dream", &checkpoint(4), &json!({})).await;
    bring(&world, LEAD, "dream", &checkpoint(5), &json!({})).await;
    let numbers = async |user: &str, access: &str| {
        let all = list(&world, user, "kind=checkpoint&name=dream").await;
        let own = all.iter().filter(|it| it["access"] == access);
        own.map(|it| it["version"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(MARA, "private").await, [1, 2]);
    assert_eq!(numbers(OTHER, "private").await, [1]);
    assert_eq!(numbers(LEAD, "team").await, [1, 2]);
    assert!(numbers(LEAD, "private").await.is_empty());
    // Her own goes before the team's when she paints.
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    world.submit(MARA, &with("dream"), NOW).await.ok();
    let run = world.claimed(&worker, NOW).await.unwrap();
    assert_eq!(run.models[0].sha256, sha256(&checkpoint(4)));
}

#[tokio::test]
async fn a_number_is_never_given_again() {
    let world = world().await;
    for seed in [1, 2] {
        bring(&world, LEAD, "dream", &checkpoint(seed), &json!({})).await;
    }
    let newest = find(&world, LEAD, "dream", 2).await.unwrap();
    let id = newest["id"].as_str().unwrap();
    call(&world, LEAD, "DELETE /v1/models/{id}", id, &json!({})).await.ok();
    world.store.handle(&json!({}), NOW + days(31)).await.unwrap();
    assert_eq!(names(&world, LEAD).await, ["dream@1"]);
    bring(&world, LEAD, "dream", &checkpoint(3), &json!({})).await;
    assert_eq!(names(&world, LEAD).await, ["dream@1", "dream@3"]);
}

/// Who looked at a file for a long time and refuses it takes nothing away that has come in its place.
#[tokio::test]
async fn a_refusal_deletes_the_very_file_that_was_looked_at() {
    let world = world().await;
    let key = format!("models/{TEAM}/{}", sha256(&checkpoint(1)));
    world.memory.put_file(&key, b"other bytes".as_slice().into());
    let looked_at = world.memory.object(&key).await.unwrap().unwrap();
    world.memory.put_file(&key, checkpoint(1).into());
    assert!(world.memory.read(&key, &looked_at, 0, 8).await.is_err());
    world.memory.discard(&key, &looked_at).await.unwrap();
    assert_eq!(world.memory.files(), std::slice::from_ref(&key));
    let now = world.memory.object(&key).await.unwrap().unwrap();
    world.memory.discard(&key, &now).await.unwrap();
    assert!(world.memory.files().is_empty());
}

#[tokio::test]
async fn a_lora_of_which_s3_never_told_is_found_all_the_same() {
    let world = world().await;
    let (bytes, given_up) = (lora("ink wash"), lora("never sent"));
    for bytes in [&bytes, &given_up] {
        let hash = BASE64_STANDARD.encode(Sha256::digest(bytes));
        let body = json!({ "hash": hash, "size": bytes.len() });
        let answer = call(&world, MARA, "POST /v1/upload/lora", "", &body).await.ok();
        assert_eq!(answer["status"], "upload");
    }
    world
        .memory
        .put_file(&format!("loras/{TEAM}/{}", sha256(&bytes)), bytes.clone().into());
    world.store.handle(&json!({}), NOW + minutes(14)).await.unwrap();
    assert!(
        find(&world, MARA, "ink wash", 1).await.is_none(),
        "somebody may be at it"
    );
    world.store.handle(&json!({}), NOW + minutes(15)).await.unwrap();
    assert!(find(&world, MARA, "ink wash", 1).await.is_some());
    let awaited = async || world.cloud.store.list(AwaitedLoras).await.unwrap();
    assert_eq!(awaited().await.len(), 1);
    world.store.handle(&json!({}), NOW + days(1)).await.unwrap();
    assert!(awaited().await.is_empty(), "nothing comes of that one any more");
    assert_eq!(names(&world, MARA).await, ["ink wash@1"]);
}

#[tokio::test]
async fn a_machine_that_has_the_checkpoint_is_offered_the_lora() {
    let world = world().await;
    bring(&world, LEAD, "one", &checkpoint(1), &json!({})).await;
    bring(&world, LEAD, "ink wash", &lora("ink wash"), &json!({})).await;
    let worker = world.ready(WORKER, INSTANCE, NOW).await;
    world.submit(MARA, &with("one"), NOW).await.ok();
    let mut request = with("one");
    request["input"]["workflow"]["models"]["loras"] = json!([{ "name": "ink wash", "strength": 1.0 }]);
    world.submit(MARA, &request, NOW).await.ok();
    let run = world.claimed(&worker, NOW).await.unwrap();
    let beat = async |on_disk: &[&str]| {
        let run = json!({ "run_id": run.run_id, "seq": 1, "value": 0.5 });
        let body = json!({ "ready": true, "run": run, "on_disk": on_disk });
        let reply = world.work(&worker, "heartbeat", &body, NOW).await.ok();
        let offers = reply["files"].as_array().cloned().unwrap_or_default();
        offers
            .iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mark = |bytes: &[u8]| sha256(bytes)[..8].to_owned();
    assert_eq!(beat(&[&mark(&checkpoint(1))]).await, ["ink wash"]);
    assert!(
        beat(&[&mark(&checkpoint(1)), &mark(&lora("ink wash"))])
            .await
            .is_empty()
    );
}

/// Everything but S3's word has happened.
async fn complete_upload(world: &World) -> String {
    let begun = begin(world, LEAD, "dream", &checkpoint(1), &json!({})).await.ok();
    let id = begun["upload"]["id"].as_str().unwrap().to_owned();
    send(world, LEAD, &id, &[(1, &checkpoint(1))]).await;
    complete(world, LEAD, &id).await;
    id
}

fn word() -> Value {
    json!({ "detail": { "object": { "key": format!("models/{TEAM}/{}", sha256(&checkpoint(1))) } } })
}

/// Wherever the look at a file and its registration break off, the next sweep brings it to one entry and one file.
#[tokio::test]
async fn a_registration_that_breaks_off_anywhere_is_made_good() {
    let world = watched().await;
    complete_upload(&world).await;
    world.faults.take();
    world.store.handle(&word(), NOW).await.unwrap();
    let calls = world.faults.take();
    assert!(calls.iter().any(|it| it.name == "masters.read"), "{calls:?}");
    for at in 1..=calls.len() {
        for how in How::ALL {
            let world = watched().await;
            let id = complete_upload(&world).await;
            world.faults.plan(Fault { of: None, at, how });
            // It may fail, or be no more.
            let _ = world.faults.run(world.store.handle(&word(), NOW)).await;
            let known = names(&world, LEAD).await;
            assert!(known.is_empty() || known == ["dream@1"], "{at} {how:?}: {known:?}");
            for later in [15, 30] {
                world.store.handle(&json!({}), NOW + minutes(later)).await.unwrap();
            }
            let what = format!("call {at} ({}), {how:?}", calls[at - 1]);
            assert_eq!(names(&world, LEAD).await, ["dream@1"], "{what}");
            assert_eq!(state(&world, LEAD, &id).await["state"], "registered", "{what}");
            assert_eq!(world.memory.files().len(), 1, "{what}");
            assert_eq!(world.memory.unfinished_uploads(), 0, "{what}");
        }
    }
}

/// S3 refuses all for a minute: nothing is registered, nothing is lost, and the check that Lambda makes again succeeds.
#[tokio::test]
async fn s3_that_refuses_for_a_minute_costs_a_minute() {
    for of in ["masters.object", "masters.read", "models.head"] {
        let world = watched().await;
        let id = complete_upload(&world).await;
        for _ in 0..3 {
            let how = How::Fail;
            world.faults.plan(Fault {
                of: Some(of),
                at: 1,
                how,
            });
            let _ = world.store.handle(&word(), NOW).await;
            assert_ne!(state(&world, LEAD, &id).await["state"], "refused", "{of}");
        }
        world.store.handle(&word(), NOW + minutes(1)).await.unwrap();
        assert_eq!(state(&world, LEAD, &id).await["state"], "registered", "{of}");
        assert_eq!(names(&world, LEAD).await, ["dream@1"], "{of}");
    }
}

/// A deletion and a claim of the same moment: either the deletion is refused, or the run has its file for a month.
#[tokio::test]
async fn a_deletion_that_races_a_claim_takes_no_file_away() {
    for ahead in 0..6 {
        let world = watched().await;
        bring(&world, LEAD, "dream", &checkpoint(1), &json!({})).await;
        let model = find(&world, LEAD, "dream", 1).await.unwrap();
        let worker = world.ready(WORKER, INSTANCE, NOW).await;
        world.submit(MARA, &with("dream"), NOW).await.ok();
        let delete = async {
            for _ in 0..ahead {
                tokio::task::yield_now().await;
            }
            call(
                &world,
                LEAD,
                "DELETE /v1/models/{id}",
                model["id"].as_str().unwrap(),
                &json!({}),
            )
            .await
        };
        let (run, deleted) = tokio::join!(world.claimed(&worker, NOW), delete);
        let run = run.unwrap();
        assert!([200, 409].contains(&deleted.status), "{}", deleted.status);
        world.store.handle(&json!({}), NOW + minutes(30)).await.unwrap();
        assert_eq!(world.memory.files(), [run.models[0].key.clone()]);
        // Where it was deleted it can be had back, and is gone for good after thirty days, when no run is.
        let waiting = world.cloud.store.list(Deletions).await.unwrap().len();
        assert_eq!(waiting, usize::from(deleted.status == 200));
    }
}

/// Names that are meant to lead elsewhere.
fn tricks() -> Vec<String> {
    let mut tricks: Vec<_> = [
        "../../etc/passwd",
        "..",
        ".",
        "/etc/passwd",
        "\\\\server\\share\\x.safetensors",
        "C:\\Windows\\x.safetensors",
        "..\\..\\x.safetensors",
        "%2e%2e%2fx.safetensors",
        "%252e%252e%252fx.safetensors",
        "..%c0%af..%c0%afx.safetensors",
        "\u{ff0e}\u{ff0e}\u{ff0f}x.safetensors",
        "\u{2024}\u{2024}\u{2215}x.safetensors",
        "dre\u{200b}am.safetensors",
        "x\u{202e}srosnetefas.x",
        "dream.safetensors\0.png",
        "DREAM.SAFETENSORS",
        "dr\u{435}am.safetensors",
        "CON",
        "nul.safetensors",
        "aux",
        "dream.safetensors ",
        "dream.safetensors.",
        "dream#1",
        "atelier/rivals/x.safetensors",
        "~/x.safetensors",
        "$HOME/x",
        "x\nInjected: header",
    ]
    .map(str::to_owned)
    .into();
    tricks.push("x".repeat(100_000));
    tricks.push("../".repeat(2000));
    tricks.push(format!("{}.safetensors", "\u{1f3a8}".repeat(121)));
    tricks
}

#[tokio::test]
async fn no_name_of_a_model_leads_anywhere_else() {
    let world = world().await;
    bring(&world, LEAD, "dream.safetensors", &checkpoint(1), &json!({})).await;
    bring(&world, ZOE, "theirs.safetensors", &checkpoint(9), &json!({})).await;
    let theirs = format!("atelier/rivals/{}.safetensors", sha256(&checkpoint(9)));
    let nobodys = world.submit(MARA, &with("none.safetensors"), NOW).await;
    assert_eq!(nobodys.status, 400);
    let kinds = [
        tricks(),
        vec![theirs.clone(), theirs.to_uppercase(), format!("../{theirs}")],
    ];
    for name in kinds.concat() {
        let shown: String = name.chars().take(60).collect();
        // In a request, as a checkpoint, a LoRA and a VAE: whatever it is, it is no model of hers.
        for place in ["checkpoint", "vae", "lora"] {
            let mut request = with("dream.safetensors");
            match place {
                "lora" => request["input"]["workflow"]["models"]["loras"] = json!([{ "name": name, "strength": 1.0 }]),
                place => request["input"]["workflow"]["models"][place] = name.as_str().into(),
            }
            let answer = world.submit(MARA, &request, NOW).await;
            if place == "checkpoint" && name.eq_ignore_ascii_case("dream.safetensors") {
                // Her own, as whoever types it means it.
                let body = world.all::<model::TaskBody>(Table::TaskBodies).pop().unwrap();
                assert_eq!(
                    (answer.status, &body.models[0].sha256),
                    (200, &sha256(&checkpoint(1))),
                    "{shown:?}"
                );
                continue;
            }
            assert_eq!(answer.status, 400, "{place} {shown:?}");
            assert!(
                answer.error().len() < 1000,
                "{place} {shown:?}: {}",
                answer.error().len()
            );
        }
    }
    // As the name of an upload: refused in a sentence, or taken, and then a file is called by its hash alone.
    for (seed, name) in (10..).zip(tricks()) {
        let shown: String = name.chars().take(60).collect();
        let bytes = checkpoint(seed);
        let begun = begin(&world, LEAD, &name, &bytes, &json!({})).await;
        if begun.status == 400 {
            assert!(begun.error().ends_with('.'), "{shown:?}: {}", begun.error());
            continue;
        }
        let id = begun.ok()["upload"]["id"].as_str().unwrap().to_owned();
        send(&world, LEAD, &id, &[(1, &bytes)]).await;
        complete(&world, LEAD, &id).await;
        stored(&world, TEAM, &bytes).await;
        assert_eq!(state(&world, LEAD, &id).await["state"], "registered", "{shown:?}");
        let entries: Vec<CatalogEntry> = world.cloud.store.list(cloud::tables::CatalogOf(TEAM)).await.unwrap();
        let of_it = |it: &&CatalogEntry| it.master.as_ref().is_some_and(|it| it.sha256 == sha256(&bytes));
        let entry = entries.iter().find(of_it).unwrap();
        assert_eq!(entry.file, format!("atelier/{TEAM}/{}.safetensors", sha256(&bytes)));
        assert!(!entry.name.contains(['/', '\\', '#', '\0', '\n']), "{shown:?}");
    }
    assert!(world.cloud.store.list(Uploads).await.unwrap().len() < tricks().len());
}

/// A scan costs what the table holds: nothing may ask for one, and nothing could.
#[test]
fn no_function_may_scan_a_table() {
    let template = std::fs::read_to_string(workspace().join("template.yaml")).unwrap();
    assert!(
        !template.contains("dynamodb:Scan") && !template.contains("dynamodb:*"),
        "a role may scan"
    );
    let mut folders = vec![workspace().join("functions"), workspace().join("shared")];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(!text.contains(".scan()"), "{} scans", path.display());
                read += 1;
            }
        }
    }
    assert!(read > 100, "{read} files were looked at");
}
