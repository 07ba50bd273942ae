//! Medians, and the table that is printed.

use std::fmt::Write;

/// One process of a function: what its parts took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// From its start until it asked for its first call, CPU ms.
    pub(crate) init: f64,
    /// Its first call, CPU ms.
    pub(crate) cold: f64,
    /// The median of its later calls, CPU µs.
    pub(crate) warm: f64,
}

/// What was measured of one call.
#[derive(Debug)]
pub(crate) struct Row {
    /// Whose call and which.
    pub(crate) name: String,
    /// How often one call of it calls AWS.
    pub(crate) aws_calls: u64,
    /// Size of the zipped function, MB: before, if there is a before, and now.
    pub(crate) zip: (Option<f64>, f64),
    /// Before, if there is a before, and now: process by process.
    pub(crate) samples: Vec<(Option<Sample>, Sample)>,
}

/// The head of the table.
pub(crate) const HEAD: &str = "\
| call | calls to AWS | zip MB | init ms | cold call ms | warm call µs |\n\
|---|---|---|---|---|---|\n";

/// A part of a sample, and with how many digits it is printed.
type Part = (usize, fn(Sample) -> f64);

impl Row {
    /// A line of the table. A ratio is the median of those of the pairs that were measured one after the other.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("| {} | {} |", self.name, self.aws_calls);
        cell(&mut line, 2, &[self.zip]);
        let parts: [Part; 3] = [(1, |it| it.init), (2, |it| it.cold), (0, |it| it.warm)];
        for (digits, part) in parts {
            let pairs = self.samples.iter();
            let pairs: Vec<_> = pairs.map(|(before, now)| (before.map(part), part(*now))).collect();
            cell(&mut line, digits, &pairs);
        }
        line.push('\n');
        line
    }
}

fn cell(line: &mut String, digits: usize, pairs: &[(Option<f64>, f64)]) {
    let now = median(pairs.iter().map(|(_, now)| *now));
    let before: Vec<_> = pairs
        .iter()
        .filter_map(|(before, now)| Some(((*before)?, *now)))
        .collect();
    // Writing to a string cannot fail.
    let _ = if before.is_empty() {
        write!(line, " {now:.digits$} |")
    } else {
        let ratio = median(before.iter().map(|(before, now)| now / before));
        let before = median(before.iter().map(|(before, _)| *before));
        write!(line, " {before:.digits$} → {now:.digits$} (× {ratio:.2}) |")
    };
}

/// The middle one; NaN of nothing.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
