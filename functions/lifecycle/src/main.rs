//! Lambda entry point of `lifecycle`.

use std::process::ExitCode;

use cloud::{Cloud, Config, config::process_env, metrics::measured};
use fleet::ec2::{FleetConfig, connect};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use lifecycle::App;
use serde_json::Value;
#[global_allocator]
static ALLOCATOR: cloud::Allocator = cloud::Allocator;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    cloud::start(Box::pin(start())).await
}

async fn start() -> Result<(), Error> {
    let mut env = process_env();
    let (config, fleet) = (Config::read(&mut env), FleetConfig::read(&mut env));
    env.finish()?;
    let (cloud, fleet) = tokio::join!(Cloud::connect(&config), connect(fleet));
    let app = App {
        cloud,
        fleet,
        settings: config.settings,
    };
    let app = &app;
    run(service_fn(async |event: LambdaEvent<Value>| {
        Ok::<_, Error>(measured(app.handle(&event.payload, cloud::now())).await?)
    }))
    .await
}
