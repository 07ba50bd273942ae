//! A group of variants: how it stands, its pictures as they come, and canceling all of it.

use std::{collections::BTreeMap, sync::Arc};

use accounts::Caller;
use axum::extract::State;
use cloud::http::{ErrorBody, HttpError, Json, Now, PathId, Query};
use history::index::Scope;
use model::{GroupId, Millis, TaskId, TaskState, UserId, socket::TaskView};
use serde::Serialize;
use tasks::{
    groups::{self, Asker, Seen},
    runs, view,
};
use utoipa::ToSchema;

use crate::{
    App,
    list::{NO_PLACE, limit, scope},
};

/// A group of variants as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupView {
    id: GroupId,
    /// When it was submitted, milliseconds since 1970.
    #[schema(value_type = u64)]
    created: Millis,
    /// All of its tasks are over.
    finished: bool,
    /// How many tasks there are of each state.
    #[schema(value_type = BTreeMap<TaskState, usize>)]
    counts: BTreeMap<&'static str, usize>,
    /// What it has cost and may cost yet, in credits, rounded up.
    credits: u64,
    /// Where its contact sheet is, one picture with labels, once all of it is over; a presigned GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    sheet: Option<String>,
    /// In the order in which they were asked for.
    variants: Vec<VariantView>,
}

/// A variant of a group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VariantView {
    /// Its task.
    id: TaskId,
    /// What is special about it, for people.
    label: String,
    /// Its task as it stands, with its pictures once they are there; left out when the task is kept no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskView>,
}

impl GroupView {
    async fn of(app: &App, seen: &Seen) -> Result<Self, HttpError> {
        let mut variants = Vec::with_capacity(seen.tasks.len());
        for (member, task) in seen.group.members.iter().zip(&seen.tasks) {
            variants.push(VariantView {
                id: member.task_id,
                label: member.label.clone(),
                task: match task {
                    Some(task) => Some(view::with_thumbnails(&app.cloud.bucket, &app.settings, task).await?),
                    None => None,
                },
            });
        }
        let sheet = match &seen.group.sheet {
            Some(key) => Some(app.cloud.bucket.presign_get(key, app.settings.url_life).await?),
            None => None,
        };
        let counts = TaskState::ALL.into_iter().map(|it| (it.word(), seen.count(it)));
        Ok(Self {
            id: seen.group.group_id,
            created: seen.group.created,
            finished: seen.is_finished(),
            counts: counts.filter(|(_, count)| *count > 0).collect(),
            credits: seen.cost().credits_needed(),
            sheet,
            variants,
        })
    }
}

/// A page of groups.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupPage {
    /// Newest first.
    groups: Vec<ListedGroup>,
    /// Where the list goes on; left out at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A group of a list: `GET /v1/groups/{id}` says how it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListedGroup {
    id: GroupId,
    /// When it was submitted, milliseconds since 1970.
    #[schema(value_type = u64)]
    created: Millis,
    /// Whose it is, in a list of a team.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<UserId>,
    /// How many variants it has.
    variants: usize,
    /// What is special about the first.
    label: String,
    /// Where its contact sheet is, once all of it is over; a presigned GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    sheet: Option<String>,
}

/// Groups of a page for which nobody said how many.
const USUAL: u32 = 20;

/// The caller's own groups of variants, or for a lead those of the team, newest first, a page at a time.
#[utoipa::path(
    get, path = "/v1/groups", tag = "painters",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 50, description = "Most groups of the page; 20 if left out"),
        ("team" = Option<bool>, Query, description = "`true`: those of the whole team; for leads and operators"),
    ),
    responses((status = 200, body = GroupPage), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
pub(crate) async fn groups(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: Query,
) -> Result<Json<GroupPage>, HttpError> {
    let limit = limit(&query, USUAL, groups::MOST)?;
    let of = scope(&caller, &query)?;
    let after = query.first("cursor").map(|text| {
        let place = groups::Place::read(&of, &text);
        place.ok_or_else(|| HttpError::new(400, NO_PLACE))
    });
    let (found, next) = groups::list(&app.cloud.store, &of, after.transpose()?, limit as usize).await?;
    let mut listed = Vec::with_capacity(found.len());
    for group in found {
        listed.push(ListedGroup {
            id: group.group_id,
            created: group.created,
            owner: matches!(of, Scope::Team(_)).then_some(group.owner),
            variants: group.members.len(),
            label: group.members.into_iter().next().map(|it| it.label).unwrap_or_default(),
            sheet: match &group.sheet {
                Some(key) => Some(app.cloud.bucket.presign_get(key, app.settings.url_life).await?),
                None => None,
            },
        });
    }
    Ok(Json(GroupPage {
        groups: listed,
        next: next.map(|place| place.written(&of)),
    }))
}

/// How a group of variants stands: a painter's own, a lead's team's. Its pictures come as they are finished.
#[utoipa::path(
    get, path = "/v1/groups/{id}", tag = "painters", params(("id" = GroupId, Path)),
    responses((status = 200, body = GroupView), (status = 404, body = ErrorBody))
)]
pub(crate) async fn group(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<GroupId>,
) -> Result<Json<GroupView>, HttpError> {
    let seen = seen(&app, &caller, id).await?;
    Ok(Json(GroupView::of(&app, &seen).await?))
}

/// Cancels all of a group that is not over.
#[utoipa::path(
    post, path = "/v1/groups/{id}/cancel", tag = "painters", params(("id" = GroupId, Path)),
    responses((status = 200, body = GroupView), (status = 404, body = ErrorBody))
)]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    PathId(id): PathId<GroupId>,
) -> Result<Json<GroupView>, HttpError> {
    let before = seen(&app, &caller, id).await?;
    let tasks: Vec<_> = before.group.members.iter().map(|it| it.task_id).collect();
    runs::cancel_all(&app.cloud, &tasks, now).await?;
    let after = seen(&app, &caller, id).await?;
    Ok(Json(GroupView::of(&app, &after).await?))
}

/// The group of this name, if the caller may see it: another's does not exist.
async fn seen(app: &App, caller: &Caller, id: GroupId) -> Result<Seen, HttpError> {
    let user = caller.user();
    let asker = Asker {
        user: &user,
        team: &caller.team,
        role: caller.role,
    };
    let seen = groups::read(&app.cloud.store, id, asker).await?;
    seen.ok_or_else(|| HttpError::new(404, "There is no such group."))
}
