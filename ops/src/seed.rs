//! Putting into the tables what a studio starts with: a pool, a user with a token, the model catalogue.
//!
//! Doing it again changes what differs and leaves the rest.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use cloud::{Store, StoreError, Write, on_conflict, tables::CatalogKey, token::Signer};
use model::{Account, CatalogEntry, Millis, Pool, PoolId, Role, TeamId, UserId};
use serde::Deserialize;

use crate::{
    pool::{self, Limits},
    user::UserRole,
};

/// The first user, as an operator names them.
#[derive(Debug, Default, Clone, Args)]
pub struct FirstUser {
    /// The first user. [default: painter]
    #[arg(long)]
    pub user: Option<UserId>,
    /// The first user's team. [default: studio]
    #[arg(long)]
    pub team: Option<TeamId>,
    /// The first user's name as people see it. [default: Painter]
    #[arg(long)]
    pub name: Option<String>,
    /// What the first user may do. [default: painter]
    #[arg(long, value_enum)]
    pub role: Option<UserRole>,
    /// The first user's budget of each month (UTC), in credits. A credit is US$ 0.001 of GPU time; 0 is none at all.
    /// [default: 10000]
    #[arg(long)]
    pub credits: Option<u64>,
}

impl FirstUser {
    /// Who it is.
    pub fn id(&self) -> UserId {
        self.user.clone().unwrap_or_else(|| UserId::new("painter"))
    }

    /// What to seed with this user.
    pub fn seed(&self, pool: PoolId, limits: Limits, catalog: Vec<ModelFile>, token_life: Duration) -> Seed {
        Seed {
            team: self.team.clone().unwrap_or_else(|| TeamId::new("studio")),
            user: self.id(),
            name: self.name.clone().unwrap_or_else(|| "Painter".to_owned()),
            role: self.role.unwrap_or(UserRole::Painter).into(),
            pool,
            limits,
            credits: self.credits.unwrap_or(Account::CREDITS),
            catalog,
            token_life,
        }
    }
}

/// What to seed.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The user's team.
    pub team: TeamId,
    /// The user.
    pub user: UserId,
    /// Name shown to people.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// The pool that renders for the team.
    pub pool: PoolId,
    /// What of the pool is to change.
    pub limits: Limits,
    /// The user's budget of each month, in credits.
    pub credits: u64,
    /// The catalogue's entries.
    pub catalog: Vec<ModelFile>,
    /// How long the token is good for.
    pub token_life: Duration,
}

/// A model file that the team may use.
#[derive(Debug, Clone, Deserialize)]
pub struct ModelFile {
    /// `checkpoint`, `lora`, `vae`, `upscaler` or `resource`.
    pub kind: String,
    /// The name painters see.
    pub name: String,
    /// The file as ComfyUI knows it; the name, if left out.
    #[serde(default)]
    pub file: Option<String>,
    /// Architecture of a checkpoint.
    #[serde(default)]
    pub arch: Option<String>,
    /// Format of a checkpoint.
    #[serde(default)]
    pub format: Option<String>,
    /// What its author allows; of a resource that is listed as something else too, there.
    #[serde(default)]
    pub licence: Option<String>,
    /// Where it is published.
    #[serde(default)]
    pub source: Option<String>,
    /// The team it belongs to; all, if left out.
    #[serde(default)]
    pub team: Option<TeamId>,
}

/// The catalogue that a fresh installation starts with.
pub fn default_catalog() -> Result<Vec<ModelFile>> {
    serde_json::from_str(include_str!("../catalog.json")).context("the built-in catalogue is damaged")
}

/// Seeds, and returns a token for the user.
pub async fn seed(store: &Store, signer: &Signer, seed: &Seed, now: Millis) -> Result<String> {
    put_account(store, seed, now)
        .await
        .context("the account was not written")?;
    for file in &seed.catalog {
        put_model(store, file)
            .await
            .with_context(|| format!("{} was not written", file.name))?;
    }
    // Last, see `seeded`.
    pool::put(store, &seed.pool, &seed.limits, None)
        .await
        .context("the pool was not written")?;
    Ok(signer.user(seed.user.as_str(), &seed.team, seed.role, now, seed.token_life)?)
}

/// The pool, if a seed with it was ever finished: it is written last, and stays whatever becomes of users and models.
pub async fn seeded(store: &Store, pool: &PoolId) -> Result<Option<Pool>, StoreError> {
    store.get(pool).await
}

impl ModelFile {
    fn key(&self) -> CatalogKey {
        let team = self.team.clone().unwrap_or_else(|| TeamId::new(CatalogEntry::SHARED));
        CatalogKey(team, format!("{}#{}#1", self.kind, self.name))
    }
}

async fn put_account(store: &Store, seed: &Seed, now: Millis) -> Result<(), StoreError> {
    on_conflict!({
        let found = store.get(&seed.user).await?;
        let mut account =
            found.unwrap_or_else(|| Account::new(seed.user.clone(), seed.team.clone(), seed.pool.clone(), now));
        account.name.clone_from(&seed.name);
        account.team = seed.team.clone();
        account.pool = seed.pool.clone();
        account.role = seed.role;
        account.credits = seed.credits;
        store.commit([Write::put(&mut account)?]).await
    })
}

async fn put_model(store: &Store, file: &ModelFile) -> Result<(), StoreError> {
    on_conflict!({
        let key = file.key();
        let version = store.get(&key).await?.map_or(0, |entry| entry.version);
        let mut entry = CatalogEntry {
            version,
            arch: file.arch.clone(),
            format: file.format.clone(),
            licence: file.licence.clone(),
            source: file.source.clone(),
            ..CatalogEntry::on_images(key.0, &file.kind, &file.name, file.file.as_ref().unwrap_or(&file.name))
        };
        store.commit([Write::put(&mut entry)?]).await
    })
}
