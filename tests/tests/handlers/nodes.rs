//! What the render machines say that they can do, what is offered because of it, and that nothing else is accepted.

use cloud::tables::{BodyOf, NodesOf};
use model::{PoolId, PoolNodes, Settings, TaskBody, TeamId, Worker, WorkerState};
use serde_json::{Value, json};
use system_tests::features::{DETECTED, Feature, MODES, Offer, control, detect, generate, rich_catalog};
use workflow::{OPTIONAL_NODES, Plan};

use crate::support::{INSTANCE, MARA, NOW, POOL, RUN, TASK, TEAM, WORKER, World, seconds, wire};

fn all_nodes() -> Vec<&'static str> {
    OPTIONAL_NODES.iter().map(|node| node.class).collect()
}

async fn beat(world: &World, worker: &Worker, nodes: &Value) -> Value {
    let body = json!({ "ready": true, "nodes": nodes });
    world.work(worker, "heartbeat", &body, NOW).await.ok()
}

async fn of_pool(world: &World) -> Option<PoolNodes> {
    world.port.get(&NodesOf(PoolId::new(POOL))).await
}

async fn resources(world: &World) -> Value {
    let route = "GET /v1/plugin/resources";
    world.paint(MARA, route, "", &Value::Null, NOW).await.ok()
}

/// A world whose catalogue has something of every kind.
async fn rich() -> World {
    let world = World::set(Settings::parse("rate_interval=0s").unwrap()).await;
    for entry in rich_catalog(&TeamId::new(TEAM)) {
        world.put(entry).await;
    }
    world
}

/// Submits a feature's request. Its pictures are not looked at before a worker does.
async fn ask(world: &World, feature: &Feature) -> Result<(), String> {
    let mut workflow = feature.workflow.clone();
    let offsets: Vec<_> = (0..feature.pictures.len()).collect();
    workflow["image_data"] = json!({ "base64": "AAAAAAAAAAA=", "offsets": offsets });
    if offsets.is_empty() {
        workflow["image_data"] = Value::Null;
    }
    let body = json!({ "input": { "workflow": workflow } });
    let answer = world.submit(MARA, &body, NOW).await;
    match answer.status {
        200 => Ok(()),
        400 => Err(answer.error().to_owned()),
        _ => panic!("{}: {answer:?}", feature.name),
    }
}

#[tokio::test]
async fn a_pool_knows_what_its_machines_have() {
    let world = World::new().await;
    let worker = world.ready(WORKER, INSTANCE, NOW - seconds(10)).await;
    assert_eq!(of_pool(&world).await, None);

    // A machine is not trusted: what it says is taken only as far as it means something.
    let said = json!([
        "DWPreprocessor",
        "x".repeat(9000),
        "LoadImage",
        "DWPreprocessor",
        "IPAdapterEmbeds",
        ""
    ]);
    beat(&world, &worker, &said).await;
    let known = of_pool(&world).await.unwrap();
    assert_eq!(known.nodes, ["DWPreprocessor", "IPAdapterEmbeds"]);
    assert_eq!(world.worker(WORKER).await.nodes.as_ref(), Some(&known.nodes));

    // Saying it again writes nothing, nor does the next process of the same machine image.
    beat(&world, &worker, &said).await;
    let again = world.alter_worker(WORKER, |worker| worker.nodes = None).await;
    beat(&world, &again, &json!(["IPAdapterEmbeds", "DWPreprocessor"])).await;
    assert_eq!(of_pool(&world).await.unwrap().version, known.version);

    // Before it is ready it has not looked yet.
    let warming = world
        .alter_worker(WORKER, |worker| worker.state = WorkerState::Warming)
        .await;
    let body = json!({ "ready": false, "nodes": [] });
    world.work(&warming, "heartbeat", &body, NOW).await.ok();
    assert_eq!(of_pool(&world).await.unwrap().nodes, known.nodes);

    // A new image without the packs.
    beat(&world, &again, &json!([])).await;
    assert!(of_pool(&world).await.unwrap().nodes.is_empty());

    // What is no list is refused whole.
    let body = json!({ "ready": true, "nodes": "all" });
    assert_eq!(world.work(&again, "heartbeat", &body, NOW).await.status, 400);
}

#[tokio::test]
async fn all_that_is_offered_is_accepted_and_nothing_else() {
    let world = rich().await;
    let without = resources(&world).await;
    exactly(&world, &without, false).await;

    let worker = world.ready(WORKER, INSTANCE, NOW - seconds(10)).await;
    beat(&world, &worker, &json!(all_nodes())).await;
    // Submit may have kept the catalogue for a minute; still nothing that is offered is refused.
    let with = resources(&world).await;
    exactly(&world, &with, true).await;
    assert!(Offer(&with).features().len() > Offer(&without).features().len());

    // The machines are gone, the pool remembers.
    world
        .alter_worker(WORKER, |worker| worker.state = WorkerState::Gone)
        .await;
    assert_eq!(resources(&world).await, with);
    exactly(&world, &with, true).await;
}

