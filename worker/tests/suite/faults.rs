//! What can go wrong, with a ComfyUI that does so on demand.

use std::{net::SocketAddr, time::Duration};

use comfyui_double::{Double, Faults, NodeFault, Version};
use model::{FailureClass, RunId, TeamId};
use serde_json::json;

use crate::{
    bench::{Bench, Setup, logged},
    owned::Owned,
    plans::{steps, warm_up},
};

/// So many steps of 20 ms that the run can be met in its middle.
const LONG: u32 = 1000;

async fn begun(bench: &Bench, run: RunId) {
    bench
        .cloud
        .beat("progress", |beat| {
            beat.run.is_some_and(|now| now.run_id == run && now.value > 0.0)
        })
        .await;
}

fn double(bench: &Bench) -> &Double {
    bench.double.as_ref().unwrap()
}

#[tokio::test]
async fn a_silent_socket_delays_nothing_but_progress() {
    let bench = Bench::double().await.ready().await;
    double(&bench).set_faults(Faults {
        silent_sockets: true,
        ..Faults::default()
    });
    let run = bench.run(&steps(4, 1));
    assert_eq!(bench.pictures(run).await.len(), 1);
}

#[tokio::test]
async fn a_broken_socket_leaves_the_run_to_polling() {
    let bench = Bench::double().await.ready().await;
    let run = bench.run(&steps(40, 1));
    begun(&bench, run).await;
    double(&bench).drop_sockets();
    assert_eq!(bench.pictures(run).await.len(), 1);
    assert_eq!(
        double(&bench).stats().sockets,
        1,
        "no second socket under the same name"
    );
}

#[tokio::test]
async fn history_may_come_late() {
    let bench = Bench::double().await.ready().await;
    double(&bench).set_faults(Faults {
        history_lag_ms: 300,
        ..Faults::default()
    });
    let run = bench.run(&steps(2, 1));
    assert_eq!(bench.pictures(run).await.len(), 1);
}

#[tokio::test]
async fn the_newer_comfyui_is_canceled_by_its_jobs() {
    let double = Double::builder()
        .version(Version::V0_33)
        .any_model()
        .step_delay(Duration::from_millis(20))
        .start()
        .await
        .unwrap();
    let bench = Bench::with_double(double).await.ready().await;
    let run = bench.run(&steps(LONG, 1));
    begun(&bench, run).await;
    bench.cloud.behave(|behaviour| {
        behaviour.about.entry(run).or_default().cancel = true;
    });
    assert_eq!(bench.cloud.failure(run).await.class, None);
    let next = bench.run(&steps(2, 1));
    bench.cloud.result(next).await;
}

#[tokio::test]
async fn a_lost_interrupt_is_repeated() {
    let bench = Bench::double().await.ready().await;
    double(&bench).set_faults(Faults {
        lost_interrupts: 2,
        ..Faults::default()
    });
    let run = bench.run(&steps(LONG, 1));
    begun(&bench, run).await;
    bench.cloud.behave(|behaviour| {
        behaviour.about.entry(run).or_default().cancel = true;
    });
    assert_eq!(bench.cloud.failure(run).await.class, None);
    assert_eq!(double(&bench).stats().interrupt_requests, 3);
}

#[tokio::test]
async fn a_run_that_does_not_end_costs_comfyui_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let mut bench = Bench::double().await;
    let mut setup = Setup {
        restart: Some(format!("touch {}", file.display())),
        ..Setup::default()
    };
    setup.timing.interrupt_limit = Duration::from_millis(300);
    bench.start(setup);
    double(&bench).set_faults(Faults {
        hang: Some(NodeFault::always("VAEDecode")),
        ..Faults::default()
    });
    let mut run = bench.assignment(&steps(2, 1), None);
    // Long enough to come to that node on a busy machine.
    run.limit_ms = 3000;
    let id = run.run_id;
    bench.cloud.enqueue(run);
    let failure = bench.cloud.failure(id).await;
    assert_eq!(failure.class, Some(FailureClass::Infrastructure));
    double(&bench).set_faults(Faults::default());
    let next = bench.run(&steps(2, 2));
    bench.cloud.result(next).await;
    assert!(file.exists());
    bench.cloud.beat("ready again", |beat| beat.ready).await;
}

