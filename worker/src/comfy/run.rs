//! One graph in ComfyUI: posted once, followed to its end, interrupted if need be.

use model::{Failure, RunId};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    client::Comfy,
    error::ComfyError,
    events::{Listener, RunEvent},
    replies::{History, OutputFile, Queue},
    trouble,
};
use crate::{config::Timing, error::chain};

/// How a graph ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It made this.
    Done(Made),
    /// A node failed.
    Failed(Failure),
    /// Somebody interrupted it.
    Interrupted,
}

/// What a graph made.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// In the order of the output nodes.
    pub(crate) files: Vec<OutputFile>,
    /// What was shown as text.
    pub(crate) texts: Vec<Value>,
}

/// ComfyUI has lost the run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunLost {
    /// Its process does not answer any more.
    #[error("ComfyUI has died")]
    Died(#[source] ComfyError),
    /// It answers and knows nothing of the run: it was restarted.
    #[error("ComfyUI has forgotten the run")]
    Forgotten,
}

/// So many failed looks in a row make a dead ComfyUI.
const LOOKS: u32 = 3;
/// So many looks follow quickly on the news of an end: the history is written at about the same time.
const HASTY: u32 = 20;

/// Posts a graph, unless ComfyUI already knows the run: posting twice renders twice.
pub(crate) async fn submit(
    comfy: &Comfy,
    id: RunId,
    client: &str,
    graph: &Map<String, Value>,
) -> Result<(), ComfyError> {
    if knows(comfy, id).await? {
        tracing::info!(run.id = %id, "ComfyUI already has this run");
        return Ok(());
    }
    match comfy.prompt(id, client, graph).await {
        // It may have been taken all the same.
        Err(slow @ ComfyError::Slow(_)) => {
            if knows(comfy, id).await? {
                Ok(())
            } else {
                Err(slow)
            }
        }
        other => other,
    }
}

async fn knows(comfy: &Comfy, id: RunId) -> Result<bool, ComfyError> {
    // In this order: between the looks a run goes from the queue to the history, never back.
    Ok(comfy.queue().await?.holds(&id.to_string()) || comfy.history(id).await?.is_some())
}

/// Waits for the end of a run, by its events and by looking.
pub(crate) async fn follow(
    comfy: &Comfy,
    id: RunId,
    listener: &mut Listener,
    timing: &Timing,
    mut report: impl FnMut(&RunEvent),
) -> Result<Ending, RunLost> {
    let name = id.to_string();
    let (mut failed_looks, mut hasty_looks, mut absent_since) = (0, 0_u32, None);
    let mut next_look = Instant::now() + timing.poll_blind;
    loop {
        tokio::select! {
            event = listener.next(&name) => {
                report(&event);
                if event != RunEvent::Ended {
                    continue;
                }
                hasty_looks = HASTY;
            }
            () = sleep_until(next_look) => hasty_looks = hasty_looks.saturating_sub(1),
        }
        let mut pause = match listener.is_open() {
            _ if hasty_looks > 0 => timing.poll_blind / 5,
            true => timing.poll,
            false => timing.poll_blind,
        };
        match look(comfy, id).await {
            Ok(Seen::Ended(history)) => return Ok(ending(history)),
            Ok(Seen::Queued) => (failed_looks, absent_since) = (0, None),
            Ok(Seen::Nowhere) => {
                // An entry may come into the history a little after the end. A broken socket points to a restart.
                failed_looks = 0;
                let patience = if listener.is_open() {
                    timing.poll
                } else {
                    timing.poll_blind
                };
                if absent_since.get_or_insert_with(Instant::now).elapsed() > patience * LOOKS {
                    return Err(RunLost::Forgotten);
                }
            }
            // It is slow while a node holds the interpreter; the run's own limit is the judge of that.
            Err(error @ ComfyError::Slow(_)) => tracing::debug!(error = chain(&error), "ComfyUI is slow"),
            Err(error) => {
                failed_looks += 1;
                if failed_looks >= LOOKS {
                    return Err(RunLost::Died(error));
                }
                pause = timing.poll_blind;
            }
        }
        next_look = Instant::now() + pause;
    }
}

