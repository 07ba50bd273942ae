//! What the agent decides. No I/O and no clock in here: events in, actions out.

use std::{collections::VecDeque, time::Duration};

use model::{RunId, TaskId, worker_api::Assignment};
use tokio::time::Instant;

use crate::{
    backoff::Backoff,
    config::{Timing, millis},
    event::{Event, Finished},
    render::Stop,
};

/// Something to do.
#[derive(Debug)]
pub(super) enum Action {
    /// Wait for ComfyUI and warm it up.
    WarmUp,
    /// Ask for work; for this task first.
    Claim(Option<TaskId>),
    /// Do a run.
    Render(Box<Assignment>),
    /// End the run that is being done.
    Stop(Stop),
    /// Shut the host down.
    ShutDown,
    /// End the process.
    Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ComfyState {
    /// Nobody has looked yet.
    Cold,
    Warming,
    Warm,
}

/// What the agent does, one thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hands {
    Free,
    /// A claim is not answered yet.
    Claiming,
    Run(RunId),
}

/// What the agent knows.
#[derive(Debug)]
pub(super) struct State {
    timing: Timing,
    /// Longest time between two claims.
    rhythm: Duration,
    comfy: ComfyState,
    /// The API knows that the worker is ready, so a claim makes sense.
    announced: bool,
    hands: Hands,
    /// Runs that are over: an assignment that comes twice must not be rendered twice.
    over: VecDeque<RunId>,
    drained: bool,
    leaving: bool,
    /// A wake that came while the worker could not claim.
    wake: Option<Wake>,
    /// When to claim next, and what for.
    next: Option<(Instant, Option<TaskId>)>,
    /// When to claim again if the claim after a wake comes back empty.
    again: VecDeque<(Instant, Option<TaskId>)>,
    troubled: Backoff,
}

#[derive(Debug, Clone, Copy)]
struct Wake(Option<TaskId>);

/// So many ended runs are remembered.
const OVER: usize = 16;

impl State {
    pub(super) fn new(timing: Timing, rhythm: Duration) -> Self {
        Self {
            troubled: Backoff::new(timing.retry),
            timing,
            rhythm,
            comfy: ComfyState::Cold,
            announced: false,
            hands: Hands::Free,
            over: VecDeque::new(),
            drained: false,
            leaving: false,
            wake: None,
            next: None,
            again: VecDeque::new(),
        }
    }

