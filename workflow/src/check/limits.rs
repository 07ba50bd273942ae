//! Numbers within their limits.

use crate::refusal::Refusal;
use std::{fmt::Display, ops::RangeInclusive};

/// A whole number within its limits.
pub(crate) fn number(what: &str, value: i64, limits: RangeInclusive<i64>) -> Result<u32, Refusal> {
    match u32::try_from(value) {
        Ok(number) if limits.contains(&value) => Ok(number),
        _ => Err(outside(what, value, &limits)),
    }
}

/// A number within its limits; infinity and NaN never are.
pub(crate) fn real(what: &str, value: f64, limits: RangeInclusive<f64>) -> Result<f64, Refusal> {
    if limits.contains(&value) {
        return Ok(value);
    }
    let exact = value.to_string();
    let shown = if exact.len() <= 12 {
        exact
    } else {
        format!("{value:.3e}")
    };
    Err(outside(what, shown, &limits))
}

fn outside<T: Display>(what: &str, value: impl Display, limits: &RangeInclusive<T>) -> Refusal {
    Refusal::new(format!(
        "the {what} is {value}, but must be from {} to {}.",
        limits.start(),
        limits.end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_to_their_limits() {
        assert_eq!(number("x", 16, 1..=16), Ok(16));
        assert_eq!(number("x", i64::from(u32::MAX), 0..=i64::from(u32::MAX)), Ok(u32::MAX));
        assert_eq!(
            number("batch", i64::MIN, 1..=16).unwrap_err().to_string(),
            "Validation error: the batch is -9223372036854775808, but must be from 1 to 16."
        );
        assert_eq!(real("x", 1.5, 0.0..=2.0), Ok(1.5));
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, f64::MAX] {
            assert!(real("x", bad, 0.0..=2.0).unwrap_err().to_string().len() < 100);
        }
    }
}
