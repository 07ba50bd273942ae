//! Heartbeats, in a task of their own so that nothing a run does can delay them: they hold the lease.

use std::{path::PathBuf, sync::Arc, time::Duration};

use model::{BootTimes, worker_api::Heartbeat};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::api::CloudApi;
use crate::{
    backoff::jittered,
    error::chain,
    event::Event,
    host::{DeadMan, Gpu, ms, usage},
    status::Status,
};

/// How often to beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rhythm {
    pub(crate) busy: Duration,
    pub(crate) ready: Duration,
}

/// Most damaged files that one beat tells of; the next tells of more.
const DAMAGED: usize = 16;
/// A beat that was not answered is repeated soon: three fit into the lease.
const AGAIN: Duration = Duration::from_secs(2);

/// Sends heartbeats for as long as the agent listens to the replies.
pub(crate) async fn beat(
    api: Arc<CloudApi>,
    gpu: Gpu,
    models: PathBuf,
    dead_man: Arc<DeadMan>,
    mut status: watch::Receiver<Status>,
    mut rhythm: watch::Receiver<Rhythm>,
    events: mpsc::Sender<Event>,
) {
    let mut told = 0;
    loop {
        // Not before there is a token: what the beat says must be true when it is sent.
        api.token().await;
        let now = status.borrow_and_update().clone();
        let about = now.run.map(|run| run.run_id);
        let beat = Heartbeat {
            ready: now.ready,
            run: now.run.map(Into::into),
            gpu: gpu.usage(),
            host: Some(usage(&models)),
            main_models: now.main_models.clone(),
            models: now.models.clone(),
            on_disk: now.on_disk.clone(),
            on_shared: now.on_shared.clone(),
            nodes: now.nodes.clone(),
            sick: now.sick.map(str::to_owned),
            damaged: now.damaged.iter().skip(told).take(DAMAGED).cloned().collect(),
            boot: now.boot.map(|boot| BootTimes {
                driver: gpu.took().map(ms),
                ..boot
            }),
        };
        let sent = Instant::now();
        let answered = match api.heartbeat(&beat).await {
            Ok(reply) => {
                dead_man.answered();
                told += beat.damaged.len();
                if let Some(token) = &reply.token {
                    api.set_token(token);
                }
                if events
                    .send(Event::Beat {
                        reply,
                        about,
                        ready: now.ready,
                    })
                    .await
                    .is_err()
                {
                    return;
                }
                true
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "heartbeat not answered");
                false
            }
        };
        pause(&mut status, &mut rhythm, &now, sent, answered).await;
    }
}

/// Until the next beat is due, by what the worker does at each moment.
async fn pause(
    status: &mut watch::Receiver<Status>,
    rhythm: &mut watch::Receiver<Rhythm>,
    told: &Status,
    sent: Instant,
    answered: bool,
) {
    let again = Instant::now() + jittered(AGAIN);
    loop {
        let every = *rhythm.borrow_and_update();
        let (busy, news) = {
            let now = status.borrow_and_update();
            (now.run.is_some(), (now.ready, now.sick) != (told.ready, told.sick))
        };
        if answered && news {
            return;
        }
        let mut due = sent + if busy { every.busy } else { every.ready };
        if !answered {
            due = due.min(again).max(Instant::now());
        }
        tokio::select! {
            () = sleep_until(due) => return,
            changed = status.changed() => if changed.is_err() { return },
            changed = rhythm.changed() => if changed.is_err() { return },
        }
    }
}
