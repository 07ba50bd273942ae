//! The stack: started, seeded, stopped.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use cloud::{Bucket, Sockets, Store, Write, multipart::Multipart, token::Signer};
use fleet::ec2::{FleetConfig, connect_with};
use model::{PoolId, Role, TeamId, UserId};
use ops::{keys, outputs::Outputs, pool::Limits, seed};
use serde_json::{Value, json};

use crate::{
    build,
    emulator::{self, Calls, Emulator},
    golden,
    painter::Painter,
    pump::{Plan, Pump},
    python,
};

/// Name of the local stack.
pub(crate) const STACK: &str = "atelier";
/// Name of the local installation in tokens and proofs.
const AUDIENCE: &str = "atelier-local";

/// What renders.
#[derive(Debug, Clone)]
pub enum Renderer {
    /// A stand-in for ComfyUI beside each worker, which takes this long for a step.
    StandIn {
        /// Time for one sampling step.
        step_delay: Duration,
        /// Time to load a checkpoint that is not loaded.
        load_delay: Duration,
    },
    /// This real ComfyUI, shared by all workers.
    ComfyUi {
        /// Its address.
        url: String,
        /// Its folder of models, if uploaded LoRAs may be put there.
        models: Option<PathBuf>,
    },
    /// What the machine image contains: this program boots a machine for each instance.
    Machine {
        /// Started with what an instance would find in its metadata; see `image/test/machine`.
        program: PathBuf,
    },
}

/// How to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port of the emulator; none: any free one.
    pub port: Option<u16>,
    /// Address that the emulator listens on: this machine's own, or all for containers.
    pub listen: IpAddr,
    /// What renders.
    pub renderer: Renderer,
    /// Time from an instance's start to its processes' start.
    pub boot_delay: Duration,
    /// The template's parameter `Settings`: durations other than the defaults.
    pub settings: String,
    /// Let the emulator check signatures and policies, instead of counting calls.
    pub iam: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: None,
            listen: Ipv4Addr::LOCALHOST.into(),
            renderer: Renderer::StandIn {
                step_delay: Duration::from_millis(100),
                load_delay: Duration::ZERO,
            },
            boot_delay: Duration::from_secs(3),
            settings: String::new(),
            iam: false,
        }
    }
}

/// A running stack. Stop it, or drop it and everything is killed.
#[derive(Debug)]
pub struct Stack {
    /// The machines.
    pub pump: Pump,
    /// Where logs and files of this run lie.
    pub folder: PathBuf,
    emulator: Emulator,
    outputs: Outputs,
    store: Store,
    pictures: Bucket,
    models: Bucket,
    masters: Multipart,
    sockets: Sockets,
    signer: Signer,
    keys: keys::Keys,
    catalog: Vec<seed::ModelFile>,
    temporary: Option<tempfile::TempDir>,
}

/// A user that was seeded.
#[derive(Debug)]
pub struct Seeded {
    /// The user's pool.
    pub pool: PoolId,
    /// A client with the user's token.
    pub painter: Painter,
}

