//! What models a painter may use.

use std::{collections::BTreeMap, sync::Arc};

use accounts::Caller;
use axum::extract::State;
use catalog::models::Access;
use cloud::{
    StoreError,
    http::{ErrorBody, HttpError, Json, Query},
    page::Cursor,
    tables::CatalogUnder,
};
use model::{CatalogEntry, KINDS, Millis, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{App, model::id};

/// Models of a page for which nobody said how many.
const USUAL: u32 = 50;
/// Most models that one call looks at.
const MOST: u32 = 200;
/// Longest name that is looked for, characters: no model has a longer one.
const MAX_NAME: usize = 120;
/// Most pages that are read so that a page ends with something that the caller may see.
const PAGES: usize = 10;
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
    /// Names it in addresses.
    id: String,
    name: String,
    /// `checkpoint`, `diffusion_model`, `lora`, `vae`, `controlnet`, `ip_adapter`, `upscaler`, `text_encoder`, `clip_vision`,
    /// `embedding`, or `resource`: what the plugin knows by an id.
    kind: String,
    /// Which version, from 1 on.
    version: u32,
    /// Taken in place of newer versions.
    pinned: bool,
    /// Not offered any more.
    deprecated: bool,
    /// When it was deleted, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    deleted: Option<Millis>,
    /// `private`, `team` or `shared`.
    #[schema(value_type = String)]
    access: Access,
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
    /// How it was trained, as its trainer wrote into the file.
    training: BTreeMap<String, String>,
}

impl From<CatalogEntry> for ModelView {
    fn from(entry: CatalogEntry) -> Self {
        let (id, access) = (id(&entry), Access::of(&entry));
        let master = entry.master;
        Self {
            id,
            name: entry.name,
            kind: entry.kind,
            version: entry.number,
            pinned: entry.pinned,
            deprecated: entry.deprecated,
            deleted: entry.deleted,
            access,
            arch: entry.arch,
            licence: entry.licence,
            source: entry.source,
            size: master.as_ref().map(|it| it.size),
            sha256: master.as_ref().map(|it| it.sha256.clone()),
            owner: master.as_ref().map(|it| it.owner.clone()),
            created: master.as_ref().map(|it| it.created),
            resolution: master.as_ref().and_then(|it| it.resolution),
            words: master.as_ref().map(|it| it.words.clone()).unwrap_or_default(),
            training: master.map(|it| it.training).unwrap_or_default(),
        }
    }
}

/// Which models are wanted.
struct Filter {
    /// What their keys begin with.
    prefix: String,
    text: Option<String>,
    arch: Option<String>,
    deleted: bool,
}

impl Filter {
    fn read(query: &Query) -> Result<Self, HttpError> {
        let kind = query.first("kind");
        if kind
            .as_ref()
            .is_some_and(|kind| kind != "resource" && KINDS.iter().all(|(it, _)| it != kind))
        {
            let kinds: Vec<_> = KINDS.iter().map(|(kind, _)| *kind).collect();
            return Err(HttpError::new(
                400,
                format!("`kind` is one of {} or resource.", kinds.join(", ")),
            ));
        }
        let (name, begins) = (query.first("name"), query.first("begins"));
        if [&name, &begins]
            .into_iter()
            .flatten()
            .any(|it| it.chars().count() > MAX_NAME)
        {
            return Err(HttpError::new(
                400,
                format!("`name` and `begins` have at most {MAX_NAME} characters."),
            ));
        }
        let prefix = match (kind, name, begins) {
            (Some(kind), Some(name), _) => format!("{kind}#{name}#"),
            (Some(kind), None, Some(begins)) => format!("{kind}#{begins}"),
            (Some(kind), None, None) => format!("{kind}#"),
            (None, None, None) => String::new(),
            (None, ..) => return Err(HttpError::new(400, "`name` and `begins` need a `kind`.")),
        };
        let flag = |name| query.first(name).is_some_and(|it| it == "true");
        Ok(Self {
            prefix,
            text: query.first("text").map(|it| it.to_lowercase()),
            arch: query.first("arch"),
            deleted: flag("deleted"),
        })
    }

    fn shows(&self, entry: &CatalogEntry, user: &UserId) -> bool {
        entry.deleted.is_some() == self.deleted
            && entry.is_for(user)
            && self
                .text
                .as_ref()
                .is_none_or(|text| entry.name.to_lowercase().contains(text))
            && self.arch.as_ref().is_none_or(|arch| entry.arch.as_ref() == Some(arch))
    }
}

/// The models that the caller may use, a page at a time. What does not fit `text`, `arch` and `deleted` is read and left
/// out; what does not fit the rest is not even read.
#[utoipa::path(
    get, path = "/v1/models", tag = "models",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Most models that are looked at; 50 if left out"),
        ("kind" = Option<String>, Query, description = "Only models of this kind"),
        ("name" = Option<String>, Query, description = "Only versions of the model of this kind and name"),
        ("begins" = Option<String>, Query, description = "Only models of this kind whose name begins with this"),
        ("text" = Option<String>, Query, description = "Only models whose name has this in it, in large or small letters"),
        ("arch" = Option<String>, Query, description = "Only models of this architecture"),
        ("deleted" = Option<bool>, Query, description = "`true`: those that were deleted and can be had back, and no others"),
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
    let filter = Filter::read(&query)?;
    let cursor = query.first("cursor").unwrap_or_default();
    let (shared, after) = match cursor.strip_prefix(SHARED) {
        Some(rest) => (true, rest),
        None => (false, cursor.as_str()),
    };
    let after = Some(after)
        .filter(|it| !it.is_empty())
        .map(|it| Cursor::from(it.to_owned()));
    let account = accounts::of(&app.cloud.store, &caller).await?;
    let team = if shared {
        CatalogEntry::SHARED
    } else {
        account.team.as_str()
    };
    let list = CatalogUnder(team, &filter.prefix);
    let page = async {
        let mut page = app.cloud.store.page(list, after.as_ref(), limit).await?;
        // A cursor says what it is after, so that must be something that the caller may see.
        for _ in 0..PAGES {
            let seen = page.entries.last().is_none_or(|it| it.is_for(&account.user_id));
            let Some(next) = page.next.take_if(|_| !seen) else {
                break;
            };
            let more = app.cloud.store.page(list, Some(&next), USUAL).await?;
            page.entries.extend(more.entries);
            page.next = more.next;
        }
        Ok(page)
    };
    let page = page.await.map_err(|error| match error {
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
    let shown = page.entries.into_iter().filter(|it| filter.shows(it, &account.user_id));
    Ok(Json(ModelPage {
        models: shown.map(ModelView::from).collect(),
        next,
    }))
}
