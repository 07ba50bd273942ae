//! The way of a file into the bucket.

use std::time::Duration;

use cloud::{
    Write,
    multipart::{Completed, MOST_PARTS, NewPart, Part, SMALLEST_PART, sum_of},
    on_conflict,
    tables::{CatalogOf, UploadOf, Uploads},
};
use model::{Account, CatalogEntry, Millis, ModelUpload, Settings, TeamId, UploadState, UserId};
use workflow::Arch;

use super::{Access, ModelError, Place, check::check_known};

/// Size of a part of all but the largest files, bytes: a broken line costs one of them.
const PART: u64 = 64 << 20;
/// Most parts that one call gives addresses for.
const MOST_URLS: usize = 100;
/// An upload that is not complete for so long was given up; one that is over is remembered for as long.
pub(super) const LIFE: Duration = Duration::from_hours(7 * 24);
/// Most uploads of a user that are not over, and that are remembered.
const MOST_OPEN: usize = 50;
const MOST_KNOWN: usize = 500;
/// Most entries of a team, and private ones of a user: each submit's catalogue has all of them.
const MOST_ENTRIES: usize = 5000;
const MOST_PRIVATE: usize = 200;
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
    /// Who is to use it.
    pub access: Access,
    /// Its architecture, where more is known than its tensors show.
    pub arch: Option<String>,
    /// What its author allows.
    pub licence: Option<String>,
    /// Where it is from.
    pub source: Option<String>,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// There is this file by this name already.
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

/// Of bounded length and without control characters; none if nothing is left.
pub(super) fn plain(text: Option<String>) -> Option<String> {
    let plain = text.map(|it| {
        it.chars()
            .filter(|c| !c.is_control())
            .take(MAX_TEXT)
            .collect::<String>()
    });
    plain.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty())
}

/// An architecture of the protocol's.
pub(super) fn known_arch(arch: Option<String>) -> Result<Option<String>, ModelError> {
    let Some(arch) = arch.filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    match Arch::from(arch.clone()) {
        Arch::Unknown(_) => Err(ModelError::Invalid(format!(
            "`arch` is none that is known: {}. Leave it out to have it found in the file.",
            arch.chars().take(40).filter(|c| !c.is_control()).collect::<String>()
        ))),
        _ => Ok(Some(arch)),
    }
}

/// Whether a model may be called so. `#` parts the keys of the table; slashes would be another folder to some program; what
/// is not seen, or turns the line round, would make one name look like another.
pub(super) fn is_name(name: &str) -> bool {
    let hidden =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let odd = |c: char| c.is_control() || hidden(c) || matches!(c, '#' | '/' | '\\');
    !name.is_empty() && name.chars().count() <= MAX_NAME && !name.contains(odd) && !name.chars().all(|c| c == '.')
}

