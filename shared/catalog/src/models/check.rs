//! Looking at a file that has come, and taking it into the catalogue.

use std::collections::BTreeMap;

use cloud::{
    StoreError, Write,
    bucket::BucketError,
    multipart::{Multipart, Object},
    on_conflict,
    tables::{CatalogOf, LoraOf, NumbersOf, UploadOf, Uploads},
};
use futures_util::{StreamExt, stream};
use model::{CatalogEntry, Master, Millis, ModelUpload, Numbers, TeamId, UploadState, UserId};
use sha2::{Digest, Sha256};

use super::{
    ModelError, Place,
    audited::{NOBODY, line},
    upload::is_name,
};
use crate::inspect::{self, Inspected, LENGTH};

/// Bytes that are read at once.
const CHUNK: u64 = 16 << 20;
/// How many of those are on their way while one is looked at.
const AHEAD: usize = 4;
/// What somebody is told whose file is another one than they said.
pub(super) const OTHER_BYTES: &str = "The file's SHA-256 is not the one that was said. Bring it again.";

/// What a file is, as far as an entry says so.
#[derive(Debug, Clone)]
struct Found {
    kind: String,
    arch: Option<String>,
    format: Option<String>,
    licence: Option<String>,
    words: Vec<String>,
    resolution: Option<u32>,
    training: BTreeMap<String, String>,
}

/// Looks at a team's file of this SHA-256, and registers or refuses every upload that waits for that. Done again, or by
/// two at once, it comes to the same.
pub async fn check(place: &Place<'_>, team: &TeamId, sha256: &str, now: Millis) -> Result<(), ModelError> {
    settle(place, team, sha256, true, now).await
}

/// The same where the file was looked at before, without looking at it again.
pub(super) async fn check_known(place: &Place<'_>, team: &TeamId, sha256: &str, now: Millis) -> Result<(), ModelError> {
    settle(place, team, sha256, false, now).await
}

async fn waiting(place: &Place<'_>, team: &TeamId, sha256: &str) -> Result<Vec<ModelUpload>, StoreError> {
    let mut waiting = place.store.list(Uploads).await?;
    waiting.retain(|it| it.owner_team == *team && it.sha256 == sha256 && it.state == UploadState::Checking);
    Ok(waiting)
}

async fn settle(place: &Place<'_>, team: &TeamId, sha256: &str, look_at: bool, now: Millis) -> Result<(), ModelError> {
    let Some(first) = waiting(place, team, sha256).await?.into_iter().next() else {
        return Ok(());
    };
    let key = first.key();
    let object = place.masters.object(&key).await?;
    let Some((object, sum)) = object.and_then(|it| Some((it.clone(), it.sum?))) else {
        return missing(place, team, sha256).await;
    };
    let entries = place.store.list(CatalogOf(team.as_str())).await?;
    let verdict = match entries.iter().find_map(|entry| known(entry, &key)) {
        Some(found) => Ok(found),
        None if !look_at => return Ok(()),
        None => look(place.masters, &key, &object, sha256).await?.and_then(describe),
    };
    // Whoever came meanwhile with the same bytes is answered too. Whoever only knows the hash has other bytes, and with them
    // another sum.
    let waiting = waiting(place, team, sha256).await?;
    let answers: Vec<_> = waiting
        .iter()
        .map(|upload| match &upload.sum {
            Some(other) if *other != sum => Err(OTHER_BYTES.to_owned()),
            _ => verdict
                .clone()
                .and_then(|found| with_arch(found, upload.arch.as_deref())),
        })
        .collect();
    if answers.iter().all(Result::is_err) && !is_used(place, &key, team).await? {
        // First the file: what breaks off now is looked at again, and the words are found again. This very file: what was refused
        // is in nobody's way for thirty days, and another one may have come in its place.
        place.masters.discard(&key, &object).await?;
    }
    for (upload, answer) in waiting.iter().zip(answers) {
        match answer {
            Ok(found) => register(place, upload, &found, now).await?,
            Err(why) => refuse(place, &upload.id, &why).await?,
        }
    }
    Ok(())
}

