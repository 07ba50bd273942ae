//! The painters of the simulation report as our extension does, in a session recorded in a real Krita
//! (`krita/tests/session.py`).

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use sim::signals::reported;

/// Milliseconds between what is done and what is said of it, of a computer that has other things to do.
const LATE_MS: u64 = 1500;

#[test]
fn a_recorded_session_is_reported_as_it_was() {
    let mut reader = csv::Reader::from_reader(include_str!("session.csv").as_bytes());
    let lines: Vec<(u64, String)> = reader.deserialize().collect::<Result<_, _>>().unwrap();
    let of = |wanted: &str| {
        let of_one = lines.iter().filter(|(_, what)| what == wanted);
        of_one.map(|(at, _)| *at).collect::<Vec<_>>()
    };
    let (painted, said) = (of("painted"), of("active"));
    assert!(painted.len() > 40 && said.len() > 3, "{lines:?}");
    let expected: Vec<_> = reported(painted).collect();
    assert_eq!(expected.len(), said.len(), "{expected:?} and {said:?}");
    for (expected, said) in expected.iter().zip(&said) {
        assert!(said.abs_diff(*expected) < LATE_MS, "{said} for {expected}");
    }
}
