//! Lambda entry point of `generate`.

use std::process::ExitCode;

use accounts::Edge;
use cloud::{Cloud, Config, config::process_env};
use generate::{App, routes};
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
    let cloud = Cloud::connect(&config).await;
    let app = App::new(cloud, config.settings);
    cloud::http::serve(edge.before(accounts::router(routes(), app))).await
}