    /// When [`Self::on_time`] wants to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next.filter(|_| self.may_claim()).map(|(at, _)| at)
    }

    /// The time of [`Self::due`] has come.
    pub(super) fn on_time(&mut self, now: Instant) -> Vec<Action> {
        match self.next {
            Some((at, task)) if at <= now => self.claim(task),
            _ => vec![],
        }
    }

    /// What to do about an event.
    pub(super) fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Registered(registered) => {
                self.rhythm = millis(registered.heartbeat_ready_ms);
                // The API starts afresh with each registration and is told at the next heartbeat.
                self.announced = false;
                self.drained = false;
                if self.comfy == ComfyState::Cold {
                    self.warm_up()
                } else {
                    vec![]
                }
            }
            Event::Dismissed => vec![Action::ShutDown],
            Event::Warm => {
                self.comfy = ComfyState::Warm;
                // The API may have been told before this was heard of.
                self.wake
                    .take()
                    .map(|Wake(task)| self.woken(task, now))
                    .unwrap_or_default()
            }
            Event::ComfyGone => {
                let idle = self.comfy == ComfyState::Warm && self.run().is_none();
                if idle { self.warm_up() } else { vec![] }
            }
            Event::Beat { reply, about, ready } => {
                let newly = ready && !self.announced;
                self.announced = ready;
                self.drained = reply.drain;
                let mut actions = match about.filter(|run| self.holds(*run)) {
                    Some(_) if reply.run_lost => vec![Action::Stop(Stop::Lost)],
                    Some(_) if reply.cancel => vec![Action::Stop(Stop::Canceled)],
                    _ => vec![],
                };
                actions.extend(match () {
                    () if newly => self.woken(None, now),
                    () if reply.work => self.claim(None),
                    () => vec![],
                });
                actions
            }
            Event::Wake(task) => {
                // Only who may work is woken, and a claim is decided by the tables.
                self.drained = false;
                self.woken(task, now)
            }
            Event::Cancel(run) if self.holds(run) => vec![Action::Stop(Stop::Canceled)],
            Event::Cancel(_) => vec![],
            Event::Drain => {
                self.drained = true;
                vec![]
            }
            Event::Claimed(assignment) => {
                self.hands = Hands::Free;
                self.troubled.reset();
                match assignment {
                    Some(assignment) => self.assigned(assignment, now),
                    None => self.nothing(now),
                }
            }
            Event::NotClaimed => {
                self.hands = Hands::Free;
                self.next = Some((now + self.troubled.next().min(self.rhythm), None));
                self.or_exit()
            }
            Event::Finished(finished) => self.finished(finished, now),
            Event::Terminate => {
                self.leaving = true;
                if self.run().is_some() {
                    vec![Action::Stop(Stop::Leaving)]
                } else {
                    self.or_exit()
                }
            }
        }
    }

    fn may_claim(&self) -> bool {
        self.comfy == ComfyState::Warm && self.announced && self.hands == Hands::Free && !(self.drained || self.leaving)
    }

    fn run(&self) -> Option<RunId> {
        if let Hands::Run(run) = self.hands {
            Some(run)
        } else {
            None
        }
    }

    fn holds(&self, run: RunId) -> bool {
        self.run() == Some(run)
    }

    fn claim(&mut self, task: Option<TaskId>) -> Vec<Action> {
        if !self.may_claim() {
            return vec![];
        }
        (self.hands, self.next) = (Hands::Claiming, None);
        vec![Action::Claim(task)]
    }

    /// There may be work: ask at once, and again a few times, since what the API looks at lags behind.
    fn woken(&mut self, task: Option<TaskId>, now: Instant) -> Vec<Action> {
        if !self.may_claim() {
            self.wake = Some(Wake(task));
            return vec![];
        }
        self.wake = None;
        self.again = self
            .timing
            .claim_again
            .iter()
            .map(|after| (now + *after, task))
            .collect();
        self.claim(task)
    }

    /// An empty claim.
    fn nothing(&mut self, now: Instant) -> Vec<Action> {
        if let Some(Wake(task)) = self.wake.take_if(|_| !self.leaving) {
            return self.woken(task, now);
        }
        let later = || (now + self.rhythm, None);
        self.next = Some(self.again.pop_front().unwrap_or_else(later));
        self.or_exit()
    }

    fn assigned(&mut self, run: Box<Assignment>, now: Instant) -> Vec<Action> {
        if self.over.contains(&run.run_id) {
            tracing::warn!(run.id = %run.run_id, "this run was assigned before");
            return self.nothing(now);
        }
        self.hands = Hands::Run(run.run_id);
        self.again.clear();
        let mut actions = vec![Action::Render(run)];
        if self.leaving {
            actions.push(Action::Stop(Stop::Leaving));
        }
        actions
    }

    fn finished(&mut self, Finished { run_id, next, sick }: Finished, now: Instant) -> Vec<Action> {
        self.hands = Hands::Free;
        self.over.push_front(run_id);
        self.over.truncate(OVER);
        match next {
            // A run brings a sick ComfyUI back by itself.
            Some(next) => self.assigned(next, now),
            None if self.leaving => self.or_exit(),
            None if sick => self.warm_up(),
            // The API has just looked for work, so unless somebody knows better there is time.
            None => self.nothing(now),
        }
    }

    fn warm_up(&mut self) -> Vec<Action> {
        if self.comfy == ComfyState::Warming {
            return vec![];
        }
        (self.comfy, self.announced) = (ComfyState::Warming, false);
        vec![Action::WarmUp]
    }

    fn or_exit(&self) -> Vec<Action> {
        let done = self.leaving && self.hands == Hands::Free;
        if done { vec![Action::Exit] } else { vec![] }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
