//! How the studio is made.

use std::sync::Arc;

use accounts::Edge;
use claim::identity::CallerIdentity;
use cloud::{
    Cloud, Store,
    fault::Faults,
    http::Router,
    memory::{Memory, Unkind},
    multipart::Multipart,
    tables::{CatalogOf, Table},
    token::{Signer, Verifier},
};
use fleet::memory::MemoryFleet;
use model::{Account, CatalogEntry, PoolId, Role, Settings, TeamId, UserId};
use ops::{keys, pool::Limits, seed};
use serde_json::Value;

use super::{AUDIENCE, FakeSts, MARA, NOW, OTHER, POOL, ROLE_ARN, TEAM, minutes};
use crate::port::Port;

pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) instances: MemoryFleet,
    pub(crate) port: Port,
    pub(crate) cloud: Cloud,
    pub(crate) settings: Settings,
    pub(crate) sts: FakeSts,
    pub(crate) public_key: String,
    pub(crate) signer: Signer,
    /// Watches every call to AWS of a [`World::watched`] one.
    pub(crate) faults: Faults,
    pub(super) private_key: String,
    pub(crate) authorize: authorize::App,
    pub(super) generate: Router,
    pub(super) account: Router,
    pub(super) claim: Router,
    pub(super) studio: Router,
    pub(super) catalog: Router,
    pub(crate) store: Arc<catalog_function::App>,
    pub(super) dispatch: dispatch::App,
    pub(super) push: progress_push::App,
    pub(super) lifecycle: lifecycle::App,
    pub(super) archive: archive::App,
    pub(super) reaper: idle_reaper::App,
    pub(super) forecast: forecast_function::App,
}

fn signer(key: &str) -> Signer {
    Signer::new(key, "atelier", AUDIENCE).unwrap()
}

fn verifier(key: &str) -> Verifier {
    Verifier::new(key, "atelier", AUDIENCE).unwrap()
}

const SOCKET_URL: &str = "wss://socket.example/live";

fn account(
    cloud: &Cloud,
    settings: &Settings,
    keys: (&str, &str),
    provider: Option<account::oidc::Provider>,
) -> Router {
    let app = account::App {
        cloud: cloud.clone(),
        settings: settings.clone(),
        socket_url: SOCKET_URL.to_owned(),
        signer: signer(keys.0),
        verifier: verifier(keys.1),
        contact: "Ada <ada@studio.example>".to_owned(),
        plain_http: false,
        provider,
    };
    accounts::router(account::routes(), app)
}

impl World {
    /// A kind one, with a pool, a painter and the usual models.
    pub(crate) async fn new() -> Self {
        Self::set(Settings::default()).await
    }

    /// A kind one with these settings.
    pub(crate) async fn set(settings: Settings) -> Self {
        Self::with(Unkind::NOT, settings, "a kind world".to_owned()).await
    }

    pub(crate) async fn unkind(seed: u64) -> Self {
        Self::unkind_with(seed, Settings::default()).await
    }

    pub(crate) async fn unkind_with(seed: u64, settings: Settings) -> Self {
        Self::with(Unkind::seeded(seed), settings, format!("the unkind world {seed}")).await
    }

    /// A kind one, with an eye on each call to AWS and with these settings.
    pub(crate) async fn watched(settings: Settings) -> Self {
        Self::made(Unkind::NOT, settings, "a watched world".to_owned(), true).await
    }

    /// One whose indexes lag, and nothing else.
    pub(crate) async fn lagging(seed: u64) -> Self {
        let unkind = Unkind {
            conflict_percent: 0,
            ..Unkind::seeded(seed)
        };
        Self::with(unkind, Settings::default(), format!("the lagging world {seed}")).await
    }

    async fn with(unkind: Unkind, settings: Settings, label: String) -> Self {
        Self::made(unkind, settings, label, false).await
    }

