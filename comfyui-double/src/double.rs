//! The running double and the handle on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::faults::{Faults, Stats};
use crate::options::{Builder, Options};
use crate::run::prompt_worker;
use crate::server::router;
use crate::state::gate::Gate;
use crate::state::shared::Shared;

/// How long [`Double::stop`] waits for open connections to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// A running stand-in for ComfyUI. It stops when it is dropped.
#[derive(Debug)]
pub struct Double {
    address: SocketAddr,
    shared: Arc<Shared>,
    shutdown: watch::Sender<bool>,
    server: Option<JoinHandle<()>>,
}

impl Double {
    /// Begins with the options of a ComfyUI 0.3.75 without models and without delay.
    pub fn builder() -> Builder {
        Builder::default()
    }

    async fn start(options: Options) -> std::io::Result<Self> {
        let (gate, keeper) = Gate::bind(options.address).await?;
        let address = gate.address();
        let shared = Arc::new(Shared::new(options, keeper));

        let for_worker = Arc::clone(&shared);
        thread::Builder::new()
            .name("prompt-worker".to_owned())
            .spawn(move || prompt_worker::work(&for_worker))?;

        let (shutdown, mut stopped) = watch::channel(false);
        let router = router::router(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            let ended = async move {
                // A dropped sender means the same as `true`.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            if let Err(error) = axum::serve(gate, router).with_graceful_shutdown(ended).await {
                tracing::error!(%error, "the server ended");
            }
        });
        Ok(Self {
            address,
            shared,
            shutdown,
            server: Some(server),
        })
    }

    /// The base URL, such as `http://127.0.0.1:8188`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The faults as they are now, counted ones counted down.
    pub fn faults(&self) -> Faults {
        self.shared.lock().faults.clone()
    }

    /// Replaces all lasting faults.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().set_faults(faults);
        self.shared.wake();
    }

    /// What has happened so far.
    pub fn stats(&self) -> Stats {
        self.shared.lock().stats.clone()
    }

    /// Cuts all sockets off, without a close frame.
    pub fn drop_sockets(&self) {
        self.shared.lock().sockets.drop_all();
    }

    /// Refuses connections for a while, and breaks those that are open.
    pub fn refuse_connections(&self, time: Duration) {
        self.shared.lock().sockets.drop_all();
        self.shared.gate.shut_for(time);
    }

    /// Ends [`Double::refuse_connections`] before its time.
    pub fn accept_connections(&self) {
        self.shared.gate.open();
    }

    /// Has a model file from now on.
    pub fn add_model(&self, folder: &str, name: &str) {
        self.shared.lock().models.add(folder, name);
    }

    /// Has this model file no more.
    pub fn remove_model(&self, folder: &str, name: &str) {
        self.shared.lock().models.remove(folder, name);
    }

    /// Somebody empties the folder of input pictures.
    pub fn remove_inputs(&self) {
        self.shared.lock().files.remove_inputs();
    }

    /// Stops at once: queue, history and files are gone, sockets are cut off.
    pub async fn stop(mut self) {
        self.end();
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(PATIENCE, &mut server).await.is_err()
        {
            server.abort();
        }
    }

    /// Waits until the server ends by itself, which it only does after a failure.
    pub async fn ended(&mut self) {
        if let Some(server) = &mut self.server {
            // A panic in the server has been logged by its task.
            let _ = server.await;
        }
    }

    fn end(&self) {
        {
            let mut inner = self.shared.lock();
            inner.stopping = true;
            inner.sockets.drop_all();
        }
        self.shared.wake();
        self.shutdown.send_replace(true);
    }
}

impl Builder {
    /// Listens and serves.
    pub async fn start(self) -> std::io::Result<Double> {
        Double::start(self.options).await
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.end();
    }
}
