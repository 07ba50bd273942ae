//! Lambda entry point of `studio`.

use std::process::ExitCode;

use accounts::Edge;
use cloud::{Cloud, config::process_env};
use lambda_runtime::Error;
use studio::{App, routes};

#[global_allocator]
static ALLOCATOR: cloud::Allocator = cloud::Allocator;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    cloud::start(Box::pin(start())).await
}

async fn start() -> Result<(), Error> {
    let mut env = process_env();
    let config = cloud::Config::read(&mut env);
    let edge = Edge::read(&env);
    env.finish()?;
    let app = App {
        cloud: Cloud::connect(&config).await,
        settings: config.settings,
        socket_url: config.socket_url,
        plain_http: config.local_endpoint,
    };
    cloud::http::serve(edge.before(accounts::router(routes(), app))).await
}
