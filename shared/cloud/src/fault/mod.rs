//! Every call to AWS, watched: which calls a flow makes, how many of them one after the other, and what becomes of it
//! when the k-th fails, succeeds without an answer, or is the last thing that happens.
//!
//! ```
//! # use cloud::{fault::{Fault, Faults, How, depth}, memory::{Memory, Unkind}, tables::PaceOf};
//! # async fn flow(cloud: cloud::Cloud) -> Result<(), cloud::StoreError> {
//! #     cloud.store.get(&model::PoolId::new("p")).await?;
//! #     cloud.store.get(&PaceOf(model::PoolId::new("p"))).await.map(drop)
//! # }
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let faults = Faults::default();
//! let world = || faults.cloud(&Memory::new(Unkind::NOT).cloud());
//! flow(world()).await?;
//! let calls = faults.take();
//! assert_eq!((calls.len(), depth(&calls)), (2, 2));
//! for at in 1..=calls.len() {
//!     for how in How::ALL {
//!         faults.plan(Fault { of: None, at, how });
//!         let answer = faults.run(flow(world())).await;
//!         assert_eq!(answer.is_none(), how == How::Crash);
//!         // And now: is everything as it must be, or will the next tick make it so?
//!     }
//! }
//! # Ok::<_, cloud::StoreError>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod ports;

use std::{
    collections::BTreeSet,
    fmt,
    future::{Future, pending, poll_fn},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use crate::{BoxFuture, Bucket, Cloud, Queue, Sockets, Store, aws::CallError, multipart::Multipart};
use ports::Watched;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It does nothing and fails, in a way that may pass.
    Fail,
    /// It does what it should, and fails all the same: the answer is lost.
    LostAnswer,
    /// It is done twice, and the second answer counts: what the SDK does when the first answer is lost. A transaction is
    /// not done twice, nor is a launch, since AWS knows both again.
    Twice,
    /// It does nothing, and nothing that begins after it does: the function is no more. What began before it, and may
    /// be under way beside it, is done. [`Faults::run`] ends without an answer.
    Crash,
    /// It does nothing and never answers: whoever waits for it has to give up. Not among [`How::ALL`], since a client's time-out
    /// makes it one that fails.
    Silent,
}

impl How {
    /// All that end.
    pub const ALL: [Self; 4] = [Self::Fail, Self::LostAnswer, Self::Twice, Self::Crash];
}

/// A fault to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which calls are counted, e.g. `store.commit`; none: all.
    pub of: Option<&'static str>,
    /// Which of them, from 1 on, in the order in which they begin.
    pub at: usize,
    /// What becomes of it.
    pub how: How,
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Port and method, e.g. `store.get`.
    pub name: &'static str,
    /// What it was about: tables, an object, a connection.
    pub on: String,
    /// Place of its beginning among all beginnings and ends.
    pub began: u64,
    /// The same of its end; none if it was given up.
    pub ended: Option<u64>,
    /// It asks nobody: a URL is signed here.
    pub local: bool,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.on)
    }
}

/// How many calls happen one after the other: the longest chain of which each begins after the one before has ended.
/// Calls to AWS only. It is what a flow costs in time, whatever else goes on beside it.
pub fn depth(calls: &[Call]) -> usize {
    let mut calls: Vec<_> = calls.iter().filter(|call| !call.local).collect();
    calls.sort_by_key(|call| call.began);
    // Longest chains so far, by where they end.
    let mut chains: Vec<(u64, usize)> = Vec::new();
    for call in calls {
        let before = chains.iter().filter(|(end, _)| *end < call.began);
        let length = 1 + before.map(|(_, length)| *length).max().unwrap_or(0);
        chains.push((call.ended.unwrap_or(u64::MAX), length));
    }
    chains.iter().map(|(_, length)| *length).max().unwrap_or(0)
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<Call>,
    clock: u64,
    fault: Option<Fault>,
    matching: usize,
    /// Places of the calls under way.
    open: BTreeSet<usize>,
    /// The call that is not survived has begun.
    doomed: bool,
    crashed: bool,
    runner: Option<Waker>,
}

/// A call under way, until it ends or is given up.
#[derive(Debug)]
struct Open<'a> {
    faults: &'a Faults,
    place: usize,
    how: Option<How>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.faults.state().open.remove(&self.place);
    }
}

/// Watches calls, and makes one go wrong if a fault is planned. Clones watch together.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

