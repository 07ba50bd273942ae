//! What a team may use and its pool can do, kept for a minute.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cloud::{
    Store, StoreError,
    tables::{CatalogOf, NodesOf},
};
use model::{Account, CatalogEntry, Millis, PoolId, TeamId};
use workflow::Inventory;

const LIFE: Duration = Duration::from_mins(1);

/// Inventories by team and pool.
#[derive(Debug, Default)]
pub struct Cache(Mutex<HashMap<(TeamId, PoolId), Kept>>);

/// When it was read.
type Kept = (Millis, Arc<Inventory>);

impl Cache {
    /// The account's catalogue, which may be a minute old.
    pub async fn of(&self, store: &Store, account: &Account, now: Millis) -> Result<Arc<Inventory>, StoreError> {
        let key = (account.team.clone(), account.pool.clone());
        if let Some((at, inventory)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
            && now.since(*at) < LIFE
        {
            return Ok(Arc::clone(inventory));
        }
        self.fresh(store, account, now).await
    }

    /// As it is now: the team's own entries over the shared ones, and the nodes that the pool's workers last said they have.
    pub async fn fresh(&self, store: &Store, account: &Account, now: Millis) -> Result<Arc<Inventory>, StoreError> {
        let nodes = NodesOf(account.pool.clone());
        let (mut entries, own, nodes) = tokio::try_join!(
            store.list(CatalogOf(CatalogEntry::SHARED)),
            store.list(CatalogOf(account.team.as_str())),
            store.get(&nodes)
        )?;
        entries.extend(own);
        let mut inventory = crate::assemble(&entries);
        inventory.nodes = nodes.into_iter().flat_map(|of_pool| of_pool.nodes).collect();
        let inventory = Arc::new(inventory);
        let key = (account.team.clone(), account.pool.clone());
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, (now, Arc::clone(&inventory)));
        Ok(inventory)
    }
}