impl Stack {
    /// Starts everything; `say` hears each step in words.
    pub async fn start(options: Options, say: impl Fn(&str)) -> Result<Self> {
        let checkout = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let port = emulator::port(options.port)?;
        let catalog = catalog(&options.renderer).await?;
        say("preparing Python");
        let requirements = checkout.join("local/emulator/requirements.txt");
        let python = python::environment(&checkout.join(".atelier/venv"), &requirements).await?;
        say("building the functions");
        let built = build::build(&checkout).await?;
        let temporary = tempfile::Builder::new().prefix("atelier-").tempdir()?;
        let folder = temporary.path().to_owned();
        say("starting the emulator of AWS");
        let launcher = checkout.join("local/emulator/launcher.py");
        let emulator = Emulator::start(&python, &launcher, (options.listen, port), &folder, options.iam).await?;
        let keys = keys::generate()?;
        let endpoint = emulator.calls.endpoint.clone();
        say("deploying template.yaml");
        let parameters = BTreeMap::from([
            ("TokenPublicKey", keys.public.clone()),
            ("TokenAudience", AUDIENCE.to_owned()),
            ("Settings", options.settings.clone()),
        ]);
        let outputs = emulator::deploy(
            &python,
            &checkout,
            &built.bootstraps,
            &endpoint,
            &parameters,
            options.iam,
        )
        .await?;
        let outputs = Outputs::parse(&outputs)?;
        let sdk = cloud::emulator_config(&endpoint).await;
        cloud::secret::write(&sdk, outputs.get("SigningSecretArn")?, &keys.private_pem).await?;
        let store = Store::dynamo(&sdk, outputs.tables()?);
        let pictures = Bucket::s3(&sdk, outputs.get("Bucket")?.to_owned());
        let models = Bucket::s3(&sdk, outputs.get("ModelsBucket")?.to_owned());
        let masters = Multipart::of(&sdk, outputs.get("ModelsBucket")?.to_owned());
        let sockets = Sockets::api_gateway(&sdk, &outputs.callback_url()?);
        let signer = Signer::new(&keys.private_pem, outputs.get("TokenIssuer")?, AUDIENCE)?;
        let fleet = FleetConfig {
            launch_template: String::new(),
            subnets: Vec::new(),
            stack: STACK.to_owned(),
            image: None,
        };
        let pump = Pump::start(Plan {
            calls: emulator.calls.clone(),
            fleet: connect_with(&sdk, fleet).await,
            built,
            folder: folder.clone(),
            api: outputs.get("ApiUrl")?.to_owned(),
            audience: AUDIENCE.to_owned(),
            role_arn: outputs.get("InstanceRoleArn")?.to_owned(),
            launch_template: outputs.get("LaunchTemplateId")?.to_owned(),
            renderer: options.renderer,
            boot_delay: options.boot_delay,
        });
        Ok(Self {
            pump,
            folder,
            emulator,
            outputs,
            store,
            pictures,
            models,
            masters,
            sockets,
            signer,
            keys,
            catalog,
            temporary: Some(temporary),
        })
    }

    /// Makes a user in a pool of its own, and the model catalogue.
    pub async fn seed(&self, user: &str, pool: &str) -> Result<Seeded> {
        let wanted = seed::Seed {
            team: TeamId::new(format!("team-of-{pool}")),
            user: UserId::new(user),
            name: user.to_owned(),
            role: Role::Painter,
            pool: PoolId::new(pool),
            limits: Limits {
                max_workers: Some(2),
                warm_up: self.catalog.first().map(|file| file.name.clone()),
                ..Limits::default()
            },
            credits: 1_000_000, // more than the benchmark has in flight
            catalog: self.catalog.clone(),
            token_life: Duration::from_hours(24),
        };
        let token = seed::seed(&self.store, &self.signer, &wanted, cloud::now()).await?;
        Ok(Seeded {
            pool: wanted.pool,
            painter: self.painter(token)?,
        })
    }

    /// An invitation for a user that was seeded.
    pub async fn invite(&self, user: &str) -> Result<String> {
        let life = Duration::from_hours(24);
        ops::invite::invite(&self.store, &UserId::new(user), life, cloud::now()).await
    }

    /// Gives a user that was seeded another role.
    pub async fn give_role(&self, user: &str, role: Role) -> Result<()> {
        let account = self.store.get(&UserId::new(user)).await?;
        let mut account = account.with_context(|| format!("there is no {user}"))?;
        account.role = role;
        Ok(self.store.commit([Write::put(&mut account)?]).await?)
    }

    /// The studio page's address for a user that was seeded: it opens the sign-in with an invitation filled in, and goes on
    /// to the page. Good once.
    pub async fn studio_link(&self, user: &str) -> Result<String> {
        let (api, invitation) = (self.outputs.get("ApiUrl")?, self.invite(user).await?);
        Ok(format!("{api}/v1/sign-in?next=studio&invitation={invitation}"))
    }

    /// A client with this token.
    pub fn painter(&self, token: String) -> Result<Painter> {
        Painter::new(self.outputs.get("ApiUrl")?, self.outputs.get("SocketUrl")?, token)
    }

    /// Signs tokens for another installation with this one's key, for tests of bad ones.
    pub fn signer_for(&self, audience: &str) -> Result<Signer> {
        Ok(Signer::new(
            &self.keys.private_pem,
            self.outputs.get("TokenIssuer")?,
            audience,
        )?)
    }

