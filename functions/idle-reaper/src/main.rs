//! Lambda entry point of `idle-reaper`.

use std::process::ExitCode;

use cloud::{Cloud, Config, config::process_env, metrics::measured};
use fleet::ec2::{FleetConfig, connect};
use idle_reaper::App;
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
        let _: Value = event.payload;
        Ok::<_, Error>(measured(app.handle(cloud::now())).await?)
    }))
    .await
}
