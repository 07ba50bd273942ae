//! Lambda entry point of `forecast`.

use std::process::ExitCode;

use cloud::{Cloud, Config, config::process_env, metrics::measured};
use forecast_function::{App, until};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use model::Millis;
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
    };
    let app = &app;
    run(service_fn(async |event: LambdaEvent<Value>| {
        let now = cloud::now();
        let until = until(&event.payload, now, Millis(event.context.deadline));
        Ok::<_, Error>(measured(app.handle(&event.payload, now, || cloud::now() < until)).await?)
    }))
    .await
}