/// There is no file: those of whose parts nothing is left either need not wait for one.
async fn missing(place: &Place<'_>, team: &TeamId, sha256: &str) -> Result<(), ModelError> {
    for upload in waiting(place, team, sha256).await? {
        if place.masters.parts(&upload.key(), &upload.upload).await?.is_none() {
            refuse(place, &upload.id, "The file is not there any more. Bring it again.").await?;
        }
    }
    Ok(())
}

/// Looks at a LoRA that came by the plugin's upload, whose bytes S3 itself has held to their hash, and takes it among the
/// models of who brought it. One that is none, or of which nobody knows who that was, is in no list; it is found by its hash
/// all the same.
pub async fn check_lora(place: &Place<'_>, team: &TeamId, sha256: &str, now: Millis) -> Result<(), ModelError> {
    let store = place.store;
    let Some(lora) = store.get(&LoraOf(team.clone(), sha256.to_owned())).await? else {
        return Ok(());
    };
    let Some(owner) = lora.by.clone() else { return Ok(()) };
    let (key, masters) = (lora.key(), place.masters);
    let Some(object) = masters.object(&key).await? else {
        return Ok(());
    };
    let start = masters.read(&key, &object, 0, LENGTH as u64).await?;
    let Ok(end) = inspect::header_end(&start, lora.size) else {
        return Ok(());
    };
    let header = masters.read(&key, &object, LENGTH as u64, end - LENGTH as u64).await?;
    let found = inspect::inspect(&header, lora.size)
        .ok()
        .and_then(|it| describe(it).ok());
    let Some(found) = found.filter(|it| it.kind == inspect::Kind::Lora.name()) else {
        return Ok(());
    };
    let title = found.training.get("title").map(|it| it.trim().to_owned());
    let name = title
        .filter(|it| is_name(it))
        .unwrap_or_else(|| sha256.chars().take(8).collect());
    on_conflict!({
        let entries = store.list(CatalogOf(team.as_str())).await?;
        if entries.iter().any(|entry| known(entry, &key).is_some()) {
            return Ok(());
        }
        let master = Master {
            sha256: sha256.to_owned(),
            size: lora.size,
            home: team.clone(),
            owner: owner.clone(),
            created: now,
            private: true,
            by_plugin: true,
            words: found.words.clone(),
            resolution: found.resolution,
            training: found.training.clone(),
        };
        let mut entry = CatalogEntry {
            arch: found.arch.clone(),
            licence: found.licence.clone(),
            ..CatalogEntry::on_images(team.clone(), &found.kind, &name, &master.file(team))
        };
        entry.master = Some(master);
        let mut numbers = give_number(place, &mut entry, &entries).await?;
        let mut writes = vec![Write::put(&mut entry)?, Write::put(&mut numbers)?];
        writes.extend(line(&owner, "add LoRA", None, Some(&entry), now)?);
        Ok::<_, ModelError>(store.commit_all(&writes).await?)
    })
}

/// Which numbers a model's versions have had. Of one that had some before anybody wrote them down, `entries` say it.
pub(super) async fn numbers(
    place: &Place<'_>,
    of: &CatalogEntry,
    entries: &[CatalogEntry],
) -> Result<Numbers, StoreError> {
    let id = NumbersOf(of.team.clone(), of.model());
    let known = place.store.get(&id).await?;
    let mut numbers = known.unwrap_or_else(|| Numbers::new(&of.team, of.model()));
    let seen = entries
        .iter()
        .filter(|it| it.team == of.team && it.model() == numbers.model);
    numbers.last = seen.map(|it| it.number).fold(numbers.last, u32::max);
    Ok(numbers)
}

/// Gives an entry that is about to be registered the next number of its model: one that no version has had, not even one that is
/// gone for good, since somebody may have noted it.
async fn give_number(
    place: &Place<'_>,
    entry: &mut CatalogEntry,
    entries: &[CatalogEntry],
) -> Result<Numbers, StoreError> {
    let mut numbers = numbers(place, entry, entries).await?;
    numbers.last = numbers.last.saturating_add(1);
    entry.number = numbers.last;
    Ok(numbers)
}

/// What was found out about the same file before.
fn known(entry: &CatalogEntry, key: &str) -> Option<Found> {
    let master = entry.master.as_ref()?;
    (master.key() == key).then(|| Found {
        kind: entry.kind.clone(),
        arch: entry.arch.clone(),
        format: entry.format.clone(),
        licence: entry.licence.clone(),
        words: master.words.clone(),
        resolution: master.resolution,
        training: master.training.clone(),
    })
}

