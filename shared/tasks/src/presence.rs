//! Noting who is at their canvas. Presence is a hint: a failure to note it is logged and forgotten.

use cloud::{Cloud, StoreError, Write, chain, queue::Queued, tables::PresenceOf};
use model::{Account, Millis, PoolId, Settings, Usage, UserId};
use policy::presence::{self, Sign};
use tracing::{info, warn};

/// Notes the sign of a painter who comes, unless nothing is left of their budget: a GPU would wake for a picture that they
/// cannot have.
pub async fn note_if_solvent(
    cloud: &Cloud,
    account: &Account,
    usage: &Usage,
    sign: Sign,
    settings: &Settings,
    now: Millis,
) {
    if usage.left(account).credits_left() > 0 {
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
