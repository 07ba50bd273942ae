//! Runs that end before they are done; on the double and on a real ComfyUI.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use model::{
    FailureClass, RunId, TaskId,
    socket::{ClientMessage, MAX_PREVIEW, ServerMessage},
    worker_api::HeartbeatReply,
};
use serde_json::json;
use worker::Exit;

use crate::{
    bench::{Bench, Setup},
    cloud::Seen,
    plans::{fresh_seed, steps},
};

crate::scenarios! {
    cancels_while_running
    cancels_by_the_socket
    stops_a_run_that_takes_too_long
    drops_a_lost_run_without_a_word
    gives_its_run_back_when_told_to_stop
}

/// So many steps that the run does not end before it is met.
const LONG: u32 = 1000;

async fn cancels_while_running(bench: Bench) {
    let bench = bench.ready().await;
    let run = bench.run(&steps(LONG, fresh_seed()));
    bench
        .cloud
        .beat("progress", |beat| {
            beat.run.is_some_and(|now| now.run_id == run && now.value > 0.0)
        })
        .await;
    let cancel = HeartbeatReply {
        cancel: true,
        ..HeartbeatReply::default()
    };
    bench
        .cloud
        .behave(|behaviour| drop(behaviour.about.insert(run, cancel)));
    let failure = bench.cloud.failure(run).await;
    assert_eq!(failure.class, None);
    assert_idle(&bench).await;
    let next = bench.run(&steps(2, fresh_seed()));
    bench.cloud.result(next).await;
}

async fn cancels_by_the_socket(mut bench: Bench) {
    // Heartbeats are too rare to help.
    let mut setup = Setup::default();
    setup.behaviour.busy_rhythm = Duration::from_hours(1);
    bench.start(setup);
    let run = bench.run(&steps(LONG, fresh_seed()));
    let said = bench.cloud.wait("progress", |seen| match seen {
        Seen::Said(said @ ClientMessage::Progress { seq: 2.., .. }) => Some(said.clone()),
        _ => None,
    });
    let ClientMessage::Progress { run_id, value, .. } = said.await else {
        panic!()
    };
    assert_eq!(run_id, run);
    assert!(value > 0.0 && value < 1.0, "{value}");
    bench.cloud.push(ServerMessage::Cancel {
        run_id: RunId::new(uuid::Uuid::nil()),
    });
    bench.cloud.push(ServerMessage::Cancel { run_id: run });
    assert_eq!(bench.cloud.failure(run).await.class, None);
    let mut numbers = vec![];
    for seen in bench.cloud.seen() {
        if let Seen::Said(ClientMessage::Progress { seq, value, .. }) = seen {
            numbers.push((seq, value));
        }
    }
    assert!(
        numbers
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1),
        "{numbers:?}"
    );
}

#[tokio::test]
async fn shows_a_picture_as_it_grows_to_who_looks() {
    let bench = Bench::double().await.ready().await;
    let run = bench.run(&steps(LONG, fresh_seed()));
    let is_under_way = |seen: &Seen| matches!(seen, Seen::Said(ClientMessage::Progress { seq: 2.., .. })).then_some(());
    bench.cloud.wait("progress", is_under_way).await;
    let task_id = TaskId::new(uuid::Uuid::from_u128(5));
    bench.cloud.push(ServerMessage::Look { task_id, run_id: run });
    let said = bench.cloud.wait("pictures", |seen| match seen {
        Seen::Said(said @ ClientMessage::Preview { seq: 2.., .. }) => Some(said.clone()),
        _ => None,
    });
    let ClientMessage::Preview {
        task_id: task,
        run_id,
        seq,
        jpeg,
    } = said.await
    else {
        panic!()
    };
    assert_eq!((task, run_id, seq), (task_id, run, 2));
    let jpeg = BASE64_STANDARD.decode(jpeg).unwrap();
    assert!(jpeg.len() <= MAX_PREVIEW, "{}", jpeg.len());
    image::load_from_memory_with_format(&jpeg, image::ImageFormat::Jpeg).unwrap();
    bench.cloud.push(ServerMessage::Cancel { run_id: run });
    bench.cloud.failure(run).await;
    let looks = bench.cloud.seen();
    let first = |is: fn(&Seen) -> bool| looks.iter().position(is).unwrap();
    let shown = first(|seen| matches!(seen, Seen::Said(ClientMessage::Preview { .. })));
    let began = first(|seen| matches!(seen, Seen::Said(ClientMessage::Progress { seq: 2.., .. })));
    assert!(shown > began, "sent before anybody looked");
}

async fn stops_a_run_that_takes_too_long(bench: Bench) {
    let bench = bench.ready().await;
    let mut run = bench.assignment(&steps(LONG, fresh_seed()), None);
    run.limit_ms = 1500;
    let id = run.run_id;
    bench.cloud.enqueue(run);
    let failure = bench.cloud.failure(id).await;
    assert_eq!(failure.class, Some(FailureClass::Infrastructure));
    assert_eq!(failure.message, "The picture took too long and was stopped.");
    assert_idle(&bench).await;
}

async fn drops_a_lost_run_without_a_word(bench: Bench) {
    let bench = bench.ready().await;
    let run = bench.run(&steps(LONG, fresh_seed()));
    bench
        .cloud
        .beat("progress", |beat| {
            beat.run.is_some_and(|now| now.run_id == run && now.value > 0.0)
        })
        .await;
    let lost = HeartbeatReply {
        run_lost: true,
        ..HeartbeatReply::default()
    };
    bench.cloud.behave(|behaviour| drop(behaviour.about.insert(run, lost)));
    bench.cloud.beat("idle", |beat| beat.run.is_none()).await;
    assert_idle(&bench).await;
    let next = bench.run(&steps(2, fresh_seed()));
    bench.cloud.result(next).await;
    assert_eq!(bench.cloud.count(|seen| matches!(seen, Seen::Failure(_))), 0);
}

async fn gives_its_run_back_when_told_to_stop(bench: Bench) {
    let mut bench = bench.ready().await;
    let run = bench.run(&steps(LONG, fresh_seed()));
    bench
        .cloud
        .beat("progress", |beat| {
            beat.run.is_some_and(|now| now.run_id == run && now.value > 0.0)
        })
        .await;
    assert_eq!(bench.terminate().await, Exit::Stopped);
    let failure = bench.cloud.failure(run).await;
    assert_eq!(failure.class, Some(FailureClass::Capacity));
    assert_eq!(
        failure.message,
        "The machine was stopped; the picture starts again on another one."
    );
    assert_idle(&bench).await;
}

/// ComfyUI has nothing to do.
async fn assert_idle(bench: &Bench) {
    let idle = json!({"queue_running": [], "queue_pending": []});
    // An interrupt that nobody waits for may take a step to work.
    for _ in 0..1000 {
        if bench.comfy_says("/queue").await == idle {
            return;
        }
    }
    panic!("ComfyUI still works");
}
