//! Teardown on the emulator.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use install::{
    aws::Aws,
    teardown::{self, Teardown},
};
use serde_json::{Value, json};

use crate::{
    Studio, backup,
    between::{Fate, Fault},
};

async fn run(studio: &Studio, notes: &Path, purge: bool, yes: bool) -> (String, Result<String>) {
    take_down(studio, "atelier", notes, purge, yes).await
}

async fn take_down(studio: &Studio, stack: &str, notes: &Path, purge: bool, yes: bool) -> (String, Result<String>) {
    let aws = Aws::new(studio.between.sdk().await);
    let arguments = Teardown {
        stack: stack.to_owned(),
        yes,
        purge,
        notes: Some(notes.to_owned()),
    };
    let said = std::cell::RefCell::new(Vec::new());
    let say = |text: &str| said.borrow_mut().push(text.to_owned());
    let done = teardown::run(&aws, &arguments, say, |_| Ok(false)).await;
    (said.into_inner().join("\n"), done)
}

/// Refused, cut off and killed on the way, it ends what costs; what cannot be made again goes only when asked for.
pub(crate) async fn leaves_nothing_that_costs(studio: &Studio) -> Result<()> {
    let (services, between) = (&studio.services, &studio.between);
    let folder = tempfile::tempdir()?;
    let notes = folder.path().join("notes.json");
    backup::seeded(studio).await?;
    let sdk = services.sdk().await;
    let cloud = services.cloud(&sdk)?;
    cloud.bucket.put("results/a", "a picture".to_owned()).await?;
    for model in ["an old model", "a model"] {
        cloud.models.put("checkpoints/m", model.to_owned()).await?;
    }
    let snapshot = machines(studio).await?;
    other_stacks(studio, folder.path()).await?;

    // Nobody said yes.
    let (said, done) = run(studio, &notes, false, false).await;
    ensure!(format!("{:#}", done.expect_err("nobody said yes")).contains("nothing was done"));
    for part in [
        "instance i-",
        "volume vol-",
        "stack atelier (",
        "machine image ami-",
        &snapshot,
        "Accounts",
        "Models",
    ] {
        ensure!(said.contains(part), "{part}\n{said}");
    }
    ensure!(
        between
            .seen()
            .iter()
            .all(|it| !it.contains("Delete") && !it.contains("Terminate")),
        "{:?}",
        between.seen()
    );

    // A right is missing, then the network goes.
    between.fail(&[Fault {
        call: "TerminateInstances",
        times: 1,
        fate: Fate::Refused(403, "UnauthorizedOperation"),
    }]);
    let error = format!("{:#}", run(studio, &notes, false, true).await.1.expect_err("a fault"));
    ensure!(error.contains("do it again to go on"), "{error}");
    between.fail(&[
        Fault {
            call: "DeleteStack",
            times: 1,
            fate: Fate::AnswerLost,
        },
        Fault {
            call: "DeregisterImage",
            times: 9,
            fate: Fate::Lost,
        },
    ]);
    let error = format!("{:#}", run(studio, &notes, false, true).await.1.expect_err("a fault"));
    ensure!(error.contains("do it again to go on"), "{error}");
    // Cut between an image and its snapshot, which nothing but its tag leads to by then.
    between.fail(&[Fault {
        call: "DeleteSnapshot",
        times: 9,
        fate: Fate::Lost,
    }]);
    let error = format!("{:#}", run(studio, &notes, false, true).await.1.expect_err("a fault"));
    ensure!(error.contains("do it again to go on"), "{error}");
    between.fail(&[]);
    let (said, done) = run(studio, &notes, false, true).await;
    let text = done?;
    ensure!(said.contains(&format!("\n  snapshot {snapshot}\n")), "{said}");
    ensure!(
        text.contains("is down. What was kept") && text.contains("table Accounts"),
        "{text}"
    );
    ensure!(left(studio).await? == (4, 2), "{:?}", left(studio).await?);

    // Killed ever later, until it is done.
    let mut killed = 0;
    let text = loop {
        let once = async { run(studio, &notes, true, true).await.1 };
        match between.killed_at(12 + 9 * killed, Box::pin(once)).await {
            None => killed += 1,
            Some(done) => break done?,
        }
    };
    ensure!(
        killed > 1 && text.contains("nothing that costs anything is left"),
        "{killed} {text}"
    );
    ensure!(left(studio).await? == (0, 0), "{:?}", left(studio).await?);
    let (_, done) = run(studio, &notes, true, true).await;
    ensure!(done?.contains("There is nothing of atelier"));
    Ok(())
}

/// What is written while the stack goes does not keep a bucket from going.
pub(crate) async fn takes_what_is_written_meanwhile(studio: &Studio) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let models = studio.services.cloud(&studio.services.sdk().await)?.models;
    let aws = Aws::new(studio.between.sdk().await);
    let arguments = Teardown {
        stack: "atelier".to_owned(),
        yes: true,
        purge: true,
        notes: Some(folder.path().join("notes.json")),
    };
    let written = std::cell::Cell::new(0);
    let say = |text: &str| {
        if text.starts_with("Removing the stack") {
            let late = models.put("models/studio/late", "a model".to_owned());
            let late = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(late));
            written.set(written.get() + usize::from(late.is_ok()));
        }
    };
    let text = teardown::run(&aws, &arguments, say, |_| Ok(false)).await?;
    ensure!(
        written.get() == 1 && text.contains("nothing that costs anything is left"),
        "{text}"
    );
    ensure!(left(studio).await? == (0, 0), "{:?}", left(studio).await?);
    Ok(())
}