    async fn made(unkind: Unkind, settings: Settings, label: String, watched: bool) -> Self {
        // The clock of most tests stands still, so that what is a second old would never be.
        let settings = Settings {
            line_age: std::time::Duration::ZERO,
            ..settings
        };
        let memory = Memory::new(unkind);
        let instances = MemoryFleet::default();
        let port = Port::new(memory.clone(), label);
        let cloud = Cloud {
            store: Store::new(port.clone()),
            ..memory.cloud()
        };
        let faults = Faults::default();
        let (cloud, fleet) = if watched {
            (faults.cloud(&cloud), fleet::fault::watch(&faults, &instances.fleet()))
        } else {
            (cloud, instances.fleet())
        };
        let keys = keys::generate().unwrap();
        let sts = FakeSts::default();
        let generate = generate::App::new(cloud.clone(), settings.clone());
        let claim = claim::App {
            cloud: cloud.clone(),
            settings: settings.clone(),
            signer: signer(&keys.private_pem),
            identity: CallerIdentity::new(sts.clone(), ROLE_ARN),
            socket_url: SOCKET_URL.to_owned(),
            needs: claim::Needs::default(),
        };
        let studio = studio::App {
            cloud: cloud.clone(),
            settings: settings.clone(),
            socket_url: SOCKET_URL.to_owned(),
            plain_http: false,
        };
        let store = Arc::new(catalog_function::App {
            cloud: cloud.clone(),
            masters: if watched {
                faults.masters(&Multipart::new(memory.clone()))
            } else {
                Multipart::new(memory.clone())
            },
            settings: settings.clone(),
        });
        let world = Self {
            // Its calls are none of the functions behind it.
            authorize: authorize::App {
                store: Store::new(memory.clone()),
                verifier: verifier(&keys.public),
                edge: Edge::default(),
            },
            generate: accounts::router(generate::routes(), generate),
            account: account(&cloud, &settings, (&keys.private_pem, &keys.public), None),
            claim: accounts::router(claim::routes(), claim),
            studio: accounts::router(studio::routes(), studio),
            catalog: accounts::router(catalog_function::routes(), Arc::clone(&store)),
            store,
            dispatch: dispatch::App {
                cloud: cloud.clone(),
                fleet: fleet.clone(),
                settings: settings.clone(),
            },
            push: progress_push::App {
                cloud: cloud.clone(),
                settings: settings.clone(),
            },
            lifecycle: lifecycle::App {
                cloud: cloud.clone(),
                fleet: fleet.clone(),
                settings: settings.clone(),
            },
            archive: archive::App {
                cloud: cloud.clone(),
                settings: settings.clone(),
            },
            reaper: idle_reaper::App {
                cloud: cloud.clone(),
                fleet,
                settings: settings.clone(),
            },
            forecast: forecast_function::App { cloud: cloud.clone() },
            signer: signer(&keys.private_pem),
            faults,
            private_key: keys.private_pem,
            public_key: keys.public,
            memory,
            instances,
            port,
            cloud,
            settings,
            sts,
        };
        world.seed(MARA).await;
        let mut other: Account = world.get(&UserId::new(MARA)).await;
        other.user_id = UserId::new(OTHER);
        other.version = 0;
        world.put(other).await;
        // The catalogue was made long ago: only what comes now may lag.
        let shared = async || world.cloud.store.list(CatalogOf(CatalogEntry::SHARED)).await.unwrap();
        while shared().await.len() < world.all::<Value>(Table::Catalog).len() {}
        world
    }

    /// What `ops seed` does for a painter.
    pub(crate) async fn seed(&self, user: &str) {
        let seed = seed::Seed {
            team: TeamId::new(TEAM),
            user: UserId::new(user),
            name: user.to_uppercase(),
            role: Role::Painter,
            pool: PoolId::new(POOL),
            limits: Limits {
                max_workers: Some(2),
                instance_types: Some(vec!["g6.xlarge".to_owned(), "g5.xlarge".to_owned()]),
                warm_up: Some("dreamshaper_8.safetensors".to_owned()),
                ..Limits::default()
            },
            credits: 1000,
            catalog: seed::default_catalog().unwrap(),
            token_life: minutes(60),
        };
        // The day before, so that a golden event's token is younger.
        let made = NOW - minutes(24 * 60);
        seed::seed(&self.cloud.store, &self.signer, &seed, made).await.unwrap();
    }

    /// Gives the studio an OIDC provider.
    pub(crate) fn provided(&mut self, config: account::oidc::Config) {
        let provider = account::oidc::Provider::new(config).unwrap();
        let keys = (self.private_key.as_str(), self.public_key.as_str());
        self.account = account(&self.cloud, &self.settings, keys, Some(provider));
    }

    /// Puts a firewall in front of it.
    pub(crate) fn put_behind(&mut self, edge: &Edge) {
        for router in [
            &mut self.account,
            &mut self.generate,
            &mut self.claim,
            &mut self.catalog,
            &mut self.studio,
        ] {
            *router = edge.clone().before(router.clone());
        }
        self.authorize.edge = edge.clone();
    }

    pub(crate) fn verifier(&self) -> Verifier {
        verifier(&self.public_key)
    }
}
