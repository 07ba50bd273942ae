//! Tables, their keys and what is listed from them: the one place that knows them.

use model::{
    Account, AddressRate, Audit, AwaitedLora, BacklogEntry, BrowserSession, CatalogEntry, Class, ConnectionId,
    Deletion, DemandCount, DemandCounted, DemandDay, Device, Document, DocumentId, Group, GroupId, Hazard,
    HourForecast, Identity, Invitation, KeepRule, Leaving, LoraCount, Millis, ModelUpload, Numbers, OpenCall, Pace,
    Pool, PoolId, PoolNames, PoolNodes, Presence, Session, SignIn, Step, Task, TaskBody, TaskId, TaskState, TeamId,
    TeamRate, Ticket, UploadedLora, Usage, UserId, Worker, WorkerId,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::query::{
    ACCOUNTS_BY_TEAM, BACKLOG, GROUPS_BY_OWNER, HISTORY_BY_TEAM, SESSIONS_BY_OWNER, TASKS_BY_OWNER, UNARCHIVED,
    WORKERS_BY_POOL,
};
pub use crate::query::{Extent, First, Index, Query, Shows};

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Painters' requests.
    Tasks,
    /// Their large parts.
    TaskBodies,
    /// Workers.
    Fleet,
    /// Open WebSockets.
    Sessions,
    /// Models.
    Catalog,
    /// Users and their usage.
    Accounts,
    /// Pools.
    Pools,
    /// How documents came to be, where their painters have agreed.
    History,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Tasks,
        Self::TaskBodies,
        Self::Fleet,
        Self::Sessions,
        Self::Catalog,
        Self::Accounts,
        Self::Pools,
        Self::History,
    ];

    /// The environment variable that names the table.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Tasks => "TASKS_TABLE",
            Self::TaskBodies => "TASK_BODIES_TABLE",
            Self::Fleet => "FLEET_TABLE",
            Self::Sessions => "SESSIONS_TABLE",
            Self::Catalog => "CATALOG_TABLE",
            Self::Accounts => "ACCOUNTS_TABLE",
            Self::Pools => "POOLS_TABLE",
            Self::History => "HISTORY_TABLE",
        }
    }

    /// Attributes of partition and sort key.
    pub const fn key(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Tasks | Self::TaskBodies => ("task_id", None),
            Self::Fleet => ("worker_id", None),
            Self::Sessions => ("connection_id", None),
            Self::Catalog => ("team", Some("entry")),
            Self::Accounts => ("account", None),
            Self::Pools => ("pool", Some("slot")),
            Self::History => ("owner", Some("entry")),
        }
    }

    /// The other ways into the table.
    pub const fn indexes(self) -> &'static [Index] {
        match self {
            Self::Tasks => &[TASKS_BY_OWNER, BACKLOG, UNARCHIVED],
            Self::Fleet => &[WORKERS_BY_POOL],
            Self::Sessions => &[SESSIONS_BY_OWNER],
            Self::Accounts => &[ACCOUNTS_BY_TEAM],
            Self::History => &[HISTORY_BY_TEAM],
            Self::TaskBodies => &[GROUPS_BY_OWNER],
            Self::Pools | Self::Catalog => &[],
        }
    }
}

/// The deployed names of the tables.
#[derive(Debug, Clone)]
pub struct TableNames([String; 8]);

impl TableNames {
    /// Asks for each name.
    pub fn read(name: impl FnMut(Table) -> String) -> Self {
        Self(Table::ALL.map(name))
    }

    /// The table's deployed name.
    pub fn of(&self, table: Table) -> &str {
        &self.0[table as usize]
    }
}

/// The key of an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The table.
    pub table: Table,
    /// Value of the partition key.
    pub partition: String,
    /// Value of the sort key, where the table has one.
    pub sort: Option<String>,
}

impl Key {
    /// Longest partition key, bytes. DynamoDB's developer guide, "Service, account, and table quotas".
    pub(crate) const PARTITION: usize = 2048;
    /// Longest sort key, bytes.
    pub(crate) const SORT: usize = 1024;