    /// Signs tokens.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The stack's outputs.
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// What `sam local invoke --env-vars` takes, so that each function reaches this stack's emulator under this host name.
    pub async fn environments(&self, host: &str) -> Result<Value> {
        let endpoint = &self.calls().endpoint;
        let own = endpoint.trim_start_matches("http://");
        let port = own.rsplit(':').next().unwrap_or_default();
        let mut all = serde_json::Map::new();
        for function in build::FUNCTIONS {
            let name = in_the_template(function);
            let environment = self.calls().environment(self.outputs.get(&name)?).await?;
            let theirs = environment.to_string().replace(own, &format!("{host}:{port}"));
            all.insert(name, serde_json::from_str(&theirs)?);
        }
        Ok(Value::Object(all))
    }

    /// Puts what the golden events speak of where they find it.
    pub async fn seed_golden(&self) -> Result<()> {
        golden::seed(&self.store, &self.pictures, cloud::now()).await
    }

    /// Writes what `ops` asks for: `outputs.json` and `signing-key.pem`.
    pub fn write_outputs(&self, folder: &Path) -> Result<()> {
        let write = || {
            fs::create_dir_all(folder)?;
            fs::write(folder.join("outputs.json"), self.outputs.to_json())?;
            let key = folder.join("signing-key.pem");
            let mut options = fs::OpenOptions::new();
            let mut key = options.write(true).create(true).truncate(true).mode(0o600).open(key)?;
            key.write_all(self.keys.private_pem.as_bytes())
        };
        write().with_context(|| format!("{} cannot be written to", folder.display()))
    }

    /// The tables as an instance with the workers' role reaches them: not at all.
    pub async fn store_of_an_instance(&self) -> Result<Store> {
        self.store_of(self.outputs.get("InstanceRoleArn")?, "i-0123456789abcdef0")
            .await
    }

    /// The tables as a function, by its name in the template, reaches them.
    pub async fn store_of_function(&self, function: &str) -> Result<Store> {
        self.store_of(&self.calls().role_of(function).await?, "a-test").await
    }

    async fn store_of(&self, role: &str, session: &str) -> Result<Store> {
        let credentials = self.calls().assume_role(role, session).await?;
        let sdk = cloud::emulator_config_as(&self.calls().endpoint, credentials.into()).await;
        Ok(Store::dynamo(&sdk, self.outputs.tables()?))
    }

    /// The tables, for a test's assertions.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The WebSockets.
    pub const fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// The bucket of pictures, for a test's assertions.
    pub fn pictures(&self) -> &Bucket {
        &self.pictures
    }

    /// The bucket of model files, for a test's assertions.
    pub fn models(&self) -> &Bucket {
        &self.models
    }

    /// The same for files that come in parts.
    pub fn masters(&self) -> &Multipart {
        &self.masters
    }

    fn calls(&self) -> &Calls {
        &self.emulator.calls
    }

    /// The minute tick of `lifecycle`, now.
    pub async fn tick_lifecycle(&self) -> Result<()> {
        self.calls()
            .invoke(self.outputs.get("LifecycleFunction")?, &tick())
            .await
            .map(drop)
    }

    /// The minute tick of `idle-reaper`, now.
    pub async fn tick_reaper(&self) -> Result<()> {
        self.calls()
            .invoke(self.outputs.get("IdleReaperFunction")?, &tick())
            .await
            .map(drop)
    }

    /// What the next hour will ask for, or a training of the forecasters, now.
    pub async fn forecast(&self, trains: bool) -> Result<()> {
        let event = if trains { json!({ "train": true }) } else { tick() };
        let calls = self.calls();
        calls
            .invoke(self.outputs.get("ForecastFunction")?, &event)
            .await
            .map(drop)
    }

    /// What the functions have written to their logs.
    pub async fn log_lines(&self) -> Result<Vec<String>> {
        self.calls().log_lines().await
    }

