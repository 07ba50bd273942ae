//! The operator's command line.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use cloud::{Bucket, Cloud, Queue, Sockets, Store, multipart::Multipart, token::Signer};
use indicatif::{ProgressBar, ProgressStyle};
use install::{
    aws::Aws,
    backup::{self, Backup, Restore},
    deploy::{self, Deploy},
    doctor::{self, Doctor},
    models,
    storage::{self, Storage},
    teardown::{self, Teardown},
    timeline,
    upgrade::{self, Upgrade},
};
use model::{PoolId, Settings, UserId};
use ops::{
    audit, class,
    connect::connect,
    erase, export, forecast, keys, lora,
    outputs::Outputs,
    pool,
    seed::{self, FirstUser},
    task, team, usage, user,
};

/// Looks after an Atelier installation. AWS region and credentials come from the environment, as for the AWS CLI.
#[derive(Debug, Parser)]
#[command(name = "ops", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Deploy a release into an AWS account, from nothing to the first invitation. Run it again if it breaks off.
    Deploy(Box<Deploy>),
    /// Change to the next release, or back to the one before.
    Upgrade(Upgrade),
    /// Make the key pair that signs tokens. Prints the public half: the template's parameter TokenPublicKey.
    Keys {
        /// Where to write the private half. Keep it safe, or delete it after `seed` has stored it.
        #[arg(long, default_value = "signing-key.pem")]
        out: PathBuf,
    },
    /// Store the signing key, make a pool, a user and the model catalogue, and print a token for the user.
    Seed(Box<SeedArguments>),
    /// Make, change, show, revoke and remove users.
    User {
        /// The stack's outputs, as for `seed`.
        #[arg(long, default_value = "outputs.json", global = true)]
        outputs: PathBuf,
        #[command(subcommand)]
        command: OfUser,
    },
    /// Show what those who run the studio have done, newest first.
    Audit {
        /// The stack's outputs, as for `seed`.
        #[arg(long, default_value = "outputs.json")]
        outputs: PathBuf,
        #[command(flatten)]
        arguments: audit::Command,
    },
    /// Show pools, set their limits, and pause or resume what they start.
    Pool {
        /// The stack's outputs, as for `seed`.
        #[arg(long, default_value = "outputs.json", global = true)]
        outputs: PathBuf,
        #[command(subcommand)]
        command: pool::Command,
    },
    /// Show tasks with their time line, cancel them, put them back in line.
    Task {
        /// The stack's outputs, as for `seed`.
        #[arg(long, default_value = "outputs.json", global = true)]
        outputs: PathBuf,
        #[command(subcommand)]
        command: task::Command,
    },
    /// Show and set what holds for a whole team.
    Team {
        /// The stack's outputs, as for `seed`.
        #[arg(long, default_value = "outputs.json", global = true)]
        outputs: PathBuf,
        #[command(subcommand)]
        command: team::Command,
    },
    /// What the next hour is expected to ask of a pool, or of each; who says so, and how good it was.
    Forecast {
        /// The stack's outputs, as for `seed`.
        #[arg(long, default_value = "outputs.json")]
        outputs: PathBuf,
        /// The pool. [default: all]
        pool: Option<PoolId>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// What a team's painters used in a month, as a table or CSV.
    Usage {
        /// The stack's outputs, as for `seed`.
        #[arg(long, default_value = "outputs.json")]
        outputs: PathBuf,
        #[command(flatten)]
        arguments: usage::Arguments,
    },
    /// Say whether a team records how its pictures come to be, for teaching, and switch that.
    Class {
        /// The stack's outputs, as for `seed`.
        #[arg(long, default_value = "outputs.json", global = true)]
        outputs: PathBuf,
        #[command(subcommand)]
        command: class::Command,
    },
    /// Bring models into the studio's store, and look after them.
    Model {
        /// The stack's outputs, as for `seed`.
        #[arg(long, default_value = "outputs.json", global = true)]
        outputs: PathBuf,
        #[command(subcommand)]
        command: models::Command,
    },
    /// Show and remove the LoRAs that a team's painters have uploaded.
    Lora {
        /// The stack's outputs, as for `seed`.
        #[arg(long, default_value = "outputs.json", global = true)]
        outputs: PathBuf,
        #[command(subcommand)]
        command: lora::Command,
    },
    /// Work out what a store of model files costs in a month, with tiers and without.
    Storage(Storage),
    /// Say what is wrong with an installation and what to do, the worst first. Fails if something is wrong.
    Doctor(Doctor),
    /// Write Accounts, Catalog and Pools into a folder.
    Backup {
        /// The stack's outputs, as for `seed`.
        #[arg(long, default_value = "outputs.json")]
        outputs: PathBuf,
        #[command(flatten)]
        arguments: Backup,
    },
    /// Put back what `backup` wrote, where nothing is by now.
    Restore {
        /// The stack's outputs, as for `seed`.
        #[arg(long, default_value = "outputs.json")]
        outputs: PathBuf,
        #[command(flatten)]
        arguments: Restore,
    },
    /// Remove an installation: instances, stack, images, logs. Says first what goes and what stays, and asks.
    Teardown(Teardown),
    /// Print an invitation for a user: with it they sign in from Krita's browser page, once.
    Invite {
        /// The stack's outputs, as for `seed`.
        #[arg(long, default_value = "outputs.json")]
        outputs: PathBuf,
        /// The user, who must exist.
        #[arg(long, default_value = "painter")]
        user: UserId,
        /// Hours until it ends.
        #[arg(long, default_value_t = 72, value_parser = clap::value_parser!(u64).range(1..=8760))]
        hours: u64,
    },
}

