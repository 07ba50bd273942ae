use cloud::{
    Store, StoreError, Write, on_conflict,
    tables::{DocumentOf, DocumentsOf, HistoryOf, StepOf},
};
use model::{Account, Document, DocumentId, Millis, Task, UserId};
use tracing::info;

use super::{
    class,
    consent::{HistoryError, switch},
};

/// Steps that are deleted with one write. Each has up to 115 KB, and a transaction may have 4 MB.
const AT_ONCE: u32 = 20;

/// Deletes the history of a document for good: it is recorded no more, then every step goes, then what is kept of the document
/// itself. Where the team records a class, the painter's refusal is what stays. Doing it again goes on where it was cut off.
pub async fn delete(store: &Store, account: &Account, document: &DocumentId, now: Millis) -> Result<(), HistoryError> {
    let id = DocumentOf(account.user_id.clone(), document.clone());
    if store.get(&id).await?.is_none() {
        return Err(HistoryError::NoDocument);
    }
    // From here on nothing is added, since each step is written with the document.
    switch(store, account, document, false, None, now).await?;
    empty(store, &account.user_id, document).await?;
    let refused = class(store, &account.team).await?;
    clear(store, &id, refused).await?;
    info!(user.id = %account.user_id, "a history was deleted");
    Ok(())
}

/// Deletes every history of a painter, and records none that they do not switch on again.
pub async fn delete_all(store: &Store, account: &Account, now: Millis) -> Result<(), HistoryError> {
    let refused = class(store, &account.team).await?;
    if refused {
        switch(store, account, &DocumentId::unnamed(), false, None, now).await?;
    }
    loop {
        let page = store.page(DocumentsOf(&account.user_id), None, 50).await?;
        let left = |it: &&Document| !(refused && it.document.is_unnamed() && it.steps == 0);
        let left: Vec<_> = page.entries.iter().filter(left).collect();
        if left.is_empty() {
            return Ok(());
        }
        for document in left {
            switch(store, account, &document.document, false, None, now).await?;
            empty(store, &account.user_id, &document.document).await?;
            let kept = refused && document.document.is_unnamed();
            let id = DocumentOf(account.user_id.clone(), document.document.clone());
            clear(store, &id, kept).await?;
        }
    }
}

/// Deletes every step of a document that is recorded no more.
async fn empty(store: &Store, owner: &UserId, document: &DocumentId) -> Result<(), StoreError> {
    loop {
        let page = store.page(HistoryOf(owner, Some(document)), None, AT_ONCE).await?;
        let mut steps = page.entries;
        if steps.is_empty() {
            return Ok(());
        }
        let writes: Vec<_> = steps.iter_mut().map(Write::delete).collect();
        match store.commit_all(&writes).await {
            // Somebody else deletes, or was about to add when it was stopped: read again.
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Deletes what is kept of a document without steps, or all but its owner's refusal.
async fn clear(store: &Store, id: &DocumentOf, refused: bool) -> Result<(), StoreError> {
    on_conflict!({
        let Some(mut document) = store.get(id).await? else {
            return Ok(());
        };
        // Switched on again meanwhile: it is another history.
        if document.recording == Some(true) {
            return Ok(());
        }
        let write = if refused {
            (document.steps, document.name) = (0, String::new());
            Write::put(&mut document)?
        } else {
            Write::delete(&mut document)
        };
        store.commit([write]).await
    })
}

/// Deletes the step of a task that is deleted, if it has one.
pub async fn forget(store: &Store, task: &Task) -> Result<(), StoreError> {
    let Some(id) = &task.document else { return Ok(()) };
    let step = StepOf(task.owner.clone(), id.clone(), task.created, task.task_id);
    let document = DocumentOf(task.owner.clone(), id.clone());
    on_conflict!({
        let (step, document) = tokio::try_join!(store.get(&step), store.get(&document))?;
        let Some(mut step) = step else { return Ok(()) };
        let mut writes = vec![Write::delete(&mut step)];
        if let Some(mut document) = document {
            document.steps = document.steps.saturating_sub(1);
            writes.push(Write::put(&mut document)?);
        }
        store.commit_all(&writes).await
    })
}

/// Deletes everything that History has of a user, whichever release has written it; how much that was.
pub async fn erase(store: &Store, user: &UserId) -> Result<usize, StoreError> {
    let mut gone = 0;
    loop {
        let page = store.page(HistoryOf(user, None), None, AT_ONCE).await?;
        let mut entries = page.entries;
        if entries.is_empty() {
            return Ok(gone);
        }
        let writes: Vec<_> = entries.iter_mut().map(Write::delete).collect();
        match store.commit_all(&writes).await {
            Ok(()) => gone += writes.len(),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
}
