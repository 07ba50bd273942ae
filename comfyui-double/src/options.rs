//! What a double is like: its version, its models, its speed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::disk::models::Models;

/// Whose behaviour the double shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// ComfyUI 0.3.75: no `/api/jobs`, any string as prompt id, older error names.
    #[default]
    V0_3,
    /// ComfyUI 0.33.0.
    V0_33,
}

impl Version {
    pub(crate) fn number(self) -> &'static str {
        match self {
            Self::V0_3 => "0.3.75",
            Self::V0_33 => "0.33.0",
        }
    }
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Options {
    pub(crate) address: SocketAddr,
    pub(crate) version: Version,
    pub(crate) step_delay: Duration,
    pub(crate) load_delay: Duration,
    pub(crate) previews: bool,
    pub(crate) metadata: bool,
    pub(crate) max_upload: usize,
    pub(crate) may_exit: bool,
    pub(crate) models: Models,
    pub(crate) optional_nodes: bool,
}

/// Collects the options of a [`crate::Double`]; begin with [`crate::Double::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    pub(crate) options: Options,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            options: Options {
                address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
                version: Version::default(),
                step_delay: Duration::ZERO,
                load_delay: Duration::ZERO,
                previews: false,
                metadata: false,
                max_upload: 100 * 1024 * 1024,
                may_exit: false,
                models: Models::default(),
                optional_nodes: false,
            },
        }
    }
}

impl Builder {
    /// The address to listen on; 127.0.0.1 if not set.
    pub fn listen(mut self, address: IpAddr) -> Self {
        self.options.address.set_ip(address);
        self
    }

    /// The port; 0, the default, takes any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.options.address.set_port(port);
        self
    }

    /// Which ComfyUI to behave like.
    pub fn version(mut self, version: Version) -> Self {
        self.options.version = version;
        self
    }

    /// How long a sampling step takes; none if not set.
    pub fn step_delay(mut self, delay: Duration) -> Self {
        self.options.step_delay = delay;
        self
    }

    /// How long a checkpoint or diffusion model takes to load; none if not set. What ComfyUI still has from its last prompt it
    /// does not load again.
    pub fn load_delay(mut self, delay: Duration) -> Self {
        self.options.load_delay = delay;
        self
    }

    /// Sends a preview picture with each step, as `--preview-method latent2rgb` does.
    pub fn previews(mut self, on: bool) -> Self {
        self.options.previews = on;
        self
    }

    /// Writes the graph into saved PNGs, as ComfyUI does without `--disable-metadata`.
    pub fn metadata(mut self, on: bool) -> Self {
        self.options.metadata = on;
        self
    }

    /// The largest request body; 100 MiB if not set.
    pub fn max_upload(mut self, bytes: usize) -> Self {
        self.options.max_upload = bytes;
        self
    }

    /// Has a model file, for example `model("checkpoints", "tiny.ckpt")`.
    pub fn model(mut self, folder: &str, name: &str) -> Self {
        self.options.models.add(folder, name);
        self
    }

    /// Has every model file that a graph names. With [`Self::models_in`], those in `atelier/` must be there: a worker brings them.
    pub fn any_model(mut self) -> Self {
        self.options.models.accept_any();
        self
    }

    /// Has the files below `root/<folder>`, such as `root/checkpoints`, looked up at each use.
    pub fn models_in(mut self, root: impl Into<PathBuf>) -> Self {
        self.options.models.look_in(root.into());
        self
    }

    /// Has the nodes of the packs ComfyUI_IPAdapter_plus and comfyui_controlnet_aux that Atelier's graphs may use.
    pub fn optional_nodes(mut self, on: bool) -> Self {
        self.options.optional_nodes = on;
        self
    }

    /// Allows `POST /double/exit` to end the process. For the binary: a test would end itself.
    pub fn may_exit(mut self, on: bool) -> Self {
        self.options.may_exit = on;
        self
    }
}
