//! Who gets in.

use std::time::Duration;

use anyhow::{Result, ensure};
use cloud::{
    StoreError, Write,
    tables::{CatalogOf, ClassOf, Id, InvitationOf, PresenceIn},
    token::Signer,
};
use model::{Millis, Role, TaskId, TeamId, UserId, Worker, WorkerId};

use crate::studio::{Studio, small};

pub(crate) async fn tokens(studio: Studio) -> Result<()> {
    let hour = Duration::from_hours(1);
    let (now, team) = (cloud::now(), TeamId::new("team"));
    let user = format!("painter-of-{}", studio.pool);
    let signer = studio.stack.signer();
    let keys = ops::keys::generate()?;
    let issuer = studio.stack.outputs().get("TokenIssuer")?;
    let stranger = Signer::new(&keys.private_pem, issuer, signer.audience())?;
    let refused = [
        (
            "expired",
            signer.user(&user, &team, Role::Painter, Millis(now.0 - 7_200_000), hour)?,
        ),
        (
            "wrong audience",
            studio
                .stack
                .signer_for("another-studio")?
                .user(&user, &team, Role::Painter, now, hour)?,
        ),
        ("another key", stranger.user(&user, &team, Role::Painter, now, hour)?),
        (
            "no such account",
            signer.user("nobody", &team, Role::Painter, now, hour)?,
        ),
        ("garbage", "garbage".to_owned()),
    ];
    for (what, token) in refused {
        let answer = studio.painter.with_token(token).call("GET", "user", None).await?;
        ensure!(answer.status == 401, "{what}: {answer:?}");
        ensure!(
            answer.body["error"]
                .as_str()
                .is_some_and(|text| text.contains("sign in")),
            "{what}: {answer:?}"
        );
        ensure!(answer.content_type == "application/json", "{what}: {answer:?}");
    }
    // API Gateway answers by itself when there is no Authorization header at all.
    let answer = studio.painter.with_token("").call("GET", "user", None).await?;
    ensure!(answer.status == 401, "missing: {answer:?}");

    let mut worker = Worker::launching(WorkerId::new("w-nobody"), studio.pool.clone(), now);
    let stranger = studio.painter.with_token(signer.worker(&worker, now, hour)?);
    let answer = stranger.call("POST", "generate", Some("{}".to_owned())).await?;
    ensure!(answer.status == 401, "nobody knows that worker: {answer:?}");
    worker.generation = 1;
    studio.stack.store().commit([Write::put(&mut worker)?]).await?;
    let worker = signer.worker(&worker, now, hour)?;
    let answer = studio
        .painter
        .with_token(worker.clone())
        .call("POST", "generate", Some("{}".to_owned()))
        .await?;
    ensure!(
        answer.status == 403 && answer.body["error"].is_string(),
        "a worker may not paint: {answer:?}"
    );
    let answer = studio
        .painter
        .call("POST", "workers/w-nobody/claim", Some("{}".to_owned()))
        .await?;
    ensure!(
        answer.status == 403 && answer.body["error"].is_string(),
        "a painter may not claim: {answer:?}"
    );
    let answer = studio
        .painter
        .with_token(worker)
        .call("POST", "workers/w-other/claim", Some("{}".to_owned()))
        .await?;
    ensure!(answer.status == 403, "a worker spoke for another: {answer:?}");
    let answer = studio
        .painter
        .call(
            "POST",
            "workers/register",
            Some(r#"{"proof":{},"protocol":1}"#.to_owned()),
        )
        .await?;
    ensure!(answer.status == 403, "registered without a proof: {answer:?}");
    Ok(())
}

/// Another painter's task does not exist, whatever one asks.
pub(crate) async fn other_painters(studio: Studio) -> Result<()> {
    let task = studio.painter.submit(&small(2, 1)?).await?;
    let other = studio.stack.seed("somebody-else", studio.pool.as_str()).await?.painter;
    let pool = &studio.pool;
    for (method, path) in [
        ("POST", format!("status/{task}")),
        ("GET", format!("tasks/{task}")),
        ("POST", format!("cancel/{pool}/{task}")),
    ] {
        let answer = other.call(method, &path, None).await?;
        ensure!(
            answer.status == 404 && answer.body["error"].is_string(),
            "{path}: {answer:?}"
        );
    }
    let answer = studio.painter.call("POST", "status/not-a-task", None).await?;
    ensure!(answer.status == 404, "{answer:?}");
    studio.finish(task).await?;
    Ok(())
}

/// GPU hosts run other people's code: their role can do nothing. It also shows that the emulator does check policies.
pub(crate) async fn workers_hold_no_keys(studio: Studio) -> Result<()> {
    let (own, theirs) = (studio.stack.store(), studio.stack.store_of_an_instance().await?);
    ensure!(own.get(&studio.pool).await?.is_some(), "the pool is not there");
    forbidden("an instance's role reads tables", theirs.get(&studio.pool).await)
}

pub(crate) async fn functions_reach_only_their_keys(studio: Studio) -> Result<()> {
    let of = async |function: &str| studio.stack.store_of_function(function).await;
    let user = UserId::new(format!("painter-of-{}", studio.pool));
    let invitation = InvitationOf("nothing".to_owned());
    let (generate, account) = (of("GenerateFunction").await?, of("AccountFunction").await?);
    ensure!(
        generate.get(&user).await?.is_some(),
        "generate does not read who paints"
    );
    forbidden("generate reads invitations", generate.get(&invitation).await)?;
    ensure!(account.get(&invitation).await?.is_none(), "there is an invitation");
    forbidden(
        "dispatch reads accounts",
        of("DispatchFunction").await?.get(&user).await,
    )?;
    forbidden(
        "idle-reaper reads tasks",
        of("IdleReaperFunction")
            .await?
            .get(&TaskId::new(uuid::Uuid::now_v7()))
            .await,
    )?;
    let presence = of("IdleReaperFunction").await?.list(PresenceIn(&studio.pool)).await;
    ensure!(presence.is_ok(), "idle-reaper does not see who is there: {presence:?}");
    let catalogue = of("ClaimFunction").await?.list(CatalogOf(studio.pool.as_str())).await;
    ensure!(catalogue.is_ok(), "claim does not see a team's models: {catalogue:?}");
    let studio_page = of("StudioFunction").await?;
    let both = studio_page.get_all(&[user.clone(), UserId::new("nobody")]).await?;
    ensure!(
        both[0].is_some() && both[1].is_none(),
        "the studio's page does not see who paints: {both:?}"
    );
    forbidden(
        "the studio's page reads invitations",
        studio_page.get(&invitation).await,
    )?;
    // So is each key of a call that reads many.
    let keys = [user.key(), ClassOf(TeamId::new("nobodys")).key()];
    ensure!(
        generate.ahead(keys).await?.get(&user).await?.is_some(),
        "generate does not read ahead who paints"
    );
    forbidden(
        "generate reads invitations among others",
        generate.ahead([user.key(), invitation.key()]).await,
    )?;
    // Each part of a transaction is looked at by itself.
    let mut usage = accounts::usage(&generate, &user, cloud::now()).await?;
    let Some(mut who) = generate.get(&user).await? else {
        anyhow::bail!("the account is gone")
    };
    let both = [Write::put(&mut usage)?, Write::put(&mut who)?];
    forbidden("generate writes accounts", generate.commit(both).await)?;
    forbidden(
        "account writes what was used",
        account.commit([Write::put(&mut usage)?]).await,
    )
}

fn forbidden<T>(what: &str, answer: Result<T, StoreError>) -> Result<()> {
    let Err(error) = answer else { anyhow::bail!("{what}") };
    let error = cloud::chain(&error);
    ensure!(
        error.contains("AccessDenied") || error.contains("not authorized"),
        "{what}, or it was refused for another reason: {error}"
    );
    Ok(())
}
