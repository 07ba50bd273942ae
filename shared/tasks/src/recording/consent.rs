use cloud::{
    Store, StoreError, Write,
    http::HttpError,
    on_conflict,
    page::{Cursor, Page},
    retry::MayConflict,
    tables::{ClassOf, DocumentOf, DocumentsOf},
};
use model::{Account, Class, Document, DocumentId, Millis, TeamId, UserId};
use policy::record::{Said, is_recorded};

/// Something was not done about a history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is no such document, or none that the caller may look at.
    #[error("there is no such document")]
    NoDocument,
    /// The painter has as many documents as they may have.
    #[error("a painter has at most {} documents with a history", Document::MOST)]
    TooMany,
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MayConflict for HistoryError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

impl From<HistoryError> for HttpError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::NoDocument => Self::new(404, "There is no such document."),
            HistoryError::TooMany => Self::new(
                409,
                format!(
                    "You have {} documents with a history, which is as many as there may be. Delete the history of one first.",
                    Document::MOST
                ),
            ),
            HistoryError::Store(error @ StoreError::Cursor { .. }) => {
                Self::new(400, "This is no place in that list. Begin again at its top.").because(error)
            }
            HistoryError::Store(error) => error.into(),
        }
    }
}

/// What was said about a document, read.
#[derive(Debug)]
pub(super) struct Heard {
    /// The document, new if nothing is kept of it.
    pub(super) document: Document,
    unnamed: Option<Document>,
    class: Option<Class>,
}

impl Heard {
    pub(super) async fn read(
        store: &Store,
        (owner, team): (&UserId, &TeamId),
        document: &DocumentId,
        now: Millis,
    ) -> Result<Self, StoreError> {
        let of = |document: DocumentId| DocumentOf(owner.clone(), document);
        let unnamed = async {
            if document.is_unnamed() {
                return Ok(None);
            }
            store.get(&of(DocumentId::unnamed())).await
        };
        let (known, id) = (of(document.clone()), ClassOf(team.clone()));
        let (known, unnamed, class) = tokio::try_join!(store.get(&known), unnamed, store.get(&id))?;
        let new = || Document::new(owner.clone(), document.clone(), team.clone(), now);
        Ok(Self {
            document: known.unwrap_or_else(new),
            unnamed,
            class,
        })
    }

    /// Whether it is to be recorded.
    pub(super) fn is_wanted(&self) -> bool {
        let unnamed = if self.document.document.is_unnamed() {
            Some(&self.document)
        } else {
            self.unnamed.as_ref()
        };
        is_recorded(Said {
            document: Some(&self.document),
            unnamed,
            class: self.class.as_ref(),
        })
    }
}

/// Whether the team records what its painters do not refuse.
pub async fn class(store: &Store, team: &TeamId) -> Result<bool, StoreError> {
    let class = store.get(&ClassOf(team.clone())).await?;
    Ok(class.is_some_and(|it| it.recording))
}

/// Switches that on or off, with another write made of what was before; says what was before.
pub async fn set_class(
    store: &Store,
    team: &TeamId,
    recording: bool,
    now: Millis,
    also: impl Fn(bool) -> Result<Option<Write>, StoreError>,
) -> Result<bool, StoreError> {
    on_conflict!({
        let mut class = store.get(&ClassOf(team.clone())).await?.unwrap_or_else(|| Class {
            team: team.clone(),
            version: 0,
            recording: false,
            since: now,
        });
        let before = class.recording;
        if before == recording {
            return Ok(before);
        }
        (class.recording, class.since) = (recording, now);
        let mut writes = vec![Write::put(&mut class)?];
        writes.extend(also(before)?);
        store.commit_all(&writes).await?;
        Ok::<_, StoreError>(before)
    })
}

/// The documents of an owner of which anything is kept, a page at a time.
pub async fn documents(
    store: &Store,
    owner: &UserId,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<Page<Document>, HistoryError> {
    Ok(store.page(DocumentsOf(owner), after, limit).await?)
}

/// Does as the owner says: the document is recorded from now on, or no more. A name is kept with it, if one comes along.
pub async fn switch(
    store: &Store,
    account: &Account,
    document: &DocumentId,
    recording: bool,
    name: Option<&str>,
    now: Millis,
) -> Result<Document, HistoryError> {
    let id = DocumentOf(account.user_id.clone(), document.clone());
    on_conflict!({
        let known = store.get(&id).await?;
        if known.is_none() && !document.is_unnamed() {
            let all = store.page(DocumentsOf(&account.user_id), None, Document::MOST).await?;
            if all.entries.len() >= Document::MOST as usize {
                return Err(HistoryError::TooMany);
            }
        }
        let new = || Document::new(account.user_id.clone(), document.clone(), account.team.clone(), now);
        let mut document = known.unwrap_or_else(new);
        let before = document.clone();
        document.recording = Some(recording);
        if let Some(name) = name {
            document.name = name
                .chars()
                .filter(|it| !it.is_control())
                .take(Document::NAME)
                .collect();
        }
        if document == before {
            return Ok(document);
        }
        document.last = now;
        document.team.clone_from(&account.team);
        store.commit([Write::put(&mut document)?]).await?;
        Ok::<_, HistoryError>(document)
    })
}
