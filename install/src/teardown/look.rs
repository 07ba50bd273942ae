//! What there is of an installation, by its stack, its tags and its names.

use std::collections::BTreeSet;

use anyhow::Result;
use aws_sdk_cloudformation::{error::ProvideErrorMetadata, types::TemplateStage};
use aws_sdk_resourcegroupstagging::types::TagFilter;
use serde_json::Value;

use super::plan::{Found, Part};
use crate::{
    aws::{Aws, IN_REVIEW, OURS, failed},
    backup::tables,
    bucket,
    resources::End,
};

/// Tag of all that a stack of ours consists of. CloudFormation's own, `aws:cloudformation:stack-name`, leads also to what a stack of
/// somebody else's kept that had the same name.
const TAG: &str = "atelier:stack";

/// What costs while it lies around: service and beginning of the name in its ARN, and its type. Instances, volumes, snapshots and
/// images are looked for at EC2.
const BILLABLE: [(&str, &str, &str); 8] = [
    ("cloudwatch", "alarm:", "AWS::CloudWatch::Alarm"),
    ("cloudwatch", "dashboard/", "AWS::CloudWatch::Dashboard"),
    ("dynamodb", "table/", "AWS::DynamoDB::Table"),
    ("elasticfilesystem", "file-system/", "AWS::EFS::FileSystem"),
    ("logs", "log-group:", "AWS::Logs::LogGroup"),
    ("s3", "", "AWS::S3::Bucket"),
    ("secretsmanager", "secret:", "AWS::SecretsManager::Secret"),
    ("wafv2", "webacl/", "AWS::WAFv2::WebACL"),
];

/// The stack that SAM makes for the bucket of what it deploys.
pub(crate) const SAM: &str = "aws-sam-cli-managed-default";

/// Everything, asked anew, beside what was noted down when the teardown began.
pub(crate) async fn everything(aws: &Aws, stack: &str, noted: Vec<Part>) -> Result<Found> {
    let found = aws.stack(stack).await?;
    let there = found.is_some();
    let mut parts = match found {
        Some(found) => {
            found.must_be_ours(stack, &OURS)?;
            match found.status.as_str() {
                // A change set that nobody carried out: neither a resource nor a template is there.
                IN_REVIEW => Vec::new(),
                _ => Part::all(&aws.resources(stack).await?, &kept(aws, stack).await?),
            }
        }
        None => Vec::new(),
    };
    let (kept, tagged): (Vec<_>, Vec<_>) = tagged(aws, stack)
        .await?
        .into_iter()
        .partition(|it| it.end() == End::IfPurged);
    let (logs, mut named): (Vec<_>, Vec<_>) = tagged.into_iter().partition(|it| it.kind == "AWS::Logs::LogGroup");
    for part in noted.into_iter().chain(self::there(aws, &kept).await?) {
        if parts.iter().all(|it| it.physical != part.physical) {
            parts.push(part);
        }
    }
    // What the stack has, or had, goes with it: CloudFormation says so.
    named.retain(|it| !parts.iter().any(|part| part.is(it)));
    let site = &aws.site;
    let mut machines = site.machines(stack).await?;
    machines.retain(|it| !it.is_gone());
    let images = site.images().await?;
    let disk_snapshots = site.disk_snapshots(stack, &images).await?;
    let mut log_groups = log_groups(aws, stack, &[&parts[..], &logs].concat()).await?;
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
        named,
        // Whoever may not see it is told of it.
        sam: aws.stack(SAM).await.map_or(true, |it| it.is_some()),
        parts,
    })
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

/// What has the stack's tag and costs while it lies around. AWS lists for a while also what is gone.
async fn tagged(aws: &Aws, stack: &str) -> Result<Vec<Part>> {
    let client = aws_sdk_resourcegroupstagging::Client::new(&aws.sdk);
    let filter = TagFilter::builder().key(TAG).values(stack).build();
    let mut pages = client.get_resources().tag_filters(filter).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failed("look what has the stack's tag", error))?;
        let arns = page.resource_tag_mapping_list().iter();
        found.extend(arns.filter_map(|it| part(it.resource_arn()?)));
    }
    Ok(found)
}

fn part(arn: &str) -> Option<Part> {
    // arn:partition:service:region:account:resource
    let mut pieces = arn.splitn(6, ':').skip(2);
    let (service, resource) = (pieces.next()?, pieces.nth(2)?);
    let mut known = BILLABLE.iter();
    let (_, begin, kind) = known.find(|(of, begin, _)| *of == service && resource.contains(*begin))?;
    let (_, name) = resource.split_once(*begin)?;
    let part = Part {
        logical: name.to_owned(),
        physical: name.to_owned(),
        kind: (*kind).to_owned(),
        kept: false,
    };
    Some(Part {
        kept: part.end() == End::IfPurged,
        ..part
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
    use crate::resources;

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
    fn tags_lead_to_all_that_costs() {
        let of = |arn: &str| part(arn).map(|it| (it.kind, it.physical, it.kept));
        for (arn, kind, physical, kept) in [
            (
                "cloudwatch:eu-central-1:1:alarm:atelier-A",
                "CloudWatch::Alarm",
                "atelier-A",
                false,
            ),
            (
                "cloudwatch::1:dashboard/atelier",
                "CloudWatch::Dashboard",
                "atelier",
                false,
            ),
            (
                "dynamodb:eu-central-1:1:table/atelier-Tasks-A",
                "DynamoDB::Table",
                "atelier-Tasks-A",
                true,
            ),
            (
                "elasticfilesystem:eu-central-1:1:file-system/fs-1",
                "EFS::FileSystem",
                "fs-1",
                false,
            ),
            (
                "logs:eu-central-1:1:log-group:atelier-ClaimLogs-A",
                "Logs::LogGroup",
                "atelier-ClaimLogs-A",
                false,
            ),
            ("s3:::a-bucket", "S3::Bucket", "a-bucket", true),
            (
                "secretsmanager:eu-central-1:1:secret:Key-A-b",
                "SecretsManager::Secret",
                "Key-A-b",
                false,
            ),
            (
                "wafv2:us-east-1:1:global/webacl/edge/2",
                "WAFv2::WebACL",
                "edge/2",
                false,
            ),
        ] {
            let wanted = (format!("AWS::{kind}"), physical.to_owned(), kept);
            assert_eq!(of(&format!("arn:aws-cn:{arn}")), Some(wanted), "{arn}");
        }
        for arn in [
            "arn:aws:sns:eu-central-1:1:a-topic",
            "arn:aws:elasticfilesystem:eu-central-1:1:access-point/fsap-1",
            "nothing",
        ] {
            assert_eq!(of(arn), None, "{arn}");
        }
        let kinds: BTreeSet<_> = BILLABLE.iter().map(|(_, _, kind)| *kind).collect();
        let billable = resources::KINDS.iter().filter(|it| it.billable).map(|it| it.name);
        assert_eq!(kinds, billable.collect(), "each type that costs is looked for");
    }
}
