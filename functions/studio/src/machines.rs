//! What an operator sees of a pool: how it stands, what it costs, which machines there are.

use accounts::audit::of_pool;
use maud::{Markup, html};
use model::{GpuUse, Millis, Pool, Worker, WorkerState};
use policy::{breaker, meter, scale};

use crate::{
    App, charts,
    read::{MACHINES, Seen, rank},
    words::{ago, hours, id, model, name, to, usd},
};

/// The pool and its machines.
pub(crate) fn pool(app: &App, seen: &Seen, now: Millis) -> Markup {
    html! {
        nav aria-label="Pools" {
            @for it in &seen.pools {
                a aria-current=[(*it == seen.pool).then_some("page")] href=(to("studio", &[("pool", it.as_str())])) { (name(it.as_str())) } " "
            }
        }
        @match &seen.line.pool {
            None => p.warning role="alert" { "There is no pool " (name(seen.pool.as_str())) " (any more). Whoever paints there waits in vain: give them another one, or make it with ops pool set." },
            Some(pool) => {
                (standing(app, pool, &seen.line.workers, now))
                (machines(seen, now))
                (charts::day(pool, &seen.line.workers, now))
            }
        }
    }
}

fn standing(app: &App, pool: &Pool, workers: &[Worker], now: Millis) -> Markup {
    let (day, month) = (meter::today(pool, workers, now), meter::this_month(pool, workers, now));
    let up = workers.iter().filter(|it| it.state.is_up()).count();
    let failed = pool.breaker.outcomes.iter().filter(|it| !it.ok).count();
    let paused = scale::paused(pool, workers, &app.settings, now);
    let act = |deed: &str, words: &str| {
        let href = to("studio/act", &[("do", deed), ("pool", pool.pool.as_str())]);
        html! { a.button.quiet.small href=(href) { (words) } " " }
    };
    html! {
        section #pool data-live="" {
            h2 { "Pool " (name(pool.pool.as_str())) }
            @if let Some(words) = paused { p.warning { "Painters who wait are told: “" (words) "”" } }
            dl {
                dt { "Machines" } dd { (up) " up, at most " (pool.max_workers) }
                dt { "Starts" } dd {
                    (of_pool(pool)[0]) "; " (breaker_words(app, pool, now))
                    ", " (failed) " of the last " (pool.breaker.outcomes.len()) " starts failed"
                }
                dt { "Capacity" } dd {
                    @match pool.no_capacity_at {
                        Some(at) => { "the last launch that found none was " (ago(at, now)) " ago" }
                        None => "every launch found some",
                    }
                }
                dt { "Today (UTC)" } dd { (hours(day.time)) ", " (usd(day.cost)) }
                dt { "This month" } dd { (hours(month.time)) ", " (usd(month.cost)) @if let Some(limit) = pool.monthly_limit { " of " (usd(limit)) } @else { ", no limit" } @if meter::is_lifted(pool, now) { " (lifted)" } }
            }
            @if let Some(percent) = meter::percent(pool, workers, now) {
                (charts::share(percent, &format!("{percent} % of the month’s limit")))
                p.soft { (percent) " % of the month’s limit" }
            }
            p.buttons {
                @if pool.breaker.forced.is_none() { (act("pause", "Pause starts")) } @else { (act("resume", "Resume starts")) }
                (act("limits", "Limits"))
                @if pool.monthly_limit.is_some() {
                    @if meter::is_lifted(pool, now) { (act("hold", "Let the limit hold")) } @else { (act("lift", "Lift the limit")) }
                }
                (act("wake", "Wake a machine"))
            }
        }
    }
}

fn breaker_words(app: &App, pool: &Pool, now: Millis) -> &'static str {
    match breaker::verdict(&pool.breaker, &app.settings, now) {
        breaker::Verdict::Closed => "nothing holds them",
        breaker::Verdict::Probe => "one is tried next",
        breaker::Verdict::Open => "none at the moment",
    }
}

