//! The LoRAs that painters upload themselves: each belongs to a team, under the hash of its bytes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use cloud::{
    Cloud, StoreError, Write,
    bucket::BucketError,
    http::HttpError,
    on_conflict,
    retry::MayConflict,
    tables::{AwaitedOf, LoraCountOf, LoraOf, LorasOf},
};
use model::{AwaitedLora, LoraCount, Millis, Settings, TeamId, UploadedLora, UserId, worker_api::ModelFile};
use sha2::{Sha256, digest::Output};
use workflow::{Inventory, Lora, Plan, WorkflowInput};

/// Most uploaded LoRAs that one request may name: each is looked up.
const MAX_NAMED: usize = 64;
/// How long an upload may take that begins just before its address dies.
pub(crate) const UPLOAD_LIMIT: Duration = Duration::from_hours(1);
/// Most uploads that seem given up and are looked for in one call.
const MAX_FORGOTTEN: usize = 20;
/// Longest name kept for messages, characters.
const MAX_NAME: usize = 60;

/// An uploaded LoRA could not be registered or found.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The request is not sound.
    #[error("{0}")]
    Invalid(String),
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bucket of models.
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

impl MayConflict for UploadError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

impl From<UploadError> for HttpError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Invalid(what) => Self::new(400, format!("Validation error: {what}")),
            UploadError::Store(error) => error.into(),
            UploadError::Bucket(error) => error.into(),
        }
    }
}

/// What becomes of a file that a team wants to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The team has it already.
    Cached,
    /// It is to be put there, with its hash in the header `x-amz-checksum-sha256`.
    Put(String),
    /// It is larger than a file may be.
    TooLarge,
    /// The team has as much as it may have.
    Full,
}

/// Says that the team has the file of this SHA-256 (base64) and size (bytes) already, or where to put it.
pub async fn place(
    cloud: &Cloud,
    settings: &Settings,
    (team, user): (&TeamId, &UserId),
    hash: &str,
    size: u64,
    now: Millis,
) -> Result<Place, UploadError> {
    let invalid = |text: &str| UploadError::Invalid(text.to_owned());
    let sha256 = hex(hash).ok_or_else(|| invalid("the LoRA's hash is not the base64 of a SHA-256."))?;
    if size == 0 {
        return Err(invalid("the LoRA's file is empty."));
    }
    if size > settings.max_lora {
        return Ok(Place::TooLarge);
    }
    let wanted = UploadedLora {
        owner: team.clone(),
        version: 0,
        sha256,
        size,
        created: now,
        stored: false,
        by: Some(user.clone()),
    };
    on_conflict!({ register(cloud, settings, wanted.clone(), hash, now).await })
}

async fn register(
    cloud: &Cloud,
    settings: &Settings,
    mut lora: UploadedLora,
    hash: &str,
    now: Millis,
) -> Result<Place, UploadError> {
    let id = LoraOf(lora.owner.clone(), lora.sha256.clone());
    // Read before the list: whoever changes the list meanwhile changes this, too.
    let count = cloud.store.get(&LoraCountOf(lora.owner.clone())).await?;
    let (found, stored) = tokio::join!(cloud.store.get(&id), is_stored(cloud, &lora));
    let (found, stored) = (found?, stored?);
    if stored
        && found
            .as_ref()
            .is_some_and(|found| found.stored && found.size == lora.size)
    {
        return Ok(Place::Cached);
    }
    let others = others(cloud, settings, &lora, now).await?;
    let bytes = others.iter().map(|other| other.size).sum::<u64>();
    if others.len() as u64 >= settings.max_team_loras.min(LorasOf::MOST)
        || bytes.saturating_add(lora.size) > settings.max_team_lora_bytes
    {
        return Ok(Place::Full);
    }
    lora.version = found.as_ref().map_or(0, |found| found.version);
    // Who brought it first has it among their models.
    lora.by = found.and_then(|found| found.by).or(lora.by);
    lora.stored = stored;
    let mut count = count.unwrap_or_else(|| LoraCount {
        of: lora.owner.clone(),
        version: 0,
        given: 0,
    });
    count.given += 1;
    if stored {
        let writes = [Write::put(&mut lora)?, Write::put(&mut count)?];
        cloud.store.commit(writes).await?;
        return Ok(Place::Cached);
    }
    // S3 tells of the file; if that word is lost, this is left.
    let mut awaited = AwaitedLora {
        of: lora.owner.clone(),
        hash: lora.sha256.clone(),
        version: 0,
        at: now,
    };
    let before = cloud
        .store
        .get(&AwaitedOf(awaited.of.clone(), awaited.hash.clone()))
        .await?;
    awaited.version = before.map_or(0, |it| it.version);
    let writes = [
        Write::put(&mut lora)?,
        Write::put(&mut awaited)?,
        Write::put(&mut count)?,
    ];
    cloud.store.commit(writes).await?;
    let (key, life) = (lora.key(), settings.url_life);
    let url = cloud.models.presign_put_exactly(&key, hash, lora.size, life).await?;
    Ok(Place::Put(url))
}

