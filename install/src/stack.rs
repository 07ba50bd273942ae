//! Changing the stack: SAM packs the functions and asks CloudFormation for a change set, which is looked at before it is
//! carried out.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use aws_sdk_cloudformation::types::{
    ChangeAction, ChangeSetStatus, ExecutionStatus, Replacement, RequiresRecreation, ResourceChange, ResourceStatus,
    StackEvent,
};
use model::Millis;
use ops::outputs::Outputs;

use crate::{
    aws::{Aws, IN_REVIEW, Stack, failed},
    deploy::{folder_of, say},
    pauses::Pauses,
    program, review,
};

/// Longest time for a change: CloudFormation itself gives up on most resources within the hour.
const PATIENCE: Duration = Duration::from_hours(2);
/// Longest time in which a look may still show what was there before what was done.
const STALE: Duration = Duration::from_secs(30);
/// So often is looked for a change set before SAM has made none.
const LOOKS: u32 = 5;

/// What the stack is to become.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Its name.
    pub stack: &'a str,
    /// The template.
    pub template: &'a Path,
    /// Parameters; those that are not named stay as they are.
    pub parameters: &'a BTreeMap<String, String>,
}

/// Deploys: a change set by SAM, a look at it, and its execution. Nothing to change is no error. Returns when the stack was changed,
/// as it says.
pub async fn deploy(aws: &Aws, change: &Change<'_>) -> Result<Option<Millis>> {
    // One that a run left behind would be taken for SAM's.
    for stale in change_sets(aws, change.stack).await? {
        delete(aws, &stale).await?;
    }
    program::run(
        "sam",
        &arguments(change, aws.region()),
        folder_of(change.template),
        aws.region(),
    )
    .await?;
    let (mut set, mut pauses) = (None, Pauses::new());
    for _ in 0..LOOKS {
        set = change_sets(aws, change.stack).await?.pop();
        if set.is_some() {
            break;
        }
        pauses.next().await;
    }
    let before = aws.stack(change.stack).await?;
    let Some(set) = set else {
        return match before {
            Some(it) if it.outputs.is_some() => {
                say("  there is nothing to change");
                Ok(it.changed)
            }
            _ => bail!("SAM was content, and there is no change set of it"),
        };
    };
    let changes = changes(aws, &set).await?;
    if let Err(refusal) = review::review(&changes) {
        delete(aws, &set).await?;
        return Err(refusal.into());
    }
    say(&format!(
        "  {} resources change, none that holds data is replaced or removed",
        changes.len()
    ));
    let new = before.as_ref().is_none_or(|it| it.status == IN_REVIEW);
    let execute = aws.stacks.execute_change_set().change_set_name(&set);
    // Without it a creation that fails leaves empty tables behind, which no later one takes over.
    let execute = execute.set_retain_except_on_create(new.then_some(true));
    execute
        .send()
        .await
        .map_err(|error| failed("carry out the change set", error))?;
    let stale = |now: Option<&Stack>| match (now, &before) {
        (Some(now), Some(before)) => now.status == IN_REVIEW || now.is_as(before),
        (Some(now), None) => now.status == IN_REVIEW,
        (None, _) => true,
    };
    let ended = wait(aws, change.stack, stale).await?;
    Ok(ended.and_then(|it| it.changed))
}

fn arguments(change: &Change<'_>, region: &str) -> Vec<String> {
    let template = change.template.to_string_lossy();
    let fixed = [
        "deploy",
        "--template-file",
        template.as_ref(),
        "--stack-name",
        change.stack,
        "--region",
        region,
        "--resolve-s3",
        "--capabilities",
        "CAPABILITY_IAM",
        "--no-execute-changeset",
        "--no-confirm-changeset",
        "--no-fail-on-empty-changeset",
        "--parameter-overrides",
    ];
    let overrides = change
        .parameters
        .iter()
        .map(|(name, value)| format!("ParameterKey={name},ParameterValue={}", quoted(value)));
    fixed.iter().map(|&it| it.to_owned()).chain(overrides).collect()
}