fn checked(wish: Wish, settings: &Settings) -> Result<Wish, ModelError> {
    let invalid = |text: String| Err(ModelError::Invalid(text));
    let name = wish.name.trim().to_owned();
    if !is_name(&name) {
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
    Ok(Wish {
        name,
        sha256,
        arch: known_arch(wish.arch)?,
        licence: plain(wish.licence),
        source: plain(wish.source),
        ..wish
    })
}

/// Begins an upload, or goes on with the one that the same user has begun for the same file and name.
pub async fn begin(place: &Place<'_>, account: &Account, wish: Wish, now: Millis) -> Result<Begun, ModelError> {
    if !wish.access.is_granted_to(account) {
        return Err(wish.access.refusal());
    }
    let wish = checked(wish, place.settings)?;
    let team = wish.access.team(&account.team);
    let store = place.store;
    let (entries, uploads) = tokio::try_join!(store.list(CatalogOf(team.as_str())), store.list(Uploads))?;
    let same = |entry: &&CatalogEntry| {
        entry.name == wish.name
            && entry.deleted.is_none()
            && entry.is_for(&account.user_id)
            && Access::of(entry) == wish.access
            && entry.master.as_ref().is_some_and(|it| it.sha256 == wish.sha256)
    };
    if let Some(entry) = entries.iter().find(same) {
        return Ok(Begun::There(entry.clone()));
    }
    let own = uploads.into_iter().filter(|it| it.owner == account.user_id);
    let own: Vec<_> = own.collect();
    let is_open = |it: &ModelUpload| matches!(it.state, UploadState::Receiving | UploadState::Checking);
    let private = wish.access == Access::Private;
    let same = |it: &&ModelUpload| {
        is_open(it)
            && (&it.owner_team, it.private, it.size) == (&team, private, wish.size)
            && (it.sha256.as_str(), it.name.as_str()) == (wish.sha256.as_str(), wish.name.as_str())
    };
    if let Some(upload) = own.iter().find(same) {
        return Ok(Begun::Upload(upload.clone()));
    }
    let open: Vec<_> = own.iter().filter(|it| is_open(it)).collect();
    if open.len() >= MOST_OPEN || own.len() >= MOST_KNOWN {
        return Err(ModelError::TooEarly(
            "There are too many uploads of yours: 50 that are not finished, or 500 in a week. Finish some, end them, or wait.",
        ));
    }
    let privates = entries
        .iter()
        .filter(|it| Access::of(it) == Access::Private && it.is_for(&account.user_id));
    if entries.len() >= MOST_ENTRIES || (private && privates.count() >= MOST_PRIVATE) {
        return Err(ModelError::TooEarly(
            "There are as many models as there may be: 5000 of a team, 200 of a painter's own. Delete some.",
        ));
    }
    let open = open
        .iter()
        .filter(|it| it.owner_team == team)
        .map(|it| (it.sha256.as_str(), it.size));
    has_room(
        place.settings,
        &team,
        &entries,
        open.chain([(wish.sha256.as_str(), wish.size)]),
    )?;
    let mut upload = ModelUpload {
        owner_team: team,
        id: uuid::Uuid::now_v7().to_string(),
        version: 0,
        owner: account.user_id.clone(),
        name: wish.name,
        sha256: wish.sha256,
        size: wish.size,
        upload: String::new(),
        private,
        arch: wish.arch,
        licence: wish.licence,
        source: wish.source,
        created: now,
        sum: None,
        state: UploadState::Receiving,
        until: now + LIFE,
    };
    upload.upload = place.masters.begin(&upload.key()).await?;
    if let Err(error) = store.commit([Write::put(&mut upload)?]).await {
        // Without its item nobody would ever end it but the bucket's own rule, after days.
        let _ = place.masters.abort(&upload.key(), &upload.upload).await;
        return Err(error.into());
    }
    Ok(Begun::Upload(upload))
}

/// Refuses files that would be too much for their team. Each master counts once, whatever its names.
fn has_room<'a>(
    settings: &Settings,
    team: &TeamId,
    entries: &'a [CatalogEntry],
    coming: impl Iterator<Item = (&'a str, u64)>,
) -> Result<(), ModelError> {
    let masters = entries.iter().filter_map(|entry| entry.master.as_ref());
    let mut sizes: Vec<_> = masters
        .filter(|it| it.home == *team)
        .map(|it| (it.sha256.as_str(), it.size))
        .chain(coming)
        .collect();
    // The largest size that is said of a file counts.
    sizes.sort_unstable_by_key(|(sha256, size)| (*sha256, std::cmp::Reverse(*size)));
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
async fn own(place: &Place<'_>, user: &UserId, id: &str) -> Result<ModelUpload, ModelError> {
    if uuid::Uuid::parse_str(id).is_err() {
        return Err(ModelError::NoUpload);
    }
    let upload = place.store.get(&UploadOf(id.to_owned())).await?;
    upload.filter(|it| it.owner == *user).ok_or(ModelError::NoUpload)
}

/// How far it is.
pub async fn progress(place: &Place<'_>, user: &UserId, id: &str) -> Result<Progress, ModelError> {
    let upload = own(place, user, id).await?;
    let parts = match upload.state {
        UploadState::Receiving => place
            .masters
            .parts(&upload.key(), &upload.upload)
            .await?
            .unwrap_or_default(),
        _ => Vec::new(),
    };
    Ok(Progress { upload, parts })
}

/// Addresses to put these parts at: numbers from 1 on, with the SHA-256 of each in base64.
pub async fn urls(
    place: &Place<'_>,
    user: &UserId,
    id: &str,
    parts: &[(u32, String)],
) -> Result<Vec<(u32, String)>, ModelError> {
    let upload = own(place, user, id).await?;
    if upload.state != UploadState::Receiving {
        return Err(ModelError::TooEarly("All parts of this upload are there already."));
    }
    let count = part_count(upload.size);
    if parts.is_empty() || parts.len() > MOST_URLS || parts.iter().any(|(number, _)| !(1..=count).contains(number)) {
        return Err(ModelError::Invalid(format!(
            "1 to {MOST_URLS} parts at once, with numbers from 1 to {count}."
        )));
    }
    if parts.iter().any(|(_, sha256)| crate::uploads::hex(sha256).is_none()) {
        return Err(ModelError::Invalid(
            "`sha256` of a part is to be the base64 of its SHA-256.".to_owned(),
        ));
    }
    let (full, key) = (part_size(upload.size), upload.key());
    let mut urls = Vec::with_capacity(parts.len());
    for (number, sha256) in parts {
        let before = u64::from(number - 1) * full;
        let part = NewPart {
            number: *number,
            size: full.min(upload.size - before),
            sha256: sha256.clone(),
        };
        let life = place.settings.url_life;
        let url = place.masters.presign_part(&key, &upload.upload, &part, life).await?;
        urls.push((*number, url));
    }
    Ok(urls)
}

/// All parts are there: makes them one object, which is then looked at.
pub async fn complete(place: &Place<'_>, account: &Account, id: &str, now: Millis) -> Result<ModelUpload, ModelError> {
    let upload = own(place, &account.user_id, id).await?;
    // What they were when it began, they may not be any more.
    let access = if upload.owner_team.as_str() == CatalogEntry::SHARED {
        Access::Shared
    } else if upload.private {
        Access::Private
    } else {
        Access::Team
    };
    if !access.is_granted_to(account) {
        return Err(access.refusal());
    }
    join(place, &upload, now).await?;
    own(place, &account.user_id, id).await
}

/// Makes one object of an upload's parts. Done again it comes to the same, wherever it broke off.
pub(super) async fn join(place: &Place<'_>, upload: &ModelUpload, now: Millis) -> Result<(), ModelError> {
    if !matches!(upload.state, UploadState::Receiving | UploadState::Checking) {
        return Ok(());
    }
    let key = upload.key();
    let parts = place.masters.parts(&key, &upload.upload).await?;
    if upload.state == UploadState::Receiving {
        let whole = parts.as_ref().filter(|parts| {
            parts.len() as u64 == u64::from(part_count(upload.size))
                && parts.iter().map(|part| part.size).sum::<u64>() == upload.size
        });
        let Some(parts) = whole else {
            return Err(ModelError::TooEarly("Some parts of this upload are not there yet."));
        };
        // Before there is an object: whoever hears of that must find the upload waiting.
        set_checking(place, &upload.id, &sum_of(parts), now).await?;
    }
    let Some(parts) = parts else { return Ok(()) };
    if place.masters.complete(&key, &upload.upload, &parts).await? == Completed::Exists {
        place.masters.abort(&key, &upload.upload).await?;
        // Nobody tells of an object that was there before.
        check_known(place, &upload.owner_team, &upload.sha256, now).await?;
    }
    Ok(())
}

async fn set_checking(place: &Place<'_>, id: &str, sum: &str, now: Millis) -> Result<(), ModelError> {
    on_conflict!({
        match place.store.get(&UploadOf(id.to_owned())).await? {
            Some(mut upload) if upload.state == UploadState::Receiving => {
                upload.state = UploadState::Checking;
                upload.sum = Some(sum.to_owned());
                upload.until = now + LIFE;
                place.store.commit([Write::put(&mut upload)?]).await?;
                Ok(())
            }
            _ => Ok::<_, ModelError>(()),
        }
    })
}

/// Gives an upload up, and leaves nothing of it.
pub async fn end(place: &Place<'_>, user: &UserId, id: &str) -> Result<ModelUpload, ModelError> {
    let upload = own(place, user, id).await?;
    if upload.state != UploadState::Receiving {
        return Err(ModelError::TooEarly(
            "This upload is complete. Delete the model instead.",
        ));
    }
    give_up(place, &upload).await?;
    Ok(upload)
}

/// Ends an upload whose parts are not all there.
pub(super) async fn give_up(place: &Place<'_>, upload: &ModelUpload) -> Result<(), ModelError> {
    place.masters.abort(&upload.key(), &upload.upload).await?;
    forget(place, &upload.id, UploadState::Receiving).await
}

/// Deletes an upload's item while it is in this state.
pub(super) async fn forget(place: &Place<'_>, id: &str, state: UploadState) -> Result<(), ModelError> {
    on_conflict!({
        match place.store.get(&UploadOf(id.to_owned())).await? {
            Some(mut upload) if upload.state == state => {
                place.store.commit([Write::delete(&mut upload)]).await?;
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
