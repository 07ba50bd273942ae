//! The AWS account: who asks, its quotas, and the stack.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use cloud::aws::time_outs;
use fleet::site::Site;
use model::Millis;
use ops::outputs::Outputs;

/// Longest time for one attempt at a call, and with all attempts: a person waits, and CloudFormation takes its time.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(15);
const OPERATION: Duration = Duration::from_mins(1);

/// The clients.
#[derive(Debug, Clone)]
pub struct Aws {
    /// The SDK's configuration, for clients of other crates: with a person's patience, not a function's.
    pub sdk: aws_config::SdkConfig,
    /// CloudFormation.
    pub stacks: aws_sdk_cloudformation::Client,
    /// Service Quotas.
    pub quotas: aws_sdk_servicequotas::Client,
    /// STS.
    pub identity: aws_sdk_sts::Client,
    /// EC2.
    pub site: Site,
}

/// A stack as CloudFormation describes it.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Its status, e.g. `UPDATE_COMPLETE`.
    pub status: String,
    /// The reason that is given for it.
    pub reason: Option<String>,
    /// Its outputs; none while it is being made.
    pub outputs: Option<Outputs>,
    /// Its parameters by name.
    pub parameters: std::collections::BTreeMap<String, String>,
    /// When the last change of it began, or its making.
    pub changed: Option<Millis>,
}

/// A resource of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its name in the template.
    pub logical: String,
    /// Its name in the account.
    pub physical: String,
    /// Its type, e.g. `AWS::DynamoDB::Table`.
    pub kind: String,
    /// Its status, e.g. `CREATE_FAILED`.
    pub status: String,
    /// The reason that is given for it.
    pub reason: Option<String>,
}

/// Parameters that no other template has: one of `template.yaml`, one of `edge.yaml`.
pub(crate) const OURS: [&str; 2] = ["TokenPublicKey", "EdgeSecret"];
/// That of `template.yaml`: `edge.yaml` is deployed by SAM alone.
pub(crate) const DEPLOYED: [&str; 1] = [OURS[0]];

/// Status of a stack of which there is only a change set.
pub(crate) const IN_REVIEW: &str = "REVIEW_IN_PROGRESS";

impl Stack {
    /// Whether nothing shows that anything was done to the stack since the other look.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        (&self.status, self.changed) == (&other.status, other.changed)
    }

    /// Fails, in plain words, if the stack has none of these parameters, by which it would have been made of one of our templates: one
    /// in review may have none yet.
    pub(crate) fn must_be_ours(&self, name: &str, parameters: &[&str]) -> Result<()> {
        let has = |name: &&str| self.parameters.contains_key(*name);
        let in_review = self.status == IN_REVIEW && self.parameters.is_empty();
        ensure!(
            in_review || parameters.iter().any(has),
            "{name} is no stack of Atelier, or not of this kind: it has no parameter {}. Nothing was done; look at it in \
             the AWS console, and give --stack",
            parameters.join(" or ")
        );
        Ok(())
    }
}

impl Aws {
    /// Connects with what the environment says; fails in plain words without region or credentials.
    pub async fn connect() -> Result<Self> {
        Ok(Self::new(ops::connect::connect().await?))
    }

    /// The same with a given configuration of the SDK.
    pub fn new(sdk: aws_config::SdkConfig) -> Self {
        let sdk = sdk.into_builder().timeout_config(time_outs(ATTEMPT, OPERATION)).build();
        Self {
            stacks: aws_sdk_cloudformation::Client::new(&sdk),
            quotas: aws_sdk_servicequotas::Client::new(&sdk),
            identity: aws_sdk_sts::Client::new(&sdk),
            site: Site::new(&sdk),
            sdk,
        }
    }

    /// The region.
    pub fn region(&self) -> &str {
        self.sdk.region().map_or("us-east-1", aws_config::Region::as_ref)
    }

    /// The account's number.
    pub async fn account(&self) -> Result<String> {
        let reply = self.identity.get_caller_identity().send().await;
        let reply = reply.map_err(|error| failed("ask who these credentials belong to", error))?;
        reply.account.context("AWS names no account for these credentials")
    }

    /// A quota of the account, e.g. `ec2`, `L-DB2E81BA`: the one applied, or AWS's own for everybody.
    pub async fn quota(&self, service: &str, code: &str) -> Result<f64> {
        let applied = self.quotas.get_service_quota().service_code(service).quota_code(code);
        let value = match applied.send().await {
            Ok(reply) => reply.quota.and_then(|it| it.value),
            Err(error) if error.code() == Some("NoSuchResourceException") => {
                let usual = self.quotas.get_aws_default_service_quota();
                let reply = usual.service_code(service).quota_code(code).send().await;
                let reply = reply.map_err(|error| failed("ask for a quota", error))?;
                reply.quota.and_then(|it| it.value)
            }
            Err(error) => return Err(failed("ask for a quota", error)),
        };
        value.with_context(|| format!("AWS gives no value of the quota {service} {code}"))
    }