/// A value as SAM reads it.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The stack's change sets that can be carried out, the newest last.
async fn change_sets(aws: &Aws, stack: &str) -> Result<Vec<String>> {
    let call = aws.stacks.list_change_sets().stack_name(stack);
    let found = match call.into_paginator().items().send().try_collect().await {
        Ok(found) => found,
        Err(_) if aws.stack(stack).await?.is_none() => return Ok(Vec::new()),
        Err(error) => return Err(failed("list the stack's change sets", error)),
    };
    let mut sets: Vec<_> = found
        .into_iter()
        .filter(|it| it.status == Some(ChangeSetStatus::CreateComplete))
        .filter(|it| it.execution_status == Some(ExecutionStatus::Available))
        .filter_map(|it| Some((it.creation_time, it.change_set_id?)))
        .collect();
    sets.sort();
    Ok(sets.into_iter().map(|(_, id)| id).collect())
}

async fn delete(aws: &Aws, set: &str) -> Result<()> {
    let deleted = aws.stacks.delete_change_set().change_set_name(set).send().await;
    deleted.map(drop).map_err(|error| failed("delete a change set", error))
}

async fn changes(aws: &Aws, set: &str) -> Result<Vec<review::Change>> {
    let mut found = Vec::new();
    let mut next = None;
    loop {
        let page = aws
            .stacks
            .describe_change_set()
            .change_set_name(set)
            .set_next_token(next);
        let page = page
            .send()
            .await
            .map_err(|error| failed("look at the change set", error))?;
        let some = page.changes.unwrap_or_default().into_iter();
        found.extend(some.filter_map(|it| it.resource_change).filter_map(|it| change(&it)));
        next = page.next_token;
        if next.is_none() {
            return Ok(found);
        }
    }
}

/// A change of a kind that is not known counts as a replacement: then somebody looks.
fn change(it: &ResourceChange) -> Option<review::Change> {
    let action = match (it.action()?, it.replacement()) {
        (ChangeAction::Add | ChangeAction::Import, _) => review::Action::Add,
        (ChangeAction::Remove, _) => review::Action::Remove,
        (ChangeAction::Modify, None | Some(Replacement::False)) => review::Action::Modify,
        (ChangeAction::Modify, Some(Replacement::Conditional)) if is_of_indexes(it) => review::Action::Modify,
        _ => review::Action::Replace,
    };
    Some(review::Change {
        logical: it.logical_resource_id()?.to_owned(),
        kind: it.resource_type()?.to_owned(),
        action,
    })
}

/// Whether a table changes in nothing that could replace it but the list of its keys' attributes, to which an index adds its own.
/// Of that list CloudFormation always says that it may: it replaces the table if an attribute's type is another, which `.ci/template`
/// refuses a release. <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-dynamodb-table.html>
fn is_of_indexes(it: &ResourceChange) -> bool {
    let mut replacing = it
        .details()
        .iter()
        .filter_map(|it| it.target())
        .filter(|it| it.requires_recreation() != Some(&RequiresRecreation::Never))
        .peekable();
    it.resource_type() == Some("AWS::DynamoDB::Table")
        && replacing.peek().is_some()
        && replacing.all(|it| {
            it.name() == Some("AttributeDefinitions")
                && it.requires_recreation() == Some(&RequiresRecreation::Conditionally)
        })
}