    fn simple(table: Table, partition: impl std::fmt::Display) -> Self {
        Self {
            table,
            partition: partition.to_string(),
            sort: None,
        }
    }

    /// Whether there can be such an item: DynamoDB refuses to look for one whose key is too long, as what somebody sends may be.
    pub(crate) fn may_be(&self) -> bool {
        let fits = |key: &str, most| (1..=most).contains(&key.len());
        fits(&self.partition, Self::PARTITION) && self.sort.as_ref().is_none_or(|it| fits(it, Self::SORT))
    }
}

/// A thing kept as one item, written whole and only with a condition on its version.
pub trait Entity: Serialize + DeserializeOwned {
    /// Where it lies.
    fn key(&self) -> Key;
    /// Its version: 0 if it was never written.
    fn version_mut(&mut self) -> &mut u64;
}

/// What names an entity.
pub trait Id {
    /// The entity it names.
    type Entity: Entity;
    /// Its key.
    fn key(&self) -> Key;
}

macro_rules! entity {
    ($entity:ty, $id:ty, |$this:ident| $of:expr, |$name:ident| $key:expr) => {
        impl Entity for $entity {
            fn key(&self) -> Key {
                let $this = self;
                Id::key(&$of)
            }
            fn version_mut(&mut self) -> &mut u64 {
                &mut self.version
            }
        }
        impl Id for $id {
            type Entity = $entity;
            fn key(&self) -> Key {
                let $name = self;
                $key
            }
        }
    };
}

/// Names a [`TaskBody`].
#[derive(Debug, Clone, Copy)]
pub struct BodyOf(pub TaskId);

/// Names a [`Usage`].
#[derive(Debug, Clone)]
pub struct UsageOf(pub UserId, pub String);

/// Names a [`SignIn`] by its code.
#[derive(Debug, Clone)]
pub struct SignInOf(pub String);

/// Names a [`Device`] by the hash of its client id.
#[derive(Debug, Clone)]
pub struct DeviceOf(pub String);

/// Names an [`AddressRate`] by the hash of the address.
#[derive(Debug, Clone)]
pub struct AddressRateOf(pub String);

/// Names an [`Invitation`] by the hash of its words.
#[derive(Debug, Clone)]
pub struct InvitationOf(pub String);

/// Names a [`BrowserSession`] by the hash of its secret.
#[derive(Debug, Clone)]
pub struct BrowserOf(pub String);

/// Names a [`Ticket`] by its hash.
#[derive(Debug, Clone)]
pub struct TicketOf(pub String);

/// Names an [`Audit`] by its moment and its id.
#[derive(Debug, Clone)]
pub struct AuditAt(pub Millis, pub String);

/// Where the audit list is. No pool can have this name.
const AUDIT: &str = "#audit";

/// Names a [`Leaving`] by its user, moment and id.
#[derive(Debug, Clone)]
pub struct LeavingAt(pub UserId, pub Millis, pub String);

/// Where everybody is who has just been put out. No pool can have this name.
const LEAVING: &str = "#leaving";

/// Names an [`Identity`].
#[derive(Debug, Clone)]
pub struct IdentityOf(pub String);

/// Names a [`TeamRate`].
#[derive(Debug, Clone)]
pub struct TeamRateOf(pub TeamId);

/// Names a [`KeepRule`].
#[derive(Debug, Clone)]
pub struct KeepRuleOf(pub TeamId);

/// Names a pool's [`Pace`].
#[derive(Debug, Clone)]
pub struct PaceOf(pub PoolId);

/// Names a pool's [`Hazard`].
#[derive(Debug, Clone)]
pub struct HazardOf(pub PoolId);

/// Names a painter's [`Presence`] in a pool.
#[derive(Debug, Clone)]
pub struct PresenceOf(pub PoolId, pub UserId);

/// The partition of a pool's presence. No pool can have this name.
fn presence(pool: &PoolId) -> String {
    format!("presence#{pool}")
}