#[tokio::test]
async fn a_comfyui_that_dies_is_waited_for() {
    let mut bench = Bench::double().await.ready().await;
    let run = bench.run(&steps(LONG, 1));
    begun(&bench, run).await;
    let dead = bench.double.take().unwrap();
    let address: SocketAddr = dead.address();
    dead.stop().await;
    let failure = bench.cloud.failure(run).await;
    assert_eq!(failure.class, Some(FailureClass::Infrastructure));
    assert_eq!(failure.message, "The renderer on the machine crashed.");
    bench
        .cloud
        .beat("not ready", |beat| {
            !beat.ready && beat.models.is_empty() && beat.main_models.is_empty()
        })
        .await;
    bench.double = Some(
        Double::builder()
            .port(address.port())
            .any_model()
            .start()
            .await
            .unwrap(),
    );
    bench.cloud.beat("ready again", |beat| beat.ready).await;
    let next = bench.run(&steps(2, 1));
    bench.cloud.result(next).await;
}

#[tokio::test]
async fn a_comfyui_that_dies_idle_is_noticed() {
    let mut bench = Bench::double().await.ready().await;
    let dead = bench.double.take().unwrap();
    let port = dead.address().port();
    dead.stop().await;
    bench.cloud.beat("not ready", |beat| !beat.ready).await;
    bench.double = Some(Double::builder().port(port).any_model().start().await.unwrap());
    bench.cloud.beat("ready again", |beat| beat.ready).await;
    let next = bench.run(&steps(2, 1));
    bench.cloud.result(next).await;
}

#[tokio::test]
async fn a_comfyui_that_was_restarted_has_forgotten_the_run() {
    let mut bench = Bench::double().await.ready().await;
    let run = bench.run(&steps(LONG, 1));
    begun(&bench, run).await;
    let dead = bench.double.take().unwrap();
    let port = dead.address().port();
    dead.stop().await;
    bench.double = Some(Double::builder().port(port).any_model().start().await.unwrap());
    assert_eq!(bench.cloud.failure(run).await.class, Some(FailureClass::Infrastructure));
    let next = bench.run(&steps(2, 1));
    bench.cloud.result(next).await;
}

#[tokio::test]
async fn a_failing_node_is_told_without_its_own_words() {
    let bench = Bench::double().await.ready().await;
    double(&bench).set_faults(Faults {
        execution_error: Some(NodeFault::once("VAEDecode")),
        ..Faults::default()
    });
    let run = bench.run(&steps(2, 1));
    let failure = bench.cloud.failure(run).await;
    assert_eq!(failure.class, Some(FailureClass::Infrastructure));
    assert_eq!(
        failure.message,
        "The renderer stopped with an error in its step VAEDecode."
    );
    let next = bench.run(&steps(2, 1));
    bench.cloud.result(next).await;
}

#[tokio::test]
async fn too_little_memory_is_the_machines_fault() {
    let bench = Bench::double().await.ready().await;
    double(&bench).set_faults(Faults {
        out_of_memory: Some(NodeFault::once("VAEDecode")),
        ..Faults::default()
    });
    let run = bench.run(&steps(2, 1));
    let failure = bench.cloud.failure(run).await;
    assert_eq!(failure.class, Some(FailureClass::Infrastructure));
    assert_eq!(
        failure.message,
        "The graphics card ran out of memory; the picture may be too large for it."
    );
}

#[tokio::test]
async fn half_a_graph_is_no_success() {
    let bench = Bench::double().await.ready().await;
    double(&bench).set_faults(Faults {
        node_errors: 1,
        ..Faults::default()
    });
    let run = bench.run(&steps(LONG, 1));
    assert_eq!(bench.cloud.failure(run).await.class, Some(FailureClass::User));
    let stats = double(&bench).stats();
    assert_eq!(stats.succeeded, 0);
    assert!(
        stats.interrupted + stats.deleted > 0 || stats.interrupt_requests > 0,
        "{stats:?}"
    );
}

fn run_of(bench: &Bench, team: &str) -> RunId {
    let mut run = bench.assignment(&steps(2, 1), None);
    run.team = TeamId::new(team);
    let id = run.run_id;
    bench.cloud.enqueue(run);
    id
}

#[tokio::test]
async fn another_team_finds_nothing_of_the_last_one() {
    let owned = Owned::new();
    let mut bench = Bench::double().await;
    bench.start(owned.setup());
    let paint = async |team: &str| {
        bench.cloud.result(run_of(&bench, team)).await;
        let found = (owned.left(), owned.shows());
        owned.litter();
        found
    };
    assert_eq!(paint("red").await, (0, [true, false]), "what lay there before");
    assert_eq!(paint("red").await, (3, [true, false]));
    assert_eq!(paint("blue").await, (0, [false, true]));
    assert_eq!(double(&bench).stats().frees, 1);
    assert_eq!(double(&bench).stats().interrupt_requests, 0);

    // Folders that cannot be emptied are no folders for another team.
    std::fs::remove_dir_all(owned.at("comfyui/temp")).unwrap();
    let failure = bench.cloud.failure(run_of(&bench, "red")).await;
    assert_eq!(failure.class, Some(FailureClass::Infrastructure));
}

