//! Backup and restore on the emulator.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use cloud::{Write, tables::Table, token::Signer};
use install::backup::{self, Backup, Restore};
use model::{Account, CatalogEntry, Pool, PoolId, Role, TeamId, UserId};
use ops::{pool::Limits, seed};
use serde_json::{Value, json};

use crate::{
    Studio,
    between::{Fate, Fault},
};

const THROTTLED: Fate = Fate::Refused(400, "ProvisionedThroughputExceededException");

/// What is lost comes back, what has changed since stays, and doing it again changes nothing.
pub(crate) async fn what_was_lost_comes_back(studio: &Studio) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("backup");
    let (between, names) = (&studio.between, studio.services.outputs().tables()?);
    let sdk = between.sdk().await;
    let store = &studio.store;
    let now = cloud::now();
    seeded(studio).await?;

    // Throttled and cut off on the way, it is whole all the same.
    between.fail(&[
        Fault {
            call: "Scan",
            times: 2,
            fate: THROTTLED,
        },
        Fault {
            call: "Scan",
            times: 1,
            fate: Fate::Lost,
        },
    ]);
    backup::backup(&sdk, &names, &Backup { out: out.clone() }, now).await?;
    ensure!(between.all_happened(), "{:?}", between.seen());
    let manifest: Value = serde_json::from_str(&fs::read_to_string(out.join("manifest.json"))?)?;
    ensure!(
        manifest["format"] == 1 && manifest["tables"]["accounts"]["items"] != 0,
        "{manifest}"
    );
    let again = backup::backup(&sdk, &names, &Backup { out: out.clone() }, now).await;
    ensure!(format!("{:#}", again.expect_err("a second one")).contains("give another folder"));

    // One account and the pool are lost, another account is changed.
    let (mara, noor) = (UserId::new("mara"), UserId::new("noor"));
    let mut lost: Account = store.get(&mara).await?.context("no Mara")?;
    let mut pool: Pool = store.get(&PoolId::new("default")).await?.context("no pool")?;
    let before = (lost.clone(), pool.clone());
    store
        .commit([Write::delete(&mut lost), Write::delete(&mut pool)])
        .await?;
    let mut changed: Account = store.get(&noor).await?.context("no Noor")?;
    "Noor Ali".clone_into(&mut changed.name);
    store.commit([Write::put(&mut changed)?]).await?;

    let arguments = |dry_run, overwrite| Restore {
        from: out.clone(),
        dry_run,
        overwrite,
        tables: Vec::new(),
    };
    let dry = backup::restore(&sdk, &names, &arguments(true, false), now).await?;
    ensure!(
        dry.starts_with("restoring would do this") && dry.contains("to be put:\n  accounts user#mara\n  pools default"),
        "{dry}"
    );
    let pools = Restore {
        tables: vec![Table::Pools],
        ..arguments(true, true)
    };
    let dry = backup::restore(&sdk, &names, &pools, now).await?;
    ensure!(dry.contains("pools      1 put") && !dry.contains("accounts"), "{dry}");
    let dry = backup::restore(&sdk, &names, &arguments(true, true), now).await?;
    ensure!(dry.contains("  accounts user#noor, over what is there\n"), "{dry}");
    ensure!(store.get(&mara).await?.is_none(), "a dry run wrote");

    // Killed on the way it goes on where it stopped.
    let killed = between
        .killed_at(4, backup::restore(&sdk, &names, &arguments(false, false), now))
        .await;
    ensure!(killed.is_none(), "it was done before");
    between.fail(&[
        Fault {
            call: "PutItem",
            times: 1,
            fate: THROTTLED,
        },
        Fault {
            call: "GetItem",
            times: 2,
            fate: Fate::AnswerLost,
        },
    ]);
    let restored = backup::restore(&sdk, &names, &arguments(false, false), now).await?;
    ensure!(
        restored.contains("kept, since something else is there") && restored.contains("accounts user#noor"),
        "{restored}"
    );
    let there = (store.get(&mara).await?, store.get(&PoolId::new("default")).await?);
    ensure!(there == (Some(before.0), Some(before.1)), "{there:?}");
    ensure!(store.get(&noor).await?.context("no Noor")?.name == "Noor Ali");

    let again = backup::restore(&sdk, &names, &arguments(false, false), now).await?;
    ensure!(
        again.contains("accounts   0 put") && again.contains("pools      0 put"),
        "{again}"
    );
    backup::restore(&sdk, &names, &arguments(false, true), now).await?;
    ensure!(store.get(&noor).await?.context("no Noor")?.name == "Noor");
    let again = backup::restore(&sdk, &names, &arguments(false, true), now).await?;
    ensure!(again.contains("accounts   0 put"), "{again}");
    refused(studio, &out, folder.path()).await
}

