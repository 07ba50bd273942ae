//! What an installation costs, before it is made.

use std::fmt::Write as _;

use model::MicroUsd;
use ops::pool::INSTANCE_TYPES;
use policy::price;

use crate::prices::{
    DISK_GIB_MONTH, FREE_THROUGHPUT, SECRET_MONTH, SNAPSHOT_GIB_MONTH, SOURCE, in_words, of_gib, of_throughput,
};

/// Two ticks a minute (87,600 calls of 256 MB in a month), Lambda's polling of the queue, the tables' reads by the ticks,
/// their storage with point-in-time recovery, and logs, rounded up.
const TICKS: MicroUsd = MicroUsd(1_000_000);
/// What watches an installation without anybody painting: the series with a value each minute, the alarms, the dashboard.
/// `docs/monitoring.md` has them one by one; the test that makes its table asserts this sum.
pub const WATCHING: MicroUsd = MicroUsd(7_200_000);
/// Size of the image's root volume where none is known yet: the default of `image/atelier.pkr.hcl`, GiB.
pub const IMAGE_GIB: u64 = 100;

/// A line of the list: what, and how much in a month.
pub type Line = (String, MicroUsd);

/// What is paid for in a month while nobody paints, with so many stopped machines of an image of this size, whose disks
/// have this throughput (MB/s).
pub fn at_rest(gib: u64, machines: u32, throughput: u64) -> Vec<Line> {
    vec![
        (
            format!("the machine image's snapshot, {gib} GiB at most"),
            of_gib(gib, SNAPSHOT_GIB_MONTH),
        ),
        (
            format!("disks of {machines} stopped GPU machines at most, {gib} GiB each"),
            of_gib(gib * u64::from(machines), DISK_GIB_MONTH),
        ),
        (
            format!("their throughput beyond {FREE_THROUGHPUT} MB/s (parameter RootThroughput)"),
            MicroUsd(of_throughput(throughput).0 * u64::from(machines)),
        ),
        ("the secret with the signing key".to_owned(), SECRET_MONTH),
        ("ticks, queue, tables and logs".to_owned(), TICKS),
        ("metrics, alarms and the dashboard".to_owned(), WATCHING),
    ]
}

/// What an hour of a machine costs, for each type that the pool may launch.
pub fn working(types: &[String]) -> Vec<(String, MicroUsd)> {
    types
        .iter()
        .map(|it| (it.clone(), price::hour(None, Some(it))))
        .collect()
}

/// The list in words.
pub fn text(gib: u64, machines: u32, throughput: u64, types: Option<&[String]>) -> String {
    let lines = at_rest(gib, machines, throughput);
    let sum = MicroUsd(lines.iter().map(|(_, price)| price.0).sum());
    let mut text = format!("What it costs ({SOURCE}):\n  a month, while nobody paints\n");
    for (what, price) in &lines {
        let _ = writeln!(text, "    {:>10}  {what}", in_words(*price));
    }
    let _ = writeln!(
        text,
        "    {:>10}  in all, beside what is stored: pictures, records and model files (docs/deploy.md)\n  an hour of a GPU machine that is on",
        in_words(sum)
    );
    let usual: Vec<String> = INSTANCE_TYPES.map(str::to_owned).to_vec();
    for (kind, price) in working(types.unwrap_or(&usual)) {
        let _ = writeln!(text, "    {:>10}  {kind}", in_words(price));
    }
    // <https://aws.amazon.com/vpc/pricing/>
    text += "    and half a cent for its public address, where it has one\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_the_lines() {
        let text = text(100, 2, 250, None);
        for part in ["5.00", "16.00", "0.40", "39.60  in all", "US$ 0.80  g6.xlarge"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
