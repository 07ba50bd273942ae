//! Lambda entry point of `account`.

use account::App;
use cloud::{Cloud, Config};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    cloud::telemetry::init();
    let config = Config::from_env()?;
    let cloud = Cloud::connect(&config).await;
    let app = App {
        cloud,
        settings: config.settings,
        socket_url: config.socket_url,
    };
    let app = &app;
    run(service_fn(async |event: LambdaEvent<cloud::http::Event>| {
        Ok::<_, Error>(app.handle(&event.payload, cloud::now()).await)
    }))
    .await
}