/// Names a [`Document`] by its owner and its id.
#[derive(Debug, Clone)]
pub struct DocumentOf(pub UserId, pub DocumentId);

/// Names a [`Step`] by its owner, its document, when it was asked for and its task.
#[derive(Debug, Clone)]
pub struct StepOf(pub UserId, pub DocumentId, pub Millis, pub TaskId);

/// Names a [`Class`].
#[derive(Debug, Clone)]
pub struct ClassOf(pub TeamId);

/// What the names of all documents of an owner begin with. No id of a document has a `#`.
const DOCUMENT: &str = "document#";

/// What the names of all steps of a document begin with.
fn steps_of(document: &DocumentId) -> String {
    format!("step#{document}#")
}

/// Names a pool's [`DemandCount`] by when its five minutes began.
#[derive(Debug, Clone)]
pub struct DemandAt(pub PoolId, pub Millis);

/// The partition of a pool's counts. No pool can have this name.
fn demand(pool: &PoolId) -> String {
    format!("demand#{pool}")
}

/// Names a pool's [`DemandDay`] by when the day began.
#[derive(Debug, Clone)]
pub struct DemandDayAt(pub PoolId, pub Millis);

/// The partition of a pool's days. No pool can have this name.
fn demand_days(pool: &PoolId) -> String {
    format!("demand-days#{pool}")
}

/// Names the [`DemandCounted`] of a task.
#[derive(Debug, Clone, Copy)]
pub struct CountedOf(pub TaskId);

/// A moment as a sort key: as text it is in order of time.
fn in_order(at: Millis) -> String {
    format!("{:015}", at.0)
}

/// Names a pool's [`HourForecast`].
#[derive(Debug, Clone)]
pub struct ForecastOf(pub PoolId);

/// Names an [`OpenCall`] by its place.
#[derive(Debug, Clone, Copy)]
pub struct OpenCallAt(pub u64);

/// Names the [`PoolNames`].
#[derive(Debug, Clone, Copy)]
pub struct AllPools;

/// Names a [`PoolNodes`].
#[derive(Debug, Clone)]
pub struct NodesOf(pub PoolId);

/// Names a [`CatalogEntry`].
#[derive(Debug, Clone)]
pub struct CatalogKey(pub TeamId, pub String);

/// Names an [`UploadedLora`] by its team and the SHA-256 of the file, hexadecimal.
#[derive(Debug, Clone)]
pub struct LoraOf(pub TeamId, pub String);

/// Names a [`ModelUpload`] by its id.
#[derive(Debug, Clone)]
pub struct UploadOf(pub String);

/// Where all uploads of models are: there are few at a time. No team can have this name.
const UPLOADS: &str = "#uploads";

/// Names a [`Deletion`] by the team and the [`CatalogKey`] of what was deleted.
#[derive(Debug, Clone)]
pub struct DeletionOf(pub TeamId, pub String);

/// Where all deletions of models are.
const DELETIONS: &str = "#deletions";

/// Names [`Numbers`] by the team and the model.
#[derive(Debug, Clone)]
pub struct NumbersOf(pub TeamId, pub String);

/// Names an [`AwaitedLora`] as [`LoraOf`] the LoRA.
#[derive(Debug, Clone)]
pub struct AwaitedOf(pub TeamId, pub String);

/// Where all LoRAs are that nobody has looked at. Its end is that of the team's LoRAs, since who brings those writes both.
const AWAITED: &str = "#awaited#loras";

/// Names a [`LoraCount`].
#[derive(Debug, Clone)]
pub struct LoraCountOf(pub TeamId);

/// Where all counts of LoRAs are. Its end is as that of [`AWAITED`].
const COUNTED: &str = "#counted#loras";

/// Apart from what the team's catalogue is read from with each minute: no team can have such a name.
fn loras_of(team: &TeamId) -> String {
    format!("{team}#loras")
}

