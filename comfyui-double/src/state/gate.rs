//! The listening socket, which can be closed for a while: connections are then refused.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// The pause between tries when the port cannot be had or accepting fails.
const RETRY: Duration = Duration::from_millis(10);

/// Until when the gate is shut; `None`: it is open.
type ShutUntil = Option<Instant>;

/// Opens and shuts the gate.
#[derive(Debug)]
pub(crate) struct GateKeeper(watch::Sender<ShutUntil>);

impl GateKeeper {
    pub(crate) fn shut_for(&self, time: Duration) {
        self.0.send_replace(Some(Instant::now() + time));
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(None);
    }
}

/// A TCP listener that gives its port up while the gate is shut.
pub(crate) struct Gate {
    address: SocketAddr,
    listener: Option<TcpListener>,
    shut: watch::Receiver<ShutUntil>,
}

impl Gate {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<(Self, GateKeeper)> {
        let listener = TcpListener::bind(address).await?;
        let (sender, shut) = watch::channel(None);
        let gate = Self {
            address: listener.local_addr()?,
            listener: Some(listener),
            shut,
        };
        Ok((gate, GateKeeper(sender)))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends when the gate is opened or shut. When the keeper is gone, it never changes again.
    async fn changed(shut: &mut watch::Receiver<ShutUntil>) {
        if shut.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn is_shut(until: ShutUntil) -> bool {
    until.is_some_and(|until| Instant::now() < until)
}

impl Listener for Gate {
    type Io = Guarded;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guarded, SocketAddr) {
        loop {
            let until = *self.shut.borrow_and_update();
            if let Some(until) = until.filter(|until| Instant::now() < *until) {
                self.listener = None;
                tokio::select! {
                    () = sleep_until(until) => {}
                    () = Self::changed(&mut self.shut) => {}
                }
                continue;
            }
            let Some(listener) = &self.listener else {
                match TcpListener::bind(self.address).await {
                    Ok(listener) => self.listener = Some(listener),
                    Err(error) => {
                        tracing::warn!(%error, address = %self.address, "cannot listen again yet");
                        sleep(RETRY).await;
                    }
                }
                continue;
            };
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => return (Guarded { stream, shut: self.shut.clone() }, address),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        sleep(RETRY).await;
                    }
                },
                () = Self::changed(&mut self.shut) => {}
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// A connection that breaks at the next request once the gate is shut: clients keep connections
/// open, and would not notice otherwise. Replies still go out, also that to the call that shut it.
pub(crate) struct Guarded {
    stream: TcpStream,
    shut: watch::Receiver<ShutUntil>,
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() && is_shut(*self.shut.borrow()) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        read
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
