//! Noting who is at their canvas. Presence is a hint: a failure to note it is logged and forgotten.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cloud::{Cloud, StoreError, Write, chain, queue::Queued, tables::PresenceOf};
use model::{Account, Millis, PoolId, Settings, Usage, UserId};
use policy::presence::{self, Sign};
use tracing::{info, warn};

/// Notes the sign of a painter who comes, unless they may not ask for a picture this month: a GPU would wake for nothing.
pub async fn note_if_solvent(
    cloud: &Cloud,
    account: &Account,
    usage: &Usage,
    sign: Sign,
    settings: &Settings,
    now: Millis,
) {
    if usage.left(account).credits_left() > 0 && !usage.too_much_unpaid(settings) {
        note(cloud, &account.pool, &account.user_id, sign, settings, now).await;
    }
}

/// Notes a painter's sign, if that is worth a write. With a new stay `dispatch` looks at the pool at once, so that a
/// worker starts before the first request.
pub async fn note(cloud: &Cloud, pool: &PoolId, user: &UserId, sign: Sign, settings: &Settings, now: Millis) {
    match write(cloud, pool, user, sign, settings, now).await {
        Ok(false) => {}
        Ok(true) => {
            let look = Queued {
                task_id: None,
                pool: pool.clone(),
            };
            if let Err(error) = cloud.queue.send(&look).await {
                warn!(user.id = %user, error = chain(&error), "nobody was told of a new stay; the next tick will see it");
            }
        }
        // Somebody else's sign of the same painter in the same moment, most likely.
        Err(error) => info!(user.id = %user, error = chain(&error), "presence was not noted"),
    }
}

/// Who asked lately, so that a painter who sends many requests is not looked up for each.
#[derive(Debug, Default)]
pub struct Asks(Mutex<HashMap<(PoolId, UserId), Millis>>);

impl Asks {
    /// Most painters that are remembered.
    const MOST: usize = 1000;

    /// Notes that a painter asks for a picture, as [`note`] does; what could not be noted is not remembered.
    pub(crate) async fn note(&self, cloud: &Cloud, pool: &PoolId, user: &UserId, settings: &Settings, now: Millis) {
        let key = (pool.clone(), user.clone());
        let noted = self.noted().get(&key).copied();
        if noted.is_some_and(|at| presence::is_one_sign(at, now)) {
            return;
        }
        if let Err(error) = write(cloud, pool, user, Sign::Ask, settings, now).await {
            info!(user.id = %user, error = chain(&error), "presence was not noted");
            return;
        }
        let mut noted = self.noted();
        if noted.len() >= Self::MOST {
            noted.clear();
        }
        noted.insert(key, now);
    }

    fn noted(&self) -> MutexGuard<'_, HashMap<(PoolId, UserId), Millis>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the pool is to be looked at for it.
async fn write(
    cloud: &Cloud,
    pool: &PoolId,
    user: &UserId,
    sign: Sign,
    settings: &Settings,
    now: Millis,
) -> Result<bool, StoreError> {
    let known = cloud.store.get(&PresenceOf(pool.clone(), user.clone())).await?;
    let Some(mut stay) = presence::noted(known.as_ref(), pool, user, sign, settings, now) else {
        return Ok(false);
    };
    cloud.store.commit([Write::put(&mut stay)?]).await?;
    Ok(presence::wakes(&stay, sign))
}