impl Faults {
    /// The same AWS, watched.
    pub fn cloud(&self, cloud: &Cloud) -> Cloud {
        Cloud {
            store: Store::new(Watched::new(self, cloud.store.port())),
            queue: Queue::new(Watched::new(self, cloud.queue.port())),
            bucket: Bucket::new(ports::Objects::new(self, cloud.bucket.port(), &ports::BUCKET)),
            models: Bucket::new(ports::Objects::new(self, cloud.models.port(), &ports::MODELS)),
            sockets: Sockets::new(Watched::new(self, cloud.sockets.port())),
        }
    }

    /// The same bucket for files that come in parts, watched.
    pub fn masters(&self, masters: &Multipart) -> Multipart {
        Multipart::new(Watched::new(self, masters.port()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the calls so far, and lets this happen to one that comes.
    pub fn plan(&self, fault: Fault) {
        *self.state() = State {
            fault: Some(fault),
            ..State::default()
        };
    }

    /// The calls so far. Forgets them, and a fault that has not happened.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.state()).calls
    }

    /// Whether the planned fault has happened, or none was planned.
    pub fn happened(&self) -> bool {
        self.state().fault.is_none()
    }

    /// Runs a function until it ends or crashes; after a crash there is no answer. The next one runs on a new machine.
    pub async fn run<T>(&self, function: impl Future<Output = T>) -> Option<T> {
        let mut function = Box::pin(function);
        let answer = poll_fn(|context| {
            self.state().runner = Some(context.waker().clone());
            let polled = function.as_mut().poll(context);
            if self.state().crashed {
                Poll::Ready(None)
            } else {
                polled.map(Some)
            }
        })
        .await;
        drop(function);
        let mut state = self.state();
        (state.doomed, state.crashed) = (false, false);
        answer
    }

    /// Makes a call, or lets happen what is planned. For ports of others; those of [`Cloud`] come here by themselves.
    pub async fn call<'a, T, E: From<CallError>>(
        &self,
        name: &'static str,
        on: String,
        make: impl Fn() -> BoxFuture<'a, Result<T, E>> + Send + Sync,
    ) -> Result<T, E> {
        let Some(open) = self.begin(name, on, false) else {
            return pending().await;
        };
        // Nothing in memory takes any time: what is called at once has to begin before any of it ends.
        tokio::task::yield_now().await;
        self.answer(open, name, make).await
    }

    /// The same for what asks nobody.
    async fn local<'a, T, E: From<CallError>>(
        &self,
        name: &'static str,
        on: String,
        make: impl Fn() -> BoxFuture<'a, Result<T, E>> + Send + Sync,
    ) -> Result<T, E> {
        let Some(open) = self.begin(name, on, true) else {
            return pending().await;
        };
        self.answer(open, name, make).await
    }

    async fn answer<'a, T, E: From<CallError>>(
        &self,
        open: Open<'_>,
        name: &'static str,
        make: impl Fn() -> BoxFuture<'a, Result<T, E>> + Send + Sync,
    ) -> Result<T, E> {
        let answer = match open.how {
            None => make().await,
            Some(How::Fail) => Err(CallError::passing(name, "it was made to fail").into()),
            Some(How::LostAnswer) => match make().await {
                Ok(_) => Err(CallError::passing(name, "its answer was lost").into()),
                error => error,
            },
            Some(How::Twice) => match make().await {
                Ok(_) => make().await,
                error => error,
            },
            Some(How::Crash) => return self.crash(open.place).await,
            Some(How::Silent) => pending().await,
        };
        self.end(open.place);
        answer
    }

    async fn crash<T>(&self, place: usize) -> T {
        while self.state().open.range(..place).next().is_some() {
            tokio::task::yield_now().await;
        }
        let runner = {
            let mut state = self.state();
            state.crashed = true;
            state.runner.take()
        };
        if let Some(runner) = runner {
            runner.wake();
        }
        pending().await
    }

    /// None if the function is about to crash.
    fn begin(&self, name: &'static str, on: String, local: bool) -> Option<Open<'_>> {
        let mut state = self.state();
        if state.doomed {
            return None;
        }
        state.clock += 1;
        let call = Call {
            name,
            on,
            began: state.clock,
            ended: None,
            local,
        };
        let place = state.calls.len();
        state.calls.push(call);
        state.open.insert(place);
        let mut how = None;
        if let Some(fault) = state.fault.filter(|fault| fault.of.is_none_or(|of| of == name)) {
            state.matching += 1;
            if state.matching == fault.at {
                state.fault = None;
                how = Some(fault.how);
                state.doomed = fault.how == How::Crash;
            }
        }
        Some(Open {
            faults: self,
            place,
            how,
        })
    }

    fn end(&self, place: usize) {
        let mut state = self.state();
        state.clock += 1;
        let now = state.clock;
        // They may have been taken meanwhile.
        if let Some(call) = state.calls.get_mut(place) {
            call.ended = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
