use std::collections::BTreeSet;

use cloud::{Store, StoreError, Write, tables::IdentityOf};
use model::{Account, Identity, UserId};

/// Writes an account together with the identities that open it, from what was read (none: it is new) to what it is to be
/// (none: it is deleted). Returns whose identity it is, and writes nothing, if one of them is another user's.
pub async fn write(
    store: &Store,
    before: Option<Account>,
    after: Option<Account>,
) -> Result<Option<UserId>, StoreError> {
    write_and(store, before, after, []).await
}

/// The same with other writes in the same transaction.
pub async fn write_and(
    store: &Store,
    before: Option<Account>,
    after: Option<Account>,
    also: impl IntoIterator<Item = Write>,
) -> Result<Option<UserId>, StoreError> {
    let names = |account: &Option<Account>| -> BTreeSet<String> {
        let names = account.iter().flat_map(|it| {
            let email = it.email.as_deref().map(Identity::email);
            email.into_iter().chain(it.subject.clone())
        });
        names.collect()
    };
    let (old, new) = (names(&before), names(&after));
    let mut writes = Vec::from_iter(also);
    for name in new.difference(&old) {
        if let Some(found) = store.get(&IdentityOf(name.clone())).await? {
            return Ok(Some(found.user_id));
        }
        if let Some(account) = &after {
            let mut identity = Identity {
                name: name.clone(),
                version: 0,
                user_id: account.user_id.clone(),
            };
            writes.push(Write::put(&mut identity)?);
        }
    }
    for name in old.difference(&new) {
        if let Some(mut identity) = store.get(&IdentityOf(name.clone())).await? {
            writes.push(Write::delete(&mut identity));
        }
    }
    match (before, after) {
        (_, Some(mut account)) => writes.push(Write::put(&mut account)?),
        (Some(mut account), None) => writes.push(Write::delete(&mut account)),
        (None, None) => {}
    }
    store.commit_all(&writes).await.map(|()| None)
}
