use base64::{Engine, prelude::BASE64_STANDARD};
use cloud::Cloud;
use model::{Account, Settings, UserId, worker_api::InputBlob};
use uuid::Uuid;
use workflow::Plan;

use super::{IntakeError, uploads::upload_key};

/// Largest blob inside a request, bytes: the plugin uploads from 4096 base64 characters on.
const MAX_INLINE: usize = 16 * 1024;

/// A request's pictures: one blob, with the start byte of each picture.
#[derive(Debug, Clone, Default)]
pub enum Files {
    /// There are none.
    #[default]
    None,
    /// In the request, as base64.
    Inline {
        /// The blob.
        base64: String,
        /// Start bytes.
        offsets: Vec<u64>,
    },
    /// Uploaded before.
    Uploaded {
        /// The object's name, as it was given with the upload's URL.
        object: String,
        /// Start bytes.
        offsets: Vec<u64>,
    },
}

impl Files {
    /// The uploaded object's name, as it was given; none if there is none.
    pub(super) fn object(&self) -> Option<String> {
        match self {
            Self::Uploaded { object, .. } => Uuid::try_parse(object).ok().map(|it| it.simple().to_string()),
            Self::None | Self::Inline { .. } => None,
        }
    }

    /// What the worker will fetch: checked to be there, and pinned so that it cannot be exchanged later. A plan without
    /// input pictures needs none.
    pub(super) async fn pin(
        &self,
        cloud: &Cloud,
        settings: &Settings,
        account: &Account,
        plan: &Plan,
    ) -> Result<Option<InputBlob>, IntakeError> {
        if plan.inputs.is_empty() {
            return Ok(None);
        }
        let blob = match self {
            Self::None => return Ok(None),
            Self::Inline { base64, offsets } => inline(base64, offsets)?,
            Self::Uploaded { object, offsets } => uploaded(cloud, settings, &account.user_id, object, offsets).await?,
        };
        if blob.offsets.last().is_none_or(|last| *last >= blob.size) {
            return Err(IntakeError::Files("the uploaded picture is cut off. Please try again."));
        }
        Ok(Some(blob))
    }
}

fn inline(base64: &str, offsets: &[u64]) -> Result<InputBlob, IntakeError> {
    let size = BASE64_STANDARD
        .decode(base64)
        .map_err(|_| IntakeError::Files("the picture in the request is damaged."))?
        .len();
    if size > MAX_INLINE {
        return Err(IntakeError::Files(
            "the picture in the request is too large to be sent this way. Update the plugin.",
        ));
    }
    Ok(InputBlob {
        base64: Some(base64.to_owned()),
        key: None,
        etag: None,
        offsets: offsets.to_vec(),
        size: size as u64,
    })
}

async fn uploaded(
    cloud: &Cloud,
    settings: &Settings,
    user: &UserId,
    object: &str,
    offsets: &[u64],
) -> Result<InputBlob, IntakeError> {
    let missing = || IntakeError::Files("the uploaded picture does not exist (any more). Please try again.");
    let object = Uuid::try_parse(object).map_err(|_| missing())?.simple().to_string();
    let key = upload_key(user, &object);
    let stored = cloud.bucket.head(&key).await?.ok_or_else(missing)?;
    if stored.size > settings.max_upload {
        return Err(IntakeError::Files(
            "the uploaded picture is too large. Use a smaller canvas or selection.",
        ));
    }
    Ok(InputBlob {
        base64: None,
        key: Some(key),
        etag: Some(stored.etag),
        offsets: offsets.to_vec(),
        size: stored.size,
    })
}
