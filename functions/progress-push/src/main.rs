//! Lambda entry point of `progress-push`.

use std::process::ExitCode;

use cloud::{Cloud, Config, metrics::measured};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use progress_push::App;

#[global_allocator]
static ALLOCATOR: cloud::Allocator = cloud::Allocator;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    cloud::start(Box::pin(start())).await
}

async fn start() -> Result<(), Error> {
    let config = Config::from_env()?;
    let app = App {
        cloud: Cloud::connect(&config).await,
        settings: config.settings,
    };
    let app = &app;
    run(service_fn(async |event: LambdaEvent<cloud::websocket::Event>| {
        Ok::<_, Error>(measured(app.handle(&event.payload, cloud::now())).await)
    }))
    .await
}
