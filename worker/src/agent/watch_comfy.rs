//! Notices that ComfyUI has died while nothing runs, so that the next picture does not have to.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use crate::{
    event::{Event, send},
    render::ComfyHost,
    status::Status,
};

/// Tells when ComfyUI does not answer any more while nothing runs; a run notices by itself.
pub(super) async fn watch(
    comfy: Arc<ComfyHost>,
    status: watch::Receiver<Status>,
    every: Duration,
    events: mpsc::Sender<Event>,
) {
    let mut failed = 0;
    loop {
        sleep(every).await;
        let idle = {
            let now = status.borrow();
            now.ready && now.run.is_none()
        };
        failed = if idle && comfy.is_gone().await { failed + 1 } else { 0 };
        if failed == FAILED_LOOKS {
            tracing::error!("ComfyUI does not answer any more");
            comfy.mark_sick().await;
            send(&events, Event::ComfyGone).await;
        }
    }
}

/// So many in a row make a dead ComfyUI.
const FAILED_LOOKS: u32 = 3;
