//! Things die; pictures arrive all the same, once.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cloud::Write;
use model::{RunTimes, TaskState, Worker, WorkerId, worker_api};
use serde_json::json;

use crate::studio::{LOOK, Studio, small};

/// The worker's process dies and comes back, as systemd does it.
pub(crate) async fn worker_killed(studio: Studio) -> Result<()> {
    let task = studio.painter.submit(&small(60, 1)?).await?;
    studio.until_painting(task).await?;
    let lost = studio.run_of(task).await?;
    let machine = studio.until_machines(|machines| machines.len() == 1).await?.remove(0);
    studio.stack.pump.kill_worker(&machine.worker_id);
    studio.finish(task).await?;
    let done = studio.task(task).await?;
    ensure!(
        done.failures == 1,
        "{} failures were counted instead of 1",
        done.failures
    );
    let key = done.result.context("no result")?.key;
    ensure!(!key.contains(&lost.to_string()), "the lost run committed");
    Ok(())
}

/// The process does not come back: the machine is stopped and started again.
pub(crate) async fn worker_killed_for_good(studio: Studio) -> Result<()> {
    let task = studio.painter.submit(&small(60, 1)?).await?;
    studio.until_painting(task).await?;
    let machine = studio.until_machines(|machines| machines.len() == 1).await?.remove(0);
    studio.stack.pump.kill_worker_for_good(&machine.worker_id);
    let done = studio
        .tick_until(task, |task| task.state == TaskState::Succeeded)
        .await?;
    ensure!(
        done.failures == 1,
        "{} failures were counted instead of 1",
        done.failures
    );
    Ok(())
}

pub(crate) async fn comfyui_killed(studio: Studio) -> Result<()> {
    // Where there can be another machine, that one takes over.
    let mut pool = studio.stack.store().get(&studio.pool).await?.context("no pool")?;
    pool.max_workers = 1;
    studio.stack.store().commit([Write::put(&mut pool)?]).await?;
    let task = studio.painter.submit(&small(60, 1)?).await?;
    studio.until_painting(task).await?;
    let machine = studio.until_machines(|machines| machines.len() == 1).await?.remove(0);
    studio.stack.pump.kill_comfyui(&machine.worker_id);
    studio.finish(task).await?;
    let done = studio.task(task).await?;
    ensure!(
        done.failures == 1,
        "{} failures were counted instead of 1",
        done.failures
    );
    let machines = studio.until_machines(|_| true).await?;
    ensure!(
        machines.len() == 1 && machines[0].starts == machine.starts,
        "the worker did not survive its ComfyUI"
    );
    Ok(())
}

async fn worker_of(studio: &Studio, id: &WorkerId) -> Result<Worker> {
    studio.stack.store().get(id).await?.context("no worker")
}

/// A worker that was thought lost delivers after all: nothing of it counts.
pub(crate) async fn late_result_of_a_lost_run(studio: Studio) -> Result<()> {
    let task = studio.painter.submit(&small(60, 1)?).await?;
    studio.until_painting(task).await?;
    let lost = studio.run_of(task).await?;
    let machine = studio.until_machines(|machines| machines.len() == 1).await?.remove(0);
    let killed = worker_of(&studio, &machine.worker_id).await?;
    studio.stack.pump.kill_worker(&machine.worker_id);
    let completed = studio.finish(task).await?;
    let before = studio.painter.pictures(&completed).await?;

    // Another machine may have painted it before the process came back.
    let worker = loop {
        let worker = worker_of(&studio, &machine.worker_id).await?;
        if worker.generation > killed.generation {
            break worker;
        }
        tokio::time::sleep(LOOK).await;
    };
    let token = studio
        .stack
        .signer()
        .worker(&worker, cloud::now(), Duration::from_mins(5))?;
    let late = worker_api::RunResult {
        run_id: lost,
        task_id: task,
        offsets: vec![0, 10],
        size: 20,
        times: RunTimes::default(),
        reads: Vec::new(),
        lora_warning: false,
        pose: None,
        pictures: None,
        thumbnails: Vec::new(),
    };
    let client = studio.painter.with_token(token);
    let path = format!("workers/{}/result", worker.worker_id);
    let answer = client.call("POST", &path, Some(json!(late).to_string())).await?;
    ensure!(
        answer.status == 200 && answer.body["accepted"] == false,
        "the late result was not refused: {answer:?}"
    );
    let after = studio.painter.pictures(&studio.painter.status(task).await?).await?;
    ensure!(before == after, "the late result changed the pictures");
    // An older process of the same worker is not even listened to.
    let old = Worker {
        generation: worker.generation - 1,
        ..worker.clone()
    };
    let client = client.with_token(
        studio
            .stack
            .signer()
            .worker(&old, cloud::now(), Duration::from_mins(5))?,
    );
    let answer = client.call("POST", &path, Some(json!(late).to_string())).await?;
    ensure!(
        answer.status == 401,
        "an earlier generation's token was taken: {answer:?}"
    );
    Ok(())
}
