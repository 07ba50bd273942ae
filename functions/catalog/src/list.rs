//! What models a painter may use.

use std::sync::Arc;

use accounts::Caller;
use axum::extract::State;
use cloud::{
    StoreError,
    http::{ErrorBody, HttpError, Json, Query},
    page::Cursor,
    tables::CatalogOf,
};
use model::{CatalogEntry, Millis, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

/// Models of a page for which nobody said how many.
const USUAL: u32 = 50;
/// Most models that one call looks at.
const MOST: u32 = 200;
/// What stands before a cursor into what every team may use; the team's own come first.
const SHARED: &str = "s.";

/// A page of models.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelPage {
    /// The team's own by kind and name, then those of all teams. There may be fewer than asked for, or none, although the
    /// list goes on.
    models: Vec<ModelView>,
    /// Where the list goes on; left out at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A version of a model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelView {
    name: String,
    /// `checkpoint`, `lora`, `vae`, `controlnet` and so on.
    kind: String,
    /// Which version, from 1 on.
    version: u32,
    /// Taken in place of newer versions.
    pinned: bool,
    /// Not offered any more.
    deprecated: bool,
    /// `private`, `team` or `shared`.
    access: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    licence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Bytes; left out of what only the machine image has, as are the next ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<UserId>,
    /// When it was registered, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    created: Option<Millis>,
    /// Words for a prompt that it was trained on.
    words: Vec<String>,
    /// Side of the pictures that it was trained on, pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<u32>,
}

impl From<CatalogEntry> for ModelView {
    fn from(entry: CatalogEntry) -> Self {
        let access = if entry.team.as_str() == CatalogEntry::SHARED {
            "shared"
        } else if entry.master.as_ref().is_some_and(|it| it.private) {
            "private"
        } else {
            "team"
        };
        let master = entry.master;
        Self {
            name: entry.name,
            kind: entry.kind,
            version: entry.number,
            pinned: entry.pinned,
            deprecated: entry.deprecated,
            access,
            arch: entry.arch,
            licence: entry.licence,
            source: entry.source,
            size: master.as_ref().map(|it| it.size),
            sha256: master.as_ref().map(|it| it.sha256.clone()),
            owner: master.as_ref().map(|it| it.owner.clone()),
            created: master.as_ref().map(|it| it.created),
            resolution: master.as_ref().and_then(|it| it.resolution),
            words: master.map(|it| it.words).unwrap_or_default(),
        }
    }
}

/// The models that the caller may use, a page at a time.
#[utoipa::path(
    get, path = "/v1/models", tag = "models",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Most models of the page; 50 if left out"),
        ("kind" = Option<String>, Query, description = "Only models of this kind"),
        ("text" = Option<String>, Query, description = "Only models whose name has this in it, in large or small letters"),
    ),
    responses((status = 200, body = ModelPage), (status = 400, body = ErrorBody))
)]
pub(crate) async fn models(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Query,
) -> Result<Json<ModelPage>, HttpError> {
    let limit = query.first("limit").map_or(Some(USUAL), |text| text.parse().ok());
    let limit = limit
        .filter(|it| (1..=MOST).contains(it))
        .ok_or_else(|| HttpError::new(400, format!("`limit` must be a number from 1 to {MOST}.")))?;
    let (kind, text) = (query.first("kind"), query.first("text").map(|it| it.to_lowercase()));
    let user = caller.user();
    let shown = |entry: &CatalogEntry| {
        entry.deleted.is_none()
            && entry.master.as_ref().is_none_or(|it| !it.private || it.owner == user)
            && kind.as_ref().is_none_or(|kind| entry.kind == *kind)
            && text
                .as_ref()
                .is_none_or(|text| entry.name.to_lowercase().contains(text))
    };
    let cursor = query.first("cursor").unwrap_or_default();
    let (shared, after) = match cursor.strip_prefix(SHARED) {
        Some(rest) => (true, rest),
        None => (false, cursor.as_str()),
    };
    let after = Some(after)
        .filter(|it| !it.is_empty())
        .map(|it| Cursor::from(it.to_owned()));
    let team = if shared {
        CatalogEntry::SHARED
    } else {
        caller.team.as_str()
    };
    let page = app.cloud.store.page(CatalogOf(team), after.as_ref(), limit).await;
    let page = page.map_err(|error| match error {
        StoreError::Cursor { .. } => {
            HttpError::new(400, "`cursor` is no place in this list. Leave it out to begin anew.").because(error)
        }
        error => error.into(),
    })?;
    let next = match (page.next, shared) {
        (Some(next), true) => Some(format!("{SHARED}{}", next.as_ref())),
        (Some(next), false) => Some(next.as_ref().to_owned()),
        (None, false) => Some(SHARED.to_owned()),
        (None, true) => None,
    };
    let models = page.entries.into_iter().filter(shown).map(ModelView::from).collect();
    Ok(Json(ModelPage { models, next }))
}
