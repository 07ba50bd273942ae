use base64::{Engine, prelude::BASE64_STANDARD};
use cloud::{Store, StoreError, Write, chain, on_conflict, tables::StepOf};
use model::{Account, Applied, Document, DocumentId, Millis, Parameters, Step, StepPictures, Task, TaskState};
use tracing::{error, info, warn};

use super::consent::{Heard, HistoryError};

/// The step of a task that is about to be let in, and its document.
#[derive(Debug)]
pub(crate) struct Opened {
    document: Document,
    step: Step,
}

/// Opens the step of this task, if what was said of its document lets it be recorded.
pub(crate) async fn open(
    store: &Store,
    account: &Account,
    document: &DocumentId,
    task: &Task,
    parameters: Option<&Parameters>,
) -> Result<Option<Opened>, StoreError> {
    let heard = match Heard::read(store, (&account.user_id, &account.team), document, task.created).await {
        // It may say no, and it must not keep anybody from painting.
        Err(problem @ StoreError::Shape { .. }) => {
            error!(user.id = %account.user_id, error = chain(&problem), "consent cannot be read; nothing is recorded");
            return Ok(None);
        }
        heard => heard?,
    };
    if !heard.is_wanted() || heard.document.steps >= Document::MOST_STEPS {
        return Ok(None);
    }
    let step = Step {
        owner: account.user_id.clone(),
        document: document.clone(),
        task_id: task.task_id,
        version: 0,
        asked: task.created,
        ended: None,
        parameters: parameters.cloned(),
        pictures: StepPictures::default(),
        applied: Vec::new(),
    };
    let mut document = heard.document;
    document.steps += 1;
    document.last = task.created;
    document.team.clone_from(&account.team);
    Ok(Some(Opened { document, step }))
}

impl Opened {
    /// Which document.
    pub(crate) const fn document(&self) -> &DocumentId {
        &self.document.document
    }

    /// What is written together with the task.
    pub(crate) fn writes(&mut self) -> Result<[Write; 2], StoreError> {
        Ok([Write::put(&mut self.step)?, Write::put(&mut self.document)?])
    }
}

/// The step of a task, with its document, while it may still be added to: it is there, and its painter has not changed
/// their mind.
async fn still_open(store: &Store, document: &DocumentId, task: &Task) -> Result<Option<Opened>, StoreError> {
    let id = StepOf(task.owner.clone(), document.clone(), task.created, task.task_id);
    let heard = Heard::read(store, (&task.owner, &task.team), document, task.created);
    let (step, heard) = tokio::try_join!(store.get(&id), heard)?;
    Ok(step.filter(|_| heard.is_wanted()).map(|step| Opened {
        document: heard.document,
        step,
    }))
}

/// Adds to a task's step what `add` says; false if there is nothing to add to, or `add` wants nothing.
async fn add(store: &Store, task: &Task, now: Millis, add: impl Fn(&mut Step) -> bool) -> Result<bool, StoreError> {
    let Some(id) = &task.document else { return Ok(false) };
    on_conflict!({
        let Some(mut opened) = still_open(store, id, task).await? else {
            return Ok(false);
        };
        if !add(&mut opened.step) {
            return Ok(false);
        }
        opened.document.last = opened.document.last.max(now);
        store.commit(opened.writes()?).await?;
        Ok::<_, StoreError>(true)
    })
}

/// A run has brought a task's pictures, and these of them small. A failure costs the small pictures and nothing else, so it is
/// only logged. Doing it twice does no harm.
pub async fn finished(store: &Store, task: &Task, pictures: &StepPictures, now: Millis) {
    if task.document.is_none() || task.state != TaskState::Succeeded {
        return;
    }
    let pictures = sound(pictures);
    let done = add(store, task, now, |step| {
        let first = step.ended.is_none();
        step.ended = task.ended_at.or(Some(now));
        step.pictures.clone_from(&pictures);
        first
    });
    match done.await {
        Ok(true) => info!(task.id = %task.task_id, "a step was recorded"),
        Ok(false) => {}
        Err(error) => warn!(task.id = %task.task_id, error = chain(&error), "a step's pictures were not recorded"),
    }
}

/// Those of a worker's small pictures that are WebP and no larger than they may be. The others keep their numbers.
fn sound(pictures: &StepPictures) -> StepPictures {
    let mut left = StepPictures::MOST_RESULTS;
    let mut results = Vec::new();
    for text in pictures.results.iter().take(StepPictures::RESULTS) {
        let size = webp(text).filter(|size| *size <= left);
        left -= size.unwrap_or(0);
        results.push(size.map_or_else(String::new, |_| text.clone()));
    }
    StepPictures {
        input: pictures.input.clone().filter(|it| webp(it).is_some()),
        results,
    }
}

/// The size of a small picture in bytes; none if it is not one.
fn webp(text: &str) -> Option<usize> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let sound = bytes.len() <= StepPictures::MOST && bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    if !sound {
        warn!(bytes = bytes.len(), "a worker's small picture is none");
    }
    sound.then_some(bytes.len())
}

/// The owner has put one of a task's pictures into the document. Says whether that was recorded.
pub async fn applied(store: &Store, task: &Task, picture: u32, now: Millis) -> Result<bool, HistoryError> {
    Ok(add(store, task, now, |step| {
        let again = step.applied.last().is_some_and(|it| it.picture == picture);
        let new = !again && step.applied.len() < Step::MOST_APPLIED;
        if new {
            step.applied.push(Applied { picture, at: now });
        }
        new
    })
    .await?)
}