/// Waits until CloudFormation has finished, and returns the stack, if it is still there; fails with its reasons if it is not as it was
/// wanted. `stale` says of a look that it shows what was before CloudFormation was told to do something, which it may for a while.
pub async fn wait(aws: &Aws, name: &str, stale: impl Fn(Option<&Stack>) -> bool) -> Result<Option<Stack>> {
    let begin = tokio::time::Instant::now();
    let waited = async {
        let mut pauses = Pauses::new();
        loop {
            let stack = aws.stack(name).await?;
            let busy = stack
                .as_ref()
                .is_some_and(|it| it.status.ends_with("_IN_PROGRESS") && it.status != IN_REVIEW);
            let goes_on = busy || begin.elapsed() < STALE && stale(stack.as_ref());
            if !goes_on {
                return Ok::<_, anyhow::Error>(stack);
            }
            pauses.next().await;
        }
    };
    let stack = tokio::time::timeout(PATIENCE, waited)
        .await
        .context("CloudFormation has been at it for two hours; look at the stack in the AWS console")??;
    match &stack {
        Some(Stack { status, .. }) if status.contains("ROLLBACK") || status.ends_with("FAILED") => {
            bail!("the stack ended as {status}:\n{}", reasons(aws, name).await?)
        }
        _ => Ok(stack),
    }
}

/// What CloudFormation says of the resources that failed at the last change, the first first: the others were given up
/// because of it.
async fn reasons(aws: &Aws, name: &str) -> Result<String> {
    let call = aws.stacks.describe_stack_events().stack_name(name);
    let mut events = call.into_paginator().items().send();
    let mut lines = Vec::new();
    // The newest comes first.
    while let Some(event) = events.next().await {
        let event = event.map_err(|error| failed("read the stack's events", error))?;
        if begins_a_change(&event) {
            break;
        }
        lines.extend(failure(&event));
    }
    Ok(lines.into_iter().rev().take(3).collect::<Vec<_>>().join("\n"))
}

/// Whether the event is that the whole stack is begun to be made, changed or removed.
fn begins_a_change(it: &StackEvent) -> bool {
    use ResourceStatus::{CreateInProgress, DeleteInProgress, UpdateInProgress};
    let begins = matches!(
        it.resource_status,
        Some(CreateInProgress | DeleteInProgress | UpdateInProgress)
    );
    begins && it.physical_resource_id == it.stack_id
}

fn failure(it: &StackEvent) -> Option<String> {
    let (of, why) = (it.logical_resource_id()?, it.resource_status_reason()?);
    let own = it.resource_status()?.as_str().ends_with("_FAILED") && !why.contains("Resource creation cancelled");
    own.then(|| format!("  {of}: {why}"))
}

/// Removes what a failed creation left, and waits until it is gone.
pub async fn clear(aws: &Aws, name: &str) -> Result<()> {
    let before = aws.stack(name).await?;
    let deleted = aws.stacks.delete_stack().stack_name(name).send().await;
    deleted.map_err(|error| failed("remove what a failed creation left", error))?;
    let stale = |now: Option<&Stack>| matches!((now, &before), (Some(now), Some(before)) if now.is_as(before));
    wait(aws, name, stale).await.map(drop)
}

/// The stack's outputs.
pub async fn outputs(aws: &Aws, name: &str) -> Result<Outputs> {
    let stack = aws.stack(name).await?;
    stack
        .and_then(|it| it.outputs)
        .with_context(|| format!("there is no stack {name} with outputs in {}", aws.region()))
}

