//! What there is to measure of a pool, a task and a machine.

use std::time::Duration;

use model::{
    FailureClass, GpuUse, HostUse, Millis, PoolId, Task, TaskState, Worker, WorkerState,
    metrics::{
        BOOT_TIME, BREAKER_OPEN, CREDITS, DISK_USE, ETA_ERROR, GPU_USE, IDLE_MACHINES, LIMIT_USED, LOAD_TIME,
        MACHINE_COST, MACHINE_TIME, OLDEST_WAIT, PAINTERS, PICTURE_COST, QUEUE_LENGTH, RAM_USE, SATURATED,
        STARTS_FAILED, STRANDED, Sample, TASK_FAILED, TASK_TIME, TASK_WAIT, TASKS, VRAM_USE, WORKERS,
    },
    worker_api::{ModelFile, Read, Source},
};

use crate::{breaker, coming::coming, load, meter, presence, price, snapshot::PoolSnapshot};

/// What a machine that is up at a tick is counted for: the time from one tick to the next.
const TICK: Duration = Duration::from_mins(1);
/// A task that has waited for this long while nothing comes is stranded: one start takes half of it.
const STRANDED_AFTER: Duration = Duration::from_mins(5);
/// Least time without work after which something is wrong: twice `idle_stop`'s default.
const IDLE_AFTER: Duration = Duration::from_hours(1);

fn share(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole as f64
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// What a tick finds in a pool.
pub fn pool(snapshot: &PoolSnapshot<'_>) -> Vec<Sample> {
    let mut found = alarming(snapshot);
    let name = snapshot.pool.pool.as_str();
    let up: Vec<_> = snapshot.workers.iter().filter(|it| it.state.is_up()).collect();
    let stays = snapshot.presence.iter();
    let painters = stays
        .filter(|it| presence::is_present(it, snapshot.settings, snapshot.now))
        .count();
    if up.is_empty() && snapshot.backlog.is_empty() && painters == 0 {
        return found;
    }
    for state in ["coming", "ready", "busy", "draining", "failed"] {
        let count = up.iter().filter(|it| doing(it.state) == state).count();
        found.push(WORKERS.sample([name, state], count as f64));
    }
    let oldest = snapshot.backlog.iter().map(|it| snapshot.now.since(it.created)).max();
    found.push(QUEUE_LENGTH.sample([name], snapshot.backlog.len() as f64));
    found.push(OLDEST_WAIT.sample([name], oldest.unwrap_or_default().as_secs_f64()));
    found.push(PAINTERS.sample([name], painters as f64));
    for worker in up {
        let kind = worker.instance_type.as_deref();
        let hour = price::hour(Some(snapshot.pool), kind);
        found.push(MACHINE_TIME.sample([kind.unwrap_or("unknown")], TICK.as_secs_f64()));
        found.push(MACHINE_COST.of(hour.0 as f64 / 1e6 * (TICK.as_secs_f64() / 3600.0)));
    }
    found
}

/// What the operator is to hear of, each as one number, since an alarm looks at one.
fn alarming(snapshot: &PoolSnapshot<'_>) -> Vec<Sample> {
    let PoolSnapshot {
        pool,
        workers,
        settings,
        now,
        ..
    } = *snapshot;
    let up = workers.iter().filter(|it| it.state.is_up());
    let hot = |it: &Worker| it.hot_since.is_some_and(|since| now.since(since) >= settings.hot_for);
    let full = up.clone().count() >= pool.max_workers as usize;
    let long_idle = IDLE_AFTER.max(settings.idle_stop.saturating_mul(2));
    let idle = up.clone().filter(|it| now.since(worked(it)) >= long_idle).count();
    let mut found = vec![
        // What an operator has decided is no news to them.
        BREAKER_OPEN.whether(pool.breaker.forced.is_none() && pool.breaker.opened_at.is_some()),
        STARTS_FAILED.of(breaker::failed_share(&pool.breaker)),
        SATURATED.whether(full && up.clone().any(hot)),
        STRANDED.of(stranded(snapshot) as f64),
        IDLE_MACHINES.of(idle as f64),
    ];
    found.extend(meter::percent(pool, workers, now).map(|percent| LIMIT_USED.of(percent as f64)));
    found
}

/// How many tasks have waited in vain.
fn stranded(snapshot: &PoolSnapshot<'_>) -> usize {
    let serves = snapshot.workers.iter().any(|it| snapshot.serves(it));
    if serves || coming(snapshot) > 0 {
        return 0;
    }
    let late = |since: Millis| snapshot.now.since(since) >= STRANDED_AFTER;
    snapshot.wanted().filter(|entry| late(entry.created)).count()
}

/// When a machine had work last, or was asked for.
fn worked(worker: &Worker) -> Millis {
    match worker.run {
        Some(_) => Millis(u64::MAX),
        None => worker.worked_at.unwrap_or_default().max(worker.up_since),
    }
}

fn doing(state: WorkerState) -> &'static str {
    match state {
        state if state.is_coming() => "coming",
        WorkerState::Ready => "ready",
        WorkerState::Busy => "busy",
        WorkerState::Failed => "failed",
        _ => "draining",
    }
}

