use cloud::{
    Store,
    page::{Cursor, Page},
    tables::{DocumentOf, DocumentsIn, StepsOf},
};
use model::{Account, Document, DocumentId, Role, Step, UserId};

use super::consent::HistoryError;

/// A document, and a page of its steps.
#[derive(Debug)]
pub struct History {
    /// The document.
    pub document: Document,
    /// Its owner's account.
    pub owner: Account,
    /// Steps, earliest first.
    pub steps: Page<Step>,
}

/// Whether this account may look at another's histories: whoever leads the team in which the other is now.
fn may_look(account: &Account, owner: &Account) -> bool {
    account.user_id == owner.user_id || account.role != Role::Painter && account.team == owner.team
}

/// The document of this owner, if this account may look at it; anybody else's does not exist.
pub async fn readable(
    store: &Store,
    account: &Account,
    owner: &UserId,
    document: &DocumentId,
) -> Result<(Document, Account), HistoryError> {
    let id = DocumentOf(owner.clone(), document.clone());
    let (found, owner) = tokio::try_join!(store.get(&id), store.get(owner))?;
    let owner = owner
        .filter(|it| may_look(account, it))
        .ok_or(HistoryError::NoDocument)?;
    Ok((found.ok_or(HistoryError::NoDocument)?, owner))
}

/// The same with a page of its steps: at most `limit`, perhaps fewer, from behind the cursor on.
pub async fn steps(
    store: &Store,
    account: &Account,
    owner: &UserId,
    document: &DocumentId,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<History, HistoryError> {
    let found = readable(store, account, owner, document);
    let steps = async { Ok(store.page(StepsOf(owner, document), after, limit).await?) };
    let ((document, owner), steps) = tokio::try_join!(found, steps)?;
    Ok(History { document, owner, steps })
}

/// The documents with a history of those who are now in the team that this account leads, last recorded first, a page at a
/// time, each with its owner. None for a painter.
pub async fn of_team(
    store: &Store,
    account: &Account,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<Page<(Document, Account)>, HistoryError> {
    if account.role == Role::Painter {
        return Ok(Page {
            entries: Vec::new(),
            next: None,
        });
    }
    let page = store.page(DocumentsIn(&account.team), after, limit).await?;
    let owners: Vec<_> = page.entries.iter().map(|it| it.owner.clone()).collect();
    let owners = store.get_all(&owners).await?;
    let both = page.entries.into_iter().zip(owners);
    let shown = both.filter_map(|(document, owner)| {
        let owner = owner.filter(|it| may_look(account, it))?;
        (document.steps > 0).then_some((document, owner))
    });
    Ok(Page {
        entries: shown.collect(),
        next: page.next,
    })
}
