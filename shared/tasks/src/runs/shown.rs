use cloud::metrics;
use model::{Task, metrics::STARTS};
use policy::measure;

/// A task that is over is measured; the write that ended it is committed.
pub(super) fn ended(task: &Task) {
    let (kind, model) = (task.lane.word(), task.model.as_deref().unwrap_or_default());
    metrics::note(
        measure::task(task),
        &[
            ("task.id", &task.task_id),
            ("pool", &task.pool),
            ("kind", &kind),
            ("model", &model),
        ],
    );
}

/// So is a start of which it is known what became of it.
pub(super) fn started(ok: bool) {
    metrics::note([STARTS.sample([if ok { "came_up" } else { "failed" }], 1.0)], &[]);
}
