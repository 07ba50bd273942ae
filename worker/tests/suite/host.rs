//! When a worker shuts its host down, and when it does not.

use std::time::Duration;

use worker::Exit;

use crate::{
    bench::{Bench, Setup},
    cloud::{Behaviour, Seen},
};

#[tokio::test]
async fn a_worker_without_work_shuts_its_host_down() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let mut bench = Bench::double().await;
    let behaviour = Behaviour {
        dead_man: Duration::from_millis(500),
        ..Behaviour::default()
    };
    let shutdown = format!("touch {}", file.display());
    bench.start(Setup {
        behaviour,
        shutdown,
        ..Setup::default()
    });
    assert_eq!(bench.ended().await, Exit::ShutDown);
    assert!(file.exists());
}

#[tokio::test]
async fn a_worker_that_is_not_answered_shuts_its_host_down() {
    let mut bench = Bench::double().await;
    let mut setup = Setup {
        shutdown: "exit 3".into(),
        ..Setup::default()
    };
    setup.behaviour.registrations_refused = u32::MAX;
    setup.timing.dead_man = Duration::from_millis(500);
    bench.start(setup);
    assert_eq!(bench.ended().await, Exit::ShutDownFailed);
    assert!(
        bench.cloud.count(|seen| matches!(seen, Seen::Refused)) > 1,
        "a refusal is not the end"
    );
}

#[tokio::test]
async fn a_worker_of_another_protocol_shuts_its_host_down() {
    let mut bench = Bench::double().await;
    let mut setup = Setup {
        shutdown: "true".into(),
        ..Setup::default()
    };
    setup.behaviour.protocol_refused = true;
    bench.start(setup);
    assert_eq!(bench.ended().await, Exit::ShutDown);
}

#[tokio::test]
async fn a_refused_worker_tries_again() {
    let mut bench = Bench::double().await;
    let mut setup = Setup::default();
    setup.behaviour.registrations_refused = 2;
    bench.start(setup);
    bench.cloud.beat("ready", |beat| beat.ready).await;
    assert_eq!(bench.cloud.count(|seen| matches!(seen, Seen::Refused)), 2);
    assert_eq!(bench.terminate().await, Exit::Stopped);
}
