//! One contract for both AWS that tests run on: the ports in memory, and the SDK on the emulator. What AWS refuses, both
//! must refuse, or no test shows that a flow would fail on AWS.
//!
//! Each case runs on both. Where the emulator is kinder than AWS, [`EMULATOR_IS_KIND`] says so: such a case is proven in
//! memory only, and fails here once the emulator is as strict as AWS.

mod aws;
mod bucket;
mod calls;
mod fleet;
mod lists;
mod messages;
mod store;

use std::{
    future::Future,
    io::Write,
    pin::Pin,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use ::local::Services;
use anyhow::Result;
use aws::Aws;
use libtest_mimic::{Arguments, Failed, Trial};

/// What AWS refuses or does, and the emulator does not.
const EMULATOR_IS_KIND: [(&str, &str); 9] = [
    (
        "store::attributes_have_names",
        "PutItem takes an attribute without a name",
    ),
    (
        "store::keys_in_transactions_are_not_too_long",
        "a transaction looks up a key that no item can have",
    ),
    (
        "store::keys_in_transactions_are_complete",
        "a transaction puts an item without its sort key",
    ),
    (
        "store::keys_of_indexes_are_not_too_long",
        "the key of an index may be as long as it likes",
    ),
    ("messages::sent_up_to_128_kb", "WebSockets have no limits"),
    ("bucket::keys_are_not_too_long", "objects take any key"),
    ("fleet::launched_once_however_often", "CreateFleet ignores its token"),
    ("fleet::not_started_while_it_stops", "an instance stops at once"),
    ("fleet::ended_for_good", "an instance that was terminated starts again"),
];

/// No case takes as long as this.
const PATIENCE: Duration = Duration::from_secs(30);

type Outcome = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

macro_rules! cases {
    ($argument:ty: $($module:ident::$name:ident),* $(,)?) => {
        [$((concat!(stringify!($module), "::", stringify!($name)), {
            fn run(argument: $argument) -> Outcome {
                Box::pin($module::$name(argument))
            }
            run as fn($argument) -> Outcome
        })),*]
    };
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let on_both = cases![Aws:
        store::nothing_is_none,
        store::reads_back_what_was_written,
        store::a_write_expects_its_version,
        store::all_or_nothing,
        store::no_item_twice,
        store::one_to_a_hundred_writes,
        bucket::a_part_of_an_object,
        store::many_are_read_at_once,
        store::one_to_a_hundred_reads,
        store::items_of_400_kb,
        store::transactions_of_4_mb,
        store::numbers_in_range,
        store::values_32_deep,
        store::attributes_have_names,
        store::keys_are_not_empty,
        store::keys_are_not_too_long,
        store::keys_in_transactions_are_not_too_long,
        store::keys_are_complete,
        store::keys_in_transactions_are_complete,
        store::keys_of_indexes_are_not_empty,
        store::keys_of_indexes_are_not_too_long,
        store::keys_of_indexes_have_their_type,
        lists::numbers_in_order,
        lists::strings_in_order,
        lists::only_what_the_index_shows,
        lists::only_what_has_the_key,
        lists::the_largest_first,
        lists::pages_join_up,
        lists::a_cursor_outlives_its_item,
        lists::a_cursor_of_another_list,
        lists::more_than_a_page_holds,
        lists::partitions_and_limits,
        lists::a_broken_item,
        messages::queued,
        messages::queued_up_to_1_mib,
        messages::queued_in_characters_of_xml,
        messages::sent,
        messages::sent_up_to_128_kb,
        messages::sent_to_a_closed_connection,
        messages::hung_up_on,
        bucket::reads_back_what_was_put,
        bucket::keys_of_all_kinds,
        bucket::keys_of_1024_bytes,
        bucket::keys_are_not_empty,
        bucket::keys_are_not_too_long,
        bucket::nothing_there,
        bucket::a_copy_stays_when_the_first_goes,
        bucket::lists_what_begins_so,
        bucket::urls_for_a_second_to_a_week,
        bucket::urls_for_files_that_can_be,
        fleet::launched_and_described,
        fleet::launched_once_however_often,
        fleet::launched_of_a_type,
        fleet::stopped_and_started,
        fleet::not_started_while_it_stops,
        fleet::ended,
        fleet::ended_for_good,
        fleet::unknown_instances,
    ];
    let on_emulator = cases![Arc<Services>:
        calls::indexes_are_those_of_the_template,
        calls::denied_is_final,
        calls::nowhere_is_final,
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let runtime = Arc::new(runtime);
    let services = (!arguments.list).then(|| Arc::new(start(&runtime)));

    let mut trials = Vec::new();
    for (name, run) in on_both {
        let at = Arc::clone(&runtime);
        trials.push(Trial::test(format!("memory::{name}"), move || {
            wait(&at, async { run(Aws::memory()).await })
        }));
        let (at, services) = (Arc::clone(&runtime), services.clone());
        let kind = EMULATOR_IS_KIND.iter().any(|(case, _)| *case == name);
        let trial = Trial::test(format!("emulator::{name}"), move || {
            let Some(services) = services else { return Ok(()) };
            let outcome = wait(&at, async { run(Aws::emulator(services).await?).await });
            match (kind, outcome) {
                (false, outcome) => outcome,
                (true, Err(_)) => Ok(()),
                (true, Ok(())) => Err("the emulator is not kind here any more: take it from EMULATOR_IS_KIND".into()),
            }
        });
        trials.push(trial.with_kind(if kind { "unproven" } else { "" }));
    }
    for (name, run) in on_emulator {
        let (at, services) = (Arc::clone(&runtime), services.clone());
        trials.push(Trial::test(format!("emulator::{name}"), move || {
            let Some(services) = services else { return Ok(()) };
            wait(&at, run(services))
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(services) = services.and_then(Arc::into_inner) {
        runtime.block_on(services.stop());
        for (case, why) in EMULATOR_IS_KIND {
            say(&format!("contract: {case} is not proven on the emulator: {why}"));
        }
    }
    conclusion.exit_code()
}

fn wait(runtime: &tokio::runtime::Runtime, case: impl Future<Output = Result<()>>) -> Result<(), Failed> {
    runtime.block_on(async {
        match tokio::time::timeout(PATIENCE, case).await {
            Ok(outcome) => outcome.map_err(|error| Failed::from(format!("{error:#}"))),
            Err(_) => Err(Failed::from(format!("not done after {PATIENCE:?}"))),
        }
    })
}

fn start(runtime: &tokio::runtime::Runtime) -> Services {
    let started = Instant::now();
    let services = runtime.block_on(Services::start()).unwrap_or_else(|error| {
        say(&format!("the emulator of AWS did not start: {error:#}"));
        std::process::exit(1);
    });
    say(&format!(
        "contract: the emulator is up after {:.1} s",
        started.elapsed().as_secs_f64()
    ));
    services
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
