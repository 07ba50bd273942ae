//! `/api/jobs` of 0.33.0.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{json, ok};
use crate::state::history::{End, Entry};
use crate::state::item::Item;
use crate::state::shared::{Inner, Shared};

#[derive(Deserialize)]
pub(crate) struct Page {
    status: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    offset: usize,
}

pub(crate) async fn list(State(shared): State<Arc<Shared>>, Query(page): Query<Page>) -> Response {
    let inner = shared.lock();
    let mut jobs: Vec<_> = all(&inner);
    if let Some(wanted) = &page.status {
        let wanted: Vec<_> = wanted.split(',').collect();
        jobs.retain(|job| job["status"].as_str().is_some_and(|status| wanted.contains(&status)));
    }
    // Newest first.
    jobs.sort_by_key(|job| std::cmp::Reverse(job["create_time"].as_u64()));
    let total = jobs.len();
    let shown: Vec<_> = jobs
        .into_iter()
        .skip(page.offset)
        .take(page.limit.unwrap_or(usize::MAX))
        .collect();
    let has_more = page.offset + shown.len() < total;
    ok(&json!({
        "jobs": shown,
        "pagination": { "offset": page.offset, "limit": page.limit, "total": total, "has_more": has_more },
    }))
}

pub(crate) async fn show(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let inner = shared.lock();
    if let Some(entry) = inner.history.find(&id) {
        let mut job = finished(entry);
        job["outputs"] = json!(entry.outputs);
        job["execution_status"] = entry.status();
        let graph = &entry.item.listed()[2];
        job["workflow"] = json!({ "prompt": graph, "extra_data": entry.item.extra });
        return ok(&job);
    }
    match waiting(&inner).into_iter().find(|job| job["id"] == json!(id)) {
        Some(job) => ok(&job),
        None => json(StatusCode::NOT_FOUND, &json!({ "error": "Job not found" })),
    }
}

pub(crate) async fn cancel(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let cancelled = {
        let mut inner = shared.lock();
        inner.delete_pending(|other| other == id) || inner.ask_interrupt(Some(&id))
    };
    shared.wake();
    ok(&json!({ "cancelled": cancelled }))
}

fn all(inner: &Inner) -> Vec<Value> {
    let mut jobs = waiting(inner);
    jobs.extend(inner.history.visible().map(finished));
    jobs
}

fn waiting(inner: &Inner) -> Vec<Value> {
    let running = inner.running.iter().map(|running| job(&running.item, "in_progress"));
    let pending = inner.pending.iter().map(|item| job(item, "pending"));
    pending.chain(running).collect()
}

fn job(item: &Item, status: &str) -> Value {
    json!({
        "id": item.id,
        "status": status,
        "priority": item.number,
        "create_time": item.created,
        "outputs_count": 0,
        "previewable_outputs_count": 0,
    })
}

fn finished(entry: &Entry) -> Value {
    let status = match entry.end {
        End::Success => "completed",
        End::Error => "failed",
        End::Interrupted => "cancelled",
    };
    let mut job = job(&entry.item, status);
    job["execution_start_time"] = json!(entry.started);
    job["execution_end_time"] = json!(entry.ended);
    let images: Vec<_> = entry
        .outputs
        .iter()
        .flat_map(|(node, output)| {
            output["images"]
                .as_array()
                .into_iter()
                .flatten()
                .map(move |image| (node, image))
        })
        .collect();
    job["outputs_count"] = json!(images.len());
    job["previewable_outputs_count"] = json!(images.len());
    if let Some((node, image)) = images.first() {
        let mut preview = (*image).clone();
        preview["nodeId"] = json!(node);
        preview["mediaType"] = json!("images");
        job["preview_output"] = preview;
    }
    if let Some((_, error)) = entry.messages.iter().find(|(kind, _)| kind == "execution_error") {
        job["execution_error"] = error.clone();
    }
    job
}
