//! With which pool a call begins: where there are more than there is time for, those that were left come first.

use cloud::{Bucket, bucket::BucketError};
use model::PoolId;
use serde::{Deserialize, Serialize};

use crate::keep::{read, write};

/// A call that did not come is forgiven; after it, or after one that was cut off, each is the first in its turn again.
const REMEMBERED: u64 = 2;

/// The pool before which a call stopped.
#[derive(Debug, Serialize, Deserialize)]
struct Left {
    turn: u64,
    pool: PoolId,
}

const fn key(trains: bool) -> &'static str {
    if trains {
        "forecast/train.json"
    } else {
        "forecast/look.json"
    }
}

/// Puts the pools into the order of this turn.
pub(crate) async fn begin(bucket: &Bucket, trains: bool, turn: u64, pools: &mut [PoolId]) -> Result<(), BucketError> {
    if pools.len() < 2 {
        return Ok(());
    }
    let left = read::<Left>(bucket, key(trains)).await?.ok().flatten();
    let left = left.filter(|it| turn.saturating_sub(it.turn) <= REMEMBERED);
    let place = left.and_then(|it| pools.iter().position(|pool| *pool == it.pool));
    let in_turn = usize::try_from(turn % pools.len() as u64).unwrap_or_default();
    pools.rotate_left(place.unwrap_or(in_turn));
    Ok(())
}

/// There is no time for this pool and those behind it.
pub(crate) async fn leave(bucket: &Bucket, trains: bool, turn: u64, pool: &PoolId) -> Result<(), BucketError> {
    let pool = pool.clone();
    write(bucket, key(trains), &Left { turn, pool }).await
}