/// What the refusal says, and what was done to the folder.
type Damage = (&'static str, fn(&Path) -> Result<()>);

/// A backup that is damaged, incomplete or of a later release restores nothing.
async fn refused(studio: &Studio, good: &Path, folder: &Path) -> Result<()> {
    let (sdk, names) = (studio.between.sdk().await, studio.services.outputs().tables()?);
    let damages: [Damage; 5] = [
        ("is damaged", |it| Ok(fs::write(it.join("pools.jsonl"), "{}\n")?)),
        ("cannot be read", |it| Ok(fs::remove_file(it.join("catalog.jsonl"))?)),
        ("never finished", |it| Ok(fs::remove_file(it.join("manifest.json"))?)),
        ("is damaged", |it| Ok(fs::write(it.join("manifest.json"), "{")?)),
        ("of a later release (format 2", |it| {
            let text = fs::read_to_string(it.join("manifest.json"))?;
            let mut manifest: Value = serde_json::from_str(&text)?;
            manifest["format"] = json!(2);
            manifest["tables"] = json!([]);
            Ok(fs::write(it.join("manifest.json"), manifest.to_string())?)
        }),
    ];
    for (index, (words, damage)) in damages.into_iter().enumerate() {
        let from = folder.join(format!("damaged-{index}"));
        fs::create_dir(&from)?;
        for name in ["manifest.json", "accounts.jsonl", "catalog.jsonl", "pools.jsonl"] {
            fs::copy(good.join(name), from.join(name))?;
        }
        damage(&from)?;
        studio.between.fail(&[]);
        let arguments = Restore {
            from,
            dry_run: false,
            overwrite: true,
            tables: Vec::new(),
        };
        let error = backup::restore(&sdk, &names, &arguments, cloud::now())
            .await
            .expect_err(words);
        ensure!(format!("{error:#}").contains(words), "{words}: {error:#}");
        ensure!(studio.between.seen().is_empty(), "{words}: {:?}", studio.between.seen());
    }
    Ok(())
}

/// Two painters, a pool and a catalogue.
pub(crate) async fn seeded(studio: &Studio) -> Result<()> {
    let key = &studio.services.keys().private_pem;
    let outputs = studio.services.outputs();
    let signer = Signer::new(key, outputs.get("TokenIssuer")?, outputs.get("TokenAudience")?)?;
    let store = &studio.store;
    for (user, name) in [("mara", "Mara"), ("noor", "Noor")] {
        let wanted = seed::Seed {
            team: TeamId::new("studio"),
            user: UserId::new(user),
            name: name.to_owned(),
            role: Role::Painter,
            pool: PoolId::new("default"),
            limits: Limits::default(),
            credits: Account::CREDITS,
            catalog: seed::default_catalog()?,
            token_life: Duration::from_hours(1),
        };
        seed::seed(store, &signer, &wanted, cloud::now()).await?;
    }
    ensure!(
        !store
            .list(cloud::tables::CatalogOf(CatalogEntry::SHARED))
            .await?
            .is_empty()
    );
    Ok(())
}
