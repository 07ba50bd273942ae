//! Logs: JSON lines. Lambda takes the level of a line into account only if the line has a time too.

/// Below this level these crates log whole events and requests, with tokens and presigned URLs in them.
const QUIET: &str = "lambda_runtime=info,lambda_runtime_api_client=info,aws_smithy_runtime=info,aws_runtime=info,aws_sigv4=info,aws_config=info,hyper_util=info,reqwest=info";

/// Sets up logging. The level is `AWS_LAMBDA_LOG_LEVEL`, else `RUST_LOG`, else info.
pub fn init() {
    let env = crate::config::process_env();
    let level = env
        .optional("AWS_LAMBDA_LOG_LEVEL")
        .or_else(|| env.optional("RUST_LOG"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .with_env_filter(tracing_subscriber::EnvFilter::new(format!(
            "{},{QUIET}",
            level.unwrap_or_else(|| "info".to_owned())
        )))
        .init();
}
