//! What a team may use, kept for a minute.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cloud::{Store, StoreError, tables::CatalogOf};
use model::{CatalogEntry, Millis, TeamId};
use workflow::Catalog;

const LIFE: Duration = Duration::from_mins(1);

/// Catalogues by team.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<HashMap<TeamId, (Millis, Arc<Catalog>)>>);

impl Cache {
    /// The team's catalogue: its own entries over the shared ones.
    pub(crate) async fn of(&self, store: &Store, team: &TeamId, now: Millis) -> Result<Arc<Catalog>, StoreError> {
        if let Some((at, catalog)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(team)
            && now.since(*at) < LIFE
        {
            return Ok(Arc::clone(catalog));
        }
        let (mut entries, own) = tokio::try_join!(
            store.list(CatalogOf(CatalogEntry::SHARED)),
            store.list(CatalogOf(team.as_str()))
        )?;
        entries.extend(own);
        let catalog = Arc::new(cloud::catalog::assemble(&entries));
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(team.clone(), (now, Arc::clone(&catalog)));
        Ok(catalog)
    }
}