entity!(Task, TaskId, |it| it.task_id, |id| Key::simple(Table::Tasks, id));
entity!(TaskBody, BodyOf, |it| BodyOf(it.task_id), |id| Key::simple(
    Table::TaskBodies,
    id.0
));
entity!(Group, GroupId, |it| it.group_id, |id| Key::simple(
    Table::TaskBodies,
    // No task has this name.
    format!("group#{id}")
));
entity!(Worker, WorkerId, |it| it.worker_id, |id| Key::simple(Table::Fleet, id));
entity!(Session, ConnectionId, |it| it.connection_id, |id| Key::simple(
    Table::Sessions,
    id
));
entity!(Account, UserId, |it| it.user_id, |id| Key::simple(
    Table::Accounts,
    format!("user#{id}")
));
entity!(
    Usage,
    UsageOf,
    |it| UsageOf(it.user_id.clone(), it.month.clone()),
    |id| Key::simple(Table::Accounts, format!("usage#{}#{}", id.0, id.1))
);
entity!(Pool, PoolId, |it| it.pool, |id| Key {
    table: Table::Pools,
    partition: id.to_string(),
    sort: Some("now".to_owned())
});
entity!(PoolNodes, NodesOf, |it| NodesOf(it.pool.clone()), |id| Key {
    table: Table::Pools,
    partition: id.0.to_string(),
    sort: Some("nodes".to_owned())
});
entity!(HourForecast, ForecastOf, |it| ForecastOf(it.pool.clone()), |id| Key {
    table: Table::Pools,
    // No pool can have this name.
    partition: format!("forecast#{}", id.0),
    sort: Some("now".to_owned())
});
entity!(TeamRate, TeamRateOf, |it| TeamRateOf(it.team.clone()), |id| {
    Key::simple(Table::Accounts, format!("team#{}", id.0))
});
entity!(KeepRule, KeepRuleOf, |it| KeepRuleOf(it.team.clone()), |id| {
    Key::simple(Table::Accounts, format!("keep#{}", id.0))
});
entity!(Pace, PaceOf, |it| PaceOf(it.pool.clone()), |id| Key {
    table: Table::Pools,
    partition: id.0.to_string(),
    sort: Some("pace".to_owned())
});
entity!(Hazard, HazardOf, |it| HazardOf(it.pool.clone()), |id| Key {
    table: Table::Pools,
    partition: id.0.to_string(),
    sort: Some("hazard".to_owned())
});
entity!(
    Presence,
    PresenceOf,
    |it| PresenceOf(it.pool.clone(), it.user.clone()),
    |id| Key {
        table: Table::Pools,
        partition: presence(&id.0),
        sort: Some(id.1.to_string())
    }
);
entity!(
    DemandCount,
    DemandAt,
    |it| DemandAt(PoolId::new(it.pool.clone()), it.at),
    |id| Key {
        table: Table::Pools,
        partition: demand(&id.0),
        sort: Some(in_order(id.1))
    }
);
entity!(
    DemandDay,
    DemandDayAt,
    |it| DemandDayAt(PoolId::new(it.pool.clone()), it.at),
    |id| Key {
        table: Table::Pools,
        partition: demand_days(&id.0),
        sort: Some(in_order(id.1))
    }
);
entity!(DemandCounted, CountedOf, |it| CountedOf(it.task), |id| Key {
    table: Table::Pools,
    // No pool can have this name.
    partition: format!("counted#{}", id.0),
    sort: Some("now".to_owned())
});
entity!(OpenCall, OpenCallAt, |it| OpenCallAt(it.place), |id| Key {
    table: Table::Pools,
    // No pool can have this name.
    partition: format!("open#{}", id.0),
    sort: Some("now".to_owned())
});
entity!(SignIn, SignInOf, |it| SignInOf(it.code.clone()), |id| Key::simple(
    Table::Accounts,
    format!("code#{}", id.0)
));
entity!(Device, DeviceOf, |it| DeviceOf(it.client.clone()), |id| Key::simple(
    Table::Accounts,
    format!("device#{}", id.0)
));
entity!(
    AddressRate,
    AddressRateOf,
    |it| AddressRateOf(it.address.clone()),
    |id| Key::simple(Table::Accounts, format!("address#{}", id.0))
);
entity!(Invitation, InvitationOf, |it| InvitationOf(it.secret.clone()), |id| {
    Key::simple(Table::Accounts, format!("invitation#{}", id.0))
});
entity!(BrowserSession, BrowserOf, |it| BrowserOf(it.secret.clone()), |id| {
    Key::simple(Table::Accounts, format!("browser#{}", id.0))
});
entity!(Ticket, TicketOf, |it| TicketOf(it.secret.clone()), |id| Key::simple(
    Table::Accounts,
    format!("ticket#{}", id.0)
));
entity!(Audit, AuditAt, |it| AuditAt(it.at, it.id.clone()), |id| Key {
    table: Table::Pools,
    partition: AUDIT.to_owned(),
    sort: Some(format!("{}#{}", in_order(id.0), id.1))
});
entity!(
    Leaving,
    LeavingAt,
    |it| LeavingAt(it.who.clone(), it.at, it.id.clone()),
    |id| Key {
        table: Table::Pools,
        partition: LEAVING.to_owned(),
        sort: Some(format!("{}#{}#{}", id.0, id.1.0, id.2))
    }
);
entity!(Identity, IdentityOf, |it| IdentityOf(it.name.clone()), |id| {
    Key::simple(Table::Accounts, format!("identity#{}", id.0))
});
entity!(PoolNames, AllPools, |_it| AllPools, |_id| Key {
    table: Table::Pools,
    // No pool can have this name.
    partition: "#all".to_owned(),
    sort: Some("names".to_owned())
});
entity!(
    CatalogEntry,
    CatalogKey,
    |it| CatalogKey(it.team.clone(), it.key()),
    |id| Key {
        table: Table::Catalog,
        partition: id.0.to_string(),
        sort: Some(id.1.clone())
    }
);

