//! How a worker comes to its runs, and stays known; on the double and on a real ComfyUI.

use std::time::Duration;

use model::socket::ServerMessage;

use crate::{
    bench::{Bench, Setup},
    cloud::{Behaviour, Seen},
    plans::{fresh_seed, steps},
};

crate::scenarios! {
    does_not_post_a_run_twice
    does_not_render_an_assignment_twice
    works_without_the_cloud_socket
    claims_at_once_when_woken
    takes_nothing_while_drained
    registers_again_in_the_middle_of_a_run
}

async fn does_not_post_a_run_twice(bench: Bench) {
    let bench = bench.ready().await;
    let plan = steps(3, fresh_seed());
    let run = bench.assignment(&plan, None);
    let id = run.run_id;
    bench.leave(&plan, id).await;
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
    setup.behaviour.ready_rhythm = Duration::from_hours(1);
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
    bench.cloud.beats(4).await;
    let claims = bench
        .cloud
        .seen()
        .into_iter()
        .skip(before)
        .filter(|seen| matches!(seen, Seen::Claim { .. }))
        .count();
    assert_eq!(claims, 0);
    // Who is woken is wanted again: it asks before a heartbeat says so.
    bench.cloud.push(ServerMessage::Wake { task_id: None });
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
