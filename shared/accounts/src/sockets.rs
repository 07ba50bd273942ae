use std::time::Duration;

use cloud::{Sockets, Store, StoreError, Write, chain, tables::SessionsOf};
use model::{ConnectionId, Millis, Session, UserId};
use tracing::warn;

/// Hangs up on every socket of a user, so that nothing is pushed to them any more.
pub async fn hang_up(store: &Store, sockets: &Sockets, user: &UserId) -> Result<(), StoreError> {
    for session in store.list(SessionsOf(user)).await? {
        hang_up_on(store, sockets, session).await?;
    }
    Ok(())
}

/// API Gateway closes any connection after two hours.
const LONGEST: Duration = Duration::from_hours(2);

/// Hangs up on what was missed of a user who is out: sockets from before their account was removed or everything revoked.
pub async fn hang_up_missed(store: &Store, sockets: &Sockets, user: &UserId, now: Millis) -> Result<(), StoreError> {
    let valid_from = store.get(user).await?.map(|account| account.tokens_valid_from);
    if valid_from.is_some_and(|from| now.since(from) > LONGEST) {
        return Ok(());
    }
    for session in store.list(SessionsOf(user)).await? {
        if valid_from.is_none_or(|from| session.opened_at < from) {
            hang_up_on(store, sockets, session).await?;
        }
    }
    Ok(())
}

async fn hang_up_on(store: &Store, sockets: &Sockets, mut session: Session) -> Result<(), StoreError> {
    // The item goes first: it is what is pushed to.
    match store.commit([Write::delete(&mut session)]).await {
        Ok(()) | Err(StoreError::Conflict) => {}
        Err(error) => return Err(error),
    }
    close(sockets, &session.connection_id).await;
    Ok(())
}

/// Closes a connection whose bearer is out. If that fails, the next message on it is refused all the same.
pub async fn close(sockets: &Sockets, connection: &ConnectionId) {
    if let Err(error) = sockets.close(connection).await {
        warn!(error = chain(&error), "a socket could not be closed");
    }
}
