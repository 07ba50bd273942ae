//! Looking at a file that has come, and taking it into the catalogue.

use std::{collections::BTreeMap, fmt::Write as _};

use cloud::{
    StoreError, Write,
    bucket::BucketError,
    multipart::Multipart,
    on_conflict,
    tables::{CatalogOf, UploadOf, Uploads},
};
use futures_util::{StreamExt, stream};
use model::{CatalogEntry, Master, Millis, ModelUpload, TeamId, UploadState};
use sha2::{Digest, Sha256};

use super::{ModelError, Place};
use crate::inspect::{self, Inspected, LENGTH};

/// Bytes that are read at once.
const CHUNK: u64 = 16 << 20;
/// How many of those are on their way while one is looked at.
const AHEAD: usize = 4;
/// What somebody is told whose file is another one than they said.
pub(super) const OTHER_BYTES: &str = "The file's SHA-256 is not the one that was said. Bring it again.";

/// What a file is, as far as an entry says so.
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
    let store = place.store;
    let mut waiting = store.list(Uploads).await?;
    waiting.retain(|it| it.owner_team == *team && it.sha256 == sha256 && it.state == UploadState::Checking);
    let Some(first) = waiting.first() else {
        return Ok(());
    };
    let entries = store.list(CatalogOf(team.as_str())).await?;
    let known = entries.iter().find_map(|entry| known(entry, team, sha256));
    let verdict = match known {
        Some(found) => Ok(found),
        None => look(place, first).await?,
    };
    for upload in &waiting {
        match &verdict {
            Ok(found) => register(place, upload, found, now).await?,
            Err(why) => refuse(place, &upload.id, why).await?,
        }
    }
    if verdict.is_err() && !is_used(place, team, sha256).await? {
        place.models.delete(&first.key()).await?;
    }
    Ok(())
}

/// What was found out about the same bytes before.
fn known(entry: &CatalogEntry, team: &TeamId, sha256: &str) -> Option<Found> {
    let master = entry.master.as_ref()?;
    (master.home == *team && master.sha256 == sha256).then(|| Found {
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
async fn look(place: &Place<'_>, upload: &ModelUpload) -> Result<Result<Found, String>, BucketError> {
    let (key, masters) = (upload.key(), place.masters);
    let Some(stored) = place.models.head(&key).await? else {
        return Ok(Err("The file is not there any more. Bring it again.".to_owned()));
    };
    if stored.size != upload.size {
        return Ok(Err(format!("The file has {} bytes, not {}.", stored.size, upload.size)));
    }
    // The header first: a pickle of 10 GB need not be read to its end.
    let start = masters.read(&key, 0, LENGTH as u64).await?;
    let end = match inspect::header_end(&start, upload.size) {
        Ok(end) => end,
        Err(why) => return Ok(Err(why.to_string())),
    };
    let header = masters.read(&key, LENGTH as u64, end - LENGTH as u64).await?;
    let found = match inspect::inspect(&header, upload.size) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why.to_string())),
    };
    if hash(masters, &key, upload.size).await? != upload.sha256 {
        return Ok(Err(OTHER_BYTES.to_owned()));
    }
    Ok(judge(found, upload.arch.as_deref()))
}

/// SHA-256 of the whole, hexadecimal: S3 knows only those of the parts.
async fn hash(masters: &Multipart, key: &str, size: u64) -> Result<String, BucketError> {
    let mut hash = Sha256::new();
    let starts = (0..size.div_ceil(CHUNK)).map(|place| place * CHUNK);
    let chunks = stream::iter(starts).map(|from| masters.read(key, from, CHUNK));
    let mut chunks = chunks.buffered(AHEAD);
    while let Some(bytes) = chunks.next().await {
        hash.update(&bytes?);
    }
    let digest = hash.finalize();
    Ok(digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// What an entry is to say of it, or why no picture could ever be painted with it.
fn judge(file: Inspected, said: Option<&str>) -> Result<Found, String> {
    let (found, training) = (file.found, file.training);
    let Some(kind) = found.kind.map(inspect::Kind::name) else {
        return Err("Nothing that ComfyUI could use was found in the file.".to_owned());
    };
    let arch = found.arch.as_ref().map(ToString::to_string);
    let arch = match (arch, said) {
        // Those that are made from SDXL have its tensors.
        (Some(arch), Some(said)) if arch == said || (arch == "sdxl" && said.starts_with("illu")) => {
            Some(said.to_owned())
        }
        (Some(arch), Some(said)) => return Err(format!("The file is for {arch}, not for {said}.")),
        (arch, said) => arch.or(said.map(str::to_owned)),
    };
    let is_main = matches!(kind, "checkpoint" | "diffusion_model");
    if is_main && arch.is_none() {
        return Err(
            "The model is of an architecture that is not known here. If it is, name it with `arch`.".to_owned(),
        );
    }
    let said = [
        ("title", training.title),
        ("author", training.author),
        ("base", training.base),
        ("rank", training.rank.map(|it| it.to_string())),
        ("steps", training.steps.map(|it| it.to_string())),
    ];
    Ok(Found {
        kind: kind.to_owned(),
        arch,
        format: is_main.then(|| {
            if kind == "checkpoint" {
                "checkpoint"
            } else {
                "diffusion"
            }
            .to_owned()
        }),
        licence: training.licence,
        words: training.words,
        resolution: training.resolution,
        training: said
            .into_iter()
            .filter_map(|(name, it)| Some((name.to_owned(), it?)))
            .collect(),
    })
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
        let newest = entries
            .iter()
            .filter(|it| it.kind == found.kind && it.name == upload.name)
            .map(|it| it.number)
            .max();
        let mut entry = entry(&upload, found, newest.unwrap_or(0) + 1, now);
        upload.state = UploadState::Registered {
            kind: entry.kind.clone(),
            number: entry.number,
        };
        store
            .commit([Write::put(&mut entry)?, Write::put(&mut upload)?])
            .await?;
        Ok::<_, ModelError>(Some(entry))
    })?;
    let Some(mut entry) = registered else { return Ok(()) };
    // What was deleted for good while this was registered takes the object with it.
    if place.models.head(&upload.key()).await?.is_none() {
        tracing::warn!(
            model.name = upload.name,
            "a model's file was deleted while it was registered"
        );
        store.commit([Write::delete(&mut entry)]).await?;
    }
    Ok(())
}

fn entry(upload: &ModelUpload, found: &Found, number: u32, now: Millis) -> CatalogEntry {
    let master = Master {
        sha256: upload.sha256.clone(),
        size: upload.size,
        home: upload.owner_team.clone(),
        owner: upload.owner.clone(),
        created: now,
        private: upload.private,
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
        number,
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

/// Whether the catalogue names the team's file of this SHA-256: its own part, or that of all teams, to which it may have gone.
pub(super) async fn is_used(place: &Place<'_>, home: &TeamId, sha256: &str) -> Result<bool, StoreError> {
    let store = place.store;
    let (own, shared) = tokio::try_join!(
        store.list(CatalogOf(home.as_str())),
        store.list(CatalogOf(CatalogEntry::SHARED))
    )?;
    let uses = |entry: &CatalogEntry| {
        let master = entry.master.as_ref();
        master.is_some_and(|it| it.sha256 == sha256 && it.home == *home)
    };
    Ok(own.iter().chain(&shared).any(uses))
}
