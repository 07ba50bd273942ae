//! Indexes and queries: how lists are read from the tables.

use crate::tables::{Key, Table};

/// A list of entries with one partition. From the table itself it is up to date; an index may lag behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The table.
    pub table: Table,
    /// The index; none for the table itself.
    pub index: Option<Index>,
    /// Wanted partition.
    pub partition: String,
    /// What [`Query::order`] begins with, where that is text: the others are not read. Empty for all.
    pub prefix: String,
    /// From which end.
    pub first: First,
    /// How much of it is wanted.
    pub extent: Extent,
}

impl Query {
    /// Most entries of a list that is wanted whole: more means that something runs wild. A thousand times what a studio
    /// has; at 1 KB an entry, 10 MB and ten calls.
    pub const MOST: u32 = 10_000;

    /// Whether there can be such a list, as [`Key::may_be`] says of an item.
    pub(crate) fn may_be(&self) -> bool {
        (1..=Key::PARTITION).contains(&self.partition.len())
    }

    /// Attribute of the partition.
    pub const fn attribute(&self) -> &'static str {
        match self.index {
            Some(index) => index.partition,
            None => self.table.key().0,
        }
    }

    /// Attribute by which entries come in order.
    pub const fn order(&self) -> Option<&'static str> {
        match self.index {
            Some(index) => index.sort,
            None => self.table.key().1,
        }
    }

    /// Attributes that make up a place in the list: the keys of the table and of the index.
    pub(crate) fn keys(&self) -> Vec<&'static str> {
        let (partition, sort) = self.table.key();
        let index = self.index.map(|index| (index.partition, index.sort));
        let index = index.into_iter().flat_map(|(partition, sort)| [Some(partition), sort]);
        let mut names: Vec<_> = [Some(partition), sort].into_iter().chain(index).flatten().collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// From which end a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// The entry with the smallest value of [`Query::order`].
    Smallest,
    /// The one with the largest.
    Largest,
    /// The one with the largest that is at most this, where that is a number.
    UpTo(u64),
}

/// How much of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it, at most [`Query::MOST`] entries: a cut list would be a wrong one.
    Whole,
    /// So many from its beginning.
    First(u32),
}

/// Another way into a table, as `template.yaml` declares it. An item without the index's key is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: &'static str,
    /// Attribute of the partition, a string.
    pub partition: &'static str,
    /// Attribute by which entries come in order, a number.
    pub sort: Option<&'static str>,
    /// What it shows of an item besides its keys.
    pub shows: Shows,
}

/// What an index shows of an item besides the keys of the table and its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// All of it.
    All,
    /// Nothing.
    Keys,
    /// These attributes.
    Also(&'static [&'static str]),
}

pub(crate) const TASKS_BY_OWNER: Index = Index {
    name: "by_owner",
    partition: "owner",
    sort: Some("created"),
    shows: Shows::Also(&["state"]),
};
pub(crate) const BACKLOG: Index = Index {
    name: "backlog",
    partition: "backlog",
    sort: Some("start_tag"),
    shows: Shows::Also(&[
        "owner",
        "team",
        "lane",
        "model",
        "failed_on",
        "work",
        "created",
        "expires_at",
        "seen_at",
    ]),
};
/// Of groups alone: no task's large part names its owner.
pub(crate) const GROUPS_BY_OWNER: Index = Index {
    name: "by_owner",
    partition: "owner",
    sort: Some("created"),
    shows: Shows::All,
};
pub(crate) const UNARCHIVED: Index = Index {
    name: "unarchived",
    partition: "unarchived",
    sort: Some("offer_at"),
    shows: Shows::Keys,
};
pub(crate) const WORKERS_BY_POOL: Index = Index {
    name: "by_pool",
    partition: "pool",
    sort: None,
    shows: Shows::All,
};
pub(crate) const SESSIONS_BY_OWNER: Index = Index {
    name: "by_owner",
    partition: "owner",
    sort: None,
    shows: Shows::All,
};
pub(crate) const ACCOUNTS_BY_TEAM: Index = Index {
    name: "by_team",
    partition: "team",
    sort: None,
    shows: Shows::Keys,
};
pub(crate) const HISTORY_BY_TEAM: Index = Index {
    name: "by_team",
    partition: "team",
    sort: Some("last"),
    shows: Shows::All,
};
