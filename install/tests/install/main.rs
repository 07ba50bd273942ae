//! `ops deploy` and `ops upgrade` as a studio runs them: the program, on the emulator, with faults in between.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod aws;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
};

use aws::{Fault, Front};
use base64::{Engine, prelude::BASE64_STANDARD};
use cloud::{Store, tables::InvitationOf};
use local::Bare;
use model::{MicroUsd, PoolId, UserId};
use ops::{keys, outputs::Outputs};
use tokio::process::Command;

const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A studio's machine: its folder, the programs on its PATH, releases; and its account.
struct Studio {
    emulator: Bare,
    front: Front,
    address: String,
    folder: tempfile::TempDir,
}

impl Studio {
    async fn new() -> Self {
        let emulator = Bare::start().await.unwrap();
        let (front, address) = Front::start(emulator.endpoint()).await;
        let folder = tempfile::tempdir().unwrap();
        let studio = Self {
            emulator,
            front,
            address,
            folder,
        };
        let programs = studio.path("bin");
        fs::create_dir(&programs).unwrap();
        let script = include_str!("programs.py");
        let script = format!("#!{}\n{script}", studio.emulator.python().display());
        for name in ["sam", "packer"] {
            fs::write(programs.join(name), &script).unwrap();
            fs::set_permissions(programs.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for name in ["cargo", "git", "python3", "readelf"] {
            fs::write(programs.join(name), "").unwrap(); // whose release is built by a stand-in
        }
        studio.release("1", None).await;
        studio.release("2", Some("1")).await;
        studio
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a release whose programs do nothing.
    async fn release(&self, version: &str, follows: Option<&str>) -> PathBuf {
        let to = self.path(&format!("release-{version}"));
        let mut command = Command::new("python3");
        command.arg(format!("{CHECKOUT}/install/tests/install/release.py"));
        command.args([CHECKOUT, version, follows.unwrap_or_default()]).arg(&to);
        assert!(command.status().await.unwrap().success());
        to
    }

    fn breaks(&self, program: &str) {
        fs::write(self.path("BROKEN"), program).unwrap();
    }

    async fn ops(&self, arguments: &[&str]) -> Output {
        self.ops_in(self.folder.path(), arguments).await
    }

    async fn ops_in(&self, folder: &Path, arguments: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_ops"));
        command
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("PATH", path)
            .env("AWS_ENDPOINT_URL", &self.address)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("EMULATOR", self.emulator.endpoint())
            .env("EMULATOR_TOOLS", format!("{CHECKOUT}/local/emulator"))
            .env("RECORDS", self.folder.path());
        command.output().await.unwrap()
    }

    async fn deploys(&self, more: &[&str]) -> Output {
        self.deploys_from("studio", more).await
    }

    /// The same with another folder of the installation.
    async fn deploys_from(&self, folder: &str, more: &[&str]) -> Output {
        let local = format!(
            "LocalEndpoint={}",
            self.emulator.endpoint().trim_start_matches("http://")
        );
        let fixed = [
            "deploy",
            "--release",
            "release-1",
            "--folder",
            folder,
            "--parameter",
            "EventSource=local.ec2",
            "--parameter",
            &local,
        ];
        self.ops(&[&fixed, more].concat()).await
    }

    /// Asks EC2 of the emulator; returns its answer.
    async fn ec2(&self, form: &str) -> String {
        let form = format!("Version=2016-11-15&{form}");
        let request = reqwest::Client::new().post(self.emulator.endpoint()).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let signed_by = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/ec2/aws4_request";
        let reply = request.header("authorization", signed_by).send().await.unwrap();
        let (status, text) = (reply.status(), reply.text().await.unwrap());
        assert!(status.is_success(), "{text}");
        text
    }

    /// What EFS of the emulator has of something, such as `file-systems`.
    async fn efs(&self, what: &str) -> serde_json::Value {
        let address = format!("{}/2015-02-01/{what}", self.emulator.endpoint());
        let signed_by = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/elasticfilesystem/aws4_request";
        let request = reqwest::Client::new().get(address).header("authorization", signed_by);
        let reply = request.send().await.unwrap();
        assert!(reply.status().is_success(), "{reply:?}");
        reply.json().await.unwrap()
    }

    async fn open_the_way_out(&self) {
        let route = "RouteTableId=rtb-00000001&DestinationCidrBlock=0.0.0.0%2F0&GatewayId=igw-00000001";
        self.ec2(&format!("Action=CreateRoute&{route}")).await;
    }

    /// Another image of release 1, as somebody makes it by hand.
    async fn image_of_release_1(&self) {
        let reply = self
            .ec2("Action=RegisterImage&Name=by-hand&RootDeviceName=%2Fdev%2Fsda1")
            .await;
        let id = reply.split("<imageId>").nth(1).unwrap().split('<').next().unwrap();
        self.ec2(&format!(
            "Action=CreateTags&ResourceId.1={id}&Tag.1.Key=atelier%3Aversion&Tag.1.Value=1"
        ))
        .await;
    }

    /// A worker of another image than any that is known here: of a registered one the emulator launches nothing.
    async fn old_worker(&self) -> String {
        const TAGS: &str = "&TagSpecification.1.ResourceType=instance\
            &TagSpecification.1.Tag.1.Key=atelier%3Astack&TagSpecification.1.Tag.1.Value=atelier\
            &TagSpecification.1.Tag.2.Key=atelier%3Aworker_id&TagSpecification.1.Tag.2.Value=w-1\
            &TagSpecification.1.Tag.3.Key=atelier%3Apool&TagSpecification.1.Tag.3.Value=default";
        let launch = "Action=RunInstances&ImageId=ami-old&MinCount=1&MaxCount=1&InstanceType=g5.xlarge";
        let reply = self.ec2(&format!("{launch}{TAGS}")).await;
        let id = reply.split("<instanceId>").nth(1).unwrap();
        id.split('<').next().unwrap().to_owned()
    }

    /// A stack of somebody else's.
    async fn stack_of_others(&self) {
        const TEMPLATE: &str = r#"{"Resources":{"Queue":{"Type":"AWS::SQS::Queue"}}}"#;
        let aws = install::aws::Aws::new(self.sdk().await);
        let made = aws.stacks.create_stack().stack_name("theirs").template_body(TEMPLATE);
        made.send().await.unwrap();
        install::stack::wait(&aws, "theirs", |_| false).await.unwrap();
    }

    fn outputs(&self) -> Outputs {
        Outputs::read(&self.path("studio/outputs.json")).unwrap()
    }

    async fn sdk(&self) -> aws_config::SdkConfig {
        cloud::emulator_config(self.emulator.endpoint()).await
    }

    fn calls(&self, program: &str) -> usize {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls
            .lines()
            .filter(|it| it.starts_with(&format!("[\"{program}\"")))
            .count()
    }
}

/// What a command says to whoever looks on, after it has failed.
fn problem(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{text}");
    text
}

/// What a command that was content gives, and says.
fn content(output: &Output) -> (String, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    (String::from_utf8_lossy(&output.stdout).into_owned(), said)
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[tokio::test]
async fn a_studio_deploys_upgrades_and_goes_back_whatever_breaks() {
    let studio = Studio::new().await;

    // The emulator's default VPC has no way out, which is seen.
    let said = problem(&studio.deploys(&["--yes"]).await);
    contains(&said, &["✗ no subnet of vpc-", "nothing was changed"]);
    studio.open_the_way_out().await;

    // Nor has the region machines, then only one zone.
    let said = problem(&studio.deploys(&["--yes"]).await);
    contains(
        &said,
        &["✗ us-east-1 has no machines of g6.xlarge, g5.xlarge, g4dn.xlarge; "],
    );
    studio
        .front
        .offers(&[("g5.xlarge", "us-east-1a"), ("g4dn.xlarge", "us-east-1a")]);

    // What it will do and cost is said, and nothing is done.
    let (done, said) = content(&studio.deploys(&["--dry-run"]).await);
    contains(&done, &["Nothing was changed."]);
    contains(
        &said,
        &[
            "1. make the key pair",
            "Packer",
            "deploy tables",
            "a month, while nobody paints",
            "no GPU machine can start",
            "L-DB2E81BA",
            "! us-east-1 has no machines of g6.xlarge\n",
            "lies in us-east-1b, which has no machines of g6.xlarge, g5.xlarge",
            "The first user is to be painter (Painter) of team studio",
        ],
    );
    assert!(studio.calls("packer") + studio.calls("sam") == 0 && !studio.path("studio").exists());
    contains(&problem(&studio.deploys(&[]).await), &["give --yes"]);

    // Faults, one after the other; each time the same command is given again.
    studio.breaks("packer");
    contains(
        &problem(&studio.deploys(&["--yes"]).await),
        &["`packer build` failed", "run the same command again"],
    );
    studio.breaks("sam");
    contains(&problem(&studio.deploys(&["--yes"]).await), &["`sam deploy` failed"]);
    assert_eq!(studio.calls("packer"), 2 * 2, "the image of the second try is used");
    studio.breaks("halfway");
    let said = problem(&studio.deploys(&["--yes"]).await);
    contains(&said, &["ROLLBACK"]);
    studio.breaks("sam");
    studio.front.fails(Fault::Stale("DeleteStack", "DescribeStacks"));
    let said = problem(&studio.deploys(&["--yes"]).await);
    contains(&said, &["remove what a failed creation", "`sam deploy` failed"]);
    studio.breaks("halfway");
    studio.front.fails(Fault::Stale("ExecuteChangeSet", "DescribeStacks"));
    contains(&problem(&studio.deploys(&["--yes"]).await), &["ROLLBACK"]);
    studio.front.fails(Fault::Lost("ExecuteChangeSet"));
    let said = problem(&studio.deploys(&["--yes", "--parameter", "Contact=Ada"]).await);
    contains(
        &said,
        &["remove what a failed creation", "AWS could not look at the stack"],
    );
    studio.front.fails(Fault::Refused("PutSecretValue"));
    contains(
        &problem(&studio.deploys(&["--yes"]).await),
        &["store the signing key", "could not be written"],
    );
    studio.front.fails(Fault::Refused("controlnet-canny_edge-sd15"));
    contains(
        &problem(&studio.deploys(&["--yes"]).await),
        &["write the pool", "controlnet-canny_edge-sd15 was not written"],
    );
    studio.front.fails(Fault::Expired("DescribeStacks"));
    contains(
        &problem(&studio.deploys(&["--yes"]).await),
        &["the credentials have ended"],
    );
    studio.front.fails(Fault::None);
    let (done, _) = content(&studio.deploys(&["--yes"]).await);
    contains(
        &done,
        &[
            "Atelier is deployed: http",
            "Invitation of painter",
            "export INTERSTICE_URL=",
            "/v1",
        ],
    );

    // All of it is there, and fits together.
    let (outputs, sdk) = (studio.outputs(), studio.sdk().await);
    let secret = cloud::secret::read(&sdk, outputs.get("SigningSecretArn").unwrap())
        .await
        .unwrap();
    assert_eq!(
        secret,
        fs::read_to_string(studio.path("studio/signing-key.pem")).unwrap()
    );
    assert_eq!(outputs.get("TokenAudience").unwrap(), "atelier");
    let store = Store::dynamo(&sdk, outputs.tables().unwrap());
    assert!(store.get(&PoolId::new("default")).await.unwrap().is_some());
    assert!(store.get(&UserId::new("painter")).await.unwrap().is_some());
    let words = done.split("72 hours: ").nth(1).unwrap().lines().next().unwrap();
    assert!(
        store
            .get(&InvitationOf(accounts::fingerprint(words)))
            .await
            .unwrap()
            .is_some(),
        "{words}"
    );
    let parameters = parameters(&studio).await;
    assert_eq!(parameters["TokenPublicKey"], keys::public(&secret).unwrap());
    contains(&parameters["Settings"], &["concurrency=10"]);
    assert_eq!(
        parameters["ApiLogRole"], "create",
        "the account names a role that is gone"
    );

    // Once more: nothing is left to do.
    let (done, said) = content(&studio.deploys(&["--yes"]).await);
    contains(&(done + &said), &["Deployed already", "ops invite"]);

    // The same release with other code is another.
    let template = studio.path("release-1/template.yaml");
    let code = fs::read_to_string(&template).unwrap();
    for (change, fault) in [
        ("another", Fault::Stale("ListChangeSets", "ListChangeSets")),
        ("a third", Fault::Stale("ExecuteChangeSet", "DescribeStacks")),
    ] {
        fs::write(&template, format!("{code}# {change}\n")).unwrap();
        studio.front.fails(fault);
        let said = content(&studio.deploys(&["--yes"]).await).1;
        contains(&said, &["deploy tables"]);
        assert!(
            !said.contains("nothing to change") && !said.contains("another worker"),
            "{said}"
        );
        studio.front.fails(Fault::None);
        contains(&content(&studio.deploys(&["--yes"]).await).1, &["Deployed already"]);
    }
    // Nor does a folder know what was deployed from another one since.
    let third = fs::read_to_string(&template).unwrap();
    fs::write(&template, code).unwrap();
    content(&studio.deploys_from("elsewhere", &["--yes"]).await);
    fs::write(&template, third).unwrap();
    contains(&content(&studio.deploys(&["--yes"]).await).1, &["deploy tables"]);
    fs::write(studio.path("release-1/worker"), "another").unwrap();
    contains(
        &content(&studio.deploys(&["--yes"]).await).1,
        &["has another worker than this release; `ops deploy --new-image`"],
    );
    from_a_checkout(&studio).await;

    // Another machine without the folder finds the key again, and changes nothing.
    let before = self::parameters(&studio).await;
    fs::remove_dir_all(studio.path("studio")).unwrap();
    let (_, said) = content(&studio.deploys(&["--yes"]).await);
    contains(&said, &["get the signing key back"]);
    assert_eq!(
        fs::read_to_string(studio.path("studio/signing-key.pem")).unwrap(),
        secret
    );
    assert_eq!(self::parameters(&studio).await, before);

    // Somebody else's stack is left alone.
    studio.stack_of_others().await;
    for command in ["deploy", "upgrade"] {
        let other = ["--stack", "theirs", "--folder", "other", "--yes"];
        let said = problem(
            &studio
                .ops(&[&[command, "--release", "release-1"][..], &other].concat())
                .await,
        );
        contains(&said, &["theirs is no stack of Atelier"]);
    }

    // The folder is this installation's.
    let said = problem(&studio.deploys(&["--yes", "--stack", "other"]).await);
    contains(
        &said,
        &["studio is of stack atelier in us-east-1 of account", "--folder"],
    );

    let image = changes(&studio, &store).await;
    shares_models(&studio).await;
    upgrades(&studio, &image).await;
}

/// In a checkout the release is built first.
async fn from_a_checkout(studio: &Studio) {
    let checkout = studio.path("checkout");
    fs::create_dir_all(checkout.join(".ci")).unwrap();
    fs::create_dir_all(checkout.join(".git")).unwrap();
    fs::write(checkout.join("Cargo.toml"), "[workspace.package]\nversion = \"1\"\n").unwrap();
    let build = checkout.join(".ci/release");
    let script = "#!/bin/sh\nset -e\n[ ! -e \"$RECORDS/BROKEN\" ] || { rm \"$RECORDS/BROKEN\"; exit 1; }\n\
                  [ ! -e \"$1\" ]; mkdir -p .atelier; cp -r \"$RECORDS/release-1\" \"$1\"\n";
    fs::write(&build, script).unwrap();
    fs::set_permissions(&build, fs::Permissions::from_mode(0o755)).unwrap();
    let folder = checkout.join(".ci");
    let deploys = async |more: &str| {
        let installation = studio.path("studio");
        let arguments = ["deploy", "--folder", installation.to_str().unwrap(), more];
        studio.ops_in(&folder, &arguments).await
    };
    let before = studio.calls("sam");
    contains(
        &content(&deploys("--dry-run").await).1,
        &["1. build the release of this checkout", "2. deploy tables"],
    );
    studio.breaks("build");
    contains(
        &problem(&deploys("--yes").await),
        &["failed with exit status: 1", "run the same command again"],
    );
    // It is the one that is deployed.
    for _ in 0..2 {
        contains(
            &content(&deploys("--yes").await).1,
            &["• build the release", "has another worker"],
        );
    }
    assert_eq!(studio.calls("sam"), before);
    let said = problem(&studio.ops(&["deploy", "--yes"]).await);
    contains(&said, &["give the release with --release DIR"]);
}

/// What is asked for later is done, or said with its command; returns the image that is launched.
async fn changes(studio: &Studio, store: &Store) -> String {
    let before = parameters(studio).await;
    assert_eq!(before["Contact"], "Ada");
    let anew = [
        "--yes",
        "--new-image",
        "--parameter",
        "Contact=",
        "--user",
        "noor",
        "--credits",
        "5",
        "--monthly-limit",
        "50",
    ];
    studio.breaks("sam");
    let builds = studio.calls("packer");
    contains(
        &problem(&studio.deploys(&anew).await),
        &[
            "ops user add noor --credits 5",
            "change the limits",
            "`sam deploy` failed",
        ],
    );
    content(&studio.deploys(&anew).await);
    assert_eq!(studio.calls("packer"), builds + 2, "the image of the first try is used");
    let after = parameters(studio).await;
    assert_eq!(after["Contact"], "");
    assert_ne!(after["ImageId"], before["ImageId"]);
    let pool = store.get(&PoolId::new("default")).await.unwrap().unwrap();
    assert_eq!(pool.monthly_limit, Some(MicroUsd(50_000_000)));
    assert!(store.get(&UserId::new("noor")).await.unwrap().is_none());

    // What is launched stays, whatever else there is.
    studio.image_of_release_1().await;
    contains(&content(&studio.deploys(&["--yes"]).await).1, &["Deployed already"]);
    assert_eq!(parameters(studio).await, after);
    after["ImageId"].clone()
}

/// A file system between the machines, with an address in each of the subnets, comes into a stack that is there; and goes.
async fn shares_models(studio: &Studio) {
    let count = async |what: &str, list: &str| studio.efs(what).await[list].as_array().unwrap().len();
    let subnets = studio.ec2("Action=DescribeSubnets").await;
    let ids = |name: &str| {
        let begin = format!("<{name}>");
        let parts = subnets.split(begin.as_str()).skip(1);
        parts
            .map(|it| it.split('<').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let (vpc, mut subnets) = (ids("vpcId").remove(0), ids("subnetId"));
    subnets.truncate(2);
    // Its addresses lie in subnets, so these have to be named.
    let alone = studio.deploys(&["--yes", "--parameter", "SharedModels=efs"]).await;
    contains(&problem(&alone), &["SharedModels=efs needs VpcId and SubnetIds"]);
    let with = [
        "--yes",
        "--vpc",
        &vpc,
        "--subnets",
        &subnets.join(","),
        "--parameter",
        "SharedModels=efs",
    ];
    content(&studio.deploys(&with).await);
    assert_eq!(parameters(studio).await["SharedModels"], "efs");
    let systems = studio.efs("file-systems").await;
    let system = systems["FileSystems"][0]["FileSystemId"].as_str().unwrap();
    assert_eq!(
        count(&format!("mount-targets?FileSystemId={system}"), "MountTargets").await,
        2
    );
    assert_eq!(count("access-points", "AccessPoints").await, 1);
    let outputs = studio.outputs();
    let template = outputs.get("LaunchTemplateId").unwrap();
    let form =
        format!("Action=DescribeLaunchTemplateVersions&LaunchTemplateId={template}&LaunchTemplateVersion.1=%24Latest");
    let template = studio.ec2(&form).await;
    let data = template.split("<userData>").nth(1).unwrap().split('<').next().unwrap();
    let data = String::from_utf8(BASE64_STANDARD.decode(data).unwrap()).unwrap();
    contains(
        &data,
        &[&format!("ATELIER_EFS={system}\n"), "ATELIER_EFS_ACCESS_POINT=fsap-"],
    );
    content(&studio.deploys(&["--yes", "--parameter", "SharedModels=none"]).await);
    assert_eq!(count("file-systems", "FileSystems").await, 0);
}

async fn parameters(studio: &Studio) -> std::collections::BTreeMap<String, String> {
    let aws = install::aws::Aws::new(studio.sdk().await);
    aws.stack("atelier").await.unwrap().unwrap().parameters
}

async fn upgrades(studio: &Studio, image: &str) {
    let upgrade = async |release: &str| {
        studio
            .ops(&[
                "upgrade",
                "--release",
                release,
                "--folder",
                "studio",
                "--yes",
                "--drain-minutes",
                "0",
            ])
            .await
    };
    let third = studio.release("3", Some("2")).await;
    contains(&problem(&upgrade("release-3").await), &["release by release"]);

    // A release that would lose a table is refused before anything changes.
    let template = studio.path("release-2/template.yaml");
    let good = fs::read_to_string(&template).unwrap();
    fs::write(&template, without_pools(&good)).unwrap();
    contains(
        &problem(&upgrade("release-2").await),
        &[
            "this change is refused",
            "Pools (AWS::DynamoDB::Table) would be removed",
        ],
    );
    assert_eq!(parameters(studio).await["ImageId"], image);
    fs::write(&template, good).unwrap();

    // Faults again.
    studio.breaks("sam");
    contains(&problem(&upgrade("release-2").await), &["`sam deploy` failed"]);
    studio.breaks("halfway");
    contains(&problem(&upgrade("release-2").await), &["UPDATE_ROLLBACK"]);
    studio.front.fails(Fault::Lost("ExecuteChangeSet"));
    contains(&problem(&upgrade("release-2").await), &["not finished"]);
    studio.front.fails(Fault::None);
    let old = studio.old_worker().await;
    let (done, _) = content(&upgrade("release-2").await);
    contains(
        &done,
        &["Release 2 is deployed", "Workers of another machine image are left: 1."],
    );
    studio
        .ec2(&format!("Action=TerminateInstances&InstanceId.1={old}"))
        .await;
    let (done, said) = content(&upgrade("release-2").await);
    contains(
        &(done + &said),
        &["deployed already", "No worker of another machine image is left"],
    );
    let second = parameters(studio).await["ImageId"].clone();
    assert_ne!(second, image);

    // Made again under its version it is deployed again, on the image that is there.
    let good = fs::read_to_string(&template).unwrap();
    fs::write(&template, format!("{good}# another\n")).unwrap();
    fs::write(studio.path("release-2/worker"), "another").unwrap();
    let (done, said) = content(&upgrade("release-2").await);
    contains(
        &(done + &said),
        &[
            "To deploy release 2 in atelier",
            "another worker",
            "Release 2 is deployed.",
        ],
    );
    assert_eq!(parameters(studio).await["ImageId"], second);
    contains(&content(&upgrade("release-2").await).1, &["deployed already"]);
    fs::write(&template, good).unwrap();
    fs::write(studio.path("release-2/worker"), "").unwrap();

    // And back, by one command, which may break off too.
    let back = async || {
        studio
            .ops(&[
                "upgrade",
                "--back",
                "--folder",
                "studio",
                "--yes",
                "--drain-minutes",
                "0",
            ])
            .await
    };
    studio.front.fails(Fault::Expired("ListChangeSets"));
    contains(&problem(&back().await), &["the credentials have ended"]);
    studio.front.fails(Fault::None);
    contains(&content(&back().await).0, &["Release 1 is deployed again."]);
    assert_eq!(parameters(studio).await["ImageId"], image);
    contains(&problem(&back().await), &["there is nothing to go back to"]);
    let store = Store::dynamo(&studio.sdk().await, studio.outputs().tables().unwrap());
    assert!(
        store.get(&UserId::new("painter")).await.unwrap().is_some(),
        "nothing was lost on the way"
    );

    // Forth again, and on; then the way back is to the one before.
    content(&upgrade("release-2").await);
    assert_eq!(parameters(studio).await["ImageId"], second);
    content(&upgrade(third.to_str().unwrap()).await);
    contains(&content(&back().await).0, &["Release 2 is deployed again."]);
    assert_eq!(parameters(studio).await["ImageId"], second);
}

/// The template as somebody might write it who has forgotten a table.
fn without_pools(template: &str) -> String {
    let (before, rest) = template.split_once("  Pools:\n").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let text = format!("{before}{after}");
    // Whatever names it has to name something.
    text.replace("!Ref Pools", "!Ref Fleet")
        .replace("!GetAtt Pools.Arn", "!GetAtt Fleet.Arn")
        .replace("${Pools", "${Fleet")
}
