//! The whole stack on this machine: template, functions, queue, tables, machines, workers, a stand-in for ComfyUI.
//!
//! One stack serves all tests; each has a pool, a team and a painter of its own, so they run side by side. Where
//! `COMFYUI_URL` names a real ComfyUI, that renders instead of the stand-in, and only [`ON_REAL`] run, one by one.

mod access;
mod ahead;
mod beside;
mod browser;
mod browser_group;
mod browser_history;
mod browser_studio;
mod cancel;
mod chromium;
mod credits;
mod desktop;
mod erase;
mod faults;
mod features;
mod golden;
mod history;
mod installed;
mod kinds;
mod krita;
mod logs;
mod loras;
mod metrics;
mod models;
mod pictures;
mod requests;
mod scaling;
mod session;
mod sign_in;
mod sockets;
mod studio;

use std::{
    io::Write,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Failed, Trial};
use local::{Options, Renderer, Stack};
use studio::Studio;

/// Short enough for tests, long enough for two busy cores.
const SETTINGS: &str = "lease=5s,heartbeat_busy=1s,heartbeat_ready=2s,worker_silent=10s,boot_limit=60s,\
                        idle_stop=25s,drain_confirm=1s,forecast_workers=1,capacity_pause=1s";
/// Nothing here takes as long as this.
const PATIENCE: Duration = Duration::from_mins(4);
/// The same on a real ComfyUI without a GPU.
const PATIENCE_ON_REAL: Duration = Duration::from_mins(8);
/// What needs nothing that only the stand-in does, as dying when it is told to.
const ON_REAL: [&str; 3] = [
    "kinds::as_captured",
    "models::brought_and_painted_with",
    "session::of_the_plugin",
];
/// Run when they are asked for, since they need more than is on every machine:
/// `cargo test -p system-tests --test stack -- --ignored krita`.
const NEED_PROGRAMS: [&str; 5] = [
    "krita::paints",
    "browser::signs_in",
    "browser_studio::shows_the_studio",
    "browser_group::shows_the_variants",
    "browser_history::shows_the_history",
];