#[tokio::test]
async fn folders_that_cannot_be_emptied_cost_comfyui_a_restart() {
    let owned = Owned::new();
    std::fs::remove_dir_all(owned.at("comfyui/temp")).unwrap();
    let mut bench = Bench::double().await;
    bench.start(Setup {
        restart: Some(format!("mkdir {}", owned.at("comfyui/temp").display())),
        ..owned.setup()
    });
    bench.cloud.result(run_of(&bench, "red")).await;
    assert_eq!((owned.left(), owned.shows()), (0, [true, false]));
}

#[tokio::test]
async fn what_a_dead_worker_has_left_running_ends_before_another_team_is_served() {
    let owned = Owned::new();
    std::fs::create_dir_all(owned.at("models/view/checkpoints/atelier/red")).unwrap();
    let mut bench = Bench::double().await;
    // It goes on for a while after it was interrupted, as a long step does.
    double(&bench).set_faults(Faults {
        interrupt_delay_ms: 300,
        ..Faults::default()
    });
    let left = [1, 2].map(|seed| (seed, uuid::Uuid::now_v7()));
    for (seed, id) in left {
        bench.leave(&steps(LONG, seed), id).await;
    }
    bench.start(owned.setup());
    let run = run_of(&bench, "blue");
    while owned.left() == 3 {
        tokio::task::yield_now().await;
    }
    let queue = bench.comfy_says("/queue").await.to_string();
    assert!(!left.iter().any(|(_, id)| queue.contains(&id.to_string())), "{queue}");
    bench.cloud.result(run).await;
    assert_eq!((owned.left(), owned.shows()), (0, [false, true]));
    let stats = double(&bench).stats();
    assert_eq!((stats.interrupted, stats.deleted, stats.frees), (1, 1, 1));
}

#[tokio::test]
async fn logs_hold_no_secrets() {
    let bench = Bench::double().await.ready().await;
    double(&bench).set_faults(Faults {
        execution_error: Some(NodeFault::once("VAEDecode")),
        ..Faults::default()
    });
    let failed = bench.run(&steps(2, 1));
    bench.cloud.failure(failed).await;
    bench.cloud.behave(|behaviour| behaviour.expired = 1);
    let mut run = bench.assignment(&steps(2, 2), None);
    // Nobody listens there.
    let nowhere = "http://127.0.0.1:9/bucket/x?X-Amz-Signature=secret";
    bench
        .cloud
        .behave(|behaviour| behaviour.uploads_go_to = Some(nowhere.into()));
    run.limit_ms = 1000;
    let unreachable = run.run_id;
    bench.cloud.enqueue(run);
    bench.cloud.failure(unreachable).await;
    bench.cloud.behave(|behaviour| behaviour.uploads_go_to = None);
    let run = bench.run(&steps(2, 3));
    bench.cloud.result(run).await;
    let logged = logged();
    assert!(
        logged.contains("transfer failed") && logged.contains("has expired"),
        "{logged}"
    );
    for secret in ["Signature", "token-1", "red fox"] {
        let line = logged.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
}

/// What a worker has left that is no more runs on in ComfyUI, for longer than a warm-up may take.
#[tokio::test]
async fn a_warm_up_that_a_dead_workers_run_keeps_waiting_ends_it() {
    let mut bench = Bench::double().await;
    let left = steps(LONG, 1).bind(&[], "tasks/left/out").unwrap().into_map();
    let asked = reqwest::Client::new().post(format!("{}/prompt", bench.comfy));
    let asked = asked.json(&json!({ "prompt": left })).send().await.unwrap();
    assert!(asked.status().is_success(), "{asked:?}");
    let mut setup = Setup::default();
    setup.behaviour.warm_up = Some(warm_up());
    setup.timing.warm_up_limit = Duration::from_secs(2);
    bench.start(setup);
    bench.cloud.beat("ready", |beat| beat.ready).await;
    let run = bench.run(&steps(2, 1));
    assert_eq!(bench.pictures(run).await.len(), 1);
}
