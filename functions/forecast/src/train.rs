//! Once a day: the members learn from what was counted, and days that are over are summed up.

use cloud::{Cloud, StoreError, Write, tables::DemandDaysOf};
use forecast::{Saved, Series, Trial, slot};
use model::{DemandCount, Millis, PoolId};
use policy::count;
use tracing::info;

use crate::{
    ForecastError,
    history::{History, Kept, counted, oldest},
    keep::{Learned, write},
    key,
};

/// Learning begins with the same chance each time.
pub(crate) const SEED: u64 = 1;

pub(crate) async fn train(cloud: &Cloud, pool: &PoolId, now: Millis) -> Result<(), ForecastError> {
    let at = slot(now);
    let counts = counted(&cloud.store, pool, oldest(at), at).await?;
    sum_up(cloud, pool, &counts, now).await?;
    let kept: Vec<Kept> = counts.iter().map(Kept::from).filter(|it| it.0 >= oldest(at)).collect();
    let history = History::of(&kept, &[], at);
    let learn = |series: &Series| {
        let mut trial = Trial::new(SEED);
        trial.learn(series, series.len());
        Saved::of(trial.members(), at)
    };
    let learned = Learned {
        arrivals: learn(&history.arrivals.series),
        gpu_s: learn(&history.gpu_s.series),
        counts: kept,
    };
    // In one piece: whoever is cut off before it leaves the last one.
    write(&cloud.bucket, &key(pool, Learned::NAME), &learned).await?;
    info!(%pool, slots = counts.len(), "the forecasters have learned");
    Ok(())
}

/// Sums of the days that have been over for a day, by when whatever was asked for on them is over, too.
async fn sum_up(cloud: &Cloud, pool: &PoolId, counts: &[DemandCount], now: Millis) -> Result<(), StoreError> {
    let day = std::time::Duration::from_hours(24);
    let last = (now - day).day_began();
    let mut days: Vec<_> = counts
        .iter()
        .map(|it| it.at.day_began())
        .filter(|it| *it < last)
        .collect();
    days.dedup();
    // The oldest may have begun before what was read.
    if let Some(oldest) = days.pop() {
        let known = cloud.store.list(DemandDaysOf(pool, 60)).await?;
        if known.is_empty() {
            days.push(oldest);
        }
        days.retain(|it| known.iter().all(|known| known.at != *it));
    }
    for began in days {
        let mut sum = count::day(counts, began);
        match cloud.store.commit([Write::put(&mut sum)?]).await {
            // Another training was sooner.
            Err(StoreError::Conflict) => {}
            done => done?,
        }
    }
    Ok(())
}
