//! The way of a file into the bucket.

use std::time::Duration;

use cloud::{
    Cloud, Write,
    multipart::{Completed, MOST_PARTS, Multipart, NewPart, Part, SMALLEST_PART},
    on_conflict,
    tables::{CatalogOf, UploadOf, Uploads},
};
use model::{CatalogEntry, Millis, ModelUpload, Settings, TeamId, UploadState, UserId};

use super::ModelError;

/// Size of a part of all but the largest files, bytes: a broken line costs one of them.
const PART: u64 = 64 << 20;
/// Most parts that one call gives addresses for.
const MOST_URLS: usize = 100;
/// An upload of which nothing was heard for so long was given up.
const LIFE: Duration = Duration::from_hours(7 * 24);
/// Longest name of a model, characters.
const MAX_NAME: usize = 120;
/// Longest licence or source, characters.
const MAX_TEXT: usize = 300;

/// What somebody wants to bring.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The name that painters are to see; another version of the model, if there is one.
    pub name: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Size of the file, bytes.
    pub size: u64,
    /// Only who brings it is to see it.
    pub private: bool,
    /// What its author allows.
    pub licence: Option<String>,
    /// Where it is from.
    pub source: Option<String>,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// The team has this file by this name already.
    There(CatalogEntry),
    /// It is to be brought, or looked at.
    Upload(ModelUpload),
}

/// How far an upload is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The upload.
    pub upload: ModelUpload,
    /// The parts that S3 has.
    pub parts: Vec<Part>,
}

/// Size of each part but the last of a file of this size, bytes.
pub fn part_size(size: u64) -> u64 {
    let needed = size.div_ceil(u64::from(MOST_PARTS)).next_multiple_of(1 << 20);
    needed.max(PART).max(SMALLEST_PART)
}

/// How many parts a file of this size has.
pub fn part_count(size: u64) -> u32 {
    // At most MOST_PARTS, by the size of a part.
    size.div_ceil(part_size(size)) as u32
}

fn checked(wish: Wish, settings: &Settings) -> Result<Wish, ModelError> {
    let invalid = |text: String| Err(ModelError::Invalid(text));
    let name = wish.name.trim().to_owned();
    // `#` parts the keys of the table; the rest would be another folder to some program.
    if name.is_empty()
        || name.chars().count() > MAX_NAME
        || name.contains(['#', '/', '\\'])
        || name.contains(char::is_control)
    {
        return invalid(format!(
            "A model's name has 1 to {MAX_NAME} characters, and none of # / \\."
        ));
    }
    let sha256 = wish.sha256.to_ascii_lowercase();
    if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return invalid("`sha256` is to be the file's SHA-256 as 64 hexadecimal digits.".to_owned());
    }
    if wish.size == 0 || wish.size > settings.max_model {
        let most = settings.max_model / 1_000_000_000;
        return invalid(format!("A model file has at least one byte and at most {most} GB."));
    }
    let short = |text: Option<String>| text.map(|it| it.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect());
    Ok(Wish {
        name,
        sha256,
        licence: short(wish.licence),
        source: short(wish.source),
        ..wish
    })
}

/// Begins an upload, or goes on with the one that the same user has begun for the same file and name.
pub async fn begin(
    cloud: &Cloud,
    masters: &Multipart,
    settings: &Settings,
    (team, user): (&TeamId, &UserId),
    wish: Wish,
    now: Millis,
) -> Result<Begun, ModelError> {
    let wish = checked(wish, settings)?;
    let (entries, uploads) = tokio::try_join!(cloud.store.list(CatalogOf(team.as_str())), cloud.store.list(Uploads))?;
    let same = |entry: &&CatalogEntry| {
        entry.name == wish.name
            && entry.deleted.is_none()
            && entry.master.as_ref().is_some_and(|it| it.sha256 == wish.sha256)
    };
    if let Some(entry) = entries.iter().find(same) {
        return Ok(Begun::There(entry.clone()));
    }
    let mut own = uploads
        .into_iter()
        .filter(|it| it.owner_team == *team && it.owner == *user && it.sha256 == wish.sha256 && it.name == wish.name);
    if let Some(upload) = own.find(|it| matches!(it.state, UploadState::Receiving | UploadState::Checking)) {
        return Ok(Begun::Upload(upload));
    }
    has_room(settings, team, &entries, &wish)?;
    let mut upload = ModelUpload {
        owner_team: team.clone(),
        id: uuid::Uuid::now_v7().to_string(),
        version: 0,
        owner: user.clone(),
        name: wish.name,
        sha256: wish.sha256,
        size: wish.size,
        upload: String::new(),
        private: wish.private,
        licence: wish.licence,
        source: wish.source,
        created: now,
        state: UploadState::Receiving,
        expires: (now + LIFE).0 / 1000,
    };
    upload.upload = masters.begin(&upload.key()).await?;
    if let Err(error) = cloud.store.commit([Write::put(&mut upload)?]).await {
        // Without its item nobody would ever end it but the bucket's own rule, after days.
        let _ = masters.abort(&upload.key(), &upload.upload).await;
        return Err(error.into());
    }
    Ok(Begun::Upload(upload))
}

