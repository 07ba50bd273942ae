//! What letting a task in reads by key, told before the account is read: so that one call reads it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cloud::tables::{ClassOf, DocumentOf, Id, Key, PaceOf, TeamRateOf, UsageOf};
use model::{DocumentId, Millis, PoolId, Settings, TeamId, UserId};

use super::{Recent, key::named};

/// Where painters painted lately.
#[derive(Debug, Default)]
pub(super) struct Pools(Mutex<HashMap<UserId, PoolId>>);

impl Pools {
    /// Most painters that are remembered.
    const MOST: usize = 1000;

    pub(super) fn note(&self, user: &UserId, pool: &PoolId) {
        let mut pools = self.pools();
        if pools.get(user) == Some(pool) {
            return;
        }
        if pools.len() >= Self::MOST {
            pools.clear();
        }
        pools.insert(user.clone(), pool.clone());
    }

    fn of(&self, user: &UserId) -> Option<PoolId> {
        self.pools().get(user).cloned()
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<UserId, PoolId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request of which nothing is read yet.
#[derive(Debug, Clone, Copy)]
pub struct Unread<'a> {
    /// Who asks.
    pub user: &'a UserId,
    /// Their team, as their token says.
    pub team: &'a TeamId,
    /// The idempotency key.
    pub key: Option<&'a [u8]>,
    /// The document that it may be recorded for; none for a group, which has no history.
    pub document: Option<&'a DocumentId>,
}

/// The keys of what letting this in reads. The team and the pool are guesses: where the account says otherwise, its own are read
/// besides.
pub fn ahead(recent: &Recent, settings: &Settings, unread: Unread<'_>, now: Millis) -> Vec<Key> {
    let Unread {
        user,
        team,
        key,
        document,
    } = unread;
    let mut keys = vec![user.key(), UsageOf(user.clone(), now.month()).key()];
    keys.extend(named(user, key).map(|task| task.key()));
    if let Some(document) = document {
        keys.extend([document.clone(), DocumentId::unnamed()].map(|it| DocumentOf(user.clone(), it).key()));
        keys.push(ClassOf(team.clone()).key());
    }
    if !settings.team_rate_interval.is_zero() {
        keys.push(TeamRateOf(team.clone()).key());
    }
    if let Some(pool) = recent.pools.of(user) {
        keys.push(PaceOf(pool.clone()).key());
        if !recent.lines.has(&pool, settings, now) {
            keys.push(pool.key());
        }
    }
    keys
}
