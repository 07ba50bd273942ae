//! Lambda entry point of `authorize`.

use std::process::ExitCode;

use accounts::Edge;
use authorize::App;
use cloud::{
    Store,
    config::process_env,
    metrics::measured,
    tables::{Table, TableNames},
    token::Verifier,
};
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
    let (key, issuer, audience) = (
        env.required("TOKEN_PUBLIC_KEY"),
        env.required("TOKEN_ISSUER"),
        env.required("TOKEN_AUDIENCE"),
    );
    let tables = TableNames::read(|table: Table| env.required(table.variable()));
    let edge = Edge::read(&env);
    let verifier = Verifier::new(&key, &issuer, &audience);
    if let Err(error) = &verifier
        && !key.is_empty()
    {
        env.problem(error.to_string());
    }
    env.finish()?;
    let app = App {
        store: Store::connect(tables).await,
        verifier: verifier?,
        edge,
    };
    let app = &app;
    run(service_fn(async |event: LambdaEvent<Value>| {
        Ok::<_, Error>(measured(app.handle(&event.payload)).await?)
    }))
    .await
}
