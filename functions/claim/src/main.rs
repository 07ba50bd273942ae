//! Lambda entry point of `claim`.

use std::process::ExitCode;

use accounts::Edge;
use claim::{
    App,
    identity::{CallerIdentity, Sts},
    routes,
};
use cloud::{Cloud, Config, config::process_env, token::Signer};
use lambda_runtime::Error;

#[global_allocator]
static ALLOCATOR: cloud::Allocator = cloud::Allocator;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    cloud::start(Box::pin(start())).await
}

async fn start() -> Result<(), Error> {
    let mut env = process_env();
    let config = Config::read(&mut env);
    let (issuer, audience) = (env.required("TOKEN_ISSUER"), env.required("TOKEN_AUDIENCE"));
    let (secret, sts, role) = (
        env.required("SIGNING_SECRET"),
        env.required("STS_URL"),
        env.required("WORKER_ROLE_ARN"),
    );
    let region = env.required("AWS_REGION");
    let edge = Edge::read(&env);
    env.finish()?;
    let sdk = cloud::sdk_config().await;
    let (cloud, key) = tokio::join!(Cloud::connect(&config), cloud::secret::read(&sdk, &secret));
    let app = App {
        cloud,
        settings: config.settings,
        signer: Signer::new(&key?, &issuer, &audience)?,
        identity: CallerIdentity::new(Sts::new(&sts, &region)?, &role),
        socket_url: config.socket_url,
        needs: claim::Needs::default(),
    };
    cloud::http::serve(edge.before(accounts::router(routes(), app))).await
}
