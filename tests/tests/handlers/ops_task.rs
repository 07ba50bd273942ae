//! `ops task` and `ops usage`: what an operator sees of tasks and does to them.

use model::{Millis, PoolId, TaskState, TeamId, UserId, WorkerState};
use ops::{
    task::{self, Command, Of},
    usage,
};
use serde_json::json;

use crate::support::{MARA, NOW, TASK, World, seconds, task_id};

async fn said(world: &World, command: Command, now: Millis) -> String {
    let done = task::run(&world.cloud, command, now).await;
    done.unwrap_or_else(|error| format!("{error:#}"))
}

fn show(plan: bool) -> Command {
    Command::Show {
        task: task_id(),
        plan,
        no_logs: true,
        stack: "atelier".to_owned(),
    }
}

fn list(user: Option<&str>, pool: Option<&str>, state: Option<TaskState>) -> Command {
    Command::List {
        of: Of {
            user: user.map(UserId::new),
            team: None,
            worker: None,
            pool: pool.map(PoolId::new),
        },
        state,
        most: 50,
    }
}

#[tokio::test]
async fn a_task_is_shown_as_it_waits_and_as_it_runs() {
    let world = World::new().await;
    world.queued(TASK, MARA, NOW - seconds(30)).await;
    insta::assert_snapshot!("ops-task-waits", said(&world, show(false), NOW).await);
    insta::assert_snapshot!(
        "ops-task-list-pool",
        said(&world, list(None, Some("default"), None), NOW).await
    );
    let with_plan = said(&world, show(true), NOW).await;
    assert!(with_plan.contains('{'), "{with_plan}");

    let world = World::new().await;
    world.running(NOW - seconds(10)).await;
    insta::assert_snapshot!("ops-task-runs", said(&world, show(false), NOW).await);
    let of_mara = said(&world, list(Some(MARA), None, Some(TaskState::Running)), NOW).await;
    assert!(of_mara.contains(TASK) && of_mara.contains("running"), "{of_mara}");
    let failed = said(&world, list(Some(MARA), None, Some(TaskState::Failed)), NOW).await;
    assert_eq!(failed, "mara has no such tasks");
}

#[tokio::test]
async fn an_operator_puts_a_run_back_in_line_and_nothing_is_counted() {
    let world = World::new().await;
    let (before, worker) = world.running(NOW - seconds(10)).await;
    let words = said(&world, Command::Requeue { task: task_id() }, NOW).await;
    assert!(words.contains("at its old place"), "{words}");
    let after = world.task(&task_id()).await;
    assert_eq!(
        (after.state, after.start_tag, after.failures),
        (TaskState::Queued, before.start_tag, 0)
    );
    assert_eq!(world.worker(worker.worker_id.as_str()).await.run, None);
    // The machine hears of it by its heartbeat, and what it brings too late does not count.
    let run = before.run.unwrap().run_id;
    let beat = json!({ "ready": true, "run": { "run_id": run, "seq": 1, "value": 0.5 } });
    assert_eq!(
        world.work(&worker, "heartbeat", &beat, NOW).await.ok()["run_lost"],
        true
    );
    let again = said(&world, Command::Requeue { task: task_id() }, NOW).await;
    assert!(again.contains("is queued: only what runs"), "{again}");
}

#[tokio::test]
async fn an_operator_ends_a_task_whether_it_waits_or_runs_and_it_costs_nothing() {
    for runs in [false, true] {
        let world = World::new().await;
        if runs {
            world.running(NOW - seconds(10)).await;
        } else {
            world.queued(TASK, MARA, NOW - seconds(10)).await;
        }
        let fail = || Command::Fail {
            task: task_id(),
            because: "This model is not for this project.".to_owned(),
        };
        let words = said(&world, fail(), NOW).await;
        assert!(words.ends_with("is failed"), "{words}");
        let task = world.task(&task_id()).await;
        assert_eq!((task.state, task.cost.0), (TaskState::Failed, 0));
        assert_eq!(task.error.unwrap().message, "This model is not for this project.");
        assert_eq!(world.usage(MARA).await.reserved.0, 0);
        assert!(
            world
                .workers()
                .iter()
                .all(|it| it.run.is_none() && it.state != WorkerState::Failed)
        );
        let again = said(&world, fail(), NOW).await;
        assert!(again.contains("is over: it is failed"), "{again}");
        assert!(
            said(&world, Command::Cancel { task: task_id() }, NOW)
                .await
                .contains("nothing was to be done")
        );
    }
}

#[tokio::test]
async fn a_task_that_is_not_there_is_told_so() {
    let world = World::new().await;
    for command in [
        show(false),
        Command::Requeue { task: task_id() },
        Command::Fail {
            task: task_id(),
            because: String::new(),
        },
    ] {
        let words = said(&world, command, NOW).await;
        assert!(
            words.contains("there is no task") && words.contains("ops task list"),
            "{words}"
        );
    }
}

#[tokio::test]
async fn usage_is_a_table_and_a_csv() {
    let world = World::new().await;
    let mut used = world.usage(MARA).await;
    (used.images, used.gpu_ms, used.spent) = (3, 41_001, model::MicroUsd(11_500));
    world.put(used).await;
    let asked = |csv| usage::Arguments {
        team: TeamId::new("studio"),
        month: None,
        csv,
    };
    for (csv, name) in [(false, "ops-usage-table"), (true, "ops-usage-csv")] {
        let text = usage::run(&world.cloud.store, &asked(csv), NOW).await.unwrap();
        insta::assert_snapshot!(name, text);
    }
}
