//! Whether a picture becomes a step of its document's history. Nothing does unless somebody has said so: the painter for
//! the document, the painter for what names no document, or their team for a class; and what the painter has said counts
//! more than what the team has.

use model::{Class, Document};

/// Everything that was said.
#[derive(Debug, Default, Clone, Copy)]
pub struct Said<'a> {
    /// Of the document; none where nothing is kept of it.
    pub document: Option<&'a Document>,
    /// Of all pictures that name no document, the same where it is about one of those.
    pub unnamed: Option<&'a Document>,
    /// By the team.
    pub class: Option<&'a Class>,
}

/// Whether the next picture of the document is recorded. A painter who agreed for what names no document has said nothing of
/// one with a name; one who refused it has refused the class everything that they did not switch on by themselves.
pub fn is_recorded(said: Said<'_>) -> bool {
    let of_this = said.document.and_then(|it| it.recording);
    let refused = said.unnamed.and_then(|it| it.recording).filter(|agreed| !agreed);
    let class = said.class.is_some_and(|it| it.recording);
    of_this.or(refused).unwrap_or(class)
}
