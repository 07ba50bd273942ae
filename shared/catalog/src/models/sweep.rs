//! What nobody else will do: uploads that were given up, checks that were lost, deletions that are final.

use std::time::Duration;

use cloud::{
    Write, chain, on_conflict,
    tables::{AwaitedLoras, AwaitedOf, CatalogKey, Deletions, Uploads},
};
use model::{AwaitedLora, CatalogEntry, Deletion, Millis, ModelUpload, UploadState, UserId};

use crate::uploads::UPLOAD_LIMIT;

use super::{
    ModelError, Place,
    audited::{NOBODY, line},
    check,
    check::{check_lora, refuse, users},
    upload::{LIFE, forget, give_up, join},
};

/// Looks after everything that is late. Done again, or by two at once, it comes to the same.
pub async fn sweep(place: &Place<'_>, now: Millis) -> Result<(), ModelError> {
    let store = place.store;
    let (uploads, deletions, loras) =
        tokio::try_join!(store.list(Uploads), store.list(Deletions), store.list(AwaitedLoras))?;
    let mut failed = None;
    for deletion in deletions.iter().filter(|it| now.since(it.at) >= CatalogEntry::UNDELETE) {
        if let Err(error) = purge(place, deletion, now).await {
            tracing::warn!(
                model.key = deletion.what,
                error = chain(&error),
                "a model could not be deleted for good"
            );
            failed = Some(error);
        }
    }
    for upload in &uploads {
        if let Err(error) = look_after(place, upload, now).await {
            tracing::warn!(upload.id = %upload.id, error = chain(&error), "an upload could not be looked after");
            failed = Some(error);
        }
    }
    for lora in loras.iter().filter(|it| now.since(it.at) >= LATE) {
        if let Err(error) = look_for(place, lora, now).await {
            tracing::warn!(
                lora.sha256 = lora.hash,
                error = chain(&error),
                "a LoRA could not be looked after"
            );
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Looks at a LoRA whose file has come, whether or not S3's word of it was heard; forgets it when nothing can come any more.
async fn look_for(place: &Place<'_>, lora: &AwaitedLora, now: Millis) -> Result<(), ModelError> {
    let there = place.models.head(&lora.key()).await?.is_some();
    if there {
        check_lora(place, &lora.of, &lora.hash, now).await?;
    } else if now.since(lora.at) < place.settings.url_life + UPLOAD_LIMIT {
        return Ok(());
    }
    on_conflict!({
        let id = AwaitedOf(lora.of.clone(), lora.hash.clone());
        match place.store.get(&id).await? {
            // It may have been asked for again.
            Some(mut it) if it.at == lora.at => Ok(place.store.commit([Write::delete(&mut it)]).await?),
            _ => Ok::<_, ModelError>(()),
        }
    })
}

async fn look_after(place: &Place<'_>, upload: &ModelUpload, now: Millis) -> Result<(), ModelError> {
    let over = upload.until <= now;
    match &upload.state {
        UploadState::Receiving if over => give_up(place, upload).await,
        UploadState::Receiving => Ok(()),
        UploadState::Checking if over => refuse(place, &upload.id, "It could not be checked. Bring it again.").await,
        // S3's word that the object is there, or the answer of whoever looked at it, was lost. Somebody may be at it.
        UploadState::Checking if now + LIFE < upload.until + LATE => Ok(()),
        UploadState::Checking => {
            join(place, upload, now).await?;
            check(place, &upload.owner_team, &upload.sha256, now).await
        }
        state if over => forget(place, &upload.id, state.clone()).await,
        _ => Ok(()),
    }
}

/// A check that has not come to its end after so long is made again: as long as the function has for one.
const LATE: Duration = Duration::from_mins(15);

/// Deletes an entry for good, and its file if nothing else uses that. The deletion's own item goes last and knows the file:
/// what breaks off is done again.
async fn purge(place: &Place<'_>, deletion: &Deletion, now: Millis) -> Result<(), ModelError> {
    let store = place.store;
    let key = CatalogKey(deletion.of.clone(), deletion.what.clone());
    match store.get(&key).await? {
        // It was had back.
        Some(entry) if entry.deleted.is_none() => return done(place, deletion).await,
        Some(mut entry) => store.commit([Write::delete(&mut entry)]).await?,
        None => {}
    }
    // A LoRA that came by the plugin is the whole team's by its hash; `ops lora remove` takes it away.
    if let Some(master) = deletion.master.as_ref().filter(|it| !it.by_plugin) {
        let file = master.key();
        if users(place, &file, &master.home).await?.is_empty() {
            place.models.delete(&file).await?;
            // Whoever was registered in this moment has no file.
            for mut entry in users(place, &file, &master.home).await? {
                tracing::error!(
                    model.key = entry.key(),
                    "a model came while its file was deleted; it is withdrawn"
                );
                let said = line(&UserId::new(NOBODY), "withdraw model", Some(&entry), None, now)?;
                let mut writes = vec![Write::delete(&mut entry)];
                writes.extend(said);
                store.commit_all(&writes).await?;
            }
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