entity!(
    UploadedLora,
    LoraOf,
    |it| LoraOf(it.owner.clone(), it.sha256.clone()),
    |id| Key {
        table: Table::Catalog,
        partition: loras_of(&id.0),
        sort: Some(id.1.clone())
    }
);

entity!(
    Deletion,
    DeletionOf,
    |it| DeletionOf(it.of.clone(), it.what.clone()),
    |id| Key {
        table: Table::Catalog,
        partition: DELETIONS.to_owned(),
        sort: Some(format!("{}#{}", id.0, id.1))
    }
);

entity!(
    Numbers,
    NumbersOf,
    |it| NumbersOf(it.of.clone(), it.model.clone()),
    |id| Key {
        table: Table::Catalog,
        // No team can have this name.
        partition: "#numbers".to_owned(),
        sort: Some(format!("{}#{}", id.0, id.1))
    }
);

entity!(LoraCount, LoraCountOf, |it| LoraCountOf(it.of.clone()), |id| Key {
    table: Table::Catalog,
    partition: COUNTED.to_owned(),
    sort: Some(id.0.to_string())
});

entity!(
    AwaitedLora,
    AwaitedOf,
    |it| AwaitedOf(it.of.clone(), it.hash.clone()),
    |id| Key {
        table: Table::Catalog,
        partition: AWAITED.to_owned(),
        sort: Some(format!("{}#{}", id.0, id.1))
    }
);

entity!(ModelUpload, UploadOf, |it| UploadOf(it.id.clone()), |id| Key {
    table: Table::Catalog,
    partition: UPLOADS.to_owned(),
    sort: Some(id.0.clone())
});

entity!(
    Document,
    DocumentOf,
    |it| DocumentOf(it.owner.clone(), it.document.clone()),
    |id| Key {
        table: Table::History,
        partition: id.0.to_string(),
        sort: Some(format!("{DOCUMENT}{}", id.1))
    }
);

entity!(
    Step,
    StepOf,
    |it| StepOf(it.owner.clone(), it.document.clone(), it.asked, it.task_id),
    |id| Key {
        table: Table::History,
        partition: id.0.to_string(),
        // As text it is in order of time.
        sort: Some(format!("{}{:015}#{}", steps_of(&id.1), id.2.0, id.3))
    }
);

