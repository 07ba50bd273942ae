//! The whole stack on this machine: template, functions, queue, tables, machines, workers, a stand-in for ComfyUI.
//!
//! One stack serves all tests; each has a pool, a team and a painter of its own, so they run side by side.

mod access;
mod cancel;
mod credits;
mod desktop;
mod faults;
mod features;
mod kinds;
mod krita;
mod loras;
mod pictures;
mod requests;
mod scaling;
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
                        idle_stop=25s,drain_confirm=1s";
/// Nothing here takes as long as this.
const PATIENCE: Duration = Duration::from_mins(2);
/// Runs when it is asked for: `cargo test -p system-tests --test stack -- --ignored krita`.
const NEEDS_KRITA: &str = "krita::paints";

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
    let arguments = Arguments::from_args();
    let trials = trials![
        pictures::cold_wake_then_warm,
        pictures::refine_with_an_upload,
        pictures::without_any_socket,
        features::each_one_offered_is_painted,
        kinds::as_captured,
        kinds::with_a_mask_of_another_size,
        loras::uploaded_and_painted_with,
        cancel::while_queued,
        cancel::while_running,
        faults::worker_killed,
        faults::worker_killed_for_good,
        faults::comfyui_killed,
        faults::late_result_of_a_lost_run,
        scaling::drain_races_claim,
        scaling::idle_stop_and_wake_again,
        sockets::dropped_and_resumed,
        sockets::roles_and_garbage,
        access::tokens,
        access::other_painters,
        access::workers_hold_no_keys,
        requests::refused_in_plain_words,
        requests::sent_twice,
        credits::spent_on_pictures_only,
        credits::twenty_submits_at_once,
        sign_in::as_the_plugin_does,
        krita::paints,
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
        Some(Arc::new(start(&runtime)))
    };
    let trials = trials.map(|(name, run)| {
        let (stack, runtime) = (stack.clone(), Arc::clone(&runtime));
        Trial::test(name, move || {
            let Some(stack) = stack else { return Ok(()) };
            runtime.block_on(async {
                let studio = Studio::open(stack, name)
                    .await
                    .map_err(|error| Failed::from(format!("{error:#}")))?;
                match tokio::time::timeout(PATIENCE, run(studio)).await {
                    Ok(result) => result.map_err(|error| Failed::from(format!("{error:#}"))),
                    Err(_) => Err(Failed::from(format!("not done after {PATIENCE:?}"))),
                }
            })
        })
        .with_ignored_flag(name == NEEDS_KRITA)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.into());
    if let Some(stack) = stack.and_then(Arc::into_inner) {
        runtime.block_on(async {
            if conclusion.has_failed() {
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
    conclusion.exit_code()
}

fn start(runtime: &tokio::runtime::Runtime) -> Stack {
    let started = Instant::now();
    let options = Options {
        port: None,
        renderer: Renderer::StandIn {
            step_delay: Duration::from_millis(50),
        },
        boot_delay: Duration::from_millis(300),
        settings: SETTINGS.to_owned(),
        iam: true,
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
