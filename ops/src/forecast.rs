//! What is expected of the next hour, and who says so.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use cloud::{
    Store,
    tables::{AllPools, ForecastOf},
};
use model::{Band, HourForecast, Judged, Millis, Pool, PoolId};

/// `ops forecast`: of one pool, or of all.
///
/// # Errors
/// There is no such pool, or the tables cannot be read.
pub async fn run(store: &Store, pool: Option<&PoolId>, json: bool, now: Millis) -> Result<String> {
    let pools = match pool {
        Some(pool) => {
            let known = store.get(pool).await?.is_some();
            ensure!(known, "there is no pool {pool}; `ops pool list` shows which there are");
            vec![pool.clone()]
        }
        None => store.get(&AllPools).await?.map(|it| it.pools).unwrap_or_default(),
    };
    let (mut text, mut all) = (String::new(), Vec::new());
    for pool in pools {
        let (said, pool_item) = (store.get(&ForecastOf(pool.clone())).await?, store.get(&pool).await?);
        if json {
            all.push(serde_json::json!({
                "pool": pool,
                "forecast": said.map(|it| it.hour),
                "believed": pool_item.and_then(|it| it.forecast),
            }));
        } else {
            text += &table(&pool, said.as_ref(), pool_item.as_ref(), now)?;
        }
    }
    if json {
        return Ok(serde_json::to_string_pretty(&all)? + "\n");
    }
    Ok(text)
}

fn table(pool: &PoolId, said: Option<&HourForecast>, item: Option<&Pool>, now: Millis) -> Result<String> {
    let mut text = format!("pool {pool}\n");
    let Some(HourForecast { hour, .. }) = said else {
        writeln!(
            text,
            "  nothing was forecast yet: the function `forecast` does it every five minutes"
        )?;
        return Ok(text);
    };
    if now >= hour.until {
        writeln!(text, "  out of date: made for {}", hour.from.written())?;
    }
    if let Some(fault) = &hour.fault {
        writeln!(text, "  none: {fault}")?;
    }
    match &hour.acting {
        Some(acting) => writeln!(
            text,
            "  acting     {acting}; {} for GPU time",
            hour.acting_gpu.as_deref().unwrap_or("nobody")
        )?,
        None => writeln!(text, "  acting     nobody: that takes three days of evidence")?,
    }
    if let Some(learned) = hour.learned {
        writeln!(text, "  learned    {}", learned.written())?;
    }
    writeln!(
        text,
        "  next hour  from {}: {} pictures, {} GPU seconds",
        hour.from.written(),
        band(hour.arrivals),
        band(hour.gpu_s)
    )?;
    if let Some(believed) = item.and_then(|it| it.forecast) {
        let minutes = believed.credit_ms / 60_000;
        writeln!(text, "  keeps up   {} workers; credit {minutes} min", believed.workers)?;
    }
    if !hour.models.is_empty() {
        writeln!(text, "  models     {}", hour.models.join(", "))?;
    }
    if hour.disbelieved > 0 {
        writeln!(text, "  left out   {} counts that cannot be believed", hour.disbelieved)?;
    }
    for (what, judged) in [("pictures", &hour.judged), ("GPU seconds", &hour.judged_gpu)] {
        if judged.iter().any(|it| it.forecasts > 0) {
            writeln!(
                text,
                "  {what:<18}{:>10}{:>10}{:>10}{:>11}",
                "loss", "error", "coverage", "forecasts"
            )?;
            for Judged {
                member,
                loss,
                error,
                coverage,
                forecasts,
            } in judged
            {
                writeln!(
                    text,
                    "    {member:<16}{loss:>10.3}{error:>10.2}{coverage:>10.3}{forecasts:>11}"
                )?;
            }
        }
    }
    Ok(text)
}

/// The median and the ninth of ten.
fn band(it: Band) -> String {
    format!("{:.1} (nine of ten: {:.1})", it.p50, it.p90)
}