entity!(Class, ClassOf, |it| ClassOf(it.team.clone()), |id| Key::simple(
    Table::Accounts,
    format!("class#{}", id.0)
));

/// A typed [`Query`].
pub trait List {
    /// What an entry is.
    type Entry: DeserializeOwned;
    /// The query.
    fn query(&self) -> Query;
}

/// The waiting tasks of a pool, earliest first.
#[derive(Debug, Clone, Copy)]
pub struct Backlog<'a>(pub &'a PoolId, pub u32);

/// The tasks of one of [`Task::PARTS`] that are over and have no record, as many as said, those first that are to be offered
/// first.
#[derive(Debug, Clone, Copy)]
pub struct UnarchivedIn<'a>(pub &'a str, pub u32);

/// A task that is over and has no record, as the index shows it.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct UnarchivedTask {
    /// Which.
    pub task_id: TaskId,
    /// When it is to be offered again.
    pub offer_at: Millis,
}

impl List for UnarchivedIn<'_> {
    type Entry = UnarchivedTask;
    fn query(&self) -> Query {
        Query {
            table: Table::Tasks,
            index: Some(UNARCHIVED),
            partition: self.0.to_owned(),
            prefix: String::new(),
            first: First::Smallest,
            extent: Extent::First(self.1),
        }
    }
}

/// The tasks of an owner, newest first.
#[derive(Debug, Clone, Copy)]
pub struct TasksOf<'a>(pub &'a UserId);

/// A task as the index of its owner shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct OwnTask {
    /// Which.
    pub task_id: TaskId,
    /// Where it stood when the index saw it last.
    pub state: TaskState,
    /// When it was submitted.
    pub created: Millis,
}

/// The tasks of an owner that were submitted no later than this, newest first.
#[derive(Debug, Clone, Copy)]
pub struct TasksUpTo<'a>(pub &'a UserId, pub Millis);

impl List for TasksUpTo<'_> {
    type Entry = OwnTask;
    fn query(&self) -> Query {
        Query {
            first: First::UpTo(self.1.0),
            ..TasksOf(self.0).query()
        }
    }
}

/// The groups of an owner that were submitted no later than this, newest first.
#[derive(Debug, Clone, Copy)]
pub struct GroupsUpTo<'a>(pub &'a UserId, pub Millis);

impl List for GroupsUpTo<'_> {
    type Entry = Group;
    fn query(&self) -> Query {
        Query {
            table: Table::TaskBodies,
            index: Some(GROUPS_BY_OWNER),
            partition: self.0.to_string(),
            prefix: String::new(),
            first: First::UpTo(self.1.0),
            extent: Extent::Whole,
        }
    }
}

/// The workers of a pool.
#[derive(Debug, Clone, Copy)]
pub struct WorkersOf<'a>(pub &'a PoolId);

/// Who is, or was lately, present in a pool.
#[derive(Debug, Clone, Copy)]
pub struct PresenceIn<'a>(pub &'a PoolId);

/// What was asked of a pool, newest first: so many counts of five minutes in which anything was.
#[derive(Debug, Clone, Copy)]
pub struct DemandOf<'a>(pub &'a PoolId, pub u32);

/// The sums of a pool's days, newest first: so many days on which anything was asked for.
#[derive(Debug, Clone, Copy)]
pub struct DemandDaysOf<'a>(pub &'a PoolId, pub u32);

/// The audit list, newest first.
#[derive(Debug, Clone, Copy)]
pub struct AuditList;

/// Everybody who has just been put out.
#[derive(Debug, Clone, Copy)]
pub struct Leavings;

/// The open WebSockets of an owner, as many as anybody has at once.
#[derive(Debug, Clone, Copy)]
pub struct SessionsOf<'a>(pub &'a UserId);

/// The keys of a team's accounts.
#[derive(Debug, Clone, Copy)]
pub struct AccountsOf<'a>(pub &'a TeamId);

/// An item of Accounts as its index shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct AccountKey {
    account: String,
}

