//! Faults that a test can switch on, and counters that it can read.

use serde::{Deserialize, Serialize};

/// Lasting faults. `POST /double/faults` replaces the whole set with its JSON form; `{}` ends all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Sockets stay open, but nothing is sent on them.
    pub silent_sockets: bool,
    /// A node raises an ordinary exception.
    pub execution_error: Option<NodeFault>,
    /// A node meets a CUDA context that is broken for as long as the process lives.
    pub cuda_error: Option<NodeFault>,
    /// A node finds its model file damaged.
    pub damaged_model: Option<NodeFault>,
    /// A node runs out of video memory.
    pub out_of_memory: Option<NodeFault>,
    /// A node hangs and heeds no interrupt, until this fault is cleared.
    pub hang: Option<NodeFault>,
    /// This many good prompts are answered with 200 and node errors, though they run.
    pub node_errors: u32,
    /// This many interrupts are lost.
    pub lost_interrupts: u32,
    /// An interrupt takes effect only after this time.
    pub interrupt_delay_ms: u64,
    /// A history entry appears only this long after the run has ended.
    pub history_lag_ms: u64,
}

/// A fault in the nodes of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFault {
    /// The node class, such as "KSampler".
    pub class: String,
    /// How often it still happens; for ever if not given.
    #[serde(default)]
    pub times: Option<u32>,
}

impl NodeFault {
    /// Happens at each node of this class.
    pub fn always(class: &str) -> Self {
        Self {
            class: class.to_owned(),
            times: None,
        }
    }

    /// Happens at the next node of this class only.
    pub fn once(class: &str) -> Self {
        Self {
            class: class.to_owned(),
            times: Some(1),
        }
    }
}

/// Whether the fault strikes this class now; counts it.
pub(crate) fn strikes(fault: &mut Option<NodeFault>, class: &str) -> bool {
    let Some(found) = fault.as_mut().filter(|found| found.class == class) else {
        return false;
    };
    match &mut found.times {
        None => true,
        Some(0) => false,
        Some(left) => {
            *left -= 1;
            true
        }
    }
}

/// What has happened since the start (`GET /double/stats`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Prompts taken into the queue.
    pub prompts_accepted: u64,
    /// Prompts refused by validation.
    pub prompts_refused: u64,
    /// Runs begun.
    pub runs: u64,
    /// Runs that ended well.
    pub succeeded: u64,
    /// Runs that ended with an error.
    pub failed: u64,
    /// Runs that were interrupted.
    pub interrupted: u64,
    /// Nodes that ran; cached ones do not count.
    pub nodes_run: u64,
    /// Sampling steps taken.
    pub steps: u64,
    /// Pictures saved.
    pub pictures: u64,
    /// Interrupts asked for, lost ones too.
    pub interrupt_requests: u64,
    /// Prompts deleted from the queue.
    pub deleted: u64,
    /// Files uploaded.
    pub uploads: u64,
    /// Files viewed.
    pub views: u64,
    /// Sockets opened.
    pub sockets: u64,
    /// Sockets that have closed since.
    pub sockets_closed: u64,
    /// History entries deleted.
    pub history_deleted: u64,
    /// `/free` calls.
    pub frees: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_fault_ends() {
        let mut fault = Some(NodeFault::once("KSampler"));
        assert!(!strikes(&mut fault, "VAEDecode"));
        assert!(strikes(&mut fault, "KSampler"));
        assert!(!strikes(&mut fault, "KSampler"));
        let mut lasting = Some(NodeFault::always("KSampler"));
        assert!(strikes(&mut lasting, "KSampler") && strikes(&mut lasting, "KSampler"));
    }

    #[test]
    fn misspelt_faults_are_refused() {
        assert!(serde_json::from_str::<Faults>(r#"{"hang":{"class":"KSampler"}}"#).is_ok());
        assert!(serde_json::from_str::<Faults>(r#"{"hangs":true}"#).is_err());
    }
}
