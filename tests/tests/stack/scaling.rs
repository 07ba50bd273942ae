//! Machines go to sleep and wake up, and never with a task in hand.

use anyhow::{Context, Result, ensure};
use cloud::{Cloud, Write, on_conflict, tables::PresenceOf};
use model::{
    InstanceId, Lane, MicroUsd, Millis, Presence, Settings, Task, TaskId, TaskState, UserId, Worker, WorkerId,
    WorkerState, socket::ClientMessage,
};
use tasks::runs;

use crate::studio::{Studio, small};

/// On the emulator's DynamoDB: a claim and a drain at the same moment, many times. Never do both succeed.
pub(crate) async fn drain_races_claim(studio: Studio) -> Result<()> {
    const ROUNDS: u32 = 40;
    let memory = cloud::memory::Memory::new(cloud::memory::Unkind::NOT);
    let cloud = Cloud {
        store: studio.stack.store().clone(),
        ..memory.cloud()
    };
    let settings = Settings::default();
    let pool = model::PoolId::new("nobody-looks-here");
    let (mut claimed, mut drained) = (0, 0);
    for round in 0..ROUNDS {
        let now = cloud::now();
        let mut worker = Worker::launching(WorkerId::new(format!("w-race-{round}")), pool.clone(), now);
        worker.state = WorkerState::Ready;
        worker.instance_id = Some(InstanceId::new("i-none"));
        let mut task = waiting(&studio, &pool, now);
        cloud
            .store
            .commit([Write::put(&mut worker)?, Write::put(&mut task)?])
            .await?;
        let claim = async {
            wait(u64::from(round % 4 == 1)).await;
            runs::claim(&cloud, &settings, &worker, task.task_id, now).await
        };
        let drain = async {
            wait(u64::from(round % 4 == 2)).await;
            let free = |worker: &Worker| worker.run.is_none();
            runs::move_worker(&cloud, &worker.worker_id, WorkerState::Draining, now, free).await
        };
        let (claim, drain) = tokio::join!(claim, drain);
        let (was_claimed, was_drained) = (matches!(claim, Ok(Some(_))), drain?.is_some());
        claimed += u32::from(was_claimed);
        drained += u32::from(was_drained);
        let worker = cloud
            .store
            .get(&worker.worker_id)
            .await?
            .context("the worker is gone")?;
        let task = cloud.store.get(&task.task_id).await?.context("the task is gone")?;
        ensure!(
            was_claimed != was_drained,
            "claim {was_claimed}, drain {was_drained} in round {round}"
        );
        ensure!(
            was_claimed == (task.state == TaskState::Running),
            "the task does not know"
        );
        ensure!(worker.run.is_some() == was_claimed, "the worker does not know");
        ensure!(
            !(worker.run.is_some() && worker.state == WorkerState::Draining),
            "a claimed task on a draining worker"
        );
    }
    ensure!(
        claimed > 0 && drained > 0,
        "no race: {claimed} claims, {drained} drains"
    );
    Ok(())
}

/// Shifts the race: in some rounds the one is ahead, in some the other, in some nobody.
async fn wait(milliseconds: u64) {
    if milliseconds > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(milliseconds * 5)).await;
    }
}

fn waiting(studio: &Studio, pool: &model::PoolId, now: Millis) -> Task {
    Task {
        task_id: TaskId::new(uuid::Uuid::now_v7()),
        version: 0,
        owner: model::UserId::new(format!("nobody-of-{}", studio.pool)),
        team: model::TeamId::new("nobodies"),
        pool: pool.clone(),
        backlog: Some(pool.clone()),
        start_tag: now.0,
        lane: Lane::Interactive,
        document: None,
        kind: None,
        state: TaskState::Queued,
        model: None,
        work: 1.0,
        reserved: MicroUsd::default(),
        cost: MicroUsd::default(),
        created: now,
        expires_at: now + std::time::Duration::from_mins(10),
        seen_at: now,
        eta: None,
        run: None,
        cancel: None,
        failures: 0,
        preempted: 0,
        failed_on: None,
        unpaid_ms: 0,
        result: None,
        error: None,
        claimed_at: None,
        ended_at: None,
        times: None,
        last_run: None,
        unarchived: None,
        offer_at: None,
        archived_at: None,
        ttl: None,
        variant: None,
    }
}

