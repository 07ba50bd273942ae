//! `ops model`: the studio's models, brought from files, folders and addresses, and looked after.

mod add;
mod fetch;
mod file;
mod manage;

use anyhow::{Context, Result};
use catalog::models::{Access, Place};
use clap::{Subcommand, ValueEnum};
use cloud::{Bucket, Store, multipart::Multipart};
use model::{Account, CatalogEntry, Millis, PoolId, Role, Settings, TeamId, UserId};
use ops::audit::by;

pub use add::{Add, Show};

/// `ops model`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring models into the store: safetensors files, folders of them, or addresses. Run it again if it breaks off: what has
    /// been sent is not sent again.
    Add(Add),
    /// Show the models of a team and of all teams.
    List {
        /// The team whose models are shown beside those of all.
        #[arg(long, default_value = "studio")]
        team: TeamId,
        /// Only this kind, such as checkpoint or lora.
        #[arg(long)]
        kind: Option<String>,
        /// Those that were deleted and can be had back.
        #[arg(long)]
        deleted: bool,
    },
    /// Take this version of a model in place of newer ones: back to an older one in one command.
    Pin(One),
    /// Take the newest version again.
    Unpin(One),
    /// Offer a version to nobody any more. Who names it still gets it.
    Deprecate(One),
    /// Offer it again.
    Undeprecate(One),
    /// Give a model, with all its versions, to every team.
    Share(One),
    /// Take a shared model back for one team.
    Unshare(One),
    /// Delete a version of a model. It can be had back for thirty days.
    Delete(One),
    /// Take a deletion back.
    Restore(One),
}

/// A version of a model.
#[derive(Debug, clap::Args)]
pub struct One {
    /// The model: NAME, KIND/NAME, NAME@VERSION or KIND/NAME@VERSION. Without a version the one that painters get.
    model: String,
    /// The team that it is looked for in; then in what all teams have.
    #[arg(long, default_value = "studio")]
    team: TeamId,
}

/// For whom a model is brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum For {
    /// A team.
    Team,
    /// Every team.
    Shared,
}

impl From<For> for Access {
    fn from(wanted: For) -> Self {
        match wanted {
            For::Team => Self::Team,
            For::Shared => Self::Shared,
        }
    }
}

/// Most characters that are kept of who somebody at the command line is.
const NAME: usize = 60;

/// Where the store is.
#[derive(Debug)]
pub struct Site {
    /// The tables.
    pub store: Store,
    /// The bucket of models.
    pub models: Bucket,
    /// The same, for files that come in parts.
    pub masters: Multipart,
    /// Limits, as the functions have them by default.
    pub settings: Settings,
}

impl Site {
    fn place(&self) -> Place<'_> {
        Place {
            store: &self.store,
            models: &self.models,
            masters: &self.masters,
            settings: &self.settings,
        }
    }
}

/// Whoever has the keys of the AWS account, as the store knows them: by a name that no account can have, in which the audit list
/// finds who it was.
fn operator(team: &TeamId) -> Account {
    let who = by(cloud::now()).who;
    let who = who.chars().filter(|it| it.is_alphanumeric() || "@.-_".contains(*it));
    Account {
        user_id: UserId::new(format!("#{}", who.take(NAME).collect::<String>())),
        version: 0,
        name: "operator".to_owned(),
        team: team.clone(),
        pool: PoolId::new("default"),
        role: Role::Operator,
        email: None,
        subject: None,
        tokens_valid_from: Millis(0),
        credits: 0,
        devices: Vec::new(),
    }
}

/// Does it; what is to be said about it. `show` draws how far long work is.
pub async fn run(site: &Site, command: Command, show: &dyn Show) -> Result<String> {
    match command {
        Command::Add(add) => add::run(site, &add, show).await,
        Command::List { team, kind, deleted } => manage::list(site, &team, kind.as_deref(), deleted).await,
        command => manage::run(site, command).await,
    }
}

/// A version as it is named.
fn named(entry: &CatalogEntry) -> String {
    format!("{}/{}@{}", entry.kind, entry.name, entry.number)
}

/// What cannot be read says so in the same words everywhere.
fn catalogue<T>(read: Result<T, cloud::StoreError>) -> Result<T> {
    read.context(
        "the catalogue cannot be read; are these the stack's outputs, and may these credentials read its tables?",
    )
}
