//! Inputs that nobody meant, made from real ones, for tests of what reads from outside.
//!
//! There is no instrumentation and so no second build: a target is a plain test which has "fuzz" in its name. It tries a
//! few hundred inputs in `cargo test`, and as many as `FUZZ_RUNS` says:
//!
//! ```text
//! FUZZ_RUNS=1000000 cargo test --tests fuzz -- --nocapture
//! ```
//!
//! `FUZZ_SEED` (a number) gives other inputs; the same seed always the same. What fails is printed with its seed and
//! number, and belongs into a test of its own beside the target, so that it is tried for ever.

#![allow(clippy::missing_panics_doc, reason = "a panic is how a test fails")]

mod chance;

use std::{
    fmt::{self, Debug},
    fs,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    time::{Duration, Instant},
};

pub use chance::Chance;
use peak_alloc::PeakAlloc;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The most CPU time that one input may take, unoptimised: how busy the machine is does not count.
const TIME: Duration = Duration::from_secs(2);
/// The most memory that one input may take, bytes: inputs have at most a few MB.
const SPACE: usize = 256 << 20;
/// Other tests of the same process take time and memory, too: only what is too much each time is.
const TRIES: u32 = 4;
/// Bytes of an input that are printed.
const SHOWN: usize = 20_000;

/// An input, printed as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Sample(pub Vec<u8>);

impl Deref for Sample {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = &self[..self.len().min(SHOWN)];
        write!(f, "{} bytes: b\"{}\"", self.len(), start.escape_ascii())
    }
}

/// The JSON files of a folder of the repository, by their names.
pub fn corpus(folder: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap_or_else(|error| panic!("{error}")).path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .collect();
    paths.sort();
    let read = |path: &Path| serde_json::from_slice(&fs::read(path)?).map_err(std::io::Error::from);
    let file = |path: &Path| {
        let json = read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (
            path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            json,
        )
    };
    paths.iter().map(|path| file(path)).collect()
}

/// Makes so many inputs (or as many as `FUZZ_RUNS` says) and checks each: without a panic, within [`TIME`] and [`SPACE`].
/// A check says whether the input was taken; some are to be, and some are not.
pub fn run<I: Debug>(runs: u64, make: impl FnMut(&mut Chance) -> I, check: impl FnMut(&I) -> bool) {
    run_within(SPACE, runs, make, check);
}

/// The same where one input may take so much memory, bytes.
pub fn run_within<I: Debug>(
    space: usize,
    runs: u64,
    mut make: impl FnMut(&mut Chance) -> I,
    mut check: impl FnMut(&I) -> bool,
) {
    let asked = setting("FUZZ_RUNS");
    let (runs, seed) = (asked.unwrap_or(runs), setting("FUZZ_SEED").unwrap_or_default());
    let (mut taken, mut slowest, began) = (0, Duration::ZERO, Instant::now());
    for number in 0..runs {
        let input = make(&mut Chance::new(seed, number));
        let result = catch_unwind(AssertUnwindSafe(|| {
            let (was_taken, time) = measured(space, || check(&input));
            taken += u64::from(was_taken);
            slowest = slowest.max(time);
        }));
        if let Err(panic) = result {
            say(&format!("input {number} of seed {seed}: {input:?}"));
            resume_unwind(panic);
        }
    }
    if asked.is_some() {
        let (target, all) = (std::thread::current(), began.elapsed());
        let target = target.name().unwrap_or("fuzz");
        say(&format!(
            "{target}: {runs} inputs, {taken} taken, {all:.0?}, the slowest {slowest:.1?}"
        ));
    }
    assert!(0 < taken && taken < runs, "{taken} of {runs} were taken");
}

fn measured(most: usize, mut check: impl FnMut() -> bool) -> (bool, Duration) {
    let mut tries = 0;
    loop {
        MEMORY.reset_peak_usage();
        let (before, began) = (MEMORY.current_usage(), cpu_time());
        let was_taken = check();
        let (time, space) = (
            cpu_time().saturating_sub(began),
            MEMORY.peak_usage().saturating_sub(before),
        );
        tries += 1;
        if time <= TIME && space <= most {
            return (was_taken, time);
        }
        assert!(tries < TRIES, "it takes {time:?} and {space} bytes");
    }
}

/// What this thread has used so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "settings of a test, not of a program")]
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is to be a number, not {text}")))
}

#[expect(clippy::print_stderr, reason = "what a test says of itself")]
fn say(text: &str) {
    eprintln!("{text}");
}
