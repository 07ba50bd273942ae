//! What is done with models that are there.

use anyhow::{Context, Result, bail, ensure};
use catalog::{
    current,
    models::{Access, Change, change, delete, restore},
};
use cloud::tables::{CatalogKey, CatalogOf};
use model::{CatalogEntry, KINDS, TeamId};

use super::{Command, One, Site, catalogue, named, operator};

/// What a team has, then what all have.
async fn entries(site: &Site, team: &TeamId) -> Result<Vec<CatalogEntry>> {
    let mut own = catalogue(site.store.list(CatalogOf(team.as_str())).await)?;
    own.extend(catalogue(site.store.list(CatalogOf(CatalogEntry::SHARED)).await)?);
    Ok(own)
}

/// The models, one a line.
pub(super) async fn list(site: &Site, team: &TeamId, kind: Option<&str>, deleted: bool) -> Result<String> {
    if let Some(kind) = kind {
        let kinds: Vec<_> = KINDS.iter().map(|(it, _)| *it).chain(["resource"]).collect();
        ensure!(kinds.contains(&kind), "a kind is one of {}", kinds.join(", "));
    }
    let all = entries(site, team).await?;
    let (shared, own): (Vec<_>, Vec<_>) = all.iter().cloned().partition(CatalogEntry::is_shared);
    let used: Vec<_> = current(&own)
        .chain(current(&shared))
        .map(|it| (it.team.clone(), it.key()))
        .collect();
    let shown = all
        .iter()
        .filter(|it| it.deleted.is_some() == deleted && kind.is_none_or(|kind| it.kind == kind));
    let lines: Vec<_> = shown
        .map(|entry| {
            let mut notes = vec![match Access::of(entry) {
                Access::Private => "private",
                Access::Team => "team",
                Access::Shared => "shared",
            }];
            notes.extend(used.contains(&(entry.team.clone(), entry.key())).then_some("used"));
            notes.extend(entry.pinned.then_some("pinned"));
            notes.extend(entry.deprecated.then_some("deprecated"));
            let size = entry
                .master
                .as_ref()
                .map_or("on the image".to_owned(), |it| gb(it.size));
            let arch = entry.arch.as_deref().unwrap_or("-");
            format!("{:<52} {arch:<6} {size:>12}  {}", named(entry), notes.join(", "))
        })
        .collect();
    if lines.is_empty() {
        return Ok("There are no such models. `ops model add FILE` brings one.".to_owned());
    }
    Ok(lines.join("\n"))
}

fn gb(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

/// The version that somebody means.
async fn find(site: &Site, one: &One, deleted: bool) -> Result<CatalogEntry> {
    let (rest, version) = match one.model.rsplit_once('@') {
        Some((rest, version)) if version.parse::<u32>().is_ok() => (rest, version.parse::<u32>().ok()),
        _ => (one.model.as_str(), None),
    };
    let (kind, name) = rest
        .split_once('/')
        .map_or((None, rest), |(kind, name)| (Some(kind), name));
    let mut all = entries(site, &one.team).await?;
    all.retain(|it| {
        it.name == name
            && kind.is_none_or(|kind| it.kind == kind)
            && it.deleted.is_some() == deleted
            && it.master.is_some()
    });
    let found: Vec<_> = match version {
        Some(version) => all.iter().filter(|it| it.number == version).collect(),
        None if deleted => all.iter().collect(),
        None => current(&all).collect(),
    };
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => bail!(
            "there is no model {}{} in the store; `ops model list --team {}{}` shows what there is",
            one.model,
            if deleted { " that was deleted" } else { "" },
            one.team,
            if deleted { " --deleted" } else { "" }
        ),
        several => {
            // A team's own comes before everybody's, as it does for painters.
            let own: Vec<_> = several.iter().filter(|it| !it.is_shared()).collect();
            if let [own] = own.as_slice() {
                return Ok((**own).clone());
            }
            let several: Vec<_> = several.iter().map(|it| named(it)).collect();
            bail!("{} may be {}: say which", one.model, several.join(" or "))
        }
    }
}

/// Everything but adding and listing.
pub(super) async fn run(site: &Site, command: Command) -> Result<String> {
    let set = |pinned: Option<bool>, deprecated: Option<bool>, access: Option<Access>| Change {
        pinned,
        deprecated,
        access,
        ..Change::default()
    };
    let (one, wanted, done) = match &command {
        Command::Pin(one) => (one, set(Some(true), None, None), "is what painters get now"),
        Command::Unpin(one) => (
            one,
            set(Some(false), None, None),
            "is not pinned any more: painters get the newest version",
        ),
        Command::Deprecate(one) => (one, set(None, Some(true), None), "is not offered any more"),
        Command::Undeprecate(one) => (one, set(None, Some(false), None), "is offered again"),
        Command::Share(one) => (
            one,
            set(None, None, Some(Access::Shared)),
            "is every team's now, with all its versions",
        ),
        Command::Unshare(one) => (
            one,
            set(None, None, Some(Access::Team)),
            "is this team's alone now, with all its versions",
        ),
        Command::Delete(one) => {
            let entry = find(site, one, false).await?;
            delete(&site.place(), &operator(&one.team), &key(&entry), cloud::now()).await?;
            let name = named(&entry);
            return Ok(format!(
                "{name} is deleted. Until thirty days are over, `ops model restore '{name}' --team {}` brings it back.",
                one.team
            ));
        }
        Command::Restore(one) => {
            let entry = find(site, one, true).await?;
            restore(&site.place(), &operator(&one.team), &key(&entry), cloud::now()).await?;
            return Ok(format!("{} is there again", named(&entry)));
        }
        Command::Add(_) | Command::List { .. } => bail!("this is not done here"),
    };
    let entry = find(site, one, false).await?;
    let changed = change(&site.place(), &operator(&one.team), &key(&entry), &wanted, cloud::now()).await;
    let changed = changed.with_context(|| named(&entry))?;
    Ok(format!("{} {done}", named(&changed)))
}

fn key(entry: &CatalogEntry) -> CatalogKey {
    CatalogKey(entry.team.clone(), entry.key())
}