/// `ops user`.
#[derive(Debug, Subcommand)]
enum OfUser {
    #[command(flatten)]
    Account(user::Command),
    /// Write all that is stored of what a user painted into a folder: tasks as JSON Lines, pictures, thumbnails.
    Export(export::Arguments),
    /// Delete all that was stored of what a user painted. Says first what goes and what stays, and asks.
    Erase(erase::Arguments),
}

#[derive(Debug, clap::Args)]
struct SeedArguments {
    /// The stack's outputs: `sam list stack-outputs --stack-name atelier --output json > outputs.json`
    #[arg(long, default_value = "outputs.json")]
    outputs: PathBuf,
    /// The private key that `keys` made.
    #[arg(long, default_value = "signing-key.pem")]
    key: PathBuf,
    #[command(flatten)]
    first: FirstUser,
    /// The pool that renders for the team.
    #[arg(long, default_value = "default")]
    pool: PoolId,
    /// The pool's limits.
    #[command(flatten)]
    limits: pool::Limits,
    /// The catalogue: a JSON list of {kind, name, file, arch}. Without it, the plugin's default checkpoints.
    #[arg(long)]
    catalog: Option<PathBuf>,
    /// Days until the token expires.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Deploy(told) => run_deploy(&told).await,
        Command::Upgrade(told) => run_upgrade(&told).await,
        Command::Keys { out } => make_keys(&out),
        Command::Seed(arguments) => run_seed(*arguments).await,
        Command::User { outputs, command } => run_user(&outputs, command).await,
        Command::Audit { outputs, arguments } => show_audit(&outputs, arguments).await,
        Command::Pool { outputs, command } => run_pool(&outputs, command).await,
        Command::Task { outputs, command } => run_task(&outputs, command).await,
        Command::Team { outputs, command } => run_team(&outputs, command).await,
        Command::Forecast { outputs, pool, json } => show_forecast(&outputs, pool.as_ref(), json).await,
        Command::Usage { outputs, arguments } => run_usage(&outputs, &arguments).await,
        Command::Class { outputs, command } => run_class(&outputs, command).await,
        Command::Lora { outputs, command } => run_lora(&outputs, command).await,
        Command::Model { outputs, command } => run_model(&outputs, command).await,
        Command::Storage(arguments) => storage::run(&arguments),
        Command::Invite { outputs, user, hours } => invite(&outputs, &user, hours).await,
        Command::Doctor(arguments) => return examine(&arguments).await,
        Command::Backup { outputs, arguments } => write_backup(&outputs, &arguments).await,
        Command::Restore { outputs, arguments } => restore(&outputs, &arguments).await,
        Command::Teardown(arguments) => take_down(&arguments).await,
    };
    finish(done)
}