impl AccountKey {
    /// The user, if the item is one's account.
    pub fn user(&self) -> Option<UserId> {
        self.account.strip_prefix("user#").map(UserId::new)
    }
}

/// What a team has in the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct CatalogOf<'a>(pub &'a str);

/// The same of those whose [`CatalogKey`] begins with this, as `lora#` does.
#[derive(Debug, Clone, Copy)]
pub struct CatalogUnder<'a>(pub &'a str, pub &'a str);

/// The deleted models that can still be had back.
#[derive(Debug, Clone, Copy)]
pub struct Deletions;

/// The LoRAs of all teams that nobody has looked at yet.
#[derive(Debug, Clone, Copy)]
pub struct AwaitedLoras;

impl List for AwaitedLoras {
    type Entry = AwaitedLora;
    fn query(&self) -> Query {
        Query {
            partition: AWAITED.to_owned(),
            ..Uploads.query()
        }
    }
}

/// The LoRAs that a team has uploaded.
#[derive(Debug, Clone, Copy)]
pub struct LorasOf<'a>(pub &'a TeamId);

/// The uploads of models that are not forgotten yet, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Uploads;

/// The documents of an owner that have a history or a switch.
#[derive(Debug, Clone, Copy)]
pub struct DocumentsOf<'a>(pub &'a UserId);

/// The documents of a team's painters, last recorded first.
#[derive(Debug, Clone, Copy)]
pub struct DocumentsIn<'a>(pub &'a TeamId);

/// The steps of an owner's document, earliest first.
#[derive(Debug, Clone, Copy)]
pub struct StepsOf<'a>(pub &'a UserId, pub &'a DocumentId);

/// What is kept of an owner in History, by key: of one document the steps, or all of everything.
#[derive(Debug, Clone, Copy)]
pub struct HistoryOf<'a>(pub &'a UserId, pub Option<&'a DocumentId>);

/// An item of History by its key, for whoever deletes it, whichever release has written it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistoryKey {
    owner: UserId,
    entry: String,
    version: u64,
}

impl Entity for HistoryKey {
    fn key(&self) -> Key {
        Key {
            table: Table::History,
            partition: self.owner.to_string(),
            sort: Some(self.entry.clone()),
        }
    }
    fn version_mut(&mut self) -> &mut u64 {
        &mut self.version
    }
}

impl List for HistoryOf<'_> {
    type Entry = HistoryKey;
    fn query(&self) -> Query {
        Query {
            prefix: self.1.map(steps_of).unwrap_or_default(),
            ..DocumentsOf(self.0).query()
        }
    }
}

impl List for DocumentsOf<'_> {
    type Entry = Document;
    fn query(&self) -> Query {
        Query {
            table: Table::History,
            index: None,
            partition: self.0.to_string(),
            prefix: DOCUMENT.to_owned(),
            first: First::Smallest,
            extent: Extent::Whole,
        }
    }
}

impl List for DocumentsIn<'_> {
    type Entry = Document;
    fn query(&self) -> Query {
        Query {
            table: Table::History,
            index: Some(HISTORY_BY_TEAM),
            partition: self.0.to_string(),
            prefix: String::new(),
            first: First::Largest,
            extent: Extent::Whole,
        }
    }
}

impl List for StepsOf<'_> {
    type Entry = Step;
    fn query(&self) -> Query {
        Query {
            prefix: steps_of(self.1),
            ..DocumentsOf(self.0).query()
        }
    }
}

impl List for CatalogUnder<'_> {
    type Entry = CatalogEntry;
    fn query(&self) -> Query {
        Query {
            prefix: self.1.to_owned(),
            ..CatalogOf(self.0).query()
        }
    }
}

impl List for Deletions {
    type Entry = Deletion;
    fn query(&self) -> Query {
        Query {
            partition: DELETIONS.to_owned(),
            ..Uploads.query()
        }
    }
}

