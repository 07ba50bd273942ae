//! What a team may use and its pool can do, kept for a minute.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cloud::{
    Store, StoreError,
    tables::{CatalogOf, NodesOf},
};
use model::{Account, CatalogEntry, Millis, PoolId, TeamId, UserId, folder, worker_api::ModelFile};
use workflow::{Inventory, Plan};

const LIFE: Duration = Duration::from_mins(1);

/// What somebody may paint with.
#[derive(Debug, Clone, Default)]
pub struct Models {
    /// As requests are compiled with it.
    pub inventory: Arc<Inventory>,
    /// Those that are in the studio's store, by the file as graphs name it.
    stored: Arc<BTreeMap<String, ModelFile>>,
}

impl Models {
    /// All of these entries, as they are on machines without custom nodes.
    pub fn of(entries: &[CatalogEntry]) -> Self {
        Self::new(entries.iter(), &[])
    }

    /// The same on machines with these nodes.
    fn new<'a>(entries: impl Iterator<Item = &'a CatalogEntry>, nodes: &[String]) -> Self {
        let entries: Vec<_> = entries.cloned().collect();
        let mut inventory = crate::assemble(&entries);
        inventory.nodes = nodes.iter().cloned().collect();
        let stored = entries.iter().filter_map(file).map(|file| (file.file.clone(), file));
        Self {
            inventory: Arc::new(inventory),
            stored: Arc::new(stored.collect()),
        }
    }

    /// A file of the studio's store, as graphs name it.
    pub fn file(&self, file: &str) -> Option<&ModelFile> {
        self.stored.get(file)
    }

    /// The files of the studio's store that a plan loads, for LoRAs to act on this architecture.
    pub fn files(&self, plan: &Plan, arch: &str) -> Vec<ModelFile> {
        let files = plan.models.iter().filter_map(|file| self.stored.get(file));
        files
            .map(|file| ModelFile {
                arch: if file.folder == ModelFile::LORAS {
                    arch.to_owned()
                } else {
                    String::new()
                },
                ..file.clone()
            })
            .collect()
    }
}

/// An entry's file, if it is in the studio's store.
pub(crate) fn file(entry: &CatalogEntry) -> Option<ModelFile> {
    let master = entry.master.as_ref()?;
    Some(ModelFile {
        name: entry.name.clone(),
        folder: folder(&entry.kind)?.to_owned(),
        file: entry.file.clone(),
        key: master.key(),
        sha256: master.sha256.clone(),
        size: master.size,
        arch: String::new(),
    })
}

/// What there is for each team and pool.
#[derive(Debug, Default)]
pub struct Cache(Mutex<HashMap<(TeamId, PoolId), Arc<Kept>>>);

#[derive(Debug)]
struct Kept {
    /// When it was read.
    at: Millis,
    entries: Vec<CatalogEntry>,
    nodes: Vec<String>,
    /// Of those that the whole team may use.
    models: Models,
}

impl Kept {
    fn is_private(entry: &CatalogEntry) -> bool {
        entry.master.as_ref().is_some_and(|it| it.private)
    }

    fn new(at: Millis, entries: Vec<CatalogEntry>, nodes: Vec<String>) -> Self {
        let models = Models::new(entries.iter().filter(|it| !Self::is_private(it)), &nodes);
        Self {
            at,
            entries,
            nodes,
            models,
        }
    }

    fn of(&self, user: &UserId) -> Models {
        if self.entries.iter().any(|it| Self::is_private(it) && it.is_for(user)) {
            Models::new(self.entries.iter().filter(|it| it.is_for(user)), &self.nodes)
        } else {
            self.models.clone()
        }
    }
}

impl Cache {
    /// The account's catalogue, which may be a minute old.
    pub async fn of(&self, store: &Store, account: &Account, now: Millis) -> Result<Models, StoreError> {
        let key = (account.team.clone(), account.pool.clone());
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        match kept.filter(|kept| now.since(kept.at) < LIFE) {
            Some(kept) => Ok(kept.of(&account.user_id)),
            None => self.fresh(store, account, now).await,
        }
    }

    /// As it is now: the team's own entries over the shared ones, and the nodes that the pool's workers last said they have.
    pub async fn fresh(&self, store: &Store, account: &Account, now: Millis) -> Result<Models, StoreError> {
        let nodes = NodesOf(account.pool.clone());
        let (mut entries, own, nodes) = tokio::try_join!(
            store.list(CatalogOf(CatalogEntry::SHARED)),
            store.list(CatalogOf(account.team.as_str())),
            store.get(&nodes)
        )?;
        entries.extend(own);
        let nodes = nodes.into_iter().flat_map(|of_pool| of_pool.nodes).collect();
        let kept = Arc::new(Kept::new(now, entries, nodes));
        let models = kept.of(&account.user_id);
        let key = (account.team.clone(), account.pool.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, kept);
        Ok(models)
    }
}
