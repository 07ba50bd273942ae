//! Versions, access, deletion.

use cloud::{
    Write, on_conflict,
    tables::{AllPools, BodyOf, CatalogKey, CatalogUnder, DeletionOf, WorkersOf},
};
use model::{Account, CatalogEntry, Deletion, Millis, Role};

use super::{
    Access, ModelError, Place,
    audited::line,
    check::numbers,
    upload::{known_arch, plain},
};

/// What is to be another way; none stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Taken in place of newer versions. No two versions of a model are.
    pub pinned: Option<bool>,
    /// Not offered any more.
    pub deprecated: Option<bool>,
    /// Who may use the model: all its versions.
    pub access: Option<Access>,
    /// Its architecture.
    pub arch: Option<String>,
    /// What its author allows.
    pub licence: Option<String>,
    /// Where it is from.
    pub source: Option<String>,
}

/// Whether this account may see the entry.
pub fn is_seen(entry: &CatalogEntry, account: &Account) -> bool {
    (entry.is_shared() || entry.team == account.team) && entry.is_for(&account.user_id)
}

/// The entry, if this account may see it and, being in the store, change it.
async fn to_change(
    place: &Place<'_>,
    account: &Account,
    key: &CatalogKey,
    for_good: bool,
) -> Result<CatalogEntry, ModelError> {
    let entry = place.store.get(key).await?;
    // Of somebody who has left the studio nobody else could take anything away.
    let keeps_house = |it: &CatalogEntry| for_good && account.role == Role::Operator && it.team == account.team;
    let entry = entry
        .filter(|it| is_seen(it, account) || keeps_house(it))
        .ok_or(ModelError::NoModel)?;
    if !Access::of(&entry).is_granted_to(account) {
        return Err(Access::of(&entry).refusal());
    }
    if entry.master.is_none() {
        return Err(ModelError::Invalid(
            "This model is part of the machine image; `ops seed --catalog` says what that has.".to_owned(),
        ));
    }
    Ok(entry)
}

/// Changes a version of a model, and says what it is now.
pub async fn change(
    place: &Place<'_>,
    account: &Account,
    key: &CatalogKey,
    change: &Change,
    now: Millis,
) -> Result<CatalogEntry, ModelError> {
    let arch = known_arch(change.arch.clone())?;
    on_conflict!({
        let mut entry = to_change(place, account, key, false).await?;
        if entry.deleted.is_some() {
            return Err(ModelError::TooEarly("This version is deleted. Restore it first."));
        }
        let before = entry.clone();
        entry.deprecated = change.deprecated.unwrap_or(entry.deprecated);
        entry.arch = arch.clone().or(entry.arch);
        entry.licence = plain(change.licence.clone()).or(entry.licence);
        entry.source = plain(change.source.clone()).or(entry.source);
        let mut others = versions(place, &entry).await?;
        entry.pinned = change.pinned.unwrap_or(entry.pinned);
        let mut unpinned = Vec::new();
        for other in others.iter_mut().filter(|it| entry.pinned && it.pinned) {
            other.pinned = false;
            unpinned.push(other.number);
        }
        if let Some(access) = change.access.filter(|to| *to != Access::of(&entry)) {
            others.insert(0, entry);
            return hand_over(place, account, others, access, (&before, now)).await;
        }
        let mut writes = vec![Write::put(&mut entry)?];
        writes.extend(line(
            &account.user_id,
            "change model",
            Some(&before),
            Some(&entry),
            now,
        )?);
        for other in others.iter_mut().filter(|it| unpinned.contains(&it.number)) {
            writes.push(Write::put(other)?);
        }
        if change.pinned == Some(true) {
            // Who pins another version at the same time changes another entry; this they both change.
            others.push(entry.clone());
            writes.push(Write::put(&mut numbers(place, &entry, &others).await?)?);
        }
        place.store.commit_all(&writes).await?;
        Ok(entry)
    })
}

/// Most versions of a model that are handed over at once: a transaction has 100 writes, each takes two, the model two, and the audit list
/// one.
const MOST_VERSIONS: usize = 48;

/// The other versions of the same model: what another painter has for themselves by that name is another model.
async fn versions(place: &Place<'_>, entry: &CatalogEntry) -> Result<Vec<CatalogEntry>, ModelError> {
    let all = format!("{}#{}#", entry.kind, entry.name);
    let mut all = place.store.list(CatalogUnder(entry.team.as_str(), &all)).await?;
    all.retain(|it| it.number != entry.number && it.master.is_some() && it.model() == entry.model());
    Ok(all)
}

