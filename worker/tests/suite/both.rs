//! Scenarios that run against the double and against a real ComfyUI alike.

use base64::{Engine, prelude::BASE64_STANDARD};
use model::{
    FailureClass, RunId,
    socket::{ClientMessage, ServerMessage},
    worker_api::{HeartbeatReply, InputBlob},
};
use serde_json::{Value, json};
use worker::Exit;
use workflow::Source;

use crate::{
    bench::{Bench, Setup, plan, refine, steps, unknown_model, warm_up, webp},
    cloud::{Behaviour, Seen},
};

macro_rules! scenarios {
    ($($name:ident)*) => {
        mod double {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::bench::Bench::double().await).await;
            })*
        }
        mod real {
            $(#[tokio::test]
            async fn $name() {
                if let Some(bench) = crate::bench::Bench::real().await {
                    super::$name(bench).await;
                }
            })*
        }
    };
}

scenarios! {
    generates_as_many_pictures_as_asked
    warms_up_before_it_is_ready
    refines_a_picture_however_it_comes
    cancels_while_running
    cancels_by_the_socket
    stops_a_run_that_takes_too_long
    drops_a_lost_run_without_a_word
    gives_its_run_back_when_told_to_stop
    names_the_model_that_is_missing
    refuses_a_damaged_picture_by_itself
    refuses_a_picture_of_another_size
    refuses_a_picture_that_was_changed
    asks_for_fresh_addresses
    does_not_post_a_run_twice
    does_not_render_an_assignment_twice
    works_without_the_cloud_socket
    claims_at_once_when_woken
    takes_nothing_while_drained
    registers_again_in_the_middle_of_a_run
}

/// So many steps that the run does not end before it is met.
const LONG: u32 = 1000;

async fn generates_as_many_pictures_as_asked(bench: Bench) {
    let bench = bench.ready().await;
    let two = |seed: u32| {
        plan(&json!({"batch_count": 2, "sampling": {
            "sampler": "euler", "scheduler": "normal", "cfg_scale": 7.0, "total_steps": 2, "seed": seed
        }}))
    };
    let seed = fresh_seed();
    // The last one is wholly cached.
    let runs = [two(seed), two(seed + 1), two(seed)].map(|plan| bench.run(&plan));
    let mut made = vec![];
    for run in runs {
        made.push(bench.pictures(run).await);
    }
    for pictures in &made {
        assert_eq!(pictures.len(), 2);
        assert!(pictures.iter().all(|picture| picture.dimensions() == (64, 64)));
    }
    assert!(made[0] != made[1], "the seed must matter");
    assert!(made[0] == made[2], "the same seed must give the same pictures");
    let result = bench.cloud.result(runs[0]).await;
    assert!(
        result.times.execute > 0 && result.times.execute < 60_000,
        "{:?}",
        result.times
    );
    assert_eq!(
        history(&bench, runs[0]).await,
        json!({}),
        "ComfyUI must not pile up history"
    );
}

async fn warms_up_before_it_is_ready(mut bench: Bench) {
    let behaviour = Behaviour {
        warm_up: Some(warm_up()),
        ..Behaviour::default()
    };
    bench.start(Setup {
        behaviour,
        ..Setup::default()
    });
    bench
        .cloud
        .beat("warm", |beat| beat.ready && beat.models == ["tiny.ckpt"])
        .await;
    if let Some(double) = &bench.double {
        assert_eq!(double.stats().succeeded, 1);
    }
}

async fn refines_a_picture_however_it_comes(bench: Bench) {
    let bench = bench.ready().await;
    let plan = refine(fresh_seed());
    let picture = webp(64, 64, 200);
    let size = picture.len() as u64;
    // The first picture of the blob is not used.
    let both = [webp(32, 32, 9), picture.clone()].concat();
    let (offset, whole) = (both.len() as u64 - size, both.len() as u64);
    let mut second = plan.clone();
    let Source::Segment { image, .. } = &mut second.inputs[0].source else {
        panic!()
    };
    *image = 1;

    let inline = InputBlob {
        base64: Some(BASE64_STANDARD.encode(&picture)),
        key: None,
        etag: None,
        offsets: vec![0],
        size,
    };
    let etag = bench.cloud.store("uploads/u/1", both);
    let stored = InputBlob {
        base64: None,
        key: Some("uploads/u/1".into()),
        etag: Some(etag),
        offsets: vec![0, offset],
        size: whole,
    };
    let other = webp(64, 64, 10);
    let other = InputBlob {
        base64: Some(BASE64_STANDARD.encode(&other)),
        size: other.len() as u64,
        ..inline.clone()
    };
    let runs = [
        bench.assignment(&plan, Some(inline)),
        bench.assignment(&second, Some(stored)),
        bench.assignment(&plan, Some(other)),
    ];
    let mut made = vec![];
    for run in runs {
        let id = run.run_id;
        bench.cloud.enqueue(run);
        made.push(bench.pictures(id).await);
    }
    assert_eq!(made[0].len(), 1);
    assert!(made[0] == made[1], "the same picture must give the same result");
    assert!(made[0] != made[2], "another picture must give another result");
}

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
    setup.behaviour.busy_rhythm = std::time::Duration::from_hours(1);
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

