//! Lambda entry point of `account`.

use account::App;
use cloud::{Cloud, Config, config::process_env, token::Signer};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    cloud::telemetry::init();
    let mut env = process_env();
    let config = Config::read(&mut env);
    let (issuer, audience) = (env.required("TOKEN_ISSUER"), env.required("TOKEN_AUDIENCE"));
    let secret = env.required("SIGNING_SECRET");
    env.finish()?;
    let sdk = cloud::sdk_config().await;
    let (cloud, key) = tokio::join!(Cloud::connect(&config), cloud::secret::read(&sdk, &secret));
    let app = App {
        cloud,
        settings: config.settings,
        socket_url: config.socket_url,
        signer: Signer::new(&key?, &issuer, &audience)?,
    };
    let app = &app;
    run(service_fn(async |event: LambdaEvent<cloud::http::Event>| {
        Ok::<_, Error>(app.handle(&event.payload, cloud::now()).await)
    }))
    .await
}