/// Gives versions of a model to others; the first is the one that was asked about.
async fn hand_over(
    place: &Place<'_>,
    account: &Account,
    entries: Vec<CatalogEntry>,
    access: Access,
    (was, now): (&CatalogEntry, Millis),
) -> Result<CatalogEntry, ModelError> {
    if !access.is_granted_to(account) {
        return Err(access.refusal());
    }
    if entries.len() > MOST_VERSIONS {
        return Err(ModelError::Invalid(format!(
            "A model with more than {MOST_VERSIONS} versions cannot be handed over. Delete old ones first."
        )));
    }
    if entries.iter().any(|it| it.deleted.is_some()) {
        return Err(ModelError::TooEarly(
            "Some versions of this model are deleted. Restore them, or wait until they are gone.",
        ));
    }
    let team = access.team(&account.team);
    // Its file is its home's; whoever keeps house there knows nothing of others.
    let home = entries
        .iter()
        .filter_map(|it| it.master.as_ref())
        .find(|it| it.home != team);
    if access != Access::Shared && home.is_some() {
        return Err(ModelError::TooEarly(
            "This model was brought for another team, or for all. Bring it for yours.",
        ));
    }
    let before = entries[0].clone();
    let mut given = Vec::with_capacity(entries.len());
    let mut writes = Vec::with_capacity(2 * entries.len() + 3);
    for mut entry in entries {
        let mut new = entry.clone();
        if let Some(master) = &mut new.master {
            master.private = access == Access::Private;
            new.file = master.file(&team);
        }
        (new.team, new.version) = (team.clone(), 0);
        writes.push(Write::delete(&mut entry));
        writes.push(Write::put(&mut new)?);
        given.push(new);
    }
    let there = format!("{}#{}#", given[0].kind, given[0].name);
    let there = place.store.list(CatalogUnder(team.as_str(), &there)).await?;
    if there.iter().any(|it| it.model() == given[0].model()) {
        return Err(ModelError::TooEarly(
            "There is another model of this kind and name where this one is to go. Rename neither: bring it as a version of that one.",
        ));
    }
    // Who brings a version here or there meanwhile changes these, too.
    writes.push(Write::put(&mut numbers(place, &given[0], &given).await?)?);
    writes.push(Write::put(&mut numbers(place, &before, &[]).await?)?);
    writes.extend(line(&account.user_id, "change model", Some(was), Some(&given[0]), now)?);
    place.store.commit_all(&writes).await?;
    Ok(given.swap_remove(0))
}

/// Deletes a version of a model. Its file stays for [`CatalogEntry::UNDELETE`], so that it can be had back.
pub async fn delete(
    place: &Place<'_>,
    account: &Account,
    key: &CatalogKey,
    now: Millis,
) -> Result<CatalogEntry, ModelError> {
    let entry = to_change(place, account, key, true).await?;
    if is_needed(place, &entry.file).await? {
        return Err(ModelError::TooEarly(
            "A picture that is being painted needs this model. Try again when it is done, or deprecate it for now.",
        ));
    }
    on_conflict!({
        let mut entry = to_change(place, account, key, true).await?;
        if entry.deleted.is_some() {
            return Ok(entry);
        }
        let before = entry.clone();
        entry.deleted = Some(now);
        let mut deletion = Deletion {
            of: entry.team.clone(),
            what: entry.key(),
            version: 0,
            at: now,
            master: entry.master.clone(),
        };
        if let Some(before) = place.store.get(&deletion_of(&entry)).await? {
            deletion.version = before.version;
        }
        let mut writes = vec![Write::put(&mut entry)?, Write::put(&mut deletion)?];
        writes.extend(line(
            &account.user_id,
            "delete model",
            Some(&before),
            Some(&entry),
            now,
        )?);
        place.store.commit_all(&writes).await?;
        Ok::<_, ModelError>(entry)
    })
}

pub(super) fn deletion_of(entry: &CatalogEntry) -> DeletionOf {
    DeletionOf(entry.team.clone(), entry.key())
}

/// Takes a deletion back, and says what there is again.
pub async fn restore(
    place: &Place<'_>,
    account: &Account,
    key: &CatalogKey,
    now: Millis,
) -> Result<CatalogEntry, ModelError> {
    on_conflict!({
        let mut entry = to_change(place, account, key, true).await?;
        let before = entry.clone();
        if entry.deleted.take().is_none() {
            return Ok(entry);
        }
        let mut writes = vec![Write::put(&mut entry)?];
        writes.extend(line(
            &account.user_id,
            "restore model",
            Some(&before),
            Some(&entry),
            now,
        )?);
        if let Some(mut deletion) = place.store.get(&deletion_of(&entry)).await? {
            writes.push(Write::delete(&mut deletion));
        }
        place.store.commit_all(&writes).await?;
        Ok::<_, ModelError>(entry)
    })
}

/// Whether a run that is under way loads this file. Of tasks that wait, none loses anything: the file stays for longer than
/// they do.
async fn is_needed(place: &Place<'_>, file: &str) -> Result<bool, ModelError> {
    let store = place.store;
    let pools = store.get(&AllPools).await?.map(|it| it.pools).unwrap_or_default();
    for pool in &pools {
        let workers = store.list(WorkersOf(pool)).await?;
        for run in workers.into_iter().filter_map(|it| it.run) {
            let Some(body) = store.get(&BodyOf(run.task_id)).await? else {
                continue;
            };
            if body.loras.iter().chain(&body.models).any(|it| it.file == file) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
