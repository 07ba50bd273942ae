//! Putting into the tables what a studio starts with: a pool, a user with a token, the model catalogue.
//!
//! Doing it again changes what differs and leaves the rest.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use cloud::{
    Store, StoreError, Write,
    retry::on_conflict,
    tables::{AllPools, CatalogKey},
    token::Signer,
};
use model::{Account, CatalogEntry, MicroUsd, Millis, Pool, PoolId, Role, TeamId, UserId};
use serde::Deserialize;

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
    /// Most workers of the pool; none: as it is, 2 for a new pool.
    pub max_workers: Option<u32>,
    /// Instance types of the pool, best first; none: as they are, [`INSTANCE_TYPES`] for a new pool.
    pub instance_types: Option<Vec<String>>,
    /// The checkpoint that a fresh worker warms up with; none: as it is.
    pub warm_up: Option<String>,
    /// Prices of an hour by instance type, over those that the pool has.
    pub prices: BTreeMap<String, MicroUsd>,
    /// The user's budget of each month, in credits.
    pub credits: u64,
    /// The catalogue's entries.
    pub catalog: Vec<ModelFile>,
    /// How long the token is good for.
    pub token_life: Duration,
}

/// What a new pool tries, best first.
pub const INSTANCE_TYPES: [&str; 3] = ["g6.xlarge", "g5.xlarge", "g4dn.xlarge"];

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
    put_pool(store, seed).await.context("the pool was not written")?;
    put_account(store, seed, now)
        .await
        .context("the account was not written")?;
    for file in &seed.catalog {
        put_model(store, file)
            .await
            .with_context(|| format!("{} was not written", file.name))?;
    }
    Ok(signer.user(seed.user.as_str(), &seed.team, seed.role, now, seed.token_life)?)
}

async fn put_pool(store: &Store, seed: &Seed) -> Result<(), StoreError> {
    on_conflict(async || {
        let found = store.get(&seed.pool).await?;
        let mut pool =
            found.unwrap_or_else(|| Pool::new(seed.pool.clone(), 2, INSTANCE_TYPES.map(str::to_owned).to_vec()));
        pool.max_workers = seed.max_workers.unwrap_or(pool.max_workers);
        if let Some(types) = &seed.instance_types {
            pool.instance_types.clone_from(types);
        }
        if seed.warm_up.is_some() {
            pool.warm_up.clone_from(&seed.warm_up);
        }
        pool.prices.extend(seed.prices.clone());
        let mut writes = vec![Write::put(&mut pool)?];
        let mut names = store.get(&AllPools).await?.unwrap_or_default();
        if !names.pools.contains(&seed.pool) {
            names.pools.push(seed.pool.clone());
            writes.push(Write::put(&mut names)?);
        }
        store.commit_all(&writes).await
    })
    .await
}

async fn put_account(store: &Store, seed: &Seed, now: Millis) -> Result<(), StoreError> {
    on_conflict(async || {
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
    .await
}

async fn put_model(store: &Store, file: &ModelFile) -> Result<(), StoreError> {
    on_conflict(async || {
        let team = file.team.clone().unwrap_or_else(|| TeamId::new(CatalogEntry::SHARED));
        let key = CatalogKey(team.clone(), format!("{}#{}#1", file.kind, file.name));
        let version = store.get(&key).await?.map_or(0, |entry| entry.version);
        let mut entry = CatalogEntry {
            team,
            version,
            kind: file.kind.clone(),
            name: file.name.clone(),
            file: file.file.clone().unwrap_or_else(|| file.name.clone()),
            arch: file.arch.clone(),
            format: file.format.clone(),
        };
        store.commit([Write::put(&mut entry)?]).await
    })
    .await
}
