//! Lambda entry point of `catalog`.

use std::{process::ExitCode, sync::Arc};

use accounts::Edge;
use catalog_function::{App, routes};
use cloud::{Cloud, Config, config::process_env};
use lambda_runtime::Error;

#[global_allocator]
static ALLOCATOR: cloud::Allocator = cloud::Allocator;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    cloud::start(Box::pin(start())).await
}

async fn start() -> Result<(), Error> {
    let mut env = process_env();
    let (config, edge) = (Config::read(&mut env), Edge::read(&env));
    env.finish()?;
    let (cloud, masters) = tokio::join!(Cloud::connect(&config), cloud::masters(&config));
    let app = Arc::new(App {
        cloud,
        masters,
        settings: config.settings,
    });
    let router = edge.before(accounts::router(routes(), Arc::clone(&app)));
    cloud::http::serve_beside(router, async |event| Ok(app.handle(&event, cloud::now()).await?)).await
}
