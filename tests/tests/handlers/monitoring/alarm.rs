//! When CloudWatch raises an alarm, by <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html>:
//! M out of N periods, and what is missing counts as the alarm says. It looks back a little further than N periods where some
//! are missing; that is left out here.

use model::Millis;

use super::template::Alarm;

/// What an alarm says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Fine,
    Raised,
}

impl Alarm {
    /// What it says at this moment of these values.
    pub(super) fn evaluate(&self, values: &[(Millis, f64)], now: Millis) -> State {
        let period = std::time::Duration::from_secs(self.period);
        let breaching = (0..self.periods).filter(|back| {
            let back = u32::try_from(*back).unwrap();
            let (begin, end) = (now - period * (back + 1), now - period * back);
            let inside = values.iter().filter(|(at, _)| begin <= *at && *at < end);
            match self.datapoint(inside.map(|(_, value)| *value).collect()) {
                Some(point) => self.breaches(point),
                None => self.missing == "breaching",
            }
        });
        if breaching.count() >= self.datapoints {
            State::Raised
        } else {
            State::Fine
        }
    }

    /// Whether it is raised at any minute up to this moment.
    pub(super) fn is_raised_by(&self, values: &[(Millis, f64)], from: Millis, until: Millis) -> bool {
        let minute = std::time::Duration::from_mins(1);
        let mut at = from;
        while at <= until {
            if self.evaluate(values, at) == State::Raised {
                return true;
            }
            at = at + minute;
        }
        false
    }

    fn breaches(&self, point: f64) -> bool {
        match self.operator.as_str() {
            "GreaterThanThreshold" => point > self.threshold,
            "GreaterThanOrEqualToThreshold" => point >= self.threshold,
            other => panic!("{other} is not used"),
        }
    }

    /// The statistic of a period; none where nothing is said of it.
    fn datapoint(&self, mut values: Vec<f64>) -> Option<f64> {
        values.sort_by(f64::total_cmp);
        let last = *values.last()?;
        match self.statistic.as_str() {
            "Sum" => Some(values.iter().sum()),
            "Maximum" => Some(last),
            percentile => {
                let share = percentile.strip_prefix('p').unwrap().parse::<f64>().unwrap() / 100.0;
                // The least number of values, where few are ignored.
                let least = 10.0 / (1.0 - share).min(share);
                if self.low_samples.as_deref() == Some("ignore") && (values.len() as f64) < least - 1e-6 {
                    return None;
                }
                let rank = (share * values.len() as f64).ceil() as usize;
                Some(values[rank.clamp(1, values.len()) - 1])
            }
        }
    }
}
