//! Where a list goes on, as a text that says nothing to whoever holds it.

use std::{fmt::Display, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use history::index::{Place, Scope};
use model::Millis;
use sha2::{Digest, Sha256};

/// Bytes of the sum by which a text that was cut or changed is known.
const SUM: usize = 6;

/// The place in the list of this scope, as a text. It is good for that list alone, whatever is chosen of it.
pub fn written(of: &Scope, place: Place) -> String {
    text_of(&of.folder(), place.created, place.task_id)
}

/// The place that the text says; none if it says none in the list of this scope.
pub fn read(of: &Scope, text: &str) -> Option<Place> {
    let (created, task_id) = place(&of.folder(), text)?;
    Some(Place { created, task_id })
}

/// The place of something that was made then, in the list of this name.
pub(crate) fn text_of(list: &str, created: Millis, id: impl Display) -> String {
    let text = format!("{}/{id}", created.0);
    let mut bytes = sum(list, &text);
    bytes.extend(text.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The place that the text says; none if it says none in the list of this name.
pub(crate) fn place<T: FromStr>(list: &str, text: &str) -> Option<(Millis, T)> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (found, text) = bytes.split_at_checked(SUM)?;
    let text = std::str::from_utf8(text).ok()?;
    if found != sum(list, text) {
        return None;
    }
    let (created, id) = text.split_once('/')?;
    Some((Millis(created.parse().ok()?), id.parse().ok()?))
}

fn sum(list: &str, text: &str) -> Vec<u8> {
    let hash = Sha256::digest(format!("{list}{text}"));
    hash.iter().copied().take(SUM).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use model::UserId;

    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_and_whole() {
        let (mara, noor) = (Scope::Owner(UserId::new("mara")), Scope::Owner(UserId::new("noor")));
        let place = Place {
            created: Millis(1_788_264_000_000),
            task_id: "01a05cd7-2a00-7000-8000-0000000000a1".parse().unwrap(),
        };
        let text = written(&mara, place);
        assert_eq!(read(&mara, &text), Some(place));
        assert_eq!(read(&noor, &text), None);
        for at in 0..text.len() {
            assert_eq!(read(&mara, &text[..at]), None, "cut at {at}");
            assert_eq!(read(&mara, &text[at + 1..]), None, "without its first {at}");
        }
        for wrong in ["", "?", "AAAAAAAA", "eyJvd25lciI6Im1hcmEifQ"] {
            assert_eq!(read(&mara, wrong), None, "{wrong}");
        }
    }
}