async fn names_the_model_that_is_missing(bench: Bench) {
    let bench = bench.ready().await;
    let run = bench.run(&unknown_model());
    let failure = bench.cloud.failure(run).await;
    assert_eq!(failure.class, Some(FailureClass::User));
    assert_eq!(
        failure.message,
        "The checkpoint \"nowhere.safetensors\" is not on the render machine."
    );
}

async fn refuses_a_damaged_picture_by_itself(bench: Bench) {
    let mut picture = webp(64, 64, 1);
    picture.truncate(picture.len() / 2);
    let size = picture.len() as u64;
    let blob = InputBlob {
        base64: Some(BASE64_STANDARD.encode(&picture)),
        key: None,
        etag: None,
        offsets: vec![0],
        size,
    };
    refuses(
        bench,
        blob,
        "Input picture 1 is neither PNG nor JPEG nor WebP, or it is damaged.",
    )
    .await;
}

async fn refuses_a_picture_of_another_size(bench: Bench) {
    let picture = webp(64, 32, 1);
    let size = picture.len() as u64;
    let blob = InputBlob {
        base64: Some(BASE64_STANDARD.encode(&picture)),
        key: None,
        etag: None,
        offsets: vec![0],
        size,
    };
    refuses(
        bench,
        blob,
        "Input picture 1 has 64x32 pixels, but 64x64 were announced.",
    )
    .await;
}

async fn refuses_a_picture_that_was_changed(bench: Bench) {
    let picture = webp(64, 64, 1);
    let size = picture.len() as u64;
    bench.cloud.store("uploads/u/2", picture);
    let etag = Some("another".to_owned());
    let blob = InputBlob {
        base64: None,
        key: Some("uploads/u/2".into()),
        etag,
        offsets: vec![0],
        size,
    };
    refuses(
        bench,
        blob,
        "The uploaded pictures were changed after the request was sent.",
    )
    .await;
}

async fn refuses(bench: Bench, blob: InputBlob, message: &str) {
    let bench = bench.ready().await;
    let run = bench.assignment(&refine(1), Some(blob));
    let id = run.run_id;
    bench.cloud.enqueue(run);
    let failure = bench.cloud.failure(id).await;
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (Some(FailureClass::User), message)
    );
    if let Some(double) = &bench.double {
        let stats = double.stats();
        assert_eq!(
            (stats.uploads, stats.prompts_accepted, stats.prompts_refused),
            (0, 0, 0)
        );
    }
}

async fn asks_for_fresh_addresses(bench: Bench) {
    let bench = bench.ready().await;
    bench.cloud.behave(|behaviour| behaviour.expired = 1);
    let run = bench.run(&steps(2, fresh_seed()));
    assert_eq!(bench.pictures(run).await.len(), 1);
    let puts: Vec<_> = bench
        .cloud
        .seen()
        .into_iter()
        .filter(|seen| matches!(seen, Seen::Put { .. } | Seen::FreshUrls))
        .collect();
    assert!(
        matches!(&puts[..], [Seen::Put { status: refused }, Seen::FreshUrls, Seen::Put { status }]
            if refused.as_u16() == 403 && status.is_success()),
        "{puts:?}"
    );
}

async fn does_not_post_a_run_twice(bench: Bench) {
    let bench = bench.ready().await;
    let plan = steps(3, fresh_seed());
    let run = bench.assignment(&plan, None);
    let id = run.run_id;
    // As a worker would have done that died just after.
    let graph = plan.bind(&[], &format!("tasks/{id}/out")).unwrap();
    let body = json!({"prompt": graph, "client_id": "the-one-before", "prompt_id": id});
    let posted = reqwest::Client::new()
        .post(format!("{}/prompt", bench.comfy))
        .json(&body)
        .send()
        .await
        .unwrap();
    assert!(posted.status().is_success());
    bench.cloud.enqueue(run);
    assert_eq!(bench.pictures(id).await.len(), 1);
    if let Some(double) = &bench.double {
        assert_eq!(double.stats().prompts_accepted, 1);
    }
}

async fn does_not_render_an_assignment_twice(bench: Bench) {
    let bench = bench.ready().await;
    let run = bench.assignment(&steps(2, fresh_seed()), None);
    let (id, next) = (run.run_id, bench.assignment(&steps(2, fresh_seed()), None));
    let last = next.run_id;
    // The second copy comes with the reply to the first one's result.
    for run in [run.clone(), run, next] {
        bench.cloud.enqueue(run);
    }
    bench.cloud.result(last).await;
    let results = |run| {
        bench
            .cloud
            .count(|seen| matches!(seen, Seen::Result(result) if result.run_id == run))
    };
    assert_eq!((results(id), results(last)), (1, 1));
    if let Some(double) = &bench.double {
        assert_eq!(double.stats().runs, 2);
    }
}

