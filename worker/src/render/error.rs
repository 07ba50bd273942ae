//! Why a run has no result, and how that is told to the painter.

use std::io;

use model::{Blame, Failure, FailureClass};

use super::stop::Stop;
use crate::{
    comfy::{ComfyError, RunLost},
    files::FileError,
    images::{BadInput, BadOutput},
    loras::LoraError,
    transfer::TransferError,
};

/// A run without a result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    #[error("the run was stopped: {stop:?}")]
    Stopped { stop: Stop, stuck: bool },
    #[error("the run took longer than it may")]
    TooLong { stuck: bool },
    /// Without its source, which may quote the prompt.
    #[error("the plan cannot be read: {0:?} error")]
    Plan(serde_json::error::Category),
    #[error("the plan does not fit its pictures")]
    Bind(#[from] workflow::BindError),
    #[error("the input pictures do not fit: {0}")]
    Input(#[from] BadInput),
    #[error("the input pictures could not be fetched")]
    Fetch(#[source] TransferError),
    #[error("a file of the studio's store cannot be used: {0}")]
    File(#[from] FileError),
    #[error("a file of the studio's store could not be fetched")]
    FetchFile(#[source] TransferError),
    #[error("a run's files took longer to fetch than they may")]
    SlowFetch,
    #[error("a LoRA cannot be used: {0}")]
    Lora(#[from] LoraError),
    #[error("ComfyUI failed")]
    Comfy(#[from] ComfyError),
    #[error("the run is lost")]
    Lost(#[from] RunLost),
    #[error("the graph failed: {}", .0.message)]
    Graph(Failure),
    #[error("a model file on this machine's disk was damaged")]
    DamagedFile,
    #[error("somebody interrupted the run")]
    Interrupted,
    #[error("the pictures are not as expected")]
    Output(#[from] BadOutput),
    #[error("the result could not be uploaded")]
    Upload(#[source] TransferError),
    #[error("what another team's runs have left in ComfyUI does not end")]
    Occupied,
    #[error("the team's folders could not be set up")]
    Storage(#[source] io::Error),
    #[error("a worker thread failed")]
    Thread(#[from] tokio::task::JoinError),
}

/// What the API is told of a run without a result.
#[derive(Debug)]
pub(crate) enum Told {
    /// It was interrupted as asked.
    Canceled,
    /// It failed.
    Failed(Failure),
}

impl RenderError {
    #[expect(clippy::needless_pass_by_value, reason = "what `map_err` gives")]
    pub(crate) fn plan(error: serde_json::Error) -> Self {
        Self::Plan(error.classify())
    }

    /// Whether ComfyUI must come back to its senses before the next run.
    pub(crate) fn comfy_is_sick(&self) -> bool {
        match self {
            Self::Stopped { stuck, .. } | Self::TooLong { stuck } => *stuck,
            Self::Lost(_) | Self::Occupied | Self::Comfy(ComfyError::Gone(_) | ComfyError::Slow(_)) => true,
            // A file that nobody can read is not mended by a restart.
            Self::Graph(failure) => failure.blame == Blame::Machine && failure.class != FailureClass::User,
            _ => false,
        }
    }

    /// What the API is told. None if nothing is to be said at all.
    pub(crate) fn told(&self) -> Option<Told> {
        use FailureClass::{Capacity, Infrastructure, User};
        let say = |class, message: &str| Some(Told::Failed(Failure::new(class, message)));
        let machine = |message: &str| {
            let failure = Failure::new(Infrastructure, message);
            Some(Told::Failed(failure.blaming(Blame::Machine)))
        };
        match self {
            Self::Stopped { stop: Stop::Lost, .. } => None,
            Self::Stopped {
                stop: Stop::Canceled, ..
            } => Some(Told::Canceled),
            Self::Stopped {
                stop: Stop::Leaving, ..
            } => say(
                Capacity,
                "The machine was stopped; the picture starts again on another one.",
            ),
            Self::TooLong { .. } => {
                let failure = Failure::new(Infrastructure, "The picture took too long and was stopped.");
                Some(Told::Failed(failure.blaming(Blame::Request)))
            }
            Self::Plan(_)
            | Self::Bind(_)
            | Self::Input(BadInput::Misfit(_))
            | Self::Fetch(TransferError::Bad(BadInput::Misfit(_))) => {
                say(Infrastructure, "The render machine could not read the picture's plan.")
            }
            Self::Input(bad) | Self::Fetch(TransferError::Bad(bad)) => say(User, &bad.to_string()),
            Self::File(error) | Self::FetchFile(TransferError::File(error)) => match error {
                FileError::Gone(_) | FileError::Damaged(_) => say(User, &error.to_string()),
                FileError::NoFolder => say(
                    Infrastructure,
                    "The render machine is not set up for the studio's models.",
                ),
                FileError::Path => say(Infrastructure, "The render machine could not read the picture's plan."),
                FileError::Checksum => machine("A model came to the render machine damaged."),
                FileError::Full => machine("The render machine's disk has no room for the picture's models."),
                FileError::Disk(_) => machine("The render machine could not store the picture's models."),
            },
            Self::DamagedFile => machine("A model on the render machine was damaged; it is fetched anew."),
            Self::SlowFetch => machine("The picture's models came to the render machine too slowly."),
            Self::FetchFile(_) => say(Infrastructure, "The picture's models could not be fetched."),
            Self::Lora(LoraError::Bad(bad)) => say(User, &bad.to_string()),
            Self::Lora(LoraError::Disk(_)) => machine("The render machine could not store the picture's models."),
            Self::Fetch(_) => say(Infrastructure, "The input pictures could not be fetched."),
            Self::Comfy(ComfyError::Rejected(failure)) | Self::Graph(failure) => Some(Told::Failed(failure.clone())),
            Self::Comfy(_) | Self::Occupied => say(Infrastructure, "The renderer on the machine did not answer."),
            Self::Lost(_) => say(Infrastructure, "The renderer on the machine crashed."),
            Self::Interrupted => say(Infrastructure, "The renderer was interrupted."),
            Self::Output(_) => say(Infrastructure, "The renderer made something else than was asked for."),
            Self::Upload(_) => say(Infrastructure, "The finished picture could not be uploaded."),
            Self::Storage(_) => say(Infrastructure, "The render machine could not open the team's folders."),
            Self::Thread(_) => say(Infrastructure, "The render machine had an internal error."),
        }
    }
}
