//! Places to upload to: bytes never pass through a function.

use std::sync::Arc;

use accounts::Caller;
use axum::extract::State;
use catalog::uploads::{Place, place};
use cloud::http::{HttpError, Json, Now};
use serde::{Deserialize, Serialize};
use tasks::intake;
use utoipa::ToSchema;

use crate::App;

/// A place for the pictures of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImagePlace {
    /// A presigned PUT of one blob.
    url: String,
    /// What to call it in `generate`.
    object: String,
}

/// A place to put the pictures of a request: one blob, kept for a day.
#[utoipa::path(post, path = "/v1/upload/image", tag = "painters", responses((status = 200, body = ImagePlace)))]
pub(crate) async fn image(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
) -> Result<Json<ImagePlace>, HttpError> {
    let place = intake::image_place(&app.cloud, &app.settings, &caller.user(), now).await?;
    Ok(Json(ImagePlace {
        url: place.url,
        object: place.object,
    }))
}

/// A LoRA that the painter has.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct LoraUpload {
    /// Base64 of the file's SHA-256.
    hash: String,
    /// Bytes.
    size: u64,
}

/// What to do with it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub(crate) enum LoraPlace {
    /// The team has it: its hash names it in `generate`.
    Cached,
    /// It is to be put there, with its hash in the header `x-amz-checksum-sha256`.
    Upload {
        /// A presigned PUT.
        url: String,
    },
    /// Larger than a file may be.
    TooLarge {
        /// Most bytes.
        max: u64,
    },
    /// The team has as much as it may have.
    LimitExceeded,
}

/// A place to put a LoRA, unless the team has it already.
#[utoipa::path(
    post, path = "/v1/upload/lora", tag = "painters", request_body = LoraUpload,
    responses((status = 200, body = LoraPlace))
)]
pub(crate) async fn lora(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    Json(LoraUpload { hash, size }): Json<LoraUpload>,
) -> Result<Json<LoraPlace>, HttpError> {
    let account = accounts::of(&app.cloud.store, &caller).await?;
    Ok(Json(
        match place(
            &app.cloud,
            &app.settings,
            (&account.team, &account.user_id),
            &hash,
            size,
            now,
        )
        .await?
        {
            Place::Cached => LoraPlace::Cached,
            Place::Put(url) => LoraPlace::Upload { url },
            Place::TooLarge => LoraPlace::TooLarge {
                max: app.settings.max_lora,
            },
            Place::Full => LoraPlace::LimitExceeded,
        },
    ))
}
