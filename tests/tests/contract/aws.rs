//! The AWS that a case runs on.

use std::sync::Arc;

use ::fleet::{Fleet, FleetError, memory::MemoryFleet};
use ::local::{Connection, Services};
use anyhow::{Result, bail, ensure};
use cloud::{
    Cloud, StoreError,
    bucket::BucketError,
    memory::{Memory, Unkind},
    queue::{QueueError, Queued},
    sockets::SocketError,
};
use model::ConnectionId;
use uuid::Uuid;

/// One of both.
pub(crate) struct Aws {
    pub(crate) cloud: Cloud,
    pub(crate) fleet: Fleet,
    /// A name of the case's own for everything: the emulator is shared.
    pub(crate) own: String,
    of: Of,
}

enum Of {
    Memory(Memory, MemoryFleet),
    Emulator(Arc<Services>),
}

/// An open WebSocket.
pub(crate) enum Socket {
    Memory(Memory, ConnectionId),
    Emulator(Box<Connection>),
}

impl Aws {
    pub(crate) fn memory() -> Self {
        let (memory, instances) = (Memory::new(Unkind::NOT), MemoryFleet::default());
        Self {
            cloud: memory.cloud(),
            fleet: instances.fleet(),
            own: own(),
            of: Of::Memory(memory, instances),
        }
    }

    pub(crate) async fn emulator(services: Arc<Services>) -> Result<Self> {
        let sdk = services.sdk().await;
        Ok(Self {
            cloud: services.cloud(&sdk)?,
            fleet: services.fleet(&sdk).await?,
            own: own(),
            of: Of::Emulator(services),
        })
    }

    /// Messages in the queue.
    pub(crate) async fn received(&self) -> Result<Vec<Queued>> {
        match &self.of {
            Of::Memory(memory, _) => Ok(memory.take_queued()),
            Of::Emulator(services) => services.received().await,
        }
    }

    /// Opens a WebSocket.
    pub(crate) async fn connect(&self) -> Result<Socket> {
        Ok(match &self.of {
            Of::Memory(memory, _) => Socket::Memory(memory.clone(), ConnectionId::new("open")),
            Of::Emulator(services) => Socket::Emulator(Box::new(services.connect().await?)),
        })
    }

    /// Lets what takes EC2 a while come to its end.
    pub(crate) fn settle(&self) {
        if let Of::Memory(_, instances) = &self.of {
            instances.settle();
        }
    }
}

fn own() -> String {
    format!("c-{}", Uuid::now_v7().simple())
}

impl Socket {
    pub(crate) fn id(&self) -> ConnectionId {
        match self {
            Self::Memory(_, id) => id.clone(),
            Self::Emulator(connection) => connection.id.clone(),
        }
    }

    pub(crate) async fn next(&mut self) -> Result<String> {
        match self {
            Self::Memory(memory, _) => match memory.take_sent().pop() {
                Some((_, value)) => Ok(value.to_string()),
                None => bail!("nothing was sent"),
            },
            Self::Emulator(connection) => connection.next().await,
        }
    }

    pub(crate) async fn close(self) -> Result<()> {
        match self {
            Self::Memory(memory, id) => memory.close(&id),
            Self::Emulator(connection) => connection.close().await?,
        }
        Ok(())
    }
}

/// An error that says whether the call may succeed later.
pub(crate) trait Verdict: std::error::Error {
    fn may_pass(&self) -> bool;
}

macro_rules! verdict {
    ($($error:ty),*) => {
        $(impl Verdict for $error {
            fn may_pass(&self) -> bool {
                self.is_retryable()
            }
        })*
    };
}
verdict!(StoreError, QueueError, BucketError, SocketError, FleetError);

/// Fails unless this was refused for good.
pub(crate) fn refused<T, E: Verdict>(what: &str, answer: Result<T, E>) -> Result<()> {
    match answer {
        Ok(_) => bail!("{what}: it was not refused"),
        Err(error) => {
            ensure!(!error.may_pass(), "{what}: it was refused, but not for good: {error:?}");
            Ok(())
        }
    }
}
