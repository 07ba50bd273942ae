//! What a function measures, in CloudWatch's Embedded Metric Format: a line of its log for each invocation, of which CloudWatch
//! makes metrics by itself. No call is made, and nobody waits.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! Written by hand: `metrics_cloudwatch_embedded` keeps one recorder for the process, in which tests would meet, and takes names
//! and dimensions as text; `metrique` has a struct for each kind of line. Here the table of [`model::metrics`] is what can be sent,
//! from wherever a value is known.

use std::{cell::RefCell, collections::BTreeMap, fmt::Display, io::Write as _, sync::OnceLock};

use model::{
    Millis,
    metrics::{Row, Sample, VALUES_DROPPED},
};
use serde_json::{Map, Value, json};

/// Most values of one metric in a line.
const VALUES: usize = 100;
/// Most bytes kept of a property: a line has at most a megabyte, and what somebody else said may be in it.
const PROPERTY: usize = 200;

/// Variable with the namespace of a stack's metrics. Without it nothing is written.
const NAMESPACE: &str = "METRICS_NAMESPACE";

static OWN: OnceLock<Option<String>> = OnceLock::new();

tokio::task_local! {
    static HELD: RefCell<Measured>;
}

/// What one invocation has measured.
#[derive(Debug, Default)]
pub struct Measured {
    lines: Vec<Line>,
    dropped: u32,
}

#[derive(Debug, Default)]
struct Line {
    properties: Vec<(&'static str, String)>,
    dimensions: BTreeMap<&'static str, String>,
    values: BTreeMap<&'static str, (&'static Row, Vec<f64>)>,
}

