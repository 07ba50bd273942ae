//! Lambda entry point of `generate`.

use cloud::{Cloud, Config};
use generate::{App, routes};
use lambda_runtime::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    cloud::telemetry::init();
    let config = Config::from_env()?;
    let cloud = Cloud::connect(&config).await;
    let app = App::new(cloud, config.settings);
    cloud::http::serve(accounts::router(routes(), app)).await
}