/// The template that is deployed, as SAM packed it: its functions' code lies in S3.
pub async fn template(aws: &Aws, name: &str) -> Result<String> {
    let reply = aws.stacks.get_template().stack_name(name);
    let reply = reply.template_stage(aws_sdk_cloudformation::types::TemplateStage::Original);
    let reply = reply
        .send()
        .await
        .map_err(|error| failed("read the template that is deployed", error))?;
    reply.template_body.context("AWS gives no template of the stack")
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::types::{ResourceAttribute, ResourceChangeDetail, ResourceTargetDefinition};

    use super::*;

    #[test]
    fn only_a_change_in_place_is_one() {
        let of = |action, replacement| {
            let it = ResourceChange::builder()
                .logical_resource_id("Tasks")
                .resource_type("AWS::DynamoDB::Table")
                .action(action)
                .set_replacement(replacement);
            change(&it.build()).expect("a change").action
        };
        assert_eq!(
            of(ChangeAction::Modify, Some(Replacement::False)),
            review::Action::Modify
        );
        for replacement in [Replacement::True, Replacement::Conditional, "Perhaps".into()] {
            assert_eq!(of(ChangeAction::Modify, Some(replacement)), review::Action::Replace);
        }
        assert_eq!(of(ChangeAction::Remove, None), review::Action::Remove);
        assert_eq!(of("Explode".into(), None), review::Action::Replace);
    }

    #[test]
    fn an_index_may_come_and_a_key_may_not_change() {
        use RequiresRecreation::{Always, Conditionally, Never};

        let of = |kind: &str, targets: &[(&str, RequiresRecreation)]| {
            let details = targets.iter().map(|(name, recreation)| {
                let target = ResourceTargetDefinition::builder()
                    .attribute(ResourceAttribute::Properties)
                    .name(*name)
                    .requires_recreation(recreation.clone());
                ResourceChangeDetail::builder().target(target.build()).build()
            });
            let it = ResourceChange::builder()
                .logical_resource_id("Tasks")
                .resource_type(kind)
                .action(ChangeAction::Modify)
                .replacement(Replacement::Conditional)
                .set_details(Some(details.collect()));
            change(&it.build()).expect("a change").action
        };
        let (table, index) = ("AWS::DynamoDB::Table", ("GlobalSecondaryIndexes", Never));
        let attributes = ("AttributeDefinitions", Conditionally);
        let cases = [
            (table, vec![index.clone(), attributes.clone()], review::Action::Modify),
            (
                table,
                vec![attributes.clone(), ("KeySchema", Conditionally)],
                review::Action::Replace,
            ),
            (
                table,
                vec![attributes.clone(), ("TableName", Always)],
                review::Action::Replace,
            ),
            (table, vec![("AttributeDefinitions", Always)], review::Action::Replace),
            (table, vec![index], review::Action::Replace),
            (table, vec![], review::Action::Replace),
            ("AWS::S3::Bucket", vec![attributes], review::Action::Replace),
        ];
        for (kind, targets, action) in cases {
            assert_eq!(of(kind, &targets), action, "{kind} {targets:?}");
        }
    }

    #[test]
    fn values_survive_sam() {
        let parameters = BTreeMap::from([
            ("A".to_owned(), "a b=\"c\"".to_owned()),
            ("B".to_owned(), String::new()),
        ]);
        let change = Change {
            stack: "atelier",
            template: Path::new("/r/template.yaml"),
            parameters: &parameters,
        };
        let arguments = arguments(&change, "eu-west-1");
        let [.., a, b] = arguments.as_slice() else { panic!() };
        assert_eq!(a, r#"ParameterKey=A,ParameterValue="a b=\"c\"""#);
        assert_eq!(b, r#"ParameterKey=B,ParameterValue="""#, "it can be emptied");
    }

    #[test]
    fn the_failures_are_those_of_the_last_change() {
        let event = |physical: &str, status: ResourceStatus| {
            let it = StackEvent::builder()
                .stack_id("stack")
                .event_id("1")
                .stack_name("atelier");
            let it = it.logical_resource_id("Tasks").physical_resource_id(physical);
            it.resource_status(status).resource_status_reason("no right").build()
        };
        assert!(begins_a_change(&event("stack", ResourceStatus::UpdateInProgress)));
        assert!(!begins_a_change(&event(
            "stack",
            ResourceStatus::UpdateRollbackInProgress
        )));
        assert!(!begins_a_change(&event("table", ResourceStatus::CreateInProgress)));
        let of = |status| failure(&event("table", status));
        assert_eq!(of(ResourceStatus::UpdateFailed).as_deref(), Some("  Tasks: no right"));
        assert_eq!(of(ResourceStatus::UpdateComplete), None);
    }
}