impl Line {
    fn fits(&self, properties: &[(&'static str, String)], sample: &Sample) -> bool {
        let same = |(name, value): (&'static str, &String)| self.dimensions.get(name).is_none_or(|it| it == value);
        self.properties == properties
            && dimensions(sample).all(same)
            && self.values.get(sample.row.name).is_none_or(|(_, it)| it.len() < VALUES)
    }

    fn take(&mut self, sample: &Sample) {
        for (name, value) in dimensions(sample) {
            self.dimensions.insert(name, value.clone());
        }
        let (_, values) = self.values.entry(sample.row.name).or_insert((sample.row, Vec::new()));
        values.push(sample.value);
    }

    fn text(self, namespace: &str, at: Millis) -> String {
        let mut directives: BTreeMap<Vec<&str>, Vec<Value>> = BTreeMap::new();
        let mut root = Map::new();
        for (name, (row, values)) in self.values {
            let of = row.dimensions.iter().map(|it| it.word()).collect();
            let metric = json!({ "Name": name, "Unit": row.unit.word() });
            directives.entry(of).or_default().push(metric);
            let value = match values[..] {
                [value] => value.into(),
                _ => values.into(),
            };
            root.insert(name.to_owned(), value);
        }
        let directives: Vec<_> = directives
            .into_iter()
            .map(|(of, metrics)| json!({ "Namespace": namespace, "Dimensions": [of], "Metrics": metrics }))
            .collect();
        let properties = self.properties.into_iter().chain(self.dimensions);
        root.extend(properties.map(|(name, value)| (name.to_owned(), value.into())));
        root.insert(
            "_aws".to_owned(),
            json!({ "Timestamp": at.0, "CloudWatchMetrics": directives }),
        );
        Value::Object(root).to_string()
    }
}

fn dimensions(sample: &Sample) -> impl Iterator<Item = (&'static str, &String)> {
    sample.row.dimensions.iter().map(|it| it.word()).zip(&sample.of)
}

impl Measured {
    fn take(&mut self, sample: &Sample, properties: &[(&'static str, String)]) {
        if !sample.is_sound() {
            self.dropped += 1;
            return;
        }
        if let Some(line) = self.lines.iter_mut().find(|line| line.fits(properties, sample)) {
            line.take(sample);
            return;
        }
        let mut line = Line {
            properties: properties.to_vec(),
            ..Line::default()
        };
        line.take(sample);
        self.lines.push(line);
    }

    /// The lines, of this namespace and moment.
    pub fn lines(mut self, namespace: &str, at: Millis) -> Vec<String> {
        if self.dropped > 0 {
            let dropped = f64::from(std::mem::take(&mut self.dropped));
            self.take(&VALUES_DROPPED.of(dropped), &[]);
        }
        self.lines.into_iter().map(|line| line.text(namespace, at)).collect()
    }
}

/// Notes values for the invocation that is being [measured](collect), with properties that tell them apart in the log and make
/// no series. Outside of one nobody wants them.
pub fn note(samples: impl IntoIterator<Item = Sample>, properties: &[(&'static str, &dyn Display)]) {
    let short = |value: &dyn Display| {
        let mut text = value.to_string();
        crate::cut(&mut text, PROPERTY);
        text
    };
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return;
    }
    let _ = HELD.try_with(|held| {
        let properties: Vec<_> = properties.iter().map(|(name, value)| (*name, short(*value))).collect();
        let mut held = held.borrow_mut();
        for sample in samples {
            held.take(&sample, &properties);
        }
    });
}

/// Does something, and says what it has measured.
pub async fn collect<T>(work: impl Future<Output = T>) -> (T, Measured) {
    let measured = async {
        let done = work.await;
        (done, HELD.with(RefCell::take))
    };
    HELD.scope(RefCell::default(), measured).await
}

/// Does what an invocation asks for, and writes what it has measured to the function's log.
pub fn measured<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    // Handlers are large, and each layer around one would be as large again.
    let work = Box::pin(work);
    async move {
        let Some(namespace) = OWN.get().and_then(Option::as_deref) else {
            return work.await;
        };
        let (done, measured) = collect(work).await;
        let mut text = measured.lines(namespace, crate::now()).join("\n");
        if !text.is_empty() {
            text.push('\n');
            // Whoever reads no log reads no metric.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
        }
        done
    }
}

/// Reads the namespace.
pub(crate) fn init() {
    OWN.get_or_init(|| crate::config::process_env().optional(NAMESPACE));
}

#[cfg(test)]
mod tests {
    use model::metrics::{QUEUE_LENGTH, RETRIES, SUBMITS, TABLE, TASK_WAIT, TASKS, WORKERS};

    use super::*;

    async fn lines(samples: Vec<Sample>) -> Vec<Value> {
        let ((), measured) = collect(async { note(samples, &[("task.id", &"t")]) }).await;
        let lines = measured.lines("Atelier/test", Millis(7)).into_iter();
        lines.map(|it| serde_json::from_str(&it).unwrap()).collect()
    }

    #[tokio::test]
    async fn what_is_of_one_kind_is_one_line() {
        let samples = vec![
            TASKS.sample(["succeeded"], 1.0),
            TASK_WAIT.of(12.5),
            TASK_WAIT.of(8.0),
            QUEUE_LENGTH.sample(["main"], 3.0),
        ];
        let directive = |of: &[&str], metrics: Value| json!({ "Namespace": "Atelier/test", "Dimensions": [of], "Metrics": metrics });
        let wanted = json!({
            "_aws": { "Timestamp": 7, "CloudWatchMetrics": [
                directive(&[], json!([{ "Name": "TaskWait", "Unit": "Milliseconds" }])),
                directive(&["Outcome"], json!([{ "Name": "Tasks", "Unit": "Count" }])),
                directive(&["Pool"], json!([{ "Name": "QueueLength", "Unit": "Count" }])),
            ] },
            "TaskWait": [12.5, 8.0],
            "Tasks": 1.0,
            "Outcome": "succeeded",
            "QueueLength": 3.0,
            "Pool": "main",
            "task.id": "t",
        });
        assert_eq!(lines(samples).await, [wanted]);
    }

    #[tokio::test]
    async fn two_series_of_a_metric_are_two_lines_and_nothing_is_lost() {
        let found = lines(vec![
            WORKERS.sample(["main", "ready"], 1.0),
            WORKERS.sample(["main", "busy"], 2.0),
            SUBMITS.of(1.0),
        ]);
        let found = found.await;
        assert_eq!(found.len(), 2, "{found:?}");
        let many = lines((0..250).map(|it| TASK_WAIT.of(f64::from(it))).collect()).await;
        let lengths: Vec<_> = many.iter().map(|it| it["TaskWait"].as_array().unwrap().len()).collect();
        assert_eq!(lengths, [100, 100, 50]);
    }

    #[tokio::test]
    async fn what_is_no_number_is_dropped_and_counted() {
        let found = lines(vec![
            TASK_WAIT.of(f64::NAN),
            TASK_WAIT.of(f64::NEG_INFINITY),
            TASK_WAIT.of(-1.0),
            TASKS.sample(["lost"], 1.0),
            QUEUE_LENGTH.sample(["a\nb"], 1.0),
            QUEUE_LENGTH.sample([&"x".repeat(2000)], 1.0),
        ]);
        let found = found.await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0]["ValuesDropped"], 6.0);
        assert!(lines(Vec::new()).await.is_empty());
    }

    /// CloudWatch takes 100 metrics, 30 dimensions and a megabyte in a line.
    #[tokio::test]
    async fn a_line_keeps_to_cloudwatch_s_limits() {
        assert!(TABLE.len() <= 100);
        let all: Vec<_> = TABLE
            .iter()
            .flat_map(|row| {
                let of = row.dimensions.iter();
                let of: Vec<_> = of
                    .map(|it| it.values().map_or("main", |values| values[0]).to_owned())
                    .collect();
                let sample = Sample {
                    row,
                    of,
                    value: 1.0 / 3.0,
                };
                std::iter::repeat_n(sample, 150)
            })
            .collect();
        for line in lines(all).await {
            let metrics = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
            let names: usize = metrics.iter().map(|it| it["Metrics"].as_array().unwrap().len()).sum();
            assert!(names <= TABLE.len() && metrics.len() <= 30);
            // Lambda cuts lines of its log at 256 KiB.
            assert!(line.to_string().len() < 256 * 1024);
        }
        let long = "x".repeat(100_000);
        let ((), measured) = collect(async { note([RETRIES.of(1.0)], &[("why", &long)]) }).await;
        assert!(measured.lines("n", Millis(0))[0].len() < 1000);
    }

    #[test]
    fn outside_of_an_invocation_nobody_counts() {
        note([RETRIES.of(1.0)], &[]);
    }
}