fn finish(done: Result<String>) -> ExitCode {
    match done {
        Ok(text) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "ops: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_deploy(told: &Deploy) -> Result<String> {
    deploy::run(&Aws::connect().await?, told).await
}

async fn run_upgrade(told: &Upgrade) -> Result<String> {
    upgrade::run(&Aws::connect().await?, told).await
}

fn make_keys(out: &PathBuf) -> Result<String> {
    use std::os::unix::fs::OpenOptionsExt;
    let keys = keys::generate()?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(out)
        .with_context(|| format!("{} cannot be written; if it exists, move it away first", out.display()))?;
    file.write_all(keys.private_pem.as_bytes())?;
    Ok(keys.public)
}

async fn store(outputs: &Path) -> Result<Store> {
    let tables = Outputs::read(outputs)?.tables()?;
    Ok(Store::dynamo(&connect().await?, tables))
}

async fn examine(arguments: &Doctor) -> ExitCode {
    let looked = async { doctor::run(&Aws::connect().await?, arguments, cloud::now()).await };
    match looked.await {
        Ok((text, true)) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::FAILURE
        }
        looked => finish(looked.map(|(text, _)| text)),
    }
}

async fn write_backup(outputs: &Path, arguments: &Backup) -> Result<String> {
    let tables = Outputs::read(outputs)?.tables()?;
    backup::backup(&connect().await?, &tables, arguments, cloud::now()).await
}

async fn restore(outputs: &Path, arguments: &Restore) -> Result<String> {
    let tables = Outputs::read(outputs)?.tables()?;
    backup::restore(&connect().await?, &tables, arguments, cloud::now()).await
}

async fn take_down(arguments: &Teardown) -> Result<String> {
    let say = |text: &str| drop(writeln!(std::io::stdout(), "{text}"));
    let ask = |question: &str| asked(question, &arguments.stack);
    teardown::run(&Aws::connect().await?, arguments, say, ask).await
}

async fn run_user(outputs: &Path, command: OfUser) -> Result<String> {
    let outputs = Outputs::read(outputs)?;
    let now = cloud::now();
    match command {
        OfUser::Account(command) => {
            let (tables, callback) = (outputs.tables()?, outputs.callback_url()?);
            let sdk = connect().await?;
            let sockets = Sockets::api_gateway(&sdk, &callback);
            user::run(&Store::dynamo(&sdk, tables), &sockets, command, now).await
        }
        OfUser::Export(arguments) => export::run(&cloud_of(&connect().await?, &outputs)?, &arguments).await,
        OfUser::Erase(arguments) => {
            let ask = |question: &str| asked(question, arguments.user.as_str());
            erase::run(&cloud_of(&connect().await?, &outputs)?, &arguments, now, ask).await
        }
    }
}

/// Asks a question; whether the answer is this word.
fn asked(question: &str, word: &str) -> Result<bool> {
    write!(std::io::stdout(), "{question}")?;
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == word)
}

/// The installation with these outputs.
fn cloud_of(sdk: &aws_config::SdkConfig, outputs: &Outputs) -> Result<Cloud> {
    Ok(Cloud {
        store: Store::dynamo(sdk, outputs.tables()?),
        queue: Queue::sqs(sdk, outputs.get("TaskQueueUrl")?.to_owned()),
        bucket: Bucket::s3(sdk, outputs.get("Bucket")?.to_owned()),
        models: Bucket::s3(sdk, outputs.get("ModelsBucket")?.to_owned()),
        sockets: Sockets::api_gateway(sdk, &outputs.callback_url()?),
    })
}

async fn run_pool(outputs: &Path, command: pool::Command) -> Result<String> {
    pool::run(&store(outputs).await?, command, cloud::now()).await
}

async fn run_task(outputs: &Path, command: task::Command) -> Result<String> {
    let outputs = Outputs::read(outputs)?;
    let aws = Aws::connect().await?;
    let cloud = cloud_of(&aws.sdk, &outputs)?;
    let now = cloud::now();
    let logs = match &command {
        task::Command::Show {
            task,
            stack,
            no_logs: false,
            ..
        } => Some((*task, stack.clone())),
        _ => None,
    };
    let text = task::run(&cloud, command, now).await?;
    let Some((id, stack)) = logs else { return Ok(text) };
    let task = task::find(&cloud, id).await?;
    Ok(format!("{text}\n\n{}", timeline::of(&aws, &stack, &task, now).await?))
}

