//! Lambda entry point of `account`.

use std::process::ExitCode;

use account::{
    App,
    oidc::{Config, Provider, is_safe},
    routes,
};
use accounts::Edge;
use cloud::{
    Cloud,
    config::process_env,
    token::{Signer, Verifier},
};
use lambda_runtime::Error;
use model::TeamId;

#[global_allocator]
static ALLOCATOR: cloud::Allocator = cloud::Allocator;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    cloud::start(Box::pin(start())).await
}

async fn start() -> Result<(), Error> {
    let mut env = process_env();
    let config = cloud::Config::read(&mut env);
    let (issuer, audience) = (env.required("TOKEN_ISSUER"), env.required("TOKEN_AUDIENCE"));
    let (secret, public_key) = (env.required("SIGNING_SECRET"), env.required("TOKEN_PUBLIC_KEY"));
    let contact = env.optional("CONTACT").unwrap_or_default();
    let oidc = env.optional("OIDC_ISSUER").map(|issuer| {
        if !is_safe(&issuer) {
            env.problem("OIDC_ISSUER is no https address");
        }
        Config {
            issuer,
            client_id: env.required("OIDC_CLIENT_ID"),
            client_secret: None,
            redirect_url: env.required("OIDC_REDIRECT_URL"),
            team: env.optional("OIDC_TEAM").map(TeamId::new),
        }
    });
    let client_secret = env.optional("OIDC_CLIENT_SECRET");
    let edge = Edge::read(&env);
    env.finish()?;
    let sdk = cloud::sdk_config().await;
    let (cloud, key) = tokio::join!(Cloud::connect(&config), cloud::secret::read(&sdk, &secret));
    let provider = match oidc {
        None => None,
        Some(config) => {
            let client_secret = match client_secret {
                Some(name) => Some(cloud::secret::read(&sdk, &name).await?),
                None => None,
            };
            Some(Provider::new(Config {
                client_secret,
                ..config
            })?)
        }
    };
    let app = App {
        provider,
        cloud,
        settings: config.settings,
        socket_url: config.socket_url,
        verifier: Verifier::new(&public_key, &issuer, &audience)?,
        contact,
        plain_http: config.local_endpoint,
        signer: Signer::new(&key?, &issuer, &audience)?,
    };
    cloud::http::serve(edge.before(accounts::router(routes(), app))).await
}
