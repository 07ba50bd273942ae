//! How AWS is called: tables, queue, bucket, sockets, HTTP, config, tokens, telemetry.
//!
//! Only this crate, `fleet` and `main.rs` files name the AWS SDK. Each service is a small handle over a port, so that
//! handlers run unchanged on the in-memory ports of [`memory`], which are unkind on purpose.

mod ahead;
pub mod aws;
pub mod bucket;
pub mod config;
mod dynamo;
pub mod fault;
pub mod http;
pub mod memory;
pub mod metrics;
pub mod multipart;
pub mod page;
mod query;
pub mod queue;
pub mod retry;
pub mod secret;
pub mod sockets;
mod start;
pub mod store;
pub mod stream;
pub mod tables;
pub mod telemetry;
pub mod token;
mod unknown;
pub mod websocket;

use std::{future::Future, pin::Pin, time::SystemTime};

use aws_credential_types::Credentials;
pub use bucket::Bucket;
pub use config::{Config, ConfigError, Env};
/// Every function's allocator: the SDK's many small ones, and pages freed at once, cost a submit a tenth of its CPU by the C library's.
pub use mimalloc::MiMalloc as Allocator;
pub use queue::Queue;
pub use sockets::Sockets;
pub use start::start;
pub use store::{Store, StoreError, Write};

/// What a port's method returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An error of the SDK or the network below it, kept as the source of ours.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Everything a handler reaches.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// The tables.
    pub store: Store,
    /// The queue of new tasks.
    pub queue: Queue,
    /// The bucket of pictures.
    pub bucket: Bucket,
    /// The bucket of model files.
    pub models: Bucket,
    /// Open WebSockets.
    pub sockets: Sockets,
}

/// The bucket of model files, for those that come in parts.
pub async fn masters(config: &Config) -> multipart::Multipart {
    let client = bucket::client(&sdk_config().await, config.local_endpoint);
    multipart::Multipart::s3(client, config.models_bucket.clone())
}

/// Longest time for making a client ready.
const PRIMING: std::time::Duration = std::time::Duration::from_secs(2);

impl Cloud {
    /// Connects to AWS and primes each client: the handshake then happens in the init phase, which is not throttled,
    /// instead of in the first call.
    pub async fn connect(config: &Config) -> Self {
        let sdk = sdk_config().await;
        let s3 = bucket::client(&sdk, config.local_endpoint);
        let cloud = Self {
            store: Store::dynamo(&sdk, config.tables.clone()),
            queue: Queue::sqs(&sdk, config.queue_url.clone()),
            bucket: Bucket::new(bucket::S3::new(s3.clone(), config.bucket.clone())),
            models: Bucket::new(bucket::S3::new(s3, config.models_bucket.clone())),
            sockets: Sockets::api_gateway(&sdk, &config.socket_callback_url),
        };
        let prime = async {
            tokio::join!(
                cloud.store.port().prime(),
                cloud.queue.port().prime(),
                cloud.bucket.prime(),
                cloud.sockets.port().prime()
            )
        };
        // A failed or slow prime costs nothing but its gain.
        let _ = tokio::time::timeout(PRIMING, prime).await;
        cloud
    }
}

/// An error with all that is behind it, in one line for a log: cut, since what is behind it may hold what somebody sent.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        cut(&mut text, LONGEST_CHAIN);
        text = format!("{text}: {error}");
        source = error.source();
    }
    cut(&mut text, LONGEST_CHAIN);
    text
}

/// Longest account of an error in a log, bytes.
const LONGEST_CHAIN: usize = 1000;

/// Cuts a text to so many bytes, and shows that it was cut.
pub fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
}

/// The SDK's configuration: region, credentials and endpoint from the environment.
pub async fn sdk_config() -> aws_config::SdkConfig {
    aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12())
        .timeout_config(aws::usual_time_outs())
        .load()
        .await
}

/// The region that an emulator plays.
pub const EMULATOR_REGION: &str = "us-east-1";

/// The same, for an emulator at this address, with its owner's credentials.
pub async fn emulator_config(endpoint: &str) -> aws_config::SdkConfig {
    emulator_config_as(endpoint, Credentials::new("test", "test", None, None, "emulator")).await
}

/// The same with somebody else's credentials.
pub async fn emulator_config_as(endpoint: &str, credentials: Credentials) -> aws_config::SdkConfig {
    aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12())
        .timeout_config(aws::usual_time_outs())
        .endpoint_url(endpoint)
        .region(aws_config::Region::new(EMULATOR_REGION))
        .credentials_provider(credentials)
        .load()
        .await
}

/// The wall clock. Handlers pass it down; nothing pure calls it.
pub fn now() -> model::Millis {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    model::Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
