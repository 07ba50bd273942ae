//! Notices that ComfyUI has died while nothing runs, so that the next picture does not have to.

use std::sync::Arc;

use tokio::{sync::mpsc, time::sleep};

use super::{Event, send};
use crate::render::Renderer;

/// Tells when ComfyUI does not answer any more while nothing runs; a run notices by itself.
pub(super) async fn watch(renderer: Arc<Renderer>, events: mpsc::Sender<Event>) {
    let status = renderer.status.watch();
    let mut failed = 0;
    loop {
        sleep(renderer.timing.comfy_watch).await;
        let idle = {
            let now = status.borrow();
            now.ready && now.run.is_none()
        };
        failed = if idle && renderer.is_gone().await {
            failed + 1
        } else {
            0
        };
        if failed == FAILED_LOOKS {
            tracing::error!("ComfyUI does not answer any more");
            renderer.mark_sick().await;
            send(&events, Event::ComfyGone).await;
        }
    }
}

/// So many in a row make a dead ComfyUI.
const FAILED_LOOKS: u32 = 3;
