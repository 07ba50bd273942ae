//! The caller's tasks, or their team's.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use accounts::Caller;
use axum::extract::State;
use cloud::http::{ErrorBody, HttpError, Json, Now, Query};
use history::index::Scope;
use model::{GroupId, Millis, Role, TaskState, UserId, socket::TaskView};
use serde::Serialize;
use tasks::{
    list::{self, Choice, Found, cursor},
    view,
};
use utoipa::ToSchema;

use crate::{App, task::History};

/// Tasks of a page for which nobody said how many.
const USUAL: u32 = 20;
/// Longest text that is searched for, characters.
const LONGEST: usize = 200;

/// A page of tasks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskPage {
    /// Newest first. There may be fewer than asked for, or none, although the list goes on.
    tasks: Vec<ListedTask>,
    /// Where the list goes on; left out at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// When the last task was submitted that was looked at, milliseconds since 1970: all that is newer was looked through. With
    /// `next` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    looked_until: Option<Millis>,
    /// Something of the archive could not be read: tasks may be missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    incomplete: bool,
}

/// A task of a list: as it is shown alone, but without words, place in line, time left, and what it was asked with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListedTask {
    #[serde(flatten)]
    task: TaskView,
    #[serde(flatten)]
    history: History,
    /// Whose it is, in a list of a team.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<UserId>,
}

/// The caller's own tasks, or for a lead those of the team, newest first, a page at a time. A text is looked for in the newest 500
/// prompts; the list goes on behind them.
#[utoipa::path(
    get, path = "/v1/tasks", tag = "painters",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 50, description = "Most tasks of the page; 20 if left out"),
        ("state" = Option<TaskState>, Query, description = "Only tasks of this state"),
        ("kind" = Option<String>, Query, description = "Only tasks of this kind of picture, such as `generate`"),
        ("without" = Option<String>, Query, description = "No tasks of this kind of picture, such as `live`"),
        ("day" = Option<String>, Query, description = "Only tasks that were submitted on this day, `yyyy-mm-dd`, UTC"),
        ("group" = Option<GroupId>, Query, description = "Only variants of this group"),
        ("text" = Option<String>, Query, description = "Only tasks whose prompt has this text; at most 200 characters"),
        ("team" = Option<bool>, Query, description = "`true`: those of the whole team; for leads and operators"),
    ),
    responses((status = 200, body = TaskPage), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
pub(crate) async fn tasks(
    State(app): State<Arc<App>>,
    caller: Caller,
    Now(now): Now,
    query: Query,
) -> Result<Json<TaskPage>, HttpError> {
    let limit = limit(&query, USUAL, list::MOST)?;
    let of = scope(&caller, &query)?;
    let choice = choice(&query)?;
    let after = query.first("cursor").map(|text| {
        let place = cursor::read(&of, &text);
        place.ok_or_else(|| HttpError::new(400, NO_PLACE))
    });
    let listed = list::all(&app.cloud, &of, &choice, after.transpose()?, limit as usize).await?;
    let mut tasks = Vec::with_capacity(listed.tasks.len());
    let (bucket, settings) = (&app.cloud.bucket, &app.settings);
    for Found { task, past } in listed.tasks {
        tasks.push(ListedTask {
            task: if past {
                view::past(bucket, settings, &task, now).await?
            } else {
                view::with_thumbnails(bucket, settings, &task).await?
            },
            history: History::from(&task),
            owner: matches!(of, Scope::Team(_)).then_some(task.owner),
        });
    }
    Ok(Json(TaskPage {
        tasks,
        next: listed.next.map(|place| cursor::written(&of, place)),
        looked_until: listed.next.map(|place| place.created),
        incomplete: listed.damaged > 0,
    }))
}

/// What is said of a cursor of another list, or of none.
pub(crate) const NO_PLACE: &str = "`cursor` is no place in this list. Leave it out to begin anew.";

/// How many entries of a list are asked for.
pub(crate) fn limit(query: &Query, usual: u32, most: u32) -> Result<u32, HttpError> {
    let limit = query.first("limit").map_or(Some(usual), |text| text.parse().ok());
    let limit = limit.filter(|it| (1..=most).contains(it));
    limit.ok_or_else(|| HttpError::new(400, format!("`limit` must be a number from 1 to {most}.")))
}

/// Whose tasks, or groups, are asked for.
pub(crate) fn scope(caller: &Caller, query: &Query) -> Result<Scope, HttpError> {
    match query.first("team").as_deref() {
        None | Some("false") => Ok(Scope::Owner(caller.user())),
        Some("true") if leads(caller) => Ok(Scope::Team(caller.team.clone())),
        Some("true") => Err(HttpError::new(403, "Only a lead sees the pictures of the whole team.")),
        Some(_) => Err(HttpError::new(400, "`team` must be true or false.")),
    }
}

/// Whether the caller sees what others of their team do.
pub(crate) fn leads(caller: &Caller) -> bool {
    matches!(caller.role, Role::Lead | Role::Operator)
}

/// What is chosen of them.
fn choice(query: &Query) -> Result<Choice, HttpError> {
    let state = query.first("state").map(|word| {
        let named = TaskState::ALL.into_iter().find(|it| it.word() == word);
        named.ok_or_else(|| {
            let words = TaskState::ALL.map(TaskState::word).join(", ");
            HttpError::new(400, format!("`state` must be one of {words}."))
        })
    });
    let text = query.first("text").filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.chars().nth(LONGEST).is_some()) {
        return Err(HttpError::new(
            400,
            format!("`text` is too long, the limit is {LONGEST} characters. Search for less."),
        ));
    }
    let group = query.first("group").map(|text| {
        let group = text.parse();
        group.map_err(|_| HttpError::new(400, "`group` must be the id of a group."))
    });
    let day = query.first("day").map(|text| {
        let day = day(&text);
        day.ok_or_else(|| HttpError::new(400, "`day` must be a day, such as 2026-11-29."))
    });
    Ok(Choice {
        state: state.transpose()?,
        kind: query.first("kind"),
        without: query.first("without"),
        group: group.transpose()?,
        text,
        created: day.transpose()?.unwrap_or(Choice::ALL.created),
    })
}

/// The moments of a day, UTC.
fn day(text: &str) -> Option<RangeInclusive<Millis>> {
    let began = Millis::of_day(text)?;
    let last = began + Duration::from_hours(24) - Duration::from_millis(1);
    Some(began..=last)
}