/// What the file is, or why it is not taken.
async fn look(
    masters: &Multipart,
    key: &str,
    object: &Object,
    sha256: &str,
) -> Result<Result<Inspected, String>, BucketError> {
    // The header first: a pickle of 10 GB need not be read to its end.
    let start = masters.read(key, object, 0, LENGTH as u64).await?;
    let end = match inspect::header_end(&start, object.size) {
        Ok(end) => end,
        Err(why) => return Ok(Err(why.to_string())),
    };
    let header = masters.read(key, object, LENGTH as u64, end - LENGTH as u64).await?;
    let found = match inspect::inspect(&header, object.size) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why.to_string())),
    };
    if hash(masters, key, object).await? != sha256 {
        return Ok(Err(OTHER_BYTES.to_owned()));
    }
    Ok(Ok(found))
}

/// SHA-256 of the whole, hexadecimal: S3 knows only those of the parts.
async fn hash(masters: &Multipart, key: &str, object: &Object) -> Result<String, BucketError> {
    let mut hash = Sha256::new();
    let starts = (0..object.size.div_ceil(CHUNK)).map(|place| place * CHUNK);
    let chunks = stream::iter(starts).map(|from| masters.read(key, object, from, CHUNK));
    let mut chunks = chunks.buffered(AHEAD);
    while let Some(bytes) = chunks.next().await {
        hash.update(&bytes?);
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// What an entry is to say of it, or why nothing could ever be painted with it.
fn describe(file: Inspected) -> Result<Found, String> {
    let (found, training) = (file.found, file.training);
    let Some(kind) = found.kind.map(inspect::Kind::name) else {
        return Err("Nothing that ComfyUI could use was found in the file.".to_owned());
    };
    let said = [
        ("title", training.title),
        ("author", training.author),
        ("base", training.base),
        ("rank", training.rank.map(|it| it.to_string())),
        ("steps", training.steps.map(|it| it.to_string())),
    ];
    let format = match kind {
        "checkpoint" => Some("checkpoint"),
        "diffusion_model" => Some("diffusion"),
        _ => None,
    };
    Ok(Found {
        kind: kind.to_owned(),
        arch: found.arch.as_ref().map(ToString::to_string),
        format: format.map(str::to_owned),
        licence: training.licence,
        words: training.words,
        resolution: training.resolution,
        training: said
            .into_iter()
            .filter_map(|(name, it)| Some((name.to_owned(), it?)))
            .collect(),
    })
}

/// The same with the architecture that its owner says, where that can be.
fn with_arch(mut found: Found, said: Option<&str>) -> Result<Found, String> {
    found.arch = match (found.arch, said) {
        // Those that are made from SDXL have its tensors.
        (Some(arch), Some(said)) if arch == said || (arch == "sdxl" && said.starts_with("illu")) => {
            Some(said.to_owned())
        }
        (Some(arch), Some(said)) => return Err(format!("The file is for {arch}, not for {said}.")),
        (arch, said) => arch.or(said.map(str::to_owned)),
    };
    // Only main models have a format.
    if found.format.is_some() && found.arch.is_none() {
        return Err(
            "The model is of an architecture that is not known here. If it is, name it with `arch`.".to_owned(),
        );
    }
    Ok(found)
}

async fn register(place: &Place<'_>, upload: &ModelUpload, found: &Found, now: Millis) -> Result<(), ModelError> {
    let store = place.store;
    let registered = on_conflict!({
        let Some(mut upload) = store.get(&UploadOf(upload.id.clone())).await? else {
            return Ok(None);
        };
        if upload.state != UploadState::Checking {
            return Ok(None);
        }
        let entries = store.list(CatalogOf(upload.owner_team.as_str())).await?;
        // Two may have begun with the same wish at once.
        let there = entries.iter().find(|it| is_same(it, &upload, found));
        if let Some(number) = there.map(|it| it.number) {
            upload.state = UploadState::Registered {
                kind: found.kind.clone(),
                number,
            };
            store.commit([Write::put(&mut upload)?]).await?;
            return Ok(None);
        }
        let mut entry = entry(&upload, found, now);
        let mut numbers = give_number(place, &mut entry, &entries).await?;
        upload.state = UploadState::Registered {
            kind: entry.kind.clone(),
            number: entry.number,
        };
        let mut writes = vec![
            Write::put(&mut entry)?,
            Write::put(&mut upload)?,
            Write::put(&mut numbers)?,
        ];
        writes.extend(line(&upload.owner, "add model", None, Some(&entry), now)?);
        store.commit_all(&writes).await?;
        Ok::<_, ModelError>(Some(entry))
    })?;
    let Some(mut entry) = registered else { return Ok(()) };
    // What was deleted for good while this was registered takes the object with it.
    if place.models.head(&upload.key()).await?.is_none() {
        tracing::warn!(
            model.name = upload.name,
            "a model's file was deleted while it was registered"
        );
        withdraw(place, &mut entry, &upload.id, now).await?;
    }
    Ok(())
}

/// Whether the entry is what the upload would become.
fn is_same(entry: &CatalogEntry, upload: &ModelUpload, found: &Found) -> bool {
    let master = entry.master.as_ref();
    entry.deleted.is_none()
        && (&entry.kind, &entry.name) == (&found.kind, &upload.name)
        && master.is_some_and(|it| {
            it.key() == upload.key() && it.private == upload.private && (!it.private || it.owner == upload.owner)
        })
}

/// Takes an entry back whose file is gone, and says so to who brought it.
async fn withdraw(place: &Place<'_>, entry: &mut CatalogEntry, id: &str, now: Millis) -> Result<(), ModelError> {
    let said = line(&UserId::new(NOBODY), "withdraw model", Some(entry), None, now)?;
    let mut writes = vec![Write::delete(entry)];
    writes.extend(said);
    if let Some(mut upload) = place.store.get(&UploadOf(id.to_owned())).await? {
        upload.state = UploadState::Refused {
            why: "It was deleted for good meanwhile. Bring it again.".to_owned(),
        };
        writes.push(Write::put(&mut upload)?);
    }
    Ok(place.store.commit_all(&writes).await?)
}

fn entry(upload: &ModelUpload, found: &Found, now: Millis) -> CatalogEntry {
    let master = Master {
        sha256: upload.sha256.clone(),
        size: upload.size,
        home: upload.owner_team.clone(),
        owner: upload.owner.clone(),
        created: now,
        private: upload.private,
        by_plugin: false,
        words: found.words.clone(),
        resolution: found.resolution,
        training: found.training.clone(),
    };
    let file = master.file(&upload.owner_team);
    CatalogEntry {
        arch: found.arch.clone(),
        format: found.format.clone(),
        licence: upload.licence.clone().or_else(|| found.licence.clone()),
        source: upload.source.clone(),
        master: Some(master),
        ..CatalogEntry::on_images(upload.owner_team.clone(), &found.kind, &upload.name, &file)
    }
}

pub(super) async fn refuse(place: &Place<'_>, id: &str, why: &str) -> Result<(), ModelError> {
    on_conflict!({
        match place.store.get(&UploadOf(id.to_owned())).await? {
            Some(mut upload) if upload.state == UploadState::Checking => {
                upload.state = UploadState::Refused { why: why.to_owned() };
                place.store.commit([Write::put(&mut upload)?]).await
            }
            _ => Ok::<_, StoreError>(()),
        }
    })?;
    Ok(())
}

/// The entries that name this file: in its team's part of the catalogue, or in that of all teams, to which it may have gone.
pub(super) async fn users(place: &Place<'_>, key: &str, home: &TeamId) -> Result<Vec<CatalogEntry>, StoreError> {
    // One after the other: what goes from one to the other is in the first or in the second.
    let mut entries = place.store.list(CatalogOf(home.as_str())).await?;
    entries.extend(place.store.list(CatalogOf(CatalogEntry::SHARED)).await?);
    entries.retain(|entry| entry.master.as_ref().is_some_and(|it| it.key() == key));
    Ok(entries)
}

async fn is_used(place: &Place<'_>, key: &str, home: &TeamId) -> Result<bool, StoreError> {
    Ok(!users(place, key, home).await?.is_empty())
}