macro_rules! trials {
    ($($module:ident::$name:ident),* $(,)?) => {
        [$((concat!(stringify!($module), "::", stringify!($name)), {
            fn run(studio: Studio) -> studio::Outcome {
                Box::pin($module::$name(studio))
            }
            run as fn(Studio) -> studio::Outcome
        })),*]
    };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let real = real();
    let patience = if real.is_some() { PATIENCE_ON_REAL } else { PATIENCE };
    // On two cores, too: most of them wait most of the time.
    let at_once = if real.is_some() { 1 } else { 4 };
    arguments.test_threads.get_or_insert(at_once);
    // What takes longest begins first.
    let trials = trials![
        features::each_one_offered_is_painted,
        golden::each_event_by_the_environment_that_is_written,
        ahead::of_a_day_in_a_minute,
        history::painted_archived_listed_and_read_by_others,
        erase::kept_exported_and_gone,
        kinds::as_captured,
        scaling::idle_stop_and_wake_again,
        pictures::cold_wake_then_warm,
        pictures::refine_with_an_upload,
        pictures::too_large_an_upload_goes,
        pictures::without_any_socket,
        kinds::with_a_mask_of_another_size,
        loras::uploaded_and_painted_with,
        models::brought_and_painted_with,
        models::looked_after_by_an_operator,
        metrics::of_a_picture,
        metrics::of_what_only_a_machine_knows,
        metrics::raise_alarms,
        beside::a_run_is_taken_back_for_a_painter,
        cancel::while_queued,
        cancel::while_running,
        faults::worker_killed,
        faults::worker_killed_for_good,
        faults::comfyui_killed,
        faults::late_result_of_a_lost_run,
        scaling::drain_races_claim,
        scaling::no_machine_is_to_be_had,
        scaling::whoever_connects_wakes_a_machine,
        sockets::dropped_and_resumed,
        sockets::roles_and_garbage,
        sockets::the_picture_as_it_grows,
        access::tokens,
        access::other_painters,
        access::workers_hold_no_keys,
        access::functions_reach_only_their_keys,
        golden::a_bad_key_is_named,
        golden::ops_looks_after_it,
        requests::refused_in_plain_words,
        requests::refused_for_a_while,
        requests::sent_twice,
        credits::spent_on_pictures_only,
        credits::twenty_submits_at_once,
        sign_in::as_the_plugin_does,
        session::of_the_plugin,
        krita::paints,
        browser::signs_in,
        browser_studio::shows_the_studio,
        browser_group::shows_the_variants,
        browser_history::shows_the_history,
    ];
    let runtime = Arc::new(
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("a runtime"),
    );
    let stack = if arguments.list {
        None
    } else {
        Some(Arc::new(start(&runtime, real.clone())))
    };
    let trials = trials.map(|(name, run)| {
        let (stack, runtime) = (stack.clone(), Arc::clone(&runtime));
        let real = real.is_some();
        // A browser and a desktop share the two cores with all of the rest.
        let patience = if NEED_PROGRAMS.contains(&name) {
            patience * 2
        } else {
            patience
        };
        Trial::test(name, move || {
            let Some(stack) = stack else { return Ok(()) };
            runtime.block_on(async {
                let studio = Studio::open(stack, name, real)
                    .await
                    .map_err(|error| Failed::from(format!("{error:#}")))?;
                match tokio::time::timeout(patience, run(studio)).await {
                    Ok(result) => result.map_err(|error| Failed::from(format!("{error:#}"))),
                    Err(_) => Err(Failed::from(format!("not done after {patience:?}"))),
                }
            })
        })
        .with_ignored_flag(NEED_PROGRAMS.contains(&name) || (real && !ON_REAL.contains(&name)))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.into());
    let mut code = conclusion.exit_code();
    if let Some(stack) = stack.and_then(Arc::into_inner) {
        runtime.block_on(async {
            let mut looks = vec![logs::are_clean(&stack.folder)];
            // What only some trials do is no run of all of it.
            if conclusion.num_filtered_out == 0 && real.is_none() {
                looks.push(metrics::are_all_seen(&stack).await);
            }
            for error in looks.into_iter().filter_map(Result::err) {
                say(&format!("stack: {error:#}"));
                code = ExitCode::FAILURE;
            }
            if conclusion.has_failed() || code != conclusion.exit_code() {
                let folder = stack.folder.clone();
                let mut stack = stack;
                stack.keep_folder();
                stack.stop().await;
                say(&format!("logs are kept in {}", folder.display()));
            } else {
                stack.stop().await;
            }
        });
    }
    code
}

#[expect(clippy::disallowed_methods, reason = "the tests' one switch; nothing is configured")]
fn real() -> Option<String> {
    std::env::var("COMFYUI_URL").ok().filter(|url| !url.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "the same: where the real ComfyUI's models lie")]
fn real_models() -> Option<String> {
    std::env::var("COMFYUI_MODELS").ok().filter(|folder| !folder.is_empty())
}

fn start(runtime: &tokio::runtime::Runtime, real: Option<String>) -> Stack {
    let started = Instant::now();
    say(&real.as_ref().map_or_else(
        || "stack: renders on the stand-in, since COMFYUI_URL names no real ComfyUI".to_owned(),
        |url| {
            format!(
                "stack: renders on the real ComfyUI at {url}, only what can: {}",
                ON_REAL.join(", ")
            )
        },
    ));
    let stand_in = Renderer::StandIn {
        step_delay: Duration::from_millis(50),
        load_delay: Duration::ZERO,
    };
    let options = Options {
        renderer: real.map_or(stand_in, |url| Renderer::ComfyUi {
            url,
            models: real_models().map(Into::into),
        }),
        boot_delay: Duration::from_millis(300),
        settings: SETTINGS.to_owned(),
        iam: true,
        ..Options::default()
    };
    let stack = runtime.block_on(Stack::start(options, |step| say(&format!("stack: {step}"))));
    let stack = stack.unwrap_or_else(|error| {
        say(&format!("the stack did not start: {error:#}"));
        std::process::exit(1);
    });
    say(&format!("stack: up after {:.1} s", started.elapsed().as_secs_f64()));
    stack
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
