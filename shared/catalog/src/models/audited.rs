//! The audit list's lines of models: who has brought, changed, deleted and restored one, in the transaction that does it.

use accounts::audit::By;
use cloud::{StoreError, Write};
use model::{CatalogEntry, Millis, UserId};

use super::Access;

/// Who is named where nobody has asked for it.
pub(super) const NOBODY: &str = "the store itself";

/// The line of a version that was one way and is another (none before it was there, or after it is gone); none if it is as it was.
pub(super) fn line(
    who: &UserId,
    what: &str,
    before: Option<&CatalogEntry>,
    after: Option<&CatalogEntry>,
    now: Millis,
) -> Result<Option<Write>, StoreError> {
    let by = By {
        // Somebody at the command line is no user, and is known to the store by a name that none can have.
        who: who.as_str().trim_start_matches('#').to_owned(),
        now,
    };
    let on = before.or(after).map(name).unwrap_or_default();
    let parts = |entry: Option<&CatalogEntry>| entry.map(of).unwrap_or_default();
    let (before, after) = (parts(before), parts(after));
    (before != after)
        .then(|| by.did(what, &on, &before, &after))
        .transpose()
}

fn name(entry: &CatalogEntry) -> String {
    let mark: String = entry.master.iter().flat_map(|it| it.sha256.chars().take(8)).collect();
    format!("{} {} version {} ({mark})", entry.kind, entry.name, entry.number)
}

/// What of a version may change.
fn of(entry: &CatalogEntry) -> Vec<String> {
    let mut parts = vec![match Access::of(entry) {
        Access::Private => "for who brought it".to_owned(),
        Access::Team => format!("for team {}", entry.team),
        Access::Shared => "for every team".to_owned(),
    }];
    let marks = [
        (entry.deleted.is_some(), "deleted"),
        (entry.deprecated, "deprecated"),
        (entry.pinned, "pinned"),
    ];
    parts.extend(marks.iter().filter(|(it, _)| *it).map(|(_, word)| (*word).to_owned()));
    let said = [
        ("arch", &entry.arch),
        ("licence", &entry.licence),
        ("source", &entry.source),
    ];
    let said = said
        .into_iter()
        .filter_map(|(what, it)| Some(format!("{what} {}", it.as_ref()?)));
    parts.extend(said);
    parts
}
