//! What is recorded of how a document came to be: every way in which painter and team may have spoken.

use model::{Class, Document, DocumentId, Millis, TeamId, UserId};
use policy::record::{Said, is_recorded};

const WORDS: [Option<bool>; 3] = [None, Some(false), Some(true)];

fn document(name: &str, recording: Option<bool>, steps: u64) -> Document {
    let mut document = Document::new(
        UserId::new("mara"),
        DocumentId::new(name),
        TeamId::new("studio"),
        Millis(0),
    );
    (document.recording, document.steps) = (recording, steps);
    document
}

fn class(recording: bool) -> Class {
    Class {
        team: TeamId::new("studio"),
        version: 1,
        recording,
        since: Millis(0),
    }
}

#[test]
fn nothing_is_recorded_unless_somebody_has_said_so() {
    assert!(!is_recorded(Said::default()));
    let unsaid = document("a", None, 3);
    let said = Said {
        document: Some(&unsaid),
        unnamed: Some(&unsaid),
        class: Some(&class(false)),
    };
    assert!(!is_recorded(said));
}

#[test]
fn the_painters_word_counts_more_than_the_classs() {
    for of_this in WORDS {
        for of_unnamed in WORDS {
            for of_class in [false, true] {
                let (named, unnamed) = (document("a", of_this, 0), document(DocumentId::UNNAMED, of_unnamed, 0));
                let class = class(of_class);
                let said = |document| Said {
                    document: Some(document),
                    unnamed: Some(&unnamed),
                    class: Some(&class),
                };
                let recorded = is_recorded(said(&named));
                match of_this {
                    Some(word) => assert_eq!(recorded, word),
                    None => assert_eq!(recorded, of_class && of_unnamed != Some(false)),
                }
                assert_eq!(is_recorded(said(&unnamed)), of_unnamed.unwrap_or(of_class));
            }
        }
    }
}