/// Refuses a file that would be too much for its team. Each master counts once, whatever its names.
fn has_room(settings: &Settings, team: &TeamId, entries: &[CatalogEntry], wish: &Wish) -> Result<(), ModelError> {
    let masters = entries.iter().filter_map(|entry| entry.master.as_ref());
    let mut sizes: Vec<_> = masters
        .filter(|it| it.home == *team)
        .map(|it| (it.sha256.as_str(), it.size))
        .chain([(wish.sha256.as_str(), wish.size)])
        .collect();
    sizes.sort_unstable();
    sizes.dedup_by_key(|it| it.0);
    let wanted: u64 = sizes.iter().map(|it| it.1).sum();
    if wanted > settings.max_team_model_bytes {
        let gb = |bytes: u64| bytes.div_ceil(1_000_000_000);
        return Err(ModelError::Full {
            wanted: gb(wanted),
            most: gb(settings.max_team_model_bytes),
        });
    }
    Ok(())
}

/// The upload, if it is this user's.
async fn own(cloud: &Cloud, (team, user): (&TeamId, &UserId), id: &str) -> Result<ModelUpload, ModelError> {
    let upload = cloud.store.get(&UploadOf(id.to_owned())).await?;
    let own = |it: &ModelUpload| it.owner_team == *team && it.owner == *user;
    upload.filter(own).ok_or(ModelError::Unknown)
}

/// How far it is.
pub async fn progress(
    cloud: &Cloud,
    masters: &Multipart,
    who: (&TeamId, &UserId),
    id: &str,
) -> Result<Progress, ModelError> {
    let upload = own(cloud, who, id).await?;
    let parts = match upload.state {
        UploadState::Receiving => masters.parts(&upload.key(), &upload.upload).await?.unwrap_or_default(),
        _ => Vec::new(),
    };
    Ok(Progress { upload, parts })
}

/// Addresses to put these parts at: numbers from 1 on, with the SHA-256 of each in base64.
pub async fn urls(
    cloud: &Cloud,
    masters: &Multipart,
    settings: &Settings,
    who: (&TeamId, &UserId),
    id: &str,
    parts: &[(u32, String)],
) -> Result<Vec<(u32, String)>, ModelError> {
    let upload = own(cloud, who, id).await?;
    if upload.state != UploadState::Receiving {
        return Err(ModelError::TooEarly("All parts of this upload are there already."));
    }
    let count = part_count(upload.size);
    if parts.is_empty() || parts.len() > MOST_URLS || parts.iter().any(|(number, _)| !(1..=count).contains(number)) {
        return Err(ModelError::Invalid(format!(
            "1 to {MOST_URLS} parts at once, with numbers from 1 to {count}."
        )));
    }
    let full = part_size(upload.size);
    let mut urls = Vec::with_capacity(parts.len());
    for (number, sha256) in parts {
        let before = u64::from(number - 1) * full;
        let part = NewPart {
            number: *number,
            size: full.min(upload.size - before),
            sha256: sha256.clone(),
        };
        let url = masters
            .presign_part(&upload.key(), &upload.upload, &part, settings.url_life)
            .await;
        urls.push((*number, url?));
    }
    Ok(urls)
}

/// All parts are there: makes them one object, which is then looked at.
pub async fn complete(
    cloud: &Cloud,
    masters: &Multipart,
    who: (&TeamId, &UserId),
    id: &str,
) -> Result<ModelUpload, ModelError> {
    let upload = own(cloud, who, id).await?;
    if upload.state != UploadState::Receiving {
        return Ok(upload);
    }
    let key = upload.key();
    // None: it was completed before, and only the answer or the item was lost.
    if let Some(parts) = masters.parts(&key, &upload.upload).await? {
        let whole = parts.len() as u64 == u64::from(part_count(upload.size))
            && parts.iter().map(|part| part.size).sum::<u64>() == upload.size;
        if !whole {
            return Err(ModelError::TooEarly("Some parts of this upload are not there yet."));
        }
        if masters.complete(&key, &upload.upload, &parts).await? == Completed::Exists {
            masters.abort(&key, &upload.upload).await?;
        }
    }
    on_conflict!({
        let mut upload = own(cloud, who, id).await?;
        if upload.state == UploadState::Receiving {
            upload.state = UploadState::Checking;
            cloud.store.commit([Write::put(&mut upload)?]).await?;
        }
        Ok::<_, ModelError>(upload)
    })
}

/// Gives an upload up, and leaves nothing of it.
pub async fn end(cloud: &Cloud, masters: &Multipart, who: (&TeamId, &UserId), id: &str) -> Result<(), ModelError> {
    let upload = own(cloud, who, id).await?;
    if upload.state != UploadState::Receiving {
        return Err(ModelError::TooEarly(
            "This upload is complete. Delete the model instead.",
        ));
    }
    masters.abort(&upload.key(), &upload.upload).await?;
    on_conflict!({
        match cloud.store.get(&UploadOf(id.to_owned())).await? {
            Some(mut upload) if upload.state == UploadState::Receiving => {
                cloud.store.commit([Write::delete(&mut upload)]).await?;
                Ok(())
            }
            _ => Ok::<_, ModelError>(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_fits_into_parts() {
        for size in [
            1,
            SMALLEST_PART,
            PART,
            PART + 1,
            6_938_040_682,
            640 << 30,
            700 << 30,
            5 << 40,
        ] {
            let (part, count) = (part_size(size), u64::from(part_count(size)));
            assert!(part >= SMALLEST_PART && count <= u64::from(MOST_PARTS), "{size}");
            assert!((count - 1) * part < size && size <= count * part, "{size}");
        }
    }
}
