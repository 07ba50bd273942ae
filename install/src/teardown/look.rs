//! What there is of an installation, by its stack, its tags and its names.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use aws_sdk_cloudformation::{error::ProvideErrorMetadata, types::TemplateStage};
use aws_sdk_resourcegroupstagging::types::TagFilter;
use serde_json::Value;

use super::plan::{Found, Part};
use crate::{
    aws::{Aws, Stack, failed},
    backup::tables,
    bucket,
};

/// Tags that lead to what a stack kept: CloudFormation's own, and ours.
const TAGS: [&str; 2] = ["aws:cloudformation:stack-name", "atelier:stack"];

/// Parameters that no other template has: one of `template.yaml`, one of `edge.yaml`.
const OURS: [&str; 2] = ["TokenPublicKey", "EdgeSecret"];

/// Status of a stack of which there is only a change set.
const IN_REVIEW: &str = "REVIEW_IN_PROGRESS";

/// Everything, asked anew, beside what was noted down when the teardown began.
pub(crate) async fn everything(aws: &Aws, stack: &str, noted: Vec<Part>) -> Result<Found> {
    let found = aws.stack(stack).await?;
    let there = found.is_some();
    let mut parts = match found {
        Some(found) => {
            ensure!(
                is_ours(&found),
                "{stack} is no stack of Atelier: it has none of our templates' parameters. Nothing was done; look at it \
                 in the AWS console, and give --stack"
            );
            match found.status.as_str() {
                // A change set that nobody carried out: neither a resource nor a template is there.
                IN_REVIEW => Vec::new(),
                _ => Part::all(&aws.resources(stack).await?, &kept(aws, stack).await?),
            }
        }
        None => Vec::new(),
    };
    for part in noted.into_iter().chain(tagged(aws, stack).await?) {
        if parts.iter().all(|it| it.physical != part.physical) {
            parts.push(part);
        }
    }
    let site = &aws.site;
    let mut machines = site.machines(stack).await?;
    machines.retain(|it| !it.is_gone());
    let images = site.images().await?;
    let disk_snapshots = site.disk_snapshots(stack, &images).await?;
    let mut log_groups = log_groups(aws, stack, &parts).await?;
    log_groups.retain(|it| !there || parts.iter().all(|part| part.physical != *it));
    Ok(Found {
        stack: stack.to_owned(),
        there,
        machines,
        disks: site.disks(stack).await?,
        images,
        disk_snapshots,
        neighbours: site.neighbours(stack).await?,
        log_groups,
        parts,
    })
}

/// Whether a stack was made of one of our templates, as far as its parameters say: one in review may have none yet.
fn is_ours(stack: &Stack) -> bool {
    let has = |name: &&str| stack.parameters.contains_key(*name);
    OURS.iter().any(has) || (stack.status == IN_REVIEW && stack.parameters.is_empty())
}

/// The names in the template of what the stack keeps.
async fn kept(aws: &Aws, stack: &str) -> Result<BTreeSet<String>> {
    // With the transform done it is JSON; a template without one stays as it was written.
    let call = aws.stacks.get_template().stack_name(stack);
    let reply = call.template_stage(TemplateStage::Processed).send().await;
    let reply = reply.map_err(|error| failed("read the stack's template", error))?;
    let text = reply.template_body().unwrap_or_default();
    let template: Option<Value> = serde_json::from_str(text).ok();
    Ok(template.map_or_else(|| kept_in_yaml(text), |it| kept_in_json(&it)))
}

fn kept_in_json(template: &Value) -> BTreeSet<String> {
    let resources = template["Resources"].as_object().into_iter().flatten();
    let kept = resources.filter(|(_, it)| it["DeletionPolicy"] == "Retain");
    kept.map(|(name, _)| name.clone()).collect()
}

/// The same of a template as ours are written: a name two spaces in, what is said of it further in.
fn kept_in_yaml(template: &str) -> BTreeSet<String> {
    let (mut kept, mut name) = (BTreeSet::new(), "");
    for line in template.lines() {
        match line.strip_prefix("  ") {
            Some(rest) if rest.starts_with(char::is_alphanumeric) => name = rest.split(':').next().unwrap_or_default(),
            Some(rest) if rest.trim_start().starts_with("DeletionPolicy: Retain") => drop(kept.insert(name.to_owned())),
            _ => {}
        }
    }
    kept
}

/// What has the stack's tags and costs while it lies around: tables and buckets. AWS lists for a while also what is gone.
async fn tagged(aws: &Aws, stack: &str) -> Result<Vec<Part>> {
    let client = aws_sdk_resourcegroupstagging::Client::new(&aws.sdk);
    let mut found = Vec::new();
    for tag in TAGS {
        let filter = TagFilter::builder().key(tag).values(stack).build();
        let types = ["dynamodb:table", "s3"].map(str::to_owned).to_vec();
        let call = client
            .get_resources()
            .tag_filters(filter)
            .set_resource_type_filters(Some(types));
        let mut pages = call.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("look what has the stack's tags", error))?;
            found.extend(
                page.resource_tag_mapping_list()
                    .iter()
                    .filter_map(|it| part(it.resource_arn()?)),
            );
        }
    }
    there(aws, &found).await
}

