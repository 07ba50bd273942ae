//! Looking at a file that has come, and taking it into the catalogue.

use std::fmt::Write as _;

use cloud::{
    Cloud, StoreError, Write,
    bucket::BucketError,
    multipart::Multipart,
    on_conflict,
    tables::{CatalogOf, UploadOf, Uploads},
};
use model::{CatalogEntry, Master, Millis, ModelUpload, TeamId, UploadState};
use sha2::{Digest, Sha256};

use super::ModelError;
use crate::inspect::{self, Inspected, Kind, LENGTH, Refused};

/// Bytes that are read at once.
const CHUNK: u64 = 16 << 20;

/// Looks at a team's file of this SHA-256, and registers or refuses every upload that waits for that. Done again, or by
/// two at once, it comes to the same.
pub async fn check(
    cloud: &Cloud,
    masters: &Multipart,
    team: &TeamId,
    sha256: &str,
    now: Millis,
) -> Result<(), ModelError> {
    let mut waiting = cloud.store.list(Uploads).await?;
    waiting.retain(|it| it.owner_team == *team && it.sha256 == sha256 && it.state == UploadState::Checking);
    let Some(first) = waiting.first() else {
        return Ok(());
    };
    let verdict = look(cloud, masters, first).await?;
    for upload in &waiting {
        match &verdict {
            Ok(found) => register(cloud, upload, found, now).await?,
            Err(why) => refuse(cloud, &upload.id, why).await?,
        }
    }
    if verdict.is_err() && !is_used(cloud, team, sha256).await? {
        cloud.models.delete(&first.key()).await?;
    }
    Ok(())
}

/// What the file is, or why it is not taken.
async fn look(
    cloud: &Cloud,
    masters: &Multipart,
    upload: &ModelUpload,
) -> Result<Result<Inspected, String>, BucketError> {
    let key = upload.key();
    let Some(stored) = cloud.models.head(&key).await? else {
        return Ok(Err("The file is not there any more. Bring it again.".to_owned()));
    };
    if stored.size != upload.size {
        return Ok(Err(format!("The file has {} bytes, not {}.", stored.size, upload.size)));
    }
    let refused = |why: Refused| Ok(Err(why.to_string()));
    // The header first: a pickle of 10 GB need not be read to its end.
    let start = masters.read(&key, 0, LENGTH as u64).await?;
    let end = match inspect::header_end(&start, upload.size) {
        Ok(end) => end,
        Err(why) => return refused(why),
    };
    let header = masters.read(&key, LENGTH as u64, end - LENGTH as u64).await?;
    let found = match inspect::inspect(&header, upload.size) {
        Ok(found) => found,
        Err(why) => return refused(why),
    };
    if hash(masters, &key, upload.size).await? != upload.sha256 {
        return Ok(Err(
            "The file's SHA-256 is not the one that was said. Bring it again.".to_owned()
        ));
    }
    if found.found.kind.is_none() {
        return Ok(Err("Nothing that ComfyUI could use was found in the file.".to_owned()));
    }
    Ok(Ok(found))
}

/// SHA-256 of the whole, hexadecimal: S3 knows only those of the parts.
async fn hash(masters: &Multipart, key: &str, size: u64) -> Result<String, BucketError> {
    let mut hash = Sha256::new();
    let mut from = 0;
    while from < size {
        let bytes = masters.read(key, from, CHUNK).await?;
        if bytes.is_empty() {
            break;
        }
        from += bytes.len() as u64;
        hash.update(&bytes);
    }
    let digest = hash.finalize();
    Ok(digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// ComfyUI's folder of such files, which is also our name for the kind.
const fn folder(kind: Kind) -> &'static str {
    match kind {
        Kind::Checkpoint => "checkpoint",
        Kind::DiffusionModel => "diffusion_model",
        Kind::Lora => "lora",
        Kind::Vae => "vae",
        Kind::ControlNet => "controlnet",
        Kind::IpAdapter => "ipadapter",
        Kind::Upscaler => "upscaler",
        Kind::TextEncoder => "text_encoder",
        Kind::ClipVision => "clip_vision",
        Kind::Embedding => "embedding",
    }
}

async fn register(cloud: &Cloud, upload: &ModelUpload, found: &Inspected, now: Millis) -> Result<(), ModelError> {
    let Some(kind) = found.found.kind else { return Ok(()) };
    on_conflict!({
        let Some(mut upload) = cloud.store.get(&UploadOf(upload.id.clone())).await? else {
            return Ok(());
        };
        if upload.state != UploadState::Checking {
            return Ok(());
        }
        let entries = cloud.store.list(CatalogOf(upload.owner_team.as_str())).await?;
        let newest = entries
            .iter()
            .filter(|it| it.kind == folder(kind) && it.name == upload.name)
            .map(|it| it.number)
            .max();
        let mut entry = entry(&upload, found, kind, newest.unwrap_or(0) + 1, now);
        upload.state = UploadState::Registered {
            kind: entry.kind.clone(),
            number: entry.number,
        };
        cloud
            .store
            .commit([Write::put(&mut entry)?, Write::put(&mut upload)?])
            .await?;
        Ok::<_, ModelError>(())
    })
}

fn entry(upload: &ModelUpload, found: &Inspected, kind: Kind, number: u32, now: Millis) -> CatalogEntry {
    let training = &found.training;
    let master = Master {
        sha256: upload.sha256.clone(),
        size: upload.size,
        home: upload.owner_team.clone(),
        owner: upload.owner.clone(),
        created: now,
        private: upload.private,
        words: training.words.clone(),
        resolution: training.resolution,
    };
    CatalogEntry {
        team: upload.owner_team.clone(),
        version: 0,
        kind: folder(kind).to_owned(),
        name: upload.name.clone(),
        file: master.file(),
        arch: found.found.arch.as_ref().map(ToString::to_string),
        format: match kind {
            Kind::Checkpoint => Some("checkpoint".to_owned()),
            Kind::DiffusionModel => Some("diffusion".to_owned()),
            _ => None,
        },
        licence: upload.licence.clone().or_else(|| training.licence.clone()),
        source: upload.source.clone(),
        number,
        pinned: false,
        deprecated: false,
        deleted: None,
        master: Some(master),
    }
}

async fn refuse(cloud: &Cloud, id: &str, why: &str) -> Result<(), ModelError> {
    on_conflict!({
        match cloud.store.get(&UploadOf(id.to_owned())).await? {
            Some(mut upload) if upload.state == UploadState::Checking => {
                upload.state = UploadState::Refused { why: why.to_owned() };
                cloud.store.commit([Write::put(&mut upload)?]).await
            }
            _ => Ok::<_, StoreError>(()),
        }
    })?;
    Ok(())
}

/// Whether the catalogue names the team's file of this SHA-256.
async fn is_used(cloud: &Cloud, team: &TeamId, sha256: &str) -> Result<bool, ModelError> {
    let entries = cloud.store.list(CatalogOf(team.as_str())).await?;
    let uses = |entry: &CatalogEntry| entry.master.as_ref().is_some_and(|it| it.sha256 == sha256);
    Ok(entries.iter().any(uses))
}
