//! The costs as a picture.

use sim::svg::{LEFT, RIGHT, WIDTH, bar, open, text};

use super::{Month, saved_in_words};
use crate::prices::in_words;

/// Bars: what the store costs in a month with tiers and without, in the bucket and on EFS, each pair at a scale of its own.
pub fn bars(title: &str, month: &Month) -> String {
    const ROW: f64 = 30.0;
    /// For the words behind the longest bar.
    const WORDS: f64 = 220.0;
    let pairs = [
        ("in the bucket", month.bucket, month.bucket_tiers),
        ("a copy on EFS, with reading and writing", month.efs, month.efs_tiers),
    ];
    let height = 40.0 + pairs.len() as f64 * (2.0 * ROW + 40.0);
    let mut svg = open(height, &format!("{title}: US$ a month"));
    for (number, (label, without, with)) in pairs.into_iter().enumerate() {
        let top = 70.0 + number as f64 * (2.0 * ROW + 40.0);
        text(&mut svg, LEFT, top - 8.0, "start", label);
        let most = without.max(with).0.max(1) as f64;
        let saved = format!("in tiers: {} less", saved_in_words(without, with));
        for (row, (price, what, colour)) in [
            (without, "all of it in Standard", "#999"),
            (with, saved.as_str(), "#06c"),
        ]
        .into_iter()
        .enumerate()
        {
            let y = top + row as f64 * ROW;
            let width = price.0 as f64 / most * (WIDTH - LEFT - RIGHT - WORDS);
            bar(&mut svg, (LEFT, y), (width, ROW - 6.0), colour);
            let words = format!("{}, {what}", in_words(price));
            text(&mut svg, LEFT + width + 8.0, y + 16.0, "start", &words);
        }
    }
    svg + "</svg>\n"
}