async fn run_team(outputs: &Path, command: team::Command) -> Result<String> {
    team::run(&store(outputs).await?, command, cloud::now()).await
}

async fn run_usage(outputs: &Path, arguments: &usage::Arguments) -> Result<String> {
    usage::run(&store(outputs).await?, arguments, cloud::now()).await
}

async fn show_forecast(outputs: &Path, pool: Option<&PoolId>, json: bool) -> Result<String> {
    forecast::run(&store(outputs).await?, pool, json, cloud::now()).await
}

async fn show_audit(outputs: &Path, arguments: audit::Command) -> Result<String> {
    audit::run(&store(outputs).await?, arguments).await
}

async fn run_class(outputs: &Path, command: class::Command) -> Result<String> {
    class::run(&store(outputs).await?, command, cloud::now()).await
}

async fn run_lora(outputs: &Path, command: lora::Command) -> Result<String> {
    let outputs = Outputs::read(outputs)?;
    let sdk = connect().await?;
    let models = Bucket::s3(&sdk, outputs.get("ModelsBucket")?.to_owned());
    let store = Store::dynamo(&sdk, outputs.tables()?);
    lora::run(&store, &models, command, cloud::now()).await
}

async fn run_model(outputs: &Path, command: models::Command) -> Result<String> {
    let outputs = Outputs::read(outputs)?;
    let sdk = connect().await?;
    let bucket = outputs.get("ModelsBucket")?.to_owned();
    let site = models::Site {
        store: Store::dynamo(&sdk, outputs.tables()?),
        models: Bucket::s3(&sdk, bucket.clone()),
        masters: Multipart::of(&sdk, bucket),
        settings: Settings::default(),
    };
    models::run(&site, command, &Bars).await
}

/// Bars where somebody looks on, lines where nobody does.
struct Bars;

impl models::Show for Bars {
    fn bar(&self, what: &str, bytes: u64) -> Box<dyn Fn(u64) + Send + Sync> {
        let style = if bytes == 0 {
            ProgressStyle::with_template("  {spinner} {wide_msg} {bytes}")
        } else {
            ProgressStyle::with_template("  {bar:30} {bytes:>10} of {total_bytes:<10} {eta:>4} {wide_msg}")
        };
        let bar = ProgressBar::new(bytes);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what.to_owned());
        Box::new(move |done| {
            bar.set_position(done);
            if bytes > 0 && done >= bytes {
                bar.finish_and_clear();
            }
        })
    }

    fn say(&self, line: &str) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

async fn invite(outputs: &Path, user: &UserId, hours: u64) -> Result<String> {
    let life = Duration::from_secs(hours * 60 * 60);
    ops::invite::invite(&store(outputs).await?, user, life, cloud::now()).await
}

async fn run_seed(arguments: SeedArguments) -> Result<String> {
    let outputs = Outputs::read(&arguments.outputs)?;
    let key = fs::read_to_string(&arguments.key)
        .with_context(|| format!("{} cannot be read; make it with `ops keys`", arguments.key.display()))?;
    let catalog = match &arguments.catalog {
        None => seed::default_catalog()?,
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
            serde_json::from_str(&text)
                .with_context(|| format!("{} is no JSON list of {{kind, name, file, arch}}", path.display()))?
        }
    };
    let sdk = connect().await?;
    cloud::secret::write(&sdk, outputs.get("SigningSecretArn")?, &key).await?;
    let store = Store::dynamo(&sdk, outputs.tables()?);
    let signer = Signer::new(&key, outputs.get("TokenIssuer")?, outputs.get("TokenAudience")?)?;
    let life = Duration::from_secs(arguments.days * 24 * 60 * 60);
    let wanted = arguments.first.seed(arguments.pool, arguments.limits, catalog, life);
    seed::seed(&store, &signer, &wanted, cloud::now()).await
}