impl List for Uploads {
    type Entry = ModelUpload;
    fn query(&self) -> Query {
        Query {
            table: Table::Catalog,
            index: None,
            partition: UPLOADS.to_owned(),
            prefix: String::new(),
            first: First::Smallest,
            extent: Extent::Whole,
        }
    }
}

impl List for Backlog<'_> {
    type Entry = BacklogEntry;
    fn query(&self) -> Query {
        Query {
            table: Table::Tasks,
            index: Some(BACKLOG),
            partition: self.0.to_string(),
            prefix: String::new(),
            first: First::Smallest,
            extent: Extent::First(self.1),
        }
    }
}

impl List for TasksOf<'_> {
    type Entry = OwnTask;
    fn query(&self) -> Query {
        Query {
            table: Table::Tasks,
            index: Some(TASKS_BY_OWNER),
            partition: self.0.to_string(),
            prefix: String::new(),
            first: First::Largest,
            extent: Extent::Whole,
        }
    }
}

impl List for WorkersOf<'_> {
    type Entry = Worker;
    fn query(&self) -> Query {
        Query {
            table: Table::Fleet,
            index: Some(WORKERS_BY_POOL),
            partition: self.0.to_string(),
            prefix: String::new(),
            first: First::Smallest,
            extent: Extent::Whole,
        }
    }
}

impl List for PresenceIn<'_> {
    type Entry = Presence;
    fn query(&self) -> Query {
        Query {
            table: Table::Pools,
            index: None,
            partition: presence(self.0),
            prefix: String::new(),
            first: First::Smallest,
            extent: Extent::Whole,
        }
    }
}

impl List for DemandOf<'_> {
    type Entry = DemandCount;
    fn query(&self) -> Query {
        Query {
            partition: demand(self.0),
            extent: Extent::First(self.1),
            ..AuditList.query()
        }
    }
}

impl List for DemandDaysOf<'_> {
    type Entry = DemandDay;
    fn query(&self) -> Query {
        Query {
            partition: demand_days(self.0),
            extent: Extent::First(self.1),
            ..AuditList.query()
        }
    }
}

impl List for AuditList {
    type Entry = Audit;
    fn query(&self) -> Query {
        Query {
            table: Table::Pools,
            index: None,
            partition: AUDIT.to_owned(),
            prefix: String::new(),
            first: First::Largest,
            extent: Extent::First(100),
        }
    }
}

impl List for Leavings {
    type Entry = Leaving;
    fn query(&self) -> Query {
        Query {
            table: Table::Pools,
            index: None,
            partition: LEAVING.to_owned(),
            prefix: String::new(),
            first: First::Smallest,
            extent: Extent::Whole,
        }
    }
}

impl List for SessionsOf<'_> {
    type Entry = Session;
    fn query(&self) -> Query {
        Query {
            table: Table::Sessions,
            index: Some(SESSIONS_BY_OWNER),
            partition: self.0.to_string(),
            prefix: String::new(),
            first: First::Smallest,
            extent: Extent::First(20),
        }
    }
}

impl List for AccountsOf<'_> {
    type Entry = AccountKey;
    fn query(&self) -> Query {
        Query {
            table: Table::Accounts,
            index: Some(ACCOUNTS_BY_TEAM),
            partition: self.0.to_string(),
            prefix: String::new(),
            first: First::Smallest,
            extent: Extent::Whole,
        }
    }
}

impl List for CatalogOf<'_> {
    type Entry = CatalogEntry;
    fn query(&self) -> Query {
        Query {
            table: Table::Catalog,
            index: None,
            partition: self.0.to_owned(),
            prefix: String::new(),
            first: First::Smallest,
            extent: Extent::Whole,
        }
    }
}

impl LorasOf<'_> {
    /// Most LoRAs that a team may have: each list of them is read whole.
    pub const MOST: u64 = 999;
}

impl List for LorasOf<'_> {
    type Entry = UploadedLora;
    fn query(&self) -> Query {
        Query {
            table: Table::Catalog,
            index: None,
            partition: loras_of(self.0),
            prefix: String::new(),
            first: First::Smallest,
            extent: Extent::Whole,
        }
    }
}
