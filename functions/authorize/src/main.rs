//! Lambda entry point of `authorize`.

use cloud::{config::process_env, token::Verifier};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    cloud::telemetry::init();
    let mut env = process_env();
    let (key, issuer, audience) = (
        env.required("TOKEN_PUBLIC_KEY"),
        env.required("TOKEN_ISSUER"),
        env.required("TOKEN_AUDIENCE"),
    );
    env.finish()?;
    let verifier = Verifier::new(&key, &issuer, &audience)?;
    let verifier = &verifier;
    run(service_fn(async |event: LambdaEvent<Value>| {
        Ok::<_, Error>(authorize::authorize(verifier, &event.payload))
    }))
    .await
}