enum Seen {
    Ended(History),
    Queued,
    Nowhere,
}

async fn look(comfy: &Comfy, id: RunId) -> Result<Seen, ComfyError> {
    if let Some(history) = comfy.history(id).await? {
        return Ok(Seen::Ended(history));
    }
    Ok(if comfy.queue().await?.holds(&id.to_string()) {
        Seen::Queued
    } else {
        Seen::Nowhere
    })
}

/// What a history entry tells. An interrupted run has the status "error", too.
pub(super) fn ending(history: History) -> Ending {
    let message = |kind: &str| history.status.messages.iter().find(|(found, _)| found == kind);
    if message("execution_interrupted").is_some() {
        return Ending::Interrupted;
    }
    if let Some((_, error)) = message("execution_error") {
        return Ending::Failed(trouble::failure(error));
    }
    if history.status.status_str == "error" {
        return Ending::Failed(trouble::failure(&Value::Null));
    }
    // Node ids are numbers; "10" comes after "9".
    let mut nodes: Vec<_> = history.outputs.into_iter().collect();
    nodes.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    let mut made = Made::default();
    for (_, output) in nodes {
        made.files.extend(output.images);
        made.texts.extend(output.text);
    }
    Ending::Done(made)
}

/// How an attempt to end a run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halted {
    /// It is over.
    Over,
    /// It does not end, or ComfyUI does not answer: ComfyUI must be restarted.
    Stuck,
}

/// Interrupts a run, or without one whatever ComfyUI has, again and again: an interrupt between two nodes can get lost.
pub(crate) async fn halt(comfy: &Comfy, id: Option<RunId>, timing: &Timing) -> Halted {
    let holds = |queue: &Queue| match id {
        Some(id) => queue.holds(&id.to_string()),
        None => !queue.is_empty(),
    };
    let deadline = Instant::now() + timing.interrupt_limit;
    let mut failed_looks = 0;
    while Instant::now() < deadline && failed_looks < LOOKS {
        let asked = match id {
            Some(id) => comfy.halt_once(id).await,
            None => comfy.halt_all_once().await,
        };
        if let Err(error) = asked {
            tracing::debug!(?id, error = chain(&error), "ComfyUI did not take the interrupt");
        }
        let again = Instant::now() + timing.interrupt_again;
        while Instant::now() < again && failed_looks < LOOKS {
            match comfy.queue().await {
                Ok(queue) if !holds(&queue) => return Halted::Over,
                Ok(_) | Err(ComfyError::Slow(_)) => failed_looks = 0,
                Err(_) => failed_looks += 1,
            }
            sleep(timing.interrupt_again / 10).await;
        }
    }
    Halted::Stuck
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn end(history: Value) -> Ending {
        ending(serde_json::from_value(history).unwrap())
    }

    #[test]
    fn interrupted_is_told_from_failed() {
        let status =
            |kind: &str| json!({"status": {"status_str": "error", "messages": [["execution_start", {}], [kind, {}]]}});
        assert!(matches!(end(status("execution_interrupted")), Ending::Interrupted));
        assert!(matches!(end(status("execution_error")), Ending::Failed(_)));
        assert!(matches!(end(status("other")), Ending::Failed(_)));
    }

    #[test]
    fn files_come_in_the_order_of_the_nodes() {
        let node = |name: &str| json!({"images": [{"filename": name, "subfolder": "s", "type": "output"}]});
        let done = end(json!({
            "outputs": {"10": node("b"), "9": node("a"), "11": {"text": ["x"]}},
            "status": {"status_str": "success", "messages": []}
        }));
        let Ending::Done(made) = done else { panic!("{done:?}") };
        assert_eq!(made.texts, ["x"]);
        assert_eq!(
            made.files.iter().map(|file| file.filename.as_str()).collect::<Vec<_>>(),
            ["a", "b"]
        );
    }
}
