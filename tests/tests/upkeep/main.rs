//! What keeps an installation up and takes it down, on the emulator: backup and restore, doctor, teardown. Calls fail and
//! commands are killed on the way.

mod backup;
mod between;
mod doctor;
mod teardown;

use std::{future::Future, pin::Pin, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use between::Between;
use cloud::Store;
use install::aws::Aws;
use libtest_mimic::{Arguments, Failed, Trial};
use local::Services;

/// Nothing here takes as long as this.
const PATIENCE: Duration = Duration::from_mins(2);

/// An installation of one test's own.
struct Studio {
    services: Services,
    between: Between,
    store: Store,
}

impl Studio {
    async fn open() -> Result<Self> {
        let services = Services::start().await?;
        let between = Between::start(services.endpoint()).await?;
        let store = Store::dynamo(&services.sdk().await, services.outputs().tables()?);
        Ok(Self {
            services,
            between,
            store,
        })
    }

    /// The stack's status, once CloudFormation has come to an end with it.
    async fn settled(&self, stack: &str) -> Result<String> {
        let aws = Aws::new(self.services.sdk().await);
        loop {
            let status = aws.stack(stack).await?.context("there is no such stack")?.status;
            if !status.ends_with("_IN_PROGRESS") {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

type Outcome<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

macro_rules! trials {
    ($($module:ident::$name:ident),* $(,)?) => {
        [$((concat!(stringify!($module), "::", stringify!($name)), {
            fn run(studio: &Studio) -> Outcome<'_> {
                Box::pin($module::$name(studio))
            }
            run as fn(&Studio) -> Outcome<'_>
        })),*]
    };
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = trials![
        backup::what_was_lost_comes_back,
        doctor::finds_what_is_wrong,
        teardown::leaves_nothing_that_costs,
        teardown::takes_what_is_written_meanwhile,
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let runtime = Arc::new(runtime);
    let trials = trials.map(|(name, run)| {
        let runtime = Arc::clone(&runtime);
        Trial::test(name, move || {
            let done = runtime.block_on(async {
                let studio = Studio::open().await?;
                let done = tokio::time::timeout(PATIENCE, run(&studio)).await;
                studio.services.stop().await;
                done.map_err(|_| anyhow::anyhow!("not done after {PATIENCE:?}"))?
            });
            done.map_err(|error| Failed::from(format!("{error:#}")))
        })
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}