fn part(arn: &str) -> Option<Part> {
    let (kind, physical) = match arn.split_once(":table/") {
        Some((_, table)) => ("AWS::DynamoDB::Table", table),
        None => ("AWS::S3::Bucket", arn.strip_prefix("arn:")?.split_once(":s3:::")?.1),
    };
    Some(Part {
        logical: physical.to_owned(),
        physical: physical.to_owned(),
        kind: kind.to_owned(),
        kept: true,
    })
}

/// Of these, those that are there. What goes with the stack only is there as long as the stack is.
pub(crate) async fn there(aws: &Aws, parts: &[Part]) -> Result<Vec<Part>> {
    let (dynamo, s3) = (tables::client(&aws.sdk), bucket::client(&aws.sdk));
    let mut found = Vec::new();
    for it in parts {
        let is_there = match it.kind.as_str() {
            "AWS::DynamoDB::Table" => match dynamo.describe_table().table_name(&it.physical).send().await {
                Ok(_) => true,
                Err(error) if error.code() == Some("ResourceNotFoundException") => false,
                Err(error) => return Err(failed("look at a table", error)),
            },
            "AWS::S3::Bucket" => match s3.head_bucket().bucket(&it.physical).send().await {
                Ok(_) => true,
                Err(error) if error.raw_response().is_some_and(|it| it.status().as_u16() == 404) => false,
                Err(error) => return Err(failed("look at a bucket", error)),
            },
            _ => it.kept,
        };
        if is_there {
            found.push(it.clone());
        }
    }
    Ok(found)
}

/// Those of the stack's log groups that are there, and those that its functions and APIs may have made: what logs while it
/// is deleted makes its group again.
pub(crate) async fn log_groups(aws: &Aws, stack: &str, parts: &[Part]) -> Result<Vec<String>> {
    let client = aws_sdk_cloudwatchlogs::Client::new(&aws.sdk);
    let names = parts.iter().filter_map(|it| match it.kind.as_str() {
        "AWS::Logs::LogGroup" => Some(it.physical.clone()),
        "AWS::Lambda::Function" => Some(format!("/aws/lambda/{}", it.physical)),
        "AWS::ApiGatewayV2::Api" => Some(format!("API-Gateway-Execution-Logs_{}/live", it.physical)),
        _ => None,
    });
    let names: BTreeSet<_> = names.collect();
    let mut found = Vec::new();
    for prefix in [
        "/aws/lambda/",
        "API-Gateway-Execution-Logs_",
        "/aws/vendedlogs/",
        &format!("{stack}-"),
    ] {
        let mut pages = client
            .describe_log_groups()
            .log_group_name_prefix(prefix)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("list log groups", error))?;
            let all = page.log_groups().iter().filter_map(|it| it.log_group_name.clone());
            found.extend(all.filter(|it| names.contains(it)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_templates_keep() {
        let kept = kept_in_yaml(include_str!("../../../template.yaml"));
        let kept: Vec<_> = kept.iter().map(String::as_str).collect();
        let wanted = [
            "Accounts",
            "ApiLogsAccount",
            "ApiLogsRole",
            "Catalog",
            "History",
            "Models",
            "Pictures",
            "Tasks",
            "Users",
        ];
        assert_eq!(kept, wanted, "docs/teardown.md lists them");
        assert!(kept_in_yaml(include_str!("../../../edge.yaml")).is_empty());
        let json = json!({ "Resources": { "A": { "DeletionPolicy": "Retain" }, "B": { "DeletionPolicy": "Delete" } } });
        assert_eq!(kept_in_json(&json), BTreeSet::from(["A".to_owned()]));
    }

    #[test]
    fn only_our_stacks_are_taken_down() {
        let stack = |status: &str, parameter: Option<&str>| Stack {
            status: status.to_owned(),
            reason: None,
            outputs: None,
            parameters: parameter.into_iter().map(|it| (it.to_owned(), String::new())).collect(),
        };
        for (status, parameter, ours) in [
            ("CREATE_COMPLETE", Some("TokenPublicKey"), true),
            ("ROLLBACK_COMPLETE", Some("EdgeSecret"), true),
            ("CREATE_COMPLETE", Some("Domain"), false),
            ("CREATE_COMPLETE", None, false),
            (IN_REVIEW, None, true),
            (IN_REVIEW, Some("Domain"), false),
        ] {
            assert_eq!(is_ours(&stack(status, parameter)), ours, "{status} {parameter:?}");
        }
        let templates = [
            include_str!("../../../template.yaml"),
            include_str!("../../../edge.yaml"),
        ];
        for (name, template) in OURS.iter().zip(templates) {
            assert!(template.contains(&format!("\n  {name}:\n    Type: String\n")), "{name}");
        }
    }

    #[test]
    fn tags_lead_to_tables_and_buckets() {
        let of = |arn| part(arn).map(|it| (it.kind, it.physical));
        let table = of("arn:aws-cn:dynamodb:cn-north-1:123456789012:table/atelier-Tasks-A");
        assert_eq!(
            table,
            Some(("AWS::DynamoDB::Table".to_owned(), "atelier-Tasks-A".to_owned()))
        );
        assert_eq!(
            of("arn:aws:s3:::a-bucket"),
            Some(("AWS::S3::Bucket".to_owned(), "a-bucket".to_owned()))
        );
        assert_eq!(of("arn:aws:sns:eu-central-1:123456789012:a-topic"), None);
    }
}
