//! The way of a file into the store: bytes never pass through a function.

use std::sync::Arc;

use accounts::Caller;
use axum::extract::{Path, State};
use catalog::models::{self, Access, Begun, Wish, part_count, part_size};
use cloud::http::{ErrorBody, HttpError, Json, Now};
use model::{ModelUpload, UploadState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{App, list::ModelView};

/// A model file that somebody has.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewModel {
    /// The name that painters are to see. A name that the team has becomes another version of that model.
    name: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
    sha256: String,
    /// Bytes.
    size: u64,
    /// `private`, `team` or `shared`. Left out, what the caller may: a painter's is private, a lead's and an operator's the
    /// team's.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    access: Option<Access>,
    /// Architecture, where more is known than the tensors show: `illu`, say, of an SDXL model.
    #[serde(default)]
    arch: Option<String>,
    /// What its author allows; left out, what the file says.
    #[serde(default)]
    licence: Option<String>,
    /// Where it is from.
    #[serde(default)]
    source: Option<String>,
}

/// An upload.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadView {
    /// Names it in later calls.
    id: String,
    /// `receiving`, `checking`, `registered` or `refused`.
    state: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Bytes of each part but the last.
    part_size: u64,
    /// How many parts.
    parts: u32,
    /// Numbers of the parts that are there already.
    there: Vec<u32>,
}

/// What to do with a file.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Answer {
    /// The team has it by this name.
    There {
        /// The model.
        model: ModelView,
    },
    /// It is to be brought.
    Upload {
        /// The upload.
        upload: UploadView,
    },
}

impl UploadView {
    fn new(upload: ModelUpload, there: Vec<u32>) -> Self {
        let (state, why) = match upload.state {
            UploadState::Receiving => ("receiving", None),
            UploadState::Checking => ("checking", None),
            UploadState::Registered { .. } => ("registered", None),
            UploadState::Refused { why } => ("refused", Some(why)),
        };
        Self {
            id: upload.id,
            state,
            why,
            part_size: part_size(upload.size),
            parts: part_count(upload.size),
            there,
        }
    }
}

/// Begins to bring a model file, or goes on: the same file by the same name is the same upload.
#[utoipa::path(
    post, path = "/v1/models/uploads", tag = "models", request_body = NewModel,
    responses(
        (status = 200, body = Answer), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 413, body = ErrorBody)
    )
)]
pub(crate) async fn begin(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    Json(new): Json<NewModel>,
) -> Result<Json<Answer>, HttpError> {
    let account = accounts::of(&app.cloud.store, &caller).await?;
    let wish = Wish {
        name: new.name,
        sha256: new.sha256,
        size: new.size,
        access: new.access.unwrap_or(if Access::Team.is_granted_to(&account) {
            Access::Team
        } else {
            Access::Private
        }),
        arch: new.arch,
        licence: new.licence,
        source: new.source,
    };
    let begun = models::begin(&app.place(), &account, wish, now).await?;
    Ok(Json(match begun {
        Begun::There(entry) => Answer::There { model: entry.into() },
        Begun::Upload(upload) => Answer::Upload {
            upload: UploadView::new(upload, Vec::new()),
        },
    }))
}

/// How far an upload is, and which parts need not be sent again.
#[utoipa::path(
    get, path = "/v1/models/uploads/{id}", tag = "models", params(("id" = String, Path)),
    responses((status = 200, body = UploadView), (status = 404, body = ErrorBody))
)]
pub(crate) async fn progress(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<UploadView>, HttpError> {
    let progress = models::progress(&app.place(), &caller.user(), &id).await?;
    let there = progress.parts.iter().map(|part| part.number).collect();
    Ok(Json(UploadView::new(progress.upload, there)))
}

/// A part that is to be sent.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct PartWish {
    /// From 1 on.
    number: u32,
    /// Base64 of the part's SHA-256.
    sha256: String,
}

/// Parts that are to be sent.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct PartsWish {
    /// 100 at most.
    parts: Vec<PartWish>,
}

/// Where to send a part.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartPlace {
    /// Which one.
    number: u32,
    /// A presigned PUT; the part's hash goes with it in the header `x-amz-checksum-sha256`.
    url: String,
}

/// Where to send parts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartPlaces {
    /// In the order that was asked for.
    parts: Vec<PartPlace>,
}

/// Addresses for parts of an upload. They die with the session that signed them: ask again for what was refused.
#[utoipa::path(
    post, path = "/v1/models/uploads/{id}/parts", tag = "models", params(("id" = String, Path)),
    request_body = PartsWish,
    responses((status = 200, body = PartPlaces), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody))
)]
pub(crate) async fn parts(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(wish): Json<PartsWish>,
) -> Result<Json<PartPlaces>, HttpError> {
    let wanted: Vec<_> = wish.parts.into_iter().map(|part| (part.number, part.sha256)).collect();
    let urls = models::urls(&app.place(), &caller.user(), &id, &wanted).await?;
    let parts = urls.into_iter().map(|(number, url)| PartPlace { number, url });
    Ok(Json(PartPlaces { parts: parts.collect() }))
}

/// All parts are sent: they become one file, which is looked at before it is in the catalogue. `GET` says how that went.
#[utoipa::path(
    post, path = "/v1/models/uploads/{id}/complete", tag = "models", params(("id" = String, Path)),
    responses((status = 200, body = UploadView), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody))
)]
pub(crate) async fn complete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    Path(id): Path<String>,
) -> Result<Json<UploadView>, HttpError> {
    let account = accounts::of(&app.cloud.store, &caller).await?;
    let upload = models::complete(&app.place(), &account, &id, now).await?;
    Ok(Json(UploadView::new(upload, Vec::new())))
}

/// Gives an upload up; nothing of it stays but this answer.
#[utoipa::path(
    delete, path = "/v1/models/uploads/{id}", tag = "models", params(("id" = String, Path)),
    responses((status = 200, body = UploadView), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody))
)]
pub(crate) async fn end(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<UploadView>, HttpError> {
    let upload = models::end(&app.place(), &caller.user(), &id).await?;
    Ok(Json(UploadView::new(upload, Vec::new())))
}