/// Both ways: a request for each thing that is offered is accepted, and one for each thing that is not is refused by name.
async fn exactly(world: &World, resources: &Value, with_nodes: bool) {
    let offer = Offer(resources);
    let features = offer.features();
    assert!(features.len() > 50, "{}", features.len());
    for feature in &features {
        let accepted = ask(world, feature).await;
        accepted.unwrap_or_else(|error| panic!("{}: {error}", feature.name));
    }

    for (checkpoint, arch) in offer.checkpoints() {
        for mode in MODES {
            // The plugin shows a button for each layer, so one that cannot be found in a canvas is not offered; a layer that was
            // drawn works all the same.
            if !offer.layers(arch).contains(mode) && !DETECTED.contains(&mode) {
                let error = ask(world, &control(checkpoint, arch, mode)).await.expect_err(mode);
                assert!(error.contains(mode), "{mode} with {arch}: {error}");
            }
        }
    }
    let refused = async |change: &dyn Fn(&mut Value), named: &str| {
        let mut feature = generate("something else", "dreamshaper_8.safetensors", "sd15");
        change(&mut feature.workflow);
        let error = ask(world, &feature).await.expect_err(named);
        assert!(error.contains(named), "{named}: {error}");
    };
    let all = rich_catalog(&TeamId::new(TEAM));
    let listed: Vec<_> = offer.checkpoints().into_iter().map(|(name, _)| name).collect();
    let unlisted = all
        .iter()
        .filter(|it| it.kind == "checkpoint" && !listed.contains(&it.name.as_str()));
    for entry in unlisted {
        let arch = entry.arch.clone().unwrap();
        refused(
            &|it| it["models"] = json!({"checkpoint": entry.name, "version": arch, "loras": []}),
            &arch,
        )
        .await;
    }
    refused(&|it| it["models"]["checkpoint"] = "nobody.ckpt".into(), "nobody.ckpt").await;
    refused(&|it| it["models"]["vae"] = "nobody.vae".into(), "nobody.vae").await;
    let lora = json!([{"name": "nobody.lora", "strength": 1.0}]);
    refused(&|it| it["models"]["loras"] = lora.clone(), "nobody.lora").await;
    let error = ask(world, &detect("hands")).await.expect_err("hands");
    assert!(error.contains("hands"), "{error}");
    for mode in DETECTED.iter().filter(|mode| with_nodes && **mode != "hands") {
        ask(world, &detect(mode)).await.unwrap();
    }
}

#[tokio::test]
async fn a_pose_gets_to_the_painter_and_nothing_else_does() {
    let world = World::new().await;
    let (_, worker) = world.running(NOW - seconds(10)).await;
    let result = |pose: Value| {
        json!({
            "task_id": TASK, "run_id": RUN, "offsets": [0], "size": 1000, "pose": pose,
            "times": { "fetch_ms": 1, "execute_ms": 2, "upload_ms": 3 },
        })
    };
    for bad in [
        json!({ "canvas": [512, 512], "people": [[1, 2, 3]] }),
        json!({ "canvas": [512, 0], "people": [] }),
        json!({ "canvas": [512, 512], "people": vec![vec![0; 54]; 17] }),
        json!({ "canvas": [512, 512], "people": [vec![-1; 54]] }),
        json!("<svg>"),
    ] {
        assert_eq!(world.work(&worker, "result", &result(bad), NOW).await.status, 400);
    }
    let person: Vec<_> = (0..54).collect();
    let pose = json!({ "canvas": [640, 512], "people": [person] });
    world.work(&worker, "result", &result(pose), NOW).await.ok();
    let status = world
        .paint(MARA, "POST /v1/status/{id}", TASK, &json!({}), NOW)
        .await
        .ok();
    let shown = &status["output"]["pose"];
    assert_eq!(
        (shown["canvas_width"].clone(), shown["canvas_height"].clone()),
        (json!(640), json!(512))
    );
    assert_eq!(shown["people"][0]["pose_keypoints_2d"][53], 5.3);
    assert_eq!(shown["people"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn results_are_webp_only_when_asked_for() {
    for (options, webp) in [
        (json!({ "useWebpCompression": true }), true),
        (json!({ "useWebpCompression": false }), false),
        (json!({ "useWebpCompression": "yes" }), false),
        (json!(7), false),
        (Value::Null, false),
    ] {
        let world = World::new().await;
        let mut request = wire("01_generate");
        request["input"]["options"] = options.clone();
        let id = world.submit(MARA, &request, NOW).await.ok()["id"].clone();
        let body: TaskBody = world.get(&BodyOf(serde_json::from_value(id).unwrap())).await;
        let plan: Plan = serde_json::from_str(&body.plan.unwrap()).unwrap();
        assert_eq!(plan.output.webp, webp, "{options}");
    }
}

#[tokio::test]
async fn what_was_kept_refuses_nothing_that_is_there_now() {
    let world = rich().await;
    let reference = control("dreamshaper_8.safetensors", "sd15", "reference");
    ask(&world, &reference).await.unwrap_err();
    let worker = world.ready(WORKER, INSTANCE, NOW - seconds(10)).await;
    beat(&world, &worker, &json!(all_nodes())).await;
    ask(&world, &reference).await.unwrap();
    // Another pool's machines are another matter.
    let mut account: model::Account = world.get(&model::UserId::new(MARA)).await;
    account.pool = PoolId::new("other");
    world.put(account).await;
    let error = ask(&world, &reference).await.unwrap_err();
    assert!(error.contains("ComfyUI_IPAdapter_plus"), "{error}");
}