    /// Gives a metric of the stack's a value, as CloudWatch would from a function's log.
    pub async fn put_metric(&self, name: &str, value: f64) -> Result<()> {
        let (namespace, value) = (format!("Atelier/{STACK}"), value.to_string());
        let form = [
            ("Action", "PutMetricData"),
            ("Version", "2010-08-01"),
            ("Namespace", namespace.as_str()),
            ("MetricData.member.1.MetricName", name),
            ("MetricData.member.1.Value", value.as_str()),
        ];
        self.calls().form("monitoring", &form).await.map(drop)
    }

    /// Each alarm by its name, and its state as CloudWatch writes it.
    pub async fn alarms(&self) -> Result<Vec<(String, String)>> {
        let form = [("Action", "DescribeAlarms"), ("Version", "2010-08-01")];
        let text = self.calls().form("monitoring", &form).await?;
        let between = |text: &str, name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            Some(rest.split('<').next()?.to_owned())
        };
        let alarms = text.split("<AlarmName>").skip(1);
        let alarms = alarms.map(|it| Some((it.split('<').next()?.to_owned(), between(it, "StateValue")?)));
        alarms.collect::<Option<_>>().context("the alarms cannot be read")
    }

    /// Has EC2 refuse each launch of a pool with this code; none: no longer.
    pub async fn refuse_launches(&self, pool: &PoolId, code: Option<&str>) -> Result<()> {
        self.calls().refuse_launches(pool, code).await
    }

    /// The dashboard, as it was deployed.
    pub async fn dashboard(&self) -> Result<Value> {
        self.calls().dashboard(STACK).await
    }

    /// What the emulator counted: invocations, calls, units.
    pub async fn counts(&self) -> Result<Value> {
        self.calls().counts().await
    }

    /// Ends everything; waits until it is gone.
    pub async fn stop(mut self) {
        self.pump.stop().await;
        self.emulator.stop().await;
    }

    /// Keeps the run's folder with its logs.
    pub fn keep_folder(&mut self) {
        if let Some(folder) = self.temporary.take() {
            let _ = folder.keep();
        }
    }
}

/// What the template calls a function.
fn in_the_template(function: &str) -> String {
    let words = function.split('-').map(|word| {
        let (first, rest) = word.split_at(1);
        format!("{}{rest}", first.to_uppercase())
    });
    words.chain(["Function".to_owned()]).collect()
}

fn tick() -> Value {
    json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": {} })
}

/// The default catalogue; on a real ComfyUI, what of it is there, and the first checkpoint in place of a missing one.
async fn catalog(renderer: &Renderer) -> Result<Vec<seed::ModelFile>> {
    let files = seed::default_catalog()?;
    let Renderer::ComfyUi { url, .. } = renderer else {
        return Ok(files);
    };
    let checkpoints = present(url, "checkpoints").await?;
    let mut others = Vec::new();
    for folder in ["loras", "upscale_models", "controlnet", "clip_vision", "ipadapter"] {
        others.extend(present(url, folder).await?);
    }
    let first = checkpoints
        .first()
        .with_context(|| format!("the ComfyUI at {url} has no checkpoint"))?;
    let usable = files.into_iter().filter_map(|mut file| {
        let name = file.file.clone().unwrap_or_else(|| file.name.clone());
        match file.kind.as_str() {
            "checkpoint" if checkpoints.contains(&name) => Some(file),
            "checkpoint" if file.arch.as_deref() == Some("sd15") => {
                file.file = Some(first.clone());
                Some(file)
            }
            _ => others.contains(&name).then_some(file),
        }
    });
    Ok(usable.collect())
}

/// The model files of a folder on a real ComfyUI.
async fn present(url: &str, folder: &str) -> Result<Vec<String>> {
    let unreachable = || format!("no ComfyUI answers at {url}");
    let reply = reqwest::get(format!("{}/models/{folder}", url.trim_end_matches('/'))).await;
    let reply = reply.with_context(unreachable)?;
    if reply.status() == reqwest::StatusCode::NOT_FOUND {
        return Ok(vec![]); // a custom node's folder, without the node
    }
    let text = reply.error_for_status().with_context(unreachable)?.text().await?;
    let mut files: Vec<String> = serde_json::from_str(&text).with_context(unreachable)?;
    // What a worker has brought is some team's.
    files.retain(|file| !file.starts_with("atelier/"));
    Ok(files)
}