    /// The stack of this name; none if there is none.
    pub async fn stack(&self, name: &str) -> Result<Option<Stack>> {
        let reply = match self.stacks.describe_stacks().stack_name(name).send().await {
            Ok(reply) => reply,
            Err(error) if error.message().is_some_and(|it| it.contains("does not exist")) => return Ok(None),
            Err(error) => return Err(failed("look at the stack", error)),
        };
        Ok(reply.stacks.unwrap_or_default().into_iter().next().map(|stack| {
            let outputs = stack
                .outputs
                .unwrap_or_default()
                .into_iter()
                .filter_map(|it| Some((it.output_key?, it.output_value?)));
            let parameters = stack.parameters.unwrap_or_default();
            let parameters = parameters
                .into_iter()
                .filter_map(|it| Some((it.parameter_key?, it.parameter_value.unwrap_or_default())));
            let changed = stack.last_updated_time.or(stack.creation_time);
            Stack {
                status: stack.stack_status.map(|it| it.as_str().to_owned()).unwrap_or_default(),
                reason: stack.stack_status_reason,
                outputs: Outputs::of(outputs.collect()),
                parameters: parameters.collect(),
                changed: changed
                    .and_then(|it| it.to_millis().ok())
                    .and_then(|it| it.try_into().ok())
                    .map(Millis),
            }
        }))
    }

    /// The stack's resources.
    pub async fn resources(&self, name: &str) -> Result<Vec<Resource>> {
        let mut pages = self
            .stacks
            .list_stack_resources()
            .stack_name(name)
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("list the stack's resources", error))?;
            let some = page.stack_resource_summaries.unwrap_or_default();
            found.extend(some.into_iter().filter_map(|it| {
                Some(Resource {
                    logical: it.logical_resource_id?,
                    physical: it.physical_resource_id.unwrap_or_default(),
                    kind: it.resource_type?,
                    status: it.resource_status.map(|it| it.as_str().to_owned()).unwrap_or_default(),
                    reason: it.resource_status_reason,
                })
            }));
        }
        Ok(found)
    }
}

/// A failed call in words: what was to be done, and all that the SDK knows of why not.
pub fn failed<E, R>(what: &str, error: SdkError<E, R>) -> anyhow::Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let said = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => DisplayErrorContext(&error).to_string(),
    };
    let ended = [
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    ];
    let hint = if error.code().is_some_and(|it| ended.contains(&it)) {
        "; the credentials have ended: sign in to AWS again"
    } else {
        ""
    };
    let words = format!("AWS could not {what}: {said}{hint}");
    anyhow::Error::new(error).context(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_client_has_a_persons_patience() {
        let aws = Aws::new(cloud::emulator_config("http://127.0.0.1:9").await);
        let limits = aws.sdk.timeout_config().unwrap().operation_timeout();
        assert_eq!(limits, Some(OPERATION), "a function has eight seconds");
    }

    #[test]
    fn only_our_stacks_are_touched() {
        let stack = |status: &str, parameter: Option<&str>| Stack {
            status: status.to_owned(),
            reason: None,
            outputs: None,
            parameters: parameter.into_iter().map(|it| (it.to_owned(), String::new())).collect(),
            changed: None,
        };
        for (status, parameter, ours) in [
            ("CREATE_COMPLETE", Some("TokenPublicKey"), true),
            ("ROLLBACK_COMPLETE", Some("EdgeSecret"), true),
            ("CREATE_COMPLETE", Some("Domain"), false),
            ("CREATE_COMPLETE", None, false),
            (IN_REVIEW, None, true),
            (IN_REVIEW, Some("Domain"), false),
        ] {
            assert_eq!(
                stack(status, parameter).must_be_ours("it", &OURS).is_ok(),
                ours,
                "{status} {parameter:?}"
            );
        }
        let edge = stack("CREATE_COMPLETE", Some("EdgeSecret"));
        assert!(
            edge.must_be_ours("it", &DEPLOYED).is_err(),
            "it is deployed by SAM alone"
        );
        let templates = [include_str!("../../template.yaml"), include_str!("../../edge.yaml")];
        for (name, template) in OURS.iter().zip(templates) {
            assert!(template.contains(&format!("\n  {name}:\n    Type: String\n")), "{name}");
        }
    }
}