/// A stack of somebody else's is left alone, and so is what one has left; one of which there is only a change set goes.
async fn other_stacks(studio: &Studio, folder: &Path) -> Result<()> {
    // As if a stack `gone` of theirs had kept the table; and a file system that somebody made by hand with the tag of ours.
    const TEMPLATE: &str = r#"{"Resources":{
        "Theirs":{"Type":"AWS::DynamoDB::Table","Properties":{
            "TableName":"theirs","BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],
            "AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],
            "Tags":[{"Key":"aws:cloudformation:stack-name","Value":"gone"}]}},
        "Files":{"Type":"AWS::EFS::FileSystem","Properties":{"FileSystemTags":[{"Key":"atelier:stack","Value":"gone"}]}}}}"#;
    let make = async |action, more: &[(&'static str, &'static str)]| {
        let form = [
            ("Action", action),
            ("Version", "2010-05-15"),
            ("TemplateBody", TEMPLATE),
        ];
        studio.services.form("cloudformation", &[&form, more].concat()).await
    };
    make("CreateStack", &[("StackName", "theirs")]).await?;
    let status = studio.settled("theirs").await?;
    ensure!(status == "CREATE_COMPLETE", "{status}");
    let review = [
        ("StackName", "begun"),
        ("ChangeSetName", "first"),
        ("ChangeSetType", "CREATE"),
    ];
    make("CreateChangeSet", &review).await?;
    let notes = folder.join("others.json");
    studio.between.fail(&[]);
    let (_, done) = take_down(studio, "theirs", &notes, false, true).await;
    let error = format!("{:#}", done.expect_err("it is somebody else's"));
    ensure!(error.contains("theirs is no stack of Atelier"), "{error}");
    ensure!(!studio.between.seen().iter().any(|it| it.contains("Delete")));
    let (said, done) = take_down(studio, "gone", &notes, true, true).await;
    let text = done?;
    ensure!(
        said.is_empty() && text.starts_with("There is nothing of gone") && text.contains("file system fs-"),
        "{said}\n{text}"
    );
    let table = json!({ "TableName": "theirs" });
    studio
        .services
        .json("dynamodb", "DynamoDB_20120810.DescribeTable", &table)
        .await?;
    let (said, done) = take_down(studio, "begun", &notes, false, true).await;
    ensure!(said.contains("stack begun, in which nothing is"), "{said}");
    studio.between.fail(&[]);
    done.map(drop)
}

/// An instance, a volume that was left over, and an image with its snapshot.
async fn machines(studio: &Studio) -> Result<String> {
    let services = &studio.services;
    let ec2 = async |form: &[(&str, &str)]| {
        let form: Vec<_> = [("Version", "2016-11-15")].iter().chain(form).copied().collect();
        services.form("ec2", &form).await
    };
    let found = |text: &str, name: &str| {
        let rest = text.split_once(&format!("<{name}>"))?.1;
        Some(rest.split_once('<')?.0.to_owned())
    };
    let tag = [
        ("TagSpecification.1.Tag.1.Key", "atelier:stack"),
        ("TagSpecification.1.Tag.1.Value", "atelier"),
    ];
    let with = |action: &[(&'static str, &'static str)], kind: &'static str| {
        [action, &[("TagSpecification.1.ResourceType", kind)], &tag].concat()
    };
    let template = services.outputs().get("LaunchTemplateId")?;
    let launch = with(
        &[
            ("Action", "CreateFleet"),
            ("Type", "instant"),
            ("TargetCapacitySpecification.TotalTargetCapacity", "1"),
            (
                "LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version",
                "$Default",
            ),
        ],
        "instance",
    );
    let mut launch: Vec<(&str, &str)> = launch;
    launch.push((
        "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId",
        template,
    ));
    ec2(&launch).await?;
    let volume = ec2(&with(
        &[
            ("Action", "CreateVolume"),
            ("AvailabilityZone", "us-east-1a"),
            ("Size", "8"),
        ],
        "volume",
    ))
    .await?;
    let volume = found(&volume, "volumeId").context("no volume")?;
    let snapshot = ec2(&[("Action", "CreateSnapshot"), ("VolumeId", &volume)]).await?;
    let snapshot = found(&snapshot, "snapshotId").context("no snapshot")?;
    let image = ec2(&[
        ("Action", "RegisterImage"),
        ("Name", "atelier-1"),
        ("RootDeviceName", "/dev/sda1"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
        ("BlockDeviceMapping.1.Ebs.SnapshotId", &snapshot),
    ])
    .await?;
    let image = found(&image, "imageId").context("no image")?;
    // As Packer does.
    ec2(&[
        ("Action", "CreateTags"),
        ("ResourceId.1", &image),
        ("ResourceId.2", &snapshot),
        ("Tag.1.Key", "atelier:version"),
        ("Tag.1.Value", "0.1.0"),
    ])
    .await?;
    Ok(snapshot)
}

/// How many tables and buckets of the installation there are.
async fn left(studio: &Studio) -> Result<(usize, usize)> {
    let tables = studio
        .services
        .json("dynamodb", "DynamoDB_20120810.ListTables", &json!({}))
        .await?;
    let ours = |it: &&Value| it.as_str().is_some_and(|it| it.starts_with("atelier-"));
    let tables = tables["TableNames"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(ours)
        .count();
    let (sdk, mut buckets) = (studio.services.sdk().await, 0);
    for bucket in ["Bucket", "ModelsBucket"] {
        let bucket = cloud::Bucket::s3(&sdk, studio.services.outputs().get(bucket)?.to_owned());
        buckets += usize::from(bucket.put("still-there", String::new()).await.is_ok());
    }
    Ok((tables, buckets))
}
