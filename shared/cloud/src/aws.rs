//! Calls to AWS: how long they may take, and what it means when they fail.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_runtime::retries::classifiers::{THROTTLING_ERRORS, TRANSIENT_ERRORS};
use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use model::metrics::THROTTLES;

use crate::BoxError;

/// Longest time for one attempt at a call. DynamoDB, SQS and S3 answer in milliseconds; whoever does not in three
/// seconds is not going to.
const ATTEMPT: Duration = Duration::from_secs(3);
/// Longest time for a call with all its attempts: two whole ones, and still two seconds before Lambda cuts off a function
/// that has ten (`Timeout` in `template.yaml`), so that it can say what was wrong.
const OPERATION: Duration = Duration::from_secs(8);
/// Longest time to connect: within a region it takes a millisecond.
const CONNECT: Duration = Duration::from_secs(1);

/// Limits of a client whose attempts may take this long, and whose calls with all their attempts that long. The SDK has
/// none of its own: a peer that is silent would hold a function until Lambda cuts it off.
pub fn time_outs(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation)
        .build()
}

/// The limits of every client that does not set its own.
pub(crate) fn usual_time_outs() -> TimeoutConfig {
    time_outs(ATTEMPT, OPERATION)
}

/// A call that did not work out.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed")]
pub struct CallError {
    /// Which one, as AWS names it.
    pub call: &'static str,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    #[source]
    source: BoxError,
}

impl CallError {
    /// A call that may succeed later.
    pub fn passing(call: &'static str, source: impl Into<BoxError>) -> Self {
        Self {
            call,
            retryable: true,
            source: source.into(),
        }
    }

    /// A call that AWS refuses, or would refuse, however often it is made.
    pub fn refused(call: &'static str, source: impl Into<BoxError>) -> Self {
        Self {
            call,
            retryable: false,
            source: source.into(),
        }
    }

    /// What the SDK's error means. One that no repetition mends is logged here, loudly, and nowhere else.
    pub fn of<E>(call: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        note_throttle(call, error.code().unwrap_or_default());
        let retryable = match &error {
            SdkError::ConstructionFailure(_) => false,
            SdkError::DispatchFailure(failure) => !failure.is_user(),
            SdkError::ServiceError(_) => passes(status, error.code()),
            // Time-outs, and answers that were cut off.
            _ => true,
        };
        if !retryable {
            loudly(call, status, error.code(), error.message());
        }
        Self {
            call,
            retryable,
            source: error.into(),
        }
    }

    /// What an error means that AWS names by a code inside an answer.
    pub fn of_code(call: &'static str, code: &str, message: &str) -> Self {
        note_throttle(call, code);
        // Without a status the service's own troubles have to be known by name.
        let its_own = matches!(
            code,
            "InternalError" | "InternalFailure" | "ServiceUnavailable" | "Unavailable"
        );
        let retryable = its_own || passes(None, Some(code));
        if !retryable {
            loudly(call, None, Some(code), Some(message));
        }
        Self {
            call,
            retryable,
            source: format!("{code}: {message}").into(),
        }
    }
}

fn is_throttling(code: &str) -> bool {
    THROTTLING_ERRORS.contains(&code)
}

/// Counts a call that AWS refused with this code, if that says: too many.
pub fn note_throttle(call: &'static str, code: &str) {
    if is_throttling(code) {
        crate::metrics::note([THROTTLES.of(1.0)], &[("aws.call", &call)]);
    }
}

/// Whether an error of a service passes by itself: throttling, time-outs and troubles of the service do. What else is
/// wrong with a request (4xx) stays wrong.
fn passes(status: Option<u16>, code: Option<&str>) -> bool {
    let known = |code| is_throttling(code) || TRANSIENT_ERRORS.contains(&code);
    code.is_some_and(known) || status.is_some_and(|status| matches!(status, 408 | 429 | 500..))
}

fn loudly(call: &'static str, status: Option<u16>, code: Option<&str>, message: Option<&str>) {
    let code = code.unwrap_or_default();
    let check = what_to_check(status, code);
    // A refusal may quote what was sent, which is not to be in logs as a whole.
    let error: String = message.unwrap_or_default().chars().take(300).collect();
    tracing::error!(
        aws.call = call,
        aws.status = status,
        aws.code = code,
        error,
        check,
        "AWS refuses a call"
    );
}

