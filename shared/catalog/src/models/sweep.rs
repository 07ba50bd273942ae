//! What nobody else will do: uploads that were given up, checks that were lost, deletions that are final.

use cloud::{
    Write, chain, on_conflict,
    tables::{CatalogKey, Deletions, Uploads},
};
use model::{CatalogEntry, Deletion, Millis, ModelUpload, UploadState};

use super::{
    ModelError, Place, check,
    check::is_used,
    upload::{forget, give_up, join},
};

/// Looks after everything that is late. Done again, or by two at once, it comes to the same.
pub async fn sweep(place: &Place<'_>, now: Millis) -> Result<(), ModelError> {
    let (uploads, deletions) = tokio::try_join!(place.store.list(Uploads), place.store.list(Deletions))?;
    let mut failed = None;
    for upload in &uploads {
        if let Err(error) = look_after(place, upload, now).await {
            tracing::warn!(upload.id = %upload.id, error = chain(&error), "an upload could not be looked after");
            failed = Some(error);
        }
    }
    for deletion in deletions.iter().filter(|it| now.since(it.at) >= CatalogEntry::UNDELETE) {
        if let Err(error) = purge(place, deletion).await {
            tracing::warn!(
                model.key = deletion.what,
                error = chain(&error),
                "a model could not be deleted for good"
            );
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn look_after(place: &Place<'_>, upload: &ModelUpload, now: Millis) -> Result<(), ModelError> {
    let over = upload.until <= now;
    match &upload.state {
        UploadState::Receiving if over => give_up(place, upload).await,
        UploadState::Receiving => Ok(()),
        // S3's word that the object is there, or the answer of whoever looked at it, was lost.
        UploadState::Checking => {
            join(place, upload, now).await?;
            check(place, &upload.owner_team, &upload.sha256, now).await
        }
        state if over => forget(place, &upload.id, state.clone()).await,
        _ => Ok(()),
    }
}

/// Deletes an entry for good, and its file if nothing else uses that. The deletion's own item goes last: what breaks off is
/// done again.
async fn purge(place: &Place<'_>, deletion: &Deletion) -> Result<(), ModelError> {
    let store = place.store;
    let key = CatalogKey(deletion.of.clone(), deletion.what.clone());
    let entry = store.get(&key).await?;
    if entry.as_ref().is_some_and(|it| it.deleted.is_none()) {
        // It was had back.
        return done(place, deletion).await;
    }
    if let Some(mut entry) = entry {
        let master = entry.master.clone();
        store.commit([Write::delete(&mut entry)]).await?;
        if let Some(master) = master
            && !is_used(place, &master.home, &master.sha256).await?
        {
            place.models.delete(&master.key()).await?;
        }
    }
    done(place, deletion).await
}

async fn done(place: &Place<'_>, deletion: &Deletion) -> Result<(), ModelError> {
    on_conflict!({
        let id = cloud::tables::DeletionOf(deletion.of.clone(), deletion.what.clone());
        match place.store.get(&id).await? {
            Some(mut it) if it.at == deletion.at => Ok(place.store.commit([Write::delete(&mut it)]).await?),
            _ => Ok::<_, ModelError>(()),
        }
    })
}
