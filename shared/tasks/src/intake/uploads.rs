use cloud::{Cloud, Write, on_conflict};
use model::{Millis, Settings, Usage, UserId};
use uuid::Uuid;

use super::IntakeError;

/// A place for the pictures of one request: one blob.
#[derive(Debug)]
pub struct ImagePlace {
    /// A presigned PUT.
    pub url: String,
    /// What to call it in a request.
    pub object: String,
}

/// Where uploaded objects lie.
pub const UPLOADS: &str = "uploads/";

/// Where a user's uploaded object lies. The user comes from the token, so nobody reaches another's.
pub(super) fn upload_key(user: &UserId, object: &str) -> String {
    format!("{UPLOADS}{user}/{object}")
}

/// A place to upload pictures to. Nothing says how large they are, so what limits a painter is the number of places that
/// are open: those that no request has named yet and whose address lives.
pub async fn image_place(
    cloud: &Cloud,
    settings: &Settings,
    user: &UserId,
    now: Millis,
) -> Result<ImagePlace, IntakeError> {
    let object = Uuid::new_v4().simple().to_string();
    on_conflict!({
        let mut usage = accounts::usage(&cloud.store, user, now).await?;
        open(&mut usage, &object, settings, now)?;
        cloud.store.commit([Write::put(&mut usage)?]).await?;
        Ok::<_, IntakeError>(())
    })?;
    let key = upload_key(user, &object);
    let url = cloud.bucket.presign_put(&key, None, settings.upload_life).await?;
    Ok(ImagePlace { url, object })
}

fn open(usage: &mut Usage, object: &str, settings: &Settings, now: Millis) -> Result<(), IntakeError> {
    usage.uploads.retain(|_, dies| *dies > now);
    if usage.uploads.len() >= settings.max_open_uploads as usize {
        let first = usage.uploads.values().min();
        let wait = first.map_or(settings.upload_life, |first| first.since(now));
        return Err(IntakeError::TooManyUploads { wait });
    }
    usage.uploads.insert(object.to_owned(), now + settings.upload_life);
    Ok(())
}
