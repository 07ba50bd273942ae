//! One version of a model.

use std::sync::Arc;

use accounts::Caller;
use axum::extract::{Path, State};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use catalog::models::{self, Access, Change};
use cloud::{
    http::{ErrorBody, HttpError, Json, Now},
    tables::CatalogKey,
};
use model::{CatalogEntry, TeamId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{App, list::ModelView};

/// Longest id, characters: more than any name needs.
const MAX_ID: usize = 1000;

/// An entry's name in addresses.
pub(crate) fn id(entry: &CatalogEntry) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{}#{}", entry.team, entry.key()))
}

/// The entry of this name.
fn key(id: &str) -> Result<CatalogKey, HttpError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(id).ok().filter(|_| id.len() <= MAX_ID);
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let key = text.as_ref().and_then(|it| it.split_once('#'));
    let key = key.filter(|(team, key)| !team.is_empty() && !key.is_empty());
    let (team, key) = key.ok_or(models::ModelError::NoModel)?;
    Ok(CatalogKey(TeamId::new(team), key.to_owned()))
}

/// A version of a model that the caller may use.
#[utoipa::path(
    get, path = "/v1/models/{id}", tag = "models", params(("id" = String, Path, description = "As a list says")),
    responses((status = 200, body = ModelView), (status = 404, body = ErrorBody))
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ModelView>, HttpError> {
    let key = key(&id)?;
    let (account, entry) = tokio::join!(accounts::of(&app.cloud.store, &caller), app.cloud.store.get(&key));
    let account = account?;
    let entry = entry?
        .filter(|it| models::is_seen(it, &account))
        .ok_or(models::ModelError::NoModel)?;
    Ok(Json(entry.into()))
}

/// What is to be another way; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// This version in place of newer ones, which is how to go back to it; no other is pinned then.
    pinned: Option<bool>,
    /// Offered to nobody any more; who names it still gets it.
    deprecated: Option<bool>,
    /// `private`, `team` or `shared`: of all versions of the model.
    #[schema(value_type = Option<String>)]
    access: Option<Access>,
    /// Architecture, where more is known than the file shows.
    arch: Option<String>,
    /// What its author allows.
    licence: Option<String>,
    /// Where it is from.
    source: Option<String>,
}

/// Changes a version of a model: pins it, deprecates it, hands the model to others.
#[utoipa::path(
    patch, path = "/v1/models/{id}", tag = "models", params(("id" = String, Path)), request_body = Wanted,
    responses(
        (status = 200, body = ModelView), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)
    )
)]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    Path(id): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<ModelView>, HttpError> {
    let account = accounts::of(&app.cloud.store, &caller).await?;
    let change = Change {
        pinned: wanted.pinned,
        deprecated: wanted.deprecated,
        access: wanted.access,
        arch: wanted.arch,
        licence: wanted.licence,
        source: wanted.source,
    };
    let entry = models::change(&app.place(), &account, &key(&id)?, &change, now).await?;
    Ok(Json(entry.into()))
}

/// Deletes a version of a model. For thirty days it can be had back.
#[utoipa::path(
    delete, path = "/v1/models/{id}", tag = "models", params(("id" = String, Path)),
    responses(
        (status = 200, body = ModelView), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "A picture that is being painted needs it")
    )
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    Path(id): Path<String>,
) -> Result<Json<ModelView>, HttpError> {
    let account = accounts::of(&app.cloud.store, &caller).await?;
    let entry = models::delete(&app.place(), &account, &key(&id)?, now).await?;
    Ok(Json(entry.into()))
}

/// Takes a deletion back.
#[utoipa::path(
    post, path = "/v1/models/{id}/restore", tag = "models", params(("id" = String, Path)),
    responses((status = 200, body = ModelView), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody))
)]
pub(crate) async fn restore(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    Path(id): Path<String>,
) -> Result<Json<ModelView>, HttpError> {
    let account = accounts::of(&app.cloud.store, &caller).await?;
    let entry = models::restore(&app.place(), &account, &key(&id)?, now).await?;
    Ok(Json(entry.into()))
}
