use cloud::{Cloud, StoreError, Write};
use model::{Task, TaskState, Worker};

/// The writes of a task that has taken an edge: itself and, if it is over, its owner's usage, so that what it reserved is
/// settled with it and only then. `by`: the worker of its last run, whose type has a price.
pub(super) async fn writes(cloud: &Cloud, task: &mut Task, by: Option<&Worker>) -> Result<Vec<Write>, StoreError> {
    if !task.state.is_terminal() {
        return Ok(vec![Write::put(task)?]);
    }
    let usage = accounts::usage(&cloud.store, &task.owner, task.created);
    let (mut usage, pool) = tokio::try_join!(usage, cloud.store.get(&task.pool))?;
    if task.state == TaskState::Succeeded {
        let instance_type = by.and_then(|worker| worker.instance_type.as_deref());
        task.cost = policy::price::cost(pool.as_ref(), task, instance_type);
    }
    usage.settle(task);
    Ok(vec![Write::put(task)?, Write::put(&mut usage)?])
}