fn what_to_check(status: Option<u16>, code: &str) -> &'static str {
    let has = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    if has(&[
        "UnrecognizedClient",
        "InvalidClientTokenId",
        "Signature",
        "ExpiredToken",
        "AuthFailure",
    ]) {
        "the credentials, and this machine's clock"
    } else if status == Some(403) || has(&["AccessDenied", "Unauthorized", "NotAuthorized", "Forbidden"]) {
        "the policies of the function's role in template.yaml"
    } else if status == Some(404) || has(&["NotFound", "NoSuch", "NonExistent", "DoesNotExist"]) {
        "whether what the function's environment names is there, in this region"
    } else {
        "the request: it is a mistake of ours"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_is_given_up_before_the_function_is() {
        for sdk in [
            crate::emulator_config("http://127.0.0.1:9").await,
            crate::sdk_config().await,
        ] {
            let limits = sdk.timeout_config().unwrap();
            assert_eq!(
                (
                    limits.connect_timeout(),
                    limits.operation_attempt_timeout(),
                    limits.operation_timeout()
                ),
                (Some(CONNECT), Some(ATTEMPT), Some(OPERATION))
            );
        }
        let template = include_str!("../../../template.yaml");
        let functions = template
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Timeout: "));
        let mut seconds: Vec<u64> = functions.map(|text| text.parse().unwrap()).collect();
        seconds.sort_unstable();
        // The first is that of `authorize`, which calls nobody.
        assert!(
            seconds.len() > 3 && seconds[1] >= OPERATION.as_secs() + 2,
            "{seconds:?}"
        );
    }

    #[tokio::test]
    async fn who_does_not_answer_is_asked_again_and_then_given_up() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = |port| format!("http://127.0.0.1:{port}");
        let sdk = crate::emulator_config(&here(silent.local_addr().unwrap().port())).await;
        let (attempt, operation) = (Duration::from_millis(50), Duration::from_millis(150));
        let sdk = sdk.into_builder().timeout_config(time_outs(attempt, operation)).build();
        let started = std::time::Instant::now();
        let bucket = crate::Bucket::s3(&sdk, "b".to_owned());
        let error = bucket.head("k").await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        assert!(started.elapsed() < ATTEMPT, "{:?}", started.elapsed());

        // Nobody is there at all.
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = here(gone.local_addr().unwrap().port());
        drop(gone);
        let sdk = crate::emulator_config(&nobody).await.into_builder();
        let sdk = sdk.timeout_config(time_outs(attempt, operation)).build();
        let queue = crate::Queue::sqs(&sdk, format!("{nobody}/q"));
        let message = crate::queue::Queued {
            task_id: None,
            pool: model::PoolId::new("p"),
        };
        assert!(queue.send(&message).await.unwrap_err().is_retryable());
    }

    #[test]
    fn what_passes_and_what_to_check() {
        for (status, code) in [
            (400, "ThrottlingException"),
            (400, "ProvisionedThroughputExceededException"),
            (429, "LimitExceededException"),
            (503, "SlowDown"),
            (500, "InternalServerError"),
            (408, ""),
        ] {
            assert!(passes(Some(status), Some(code)), "{status} {code}");
        }
        let checks = [
            (400, "AccessDeniedException", "policies"),
            (403, "", "policies"),
            (403, "UnauthorizedOperation", "policies"),
            (403, "SignatureDoesNotMatch", "clock"),
            (400, "UnrecognizedClientException", "clock"),
            (400, "ResourceNotFoundException", "is there"),
            (404, "NoSuchBucket", "is there"),
            (400, "QueueDoesNotExist", "is there"),
            (400, "ValidationException", "ours"),
            (413, "PayloadTooLargeException", "ours"),
        ];
        for (status, code, wanted) in checks {
            assert!(!passes(Some(status), Some(code)), "{status} {code}");
            let check = what_to_check(Some(status), code);
            assert!(check.contains(wanted), "{status} {code}: {check}");
        }
    }
}
