//! Lambda entry point of `archive`.
use std::process::ExitCode;

use archive::App;
use cloud::{Cloud, Config, config::process_env, metrics::measured};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[global_allocator]
static ALLOCATOR: cloud::Allocator = cloud::Allocator;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    cloud::start(Box::pin(start())).await
}

async fn start() -> Result<(), Error> {
    let mut env = process_env();
    let config = Config::read(&mut env);
    env.finish()?;
    let app = App {
        cloud: Cloud::connect(&config).await,
        settings: config.settings,
    };
    let app = &app;
    run(service_fn(async |event: LambdaEvent<Value>| {
        Ok::<_, Error>(measured(app.handle(event.payload, cloud::now())).await?)
    }))
    .await
}