/// The team's other LoRAs, without those whose upload was given up: these are forgotten here, since only here they
/// would be in the way.
async fn others(
    cloud: &Cloud,
    settings: &Settings,
    lora: &UploadedLora,
    now: Millis,
) -> Result<Vec<UploadedLora>, UploadError> {
    let mut others = cloud.store.list(LorasOf(&lora.owner)).await?;
    others.retain(|other| other.sha256 != lora.sha256);
    let overdue = |it: &UploadedLora| !it.stored && now.since(it.created) > settings.url_life + UPLOAD_LIMIT;
    let (overdue, mut kept): (Vec<_>, Vec<_>) = others.into_iter().partition(overdue);
    kept.extend(overdue.iter().skip(MAX_FORGOTTEN).cloned());
    for mut other in overdue.into_iter().take(MAX_FORGOTTEN) {
        let write = if is_stored(cloud, &other).await? {
            other.stored = true;
            kept.push(other.clone());
            Write::put(&mut other)?
        } else {
            Write::delete(&mut other)
        };
        match cloud.store.commit([write]).await {
            // Somebody else has looked after it.
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(kept)
}

async fn is_stored(cloud: &Cloud, lora: &UploadedLora) -> Result<bool, BucketError> {
    let object = cloud.models.head(&lora.key()).await?;
    Ok(object.is_some_and(|object| object.size == lora.size))
}

/// The SHA-256 in hexadecimal digits; none if it is not one.
pub(crate) fn hex(base64: &str) -> Option<String> {
    let hash: [u8; 32] = BASE64_STANDARD.decode(base64).ok()?.try_into().ok()?;
    Some(format!("{:x}", Output::<Sha256>::from(hash)))
}

/// The uploaded LoRAs that a request names, by storage id. Another team's is as if it did not exist.
#[derive(Debug)]
pub struct Named(BTreeMap<String, (String, UploadedLora)>);

impl Named {
    /// Looks them up one by one: the catalogue may be a minute old, an upload a second.
    pub async fn by(cloud: &Cloud, team: &TeamId, input: &WorkflowInput) -> Result<Self, UploadError> {
        let names: BTreeMap<_, _> = loras(input)
            .filter(|lora| !lora.storage_id.is_empty())
            .map(|lora| (&lora.storage_id, &lora.name))
            .collect();
        if names.len() > MAX_NAMED {
            let text = format!("more than {MAX_NAMED} uploaded LoRAs are too many. Remove some.");
            return Err(UploadError::Invalid(text));
        }
        let mut found = BTreeMap::new();
        for (id, name) in names {
            let Some(sha256) = hex(id) else { continue };
            if let Some(lora) = cloud.store.get(&LoraOf(team.clone(), sha256)).await?
                && is_stored(cloud, &lora).await?
            {
                let name = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
                found.insert(id.clone(), (name, lora));
            }
        }
        Ok(Self(found))
    }

    /// The inventory with these in it.
    pub fn over(&self, inventory: Arc<Inventory>) -> Arc<Inventory> {
        if self.0.is_empty() {
            return inventory;
        }
        let mut inventory = Arc::unwrap_or_clone(inventory);
        let files = self.0.iter().map(|(id, (_, lora))| (id.clone(), lora.file()));
        inventory.uploads.extend(files);
        inventory.into()
    }

    /// Those that the plan loads, to act on this architecture.
    pub fn files(&self, plan: &Plan, arch: &str) -> Vec<ModelFile> {
        let files = self.0.values().map(|(name, lora)| ModelFile {
            name: name.clone(),
            folder: ModelFile::LORAS.to_owned(),
            file: lora.file(),
            key: lora.key(),
            arch: arch.to_owned(),
            size: lora.size,
            sha256: lora.sha256.clone(),
        });
        files.filter(|lora| plan.models.contains(&lora.file)).collect()
    }
}

fn loras(input: &WorkflowInput) -> impl Iterator<Item = &Lora> {
    let all = input.models.iter().flat_map(|models| &models.loras);
    let regions = input.conditioning.iter().flat_map(|it| &it.regions);
    all.chain(regions.flat_map(|region| &region.loras))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_sha_256_is_a_hash() {
        let hash = BASE64_STANDARD.encode([0xa5; 32]);
        assert_eq!(hex(&hash).unwrap(), "a5".repeat(32));
        let short = BASE64_STANDARD.encode([0; 31]);
        for bad in [
            "",
            "base64sha256=",
            &hash[..43],
            &short,
            "../../etc/passwd",
            &hash.replace('=', "=="),
        ] {
            assert_eq!(hex(bad), None, "{bad}");
        }
    }
}