fn machines(seen: &Seen, now: Millis) -> Markup {
    let mut workers: Vec<_> = seen
        .line
        .workers
        .iter()
        .filter(|it| it.state != WorkerState::Gone)
        .collect();
    workers.sort_by(|a, b| (rank(a.state), &a.worker_id).cmp(&(rank(b.state), &b.worker_id)));
    let more = workers.len().saturating_sub(MACHINES);
    html! {
        section #machines data-live="" {
            h2 { "Machines" }
            @if workers.is_empty() { p { "None: the next who paints starts one." } }
            @else {
                @if more > 0 { p { (workers.len()) " in all; the first " (MACHINES) " are shown, those that do something first." } }
                div.scroll tabindex="0" role="region" aria-label="Machines" {
                    table {
                        thead { tr {
                            th scope="col" { "Machine" } th scope="col" { "State" } th scope="col" { "GPU" } th scope="col" { "Model" }
                            th scope="col" { "Renders" } th scope="col" { "Idle since" } th scope="col" { "Actions" }
                        } }
                        tbody { @for worker in workers.into_iter().take(MACHINES) { (row(worker, seen, now)) } }
                    }
                }
            }
        }
    }
}

fn row(worker: &Worker, seen: &Seen, now: Millis) -> Markup {
    let task = worker.run.and_then(|run| seen.rendered.get(&run.task_id));
    html! {
        tr {
            th scope="row" { (id(worker.worker_id.as_str())) @if let Some(kind) = &worker.instance_type { br; span.soft { (kind) } } }
            td {
                (format!("{:?}", worker.state).to_lowercase()) " for " (ago(worker.state_since, now))
                @if worker.dismissed.is_some() { ", is to stop" }
                @if worker.silent_since.is_some() { ", silent" }
            }
            td { (gpu(worker.gpu)) }
            td { (model(worker.models.first().map(String::as_str))) }
            td {
                @match (task, worker.run) {
                    (Some(task), _) => { (model(task.model.as_deref())) " for " (name(task.owner.as_str())) ", " (format!("{:.0} %", task.progress() * 100.0)) }
                    (None, Some(run)) => (id(&run.task_id.to_string())),
                    (None, None) => "–",
                }
            }
            td { (worker.idle_since.map_or("–".to_owned(), |at| ago(at, now))) }
            td { (links(worker)) }
        }
    }
}

fn gpu(used: Option<GpuUse>) -> String {
    let used = used.unwrap_or_default();
    let percent = used.percent.map(|it| format!("{it} %"));
    let gib = |mib: u64| mib as f64 / 1024.0;
    let vram = used.vram_used_mib.zip(used.vram_total_mib);
    let vram = vram.map(|(used, total)| format!("{:.1} of {:.0} GB", gib(used), gib(total)));
    let known: Vec<_> = percent.into_iter().chain(vram).collect();
    if known.is_empty() {
        "–".to_owned()
    } else {
        known.join(", ")
    }
}

/// What may be done about a machine.
fn links(worker: &Worker) -> Markup {
    let link = |deed: &str, words: &str| {
        let href = to("studio/act", &[("do", deed), ("worker", worker.worker_id.as_str())]);
        html! { a href=(href) { (words) } " " }
    };
    let stoppable = worker.state.is_up() && !matches!(worker.state, WorkerState::Stopping | WorkerState::Failed);
    html! {
        @if stoppable {
            @if worker.dismissed.is_none() { (link("drain", "Drain")) } @else { (link("keep", "Keep")) }
            @if worker.dismissed.is_none() || worker.run.is_some() { (link("stop", "Stop")) }
        }
        @if let Some(run) = worker.run {
            a href=(to("studio/act", &[("do", "requeue"), ("task", &run.task_id.to_string())])) { "Requeue" } " "
            a href=(to("studio/act", &[("do", "cancel"), ("task", &run.task_id.to_string())])) { "Cancel" }
        }
    }
}