async fn works_without_the_cloud_socket(mut bench: Bench) {
    let behaviour = Behaviour {
        has_socket: false,
        ..Behaviour::default()
    };
    bench.start(Setup {
        behaviour,
        ..Setup::default()
    });
    let run = bench.run(&steps(2, fresh_seed()));
    assert_eq!(bench.pictures(run).await.len(), 1);
    assert_eq!(bench.cloud.count(|seen| matches!(seen, Seen::SocketOpened)), 0);
}

async fn claims_at_once_when_woken(mut bench: Bench) {
    let mut setup = Setup::default();
    setup.behaviour.ready_rhythm = std::time::Duration::from_hours(1);
    bench.start(setup);
    let claims = |bench: &Bench| bench.cloud.count(|seen| matches!(seen, Seen::Claim { .. }));
    bench
        .cloud
        .wait("socket", |seen| matches!(seen, Seen::SocketOpened).then_some(()))
        .await;
    // Ready, and the socket opened: both make it look, each five times at most.
    bench
        .cloud
        .wait("claim", |seen| matches!(seen, Seen::Claim { .. }).then_some(()))
        .await;
    let run = bench.assignment(&steps(2, fresh_seed()), None);
    let (task, id, before) = (run.task_id, run.run_id, bench.cloud.seen().len());
    bench.cloud.push(ServerMessage::Wake { task_id: Some(task) });
    let wanted = |seen: &Seen| matches!(seen, Seen::Claim { task_id: Some(wanted) } if *wanted == task).then_some(());
    bench.cloud.wait_after(before, "claim of the task", wanted).await;
    // It was not there yet: the claim is repeated without another wake.
    bench.cloud.enqueue(run);
    bench.cloud.result(id).await;
    assert!(claims(&bench) >= 3);
}

async fn takes_nothing_while_drained(bench: Bench) {
    let bench = bench.ready().await;
    let run = bench.run(&steps(60, fresh_seed()));
    bench
        .cloud
        .beat("progress", |beat| {
            beat.run.is_some_and(|now| now.run_id == run && now.value > 0.0)
        })
        .await;
    bench.cloud.behave(|behaviour| behaviour.reply.drain = true);
    bench.cloud.beats(2).await;
    let before = bench.cloud.seen().len();
    bench
        .cloud
        .behave(|behaviour| behaviour.next_is_given_with_result = false);
    let next = bench.run(&steps(2, fresh_seed()));
    bench.cloud.result(run).await;
    bench.cloud.push(ServerMessage::Wake { task_id: None });
    bench.cloud.beats(4).await;
    let claims = bench
        .cloud
        .seen()
        .into_iter()
        .skip(before)
        .filter(|seen| matches!(seen, Seen::Claim { .. }))
        .count();
    assert_eq!(claims, 0);
    bench.cloud.behave(|behaviour| behaviour.reply.drain = false);
    bench.cloud.result(next).await;
}

async fn registers_again_in_the_middle_of_a_run(bench: Bench) {
    let bench = bench.ready().await;
    let run = bench.run(&steps(60, fresh_seed()));
    bench
        .cloud
        .beat("progress", |beat| {
            beat.run.is_some_and(|now| now.run_id == run && now.value > 0.0)
        })
        .await;
    bench.cloud.behave(|behaviour| behaviour.token = "token-2".into());
    bench.cloud.result(run).await;
    let proofs: Vec<_> = bench
        .cloud
        .seen()
        .into_iter()
        .filter_map(|seen| {
            if let Seen::Register(register) = seen {
                Some(register.proof)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(proofs.len(), 2);
    assert!(
        proofs[0]["x-amz-date"] < proofs[1]["x-amz-date"],
        "each proof must be newer"
    );
    // A token can also be replaced by a heartbeat, without registering.
    bench
        .cloud
        .behave(|behaviour| behaviour.reply.token = Some("token-3".into()));
    bench.cloud.beats(1).await;
    bench.cloud.behave(|behaviour| behaviour.token = "token-3".into());
    bench.cloud.beats(2).await;
    assert!(bench.cloud.count(|seen| matches!(seen, Seen::Register(_))) <= 3);
}

fn fresh_seed() -> u32 {
    uuid::Uuid::new_v4().as_fields().0 >> 1
}

async fn history(bench: &Bench, run: RunId) -> Value {
    get(bench, &format!("/history/{run}")).await
}

/// ComfyUI has nothing to do.
async fn assert_idle(bench: &Bench) {
    let idle = json!({"queue_running": [], "queue_pending": []});
    // An interrupt that nobody waits for may take a step to work.
    for _ in 0..1000 {
        if get(bench, "/queue").await == idle {
            return;
        }
    }
    panic!("ComfyUI still works");
}

async fn get(bench: &Bench, path: &str) -> Value {
    reqwest::get(format!("{}{path}", bench.comfy))
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}
