//! The control plane, as a test holds it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use model::{
    RunId,
    socket::ServerMessage,
    worker_api::{Assignment, Heartbeat, RunFailure, RunResult},
};
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
    task::JoinHandle,
};

use super::{
    behaviour::Behaviour,
    routes,
    state::{Inner, Seen, Shared},
};

/// A running control plane.
pub(crate) struct Cloud {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Nothing in these tests takes longer, on a slow machine either.
const PATIENCE: Duration = Duration::from_secs(45);

impl Cloud {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Mutex::new(Inner {
            behaviour,
            ..Inner::default()
        });
        let shared = Arc::new(Shared {
            inner,
            seen: watch::Sender::new(vec![]),
            pushed: broadcast::Sender::new(16),
            url,
        });
        let router = routes::router(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, server }
    }

    pub(crate) fn url(&self) -> &str {
        &self.shared.url
    }

    pub(crate) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.lock().behaviour);
    }

    /// Puts a run into the queue; a ready worker claims within its rhythm.
    pub(crate) fn enqueue(&self, run: Assignment) {
        self.shared.lock().queue.push_back(run);
    }

    pub(crate) fn push(&self, message: ServerMessage) {
        // Nobody may be listening, as in life.
        let _ = self.shared.pushed.send(message);
    }

    /// Stores an object; gives its ETag.
    pub(crate) fn store(&self, key: &str, bytes: Vec<u8>) -> String {
        let etag = format!("etag-of-{}", bytes.len());
        self.shared.lock().objects.insert(key.into(), (bytes, etag.clone()));
        etag
    }

    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.shared.lock().objects.get(key).map(|(bytes, _)| bytes.clone())
    }

    pub(crate) fn bucket(&self, key: &str) -> String {
        self.shared.address(key, None)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    /// Waits until the worker has done something.
    pub(crate) async fn wait<T>(&self, what: &str, found: impl Fn(&Seen) -> Option<T>) -> T {
        self.wait_after(0, what, found).await
    }

    /// The same, not looking at the first `skip` things it did.
    pub(crate) async fn wait_after<T>(&self, skip: usize, what: &str, found: impl Fn(&Seen) -> Option<T>) -> T {
        let mut seen = self.shared.seen.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = seen.borrow_and_update().iter().skip(skip).find_map(&found) {
                    return found;
                }
                seen.changed().await.unwrap();
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("no {what}; seen: {:#?}", self.seen()))
    }

    pub(crate) async fn result(&self, run: RunId) -> RunResult {
        self.wait("result", |seen| match seen {
            Seen::Result(result) if result.run_id == run => Some(result.clone()),
            Seen::Failure(failure) if failure.run_id == run => panic!("{failure:?}"),
            _ => None,
        })
        .await
    }

    pub(crate) async fn failure(&self, run: RunId) -> RunFailure {
        self.wait("failure", |seen| match seen {
            Seen::Failure(failure) if failure.run_id == run => Some(failure.clone()),
            Seen::Result(result) if result.run_id == run => panic!("{result:?}"),
            _ => None,
        })
        .await
    }

    /// Waits for so many more heartbeats.
    pub(crate) async fn beats(&self, count: usize) {
        for _ in 0..count {
            self.beat("heartbeat", |_| true).await;
        }
    }

    /// How often something was seen.
    pub(crate) fn count(&self, fits: impl Fn(&Seen) -> bool) -> usize {
        self.shared.seen.borrow().iter().filter(|seen| fits(seen)).count()
    }

    /// Waits for a heartbeat that fits, after everything seen so far.
    pub(crate) async fn beat(&self, what: &str, fits: impl Fn(&Heartbeat) -> bool) {
        let skip = self.seen().len();
        self.wait_after(skip, what, |seen| match seen {
            Seen::Beat(beat) if fits(beat) => Some(()),
            _ => None,
        })
        .await;
    }
}