/// What a task that is over shows; nothing of one that is not.
pub fn task(task: &Task) -> Vec<Sample> {
    if !task.state.is_terminal() {
        return Vec::new();
    }
    let mut found = vec![TASKS.sample([task.state.word()], 1.0)];
    match task.state {
        TaskState::Failed if task.error.as_ref().is_some_and(|it| it.class != FailureClass::User) => {
            found.push(TASK_FAILED.whether(true));
        }
        TaskState::Succeeded => {
            found.push(TASK_FAILED.whether(false));
            found.extend(delivered(task));
        }
        _ => {}
    }
    found
}

fn delivered(task: &Task) -> Vec<Sample> {
    let mut found = vec![CREDITS.of(task.cost.credits_needed() as f64)];
    found.extend(
        task.claimed_at
            .map(|at| TASK_WAIT.of(milliseconds(at.since(task.created)))),
    );
    if let Some(ended) = task.ended_at {
        found.push(TASK_TIME.of(milliseconds(ended.since(task.created))));
        found.extend(task.eta.map(|eta| ETA_ERROR.of(ended.0.abs_diff(eta.0) as f64)));
    }
    if let Some(result) = &task.result {
        let pictures = result.offsets.len().max(1) as f64;
        found.push(PICTURE_COST.of(task.cost.0 as f64 / 1e6 / pictures));
    }
    found
}

/// How long the models took to come for a run that has delivered, as a worker says that knows files of the store. What is not read
/// again of the task's own model was in the GPU still; of a model that only the machine image has, no worker says so.
pub fn loads(task: &Task, reads: &[Read]) -> Vec<Sample> {
    let counted = reads.iter().take(load::READS);
    let mut found: Vec<_> = counted
        .map(|read| LOAD_TIME.sample([read.from.word()], read.ms as f64))
        .collect();
    let stored = task.model.as_deref().is_some_and(|it| ModelFile::mark(it).is_some());
    if stored && reads.iter().all(|read| read.from != Source::Disk) {
        found.push(LOAD_TIME.sample(["memory"], 0.0));
    }
    found
}

/// How long the stages of a machine's boot took that has just come up.
pub fn boot(worker: &Worker) -> Vec<Sample> {
    let Some(boot) = worker.boot else { return Vec::new() };
    let times = boot.times;
    let own = [times.kernel, times.userland, times.comfyui, times.warm_up];
    let own = own.into_iter().flatten().fold(0, u64::saturating_add);
    let stages = [
        ("machine", Some(boot.total.saturating_sub(own))),
        ("kernel", times.kernel),
        ("userland", times.userland),
        ("driver", times.driver),
        ("comfyui", times.comfyui),
        ("warm_up", times.warm_up),
    ];
    let known = stages.into_iter().filter_map(|(stage, time)| Some((stage, time?)));
    known
        .map(|(stage, time)| BOOT_TIME.sample([stage], time as f64))
        .collect()
}

/// How long it took to a machine's first picture, if this is it: `worker` as it was while it rendered.
pub fn first_picture(worker: &Worker, now: Millis) -> Option<Sample> {
    let first = worker.worked_at.is_none_or(|at| at < worker.up_since);
    first.then(|| BOOT_TIME.sample(["first_picture"], milliseconds(now.since(worker.up_since))))
}

/// What a machine says of itself.
pub fn machine(pool: &PoolId, gpu: Option<GpuUse>, host: Option<HostUse>) -> Vec<Sample> {
    let (gpu, host) = (gpu.unwrap_or_default(), host.unwrap_or_default());
    let memory = gpu.vram_used_mib.zip(gpu.vram_total_mib.filter(|total| *total > 0));
    let mut found = Vec::new();
    found.extend(gpu.percent.map(|it| GPU_USE.sample([pool.as_str()], f64::from(it))));
    found.extend(memory.map(|(used, total)| VRAM_USE.sample([pool.as_str()], share(used, total))));
    found.extend(
        host.ram_percent
            .map(|it| RAM_USE.sample([pool.as_str()], f64::from(it))),
    );
    found.extend(
        host.disk_percent
            .map(|it| DISK_USE.sample([pool.as_str()], f64::from(it))),
    );
    found
}
