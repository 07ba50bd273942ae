use cloud::{
    Sockets, Store, StoreError, Write, chain,
    tables::{Leavings, SessionsOf},
};
use model::{ConnectionId, Leaving, Millis, Session, UserId};
use tracing::warn;

/// What is written with a change that puts a user, or a device of theirs, out: the tick then closes whatever socket was missed.
pub fn leaving(user: &UserId, now: Millis) -> Result<Write, StoreError> {
    let id = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
    Write::put(&mut Leaving::new(user.clone(), now, id))
}

/// Hangs up on what was missed of everybody who was put out lately. What fails is tried again by the next tick.
pub async fn hang_up_leaving(store: &Store, sockets: &Sockets, now: Millis) -> Result<(), StoreError> {
    for mut leaving in store.list(Leavings).await? {
        hang_up_missed(store, sockets, &leaving.who).await?;
        if now.since(leaving.at) >= Leaving::LOOKED {
            match store.commit([Write::delete(&mut leaving)]).await {
                Ok(()) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Hangs up on every socket of a user, so that nothing is pushed to them any more.
pub async fn hang_up(store: &Store, sockets: &Sockets, user: &UserId) -> Result<(), StoreError> {
    for session in store.list(SessionsOf(user)).await? {
        hang_up_on(store, sockets, session).await?;
    }
    Ok(())
}

/// Hangs up on what was missed of a user who is out: sockets from before their account was removed or everything revoked, and
/// those of devices that were signed out.
pub async fn hang_up_missed(store: &Store, sockets: &Sockets, user: &UserId) -> Result<(), StoreError> {
    let account = store.get(user).await?;
    let is_in = |session: &Session| {
        account.as_ref().is_some_and(|account| {
            session.opened_at >= account.tokens_valid_from && account.has(session.device.as_deref())
        })
    };
    for session in store.list(SessionsOf(user)).await? {
        if !is_in(&session) {
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
