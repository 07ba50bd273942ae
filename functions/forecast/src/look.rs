//! Every five minutes: what the next hour will ask for.

use cloud::{Cloud, StoreError, Write, metrics, on_conflict, tables::ForecastOf};
use forecast::{
    DAY, Record, Saved, SavedError, Series, Trial, began, checksum, members, next_hour, nothing, say, slot,
};
use model::{
    HourForecast, Millis, NextHour, PoolId,
    metrics::{FORECAST_COVERAGE, FORECAST_LOSS, FORECASTS_DAMAGED},
};
use policy::demand::of_hour;
use tracing::{error, info};

use crate::{
    ForecastError,
    history::{History, Kept, counted, oldest},
    keep::{Found, Learned, Said, read, write},
    key,
    train::SEED,
};

pub(crate) async fn look(cloud: &Cloud, pool: &PoolId, now: Millis) -> Result<(), ForecastError> {
    let (learned_key, said_key) = (key(pool, Learned::NAME), key(pool, Said::NAME));
    let (learned, said): (Found<Learned>, Found<Said>) =
        tokio::try_join!(read(&cloud.bucket, &learned_key), read(&cloud.bucket, &said_key))?;
    let mut fault = learned.as_ref().err().or(said.as_ref().err()).cloned();
    let (learned, said) = (learned.ok().flatten(), said.ok().flatten().unwrap_or_default());
    let at = slot(now);
    // What was learned while a clock was ahead knows nothing of what came since.
    let since = learned
        .as_ref()
        .map_or(oldest(at), |it| it.slot().min(at).saturating_sub(DAY as u64));
    let counts = counted(&cloud.store, pool, since, at).await?;
    let lately: Vec<Kept> = counts.iter().map(Kept::from).collect();
    let history = History::of(learned.as_ref().map_or(&[], |it| &it.counts), &lately, at);
    let (arrivals, gpu_s) = (&history.arrivals.series, &history.gpu_s.series);
    let mut hour = nothing(now);
    // Without anything learned nobody can be judged, and of a pool that nobody asks nothing can be learned.
    if let Some(learned) = learned.as_ref().filter(|_| !arrivals.is_empty()) {
        let first = trial(&learned.arrivals, &said.arrivals, arrivals);
        match first.and_then(|first| Ok((first, trial(&learned.gpu_s, &said.gpu_s, gpu_s)?))) {
            Ok((mut first, mut second)) => {
                let says = (say(&mut first, arrivals, true), say(&mut second, gpu_s, true));
                if fault.is_none() {
                    hour = next_hour(&says.0, &says.1, now);
                }
                let said = Said {
                    arrivals: first.record(arrivals.first()),
                    gpu_s: second.record(gpu_s.first()),
                };
                write(&cloud.bucket, &said_key, &said).await?;
            }
            Err(problem) => fault = fault.or(Some(problem.to_string())),
        }
    }
    if let Some(fault) = &fault {
        error!(%pool, fault, "there is no forecast");
        metrics::note([FORECASTS_DAMAGED.of(1.0)], &[("pool", pool)]);
    }
    hour.fault = fault;
    hour.models = of_hour(&counts, began(at));
    hour.learned = learned.as_ref().map(|it| began(it.slot()));
    hour.disbelieved = history.disbelieved() as u64;
    info!(
        %pool,
        acting = hour.acting,
        arrivals.p50 = hour.arrivals.p50,
        arrivals.p90 = hour.arrivals.p90,
        gpu_s.p90 = hour.gpu_s.p90,
        "forecast"
    );
    measure(pool, &hour);
    Ok(publish(cloud, pool, &hour).await?)
}

/// The members with what they know, and what is known of them.
fn trial(saved: &Saved, record: &Record, series: &Series) -> Result<Trial, SavedError> {
    let mut all = members(SEED);
    saved.restore(&mut all)?;
    Ok(Trial::resume(all, record, series.first()))
}

fn measure(pool: &PoolId, hour: &NextHour) {
    let acting = hour.judged.iter().find(|it| Some(&it.member) == hour.acting.as_ref());
    if let Some(acting) = acting {
        let samples = [
            FORECAST_LOSS.sample([pool.as_str()], acting.loss),
            FORECAST_COVERAGE.sample([pool.as_str()], acting.coverage * 100.0),
        ];
        metrics::note(samples, &[]);
    }
}

async fn publish(cloud: &Cloud, pool: &PoolId, hour: &NextHour) -> Result<(), StoreError> {
    let id = ForecastOf(pool.clone());
    on_conflict!({
        let version = cloud.store.get(&id).await?.map_or(0, |it| it.version);
        let mut said = HourForecast {
            pool: pool.clone(),
            version,
            form: HourForecast::FORM,
            sha256: checksum(hour),
            hour: hour.clone(),
        };
        cloud.store.commit([Write::put(&mut said)?]).await
    })
}