/// Nobody paints: the machine drains, then stops. Somebody paints: the same machine starts again.
pub(crate) async fn idle_stop_and_wake_again(studio: Studio) -> Result<()> {
    let first = studio.painter.submit(&small(2, 1)?).await?;
    studio.finish(first).await?;
    let machine = studio.until_machines(|machines| machines.len() == 1).await?.remove(0);
    loop {
        studio.stack.tick_reaper().await?;
        let worker = studio
            .stack
            .store()
            .get(&machine.worker_id)
            .await?
            .context("no worker")?;
        ensure!(worker.run.is_none(), "an idle worker holds a run");
        // Work that comes while it still stops is better off with another machine.
        if worker.state == WorkerState::Stopped {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    studio
        .until_machines(|machines| machines.iter().all(|it| !it.up && !it.working))
        .await?;
    // The tables hear of it a moment later. Until then it counts as stopping, and another one would be there sooner.
    let stopped = async || {
        let worker = studio.stack.store().get(&machine.worker_id).await?;
        anyhow::Ok(worker.is_some_and(|it| it.state == WorkerState::Stopped))
    };
    while !stopped().await? {
        studio.stack.tick_lifecycle().await?;
        wait(100).await;
    }

    let second = studio.painter.submit(&small(2, 2)?).await?;
    studio
        .tick_until(second, |task| task.state == TaskState::Succeeded)
        .await?;
    let machines = studio.until_machines(|_| true).await?;
    ensure!(
        machines.len() == 1,
        "a second machine was launched instead of starting the stopped one"
    );
    ensure!(
        machines[0].starts == machine.starts + 1,
        "the worker was not started again"
    );
    Ok(())
}

/// The plugin's first call starts a machine, before any request; the canvas and a request are noted as well.
pub(crate) async fn whoever_connects_wakes_a_machine(studio: Studio) -> Result<()> {
    let user = studio.painter.ok("GET", "user", None).await?;
    let user = UserId::new(user["id"].as_str().context("no id")?);
    let stay = until_noted(&studio, &user, |_| true).await?;
    ensure!(!stay.watched && stay.asked_at.is_none(), "{stay:?}");
    studio
        .until_machines(|machines| machines.iter().any(|it| it.up))
        .await?;

    let mut events = studio.painter.events().await?;
    events.say(&ClientMessage::Active).await?;
    until_noted(&studio, &user, |stay| stay.watched).await?;
    let task = studio.painter.submit(&small(2, 1)?).await?;
    until_noted(&studio, &user, |stay| stay.asked_at.is_some()).await?;
    studio.finish(task).await?;
    let machines = studio.until_machines(|_| true).await?;
    ensure!(machines.len() == 1, "a second machine came for one painter");
    Ok(())
}

/// EC2 is asked too often: one picture waits in vain until its time is over, another is painted once there are machines again.
pub(crate) async fn no_machine_is_to_be_had(studio: Studio) -> Result<()> {
    let (stack, store) = (&studio.stack, studio.stack.store());
    stack
        .refuse_launches(&studio.pool, Some("RequestLimitExceeded"))
        .await?;
    let late = studio.painter.submit(&small(2, 1)?).await?;
    let task = studio.painter.submit(&small(2, 2)?).await?;
    while store
        .get(&studio.pool)
        .await?
        .is_none_or(|it| it.no_capacity_at.is_none())
    {
        wait(50).await;
    }
    ensure!(studio.until_machines(|_| true).await?.is_empty(), "a machine came");
    on_conflict!({
        let Some(mut over) = store.get(&late).await? else {
            return Ok(());
        };
        over.expires_at = over.created;
        store.commit([Write::put(&mut over)?]).await
    })?;
    while studio.task(late).await?.state != TaskState::Expired {
        stack.tick_lifecycle().await?;
    }
    stack.refuse_launches(&studio.pool, None).await?;
    studio
        .tick_until(task, |task| task.state == TaskState::Succeeded)
        .await?;
    Ok(())
}

async fn until_noted(studio: &Studio, user: &UserId, wanted: impl Fn(&Presence) -> bool) -> Result<Presence> {
    let key = PresenceOf(studio.pool.clone(), user.clone());
    loop {
        if let Some(stay) = studio.stack.store().get(&key).await?.filter(&wanted) {
            return Ok(stay);
        }
        wait(10).await;
    }
}
