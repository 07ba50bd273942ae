//! Lines in the Embedded Metric Format, read as CloudWatch reads them.

use std::collections::BTreeMap;

use cloud::metrics::{Measured, collect};
use model::{Millis, metrics::TABLE};
use serde_json::Value;

pub(super) const NAMESPACE: &str = "Atelier/x";

/// A series: its metric, and the values of its dimensions.
pub(super) type Series = (String, BTreeMap<String, String>);

/// What one line says. Fails on what CloudWatch would not take, or the table does not have.
pub(super) fn read(line: &str) -> Vec<(Series, Millis, Vec<f64>)> {
    let line: Value = serde_json::from_str(line).unwrap();
    let at = Millis(line["_aws"]["Timestamp"].as_u64().unwrap());
    let mut found = Vec::new();
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        assert_eq!(directive["Namespace"], NAMESPACE);
        let [of] = &directive["Dimensions"].as_array().unwrap()[..] else {
            panic!("{directive}");
        };
        let of = of.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned());
        let of: BTreeMap<_, _> = of
            .map(|it| (it.clone(), line[it].as_str().unwrap().to_owned()))
            .collect();
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            let row = TABLE.iter().find(|row| row.name == name).unwrap();
            assert_eq!(metric["Unit"], row.unit.word(), "{name}");
            assert_eq!(of.len(), row.dimensions.len(), "{name}");
            for dimension in row.dimensions {
                assert!(dimension.has(&of[dimension.word()]), "{name}: {of:?}");
            }
            let values = match &line[name] {
                Value::Array(values) => values.iter().map(|it| it.as_f64().unwrap()).collect(),
                value => vec![value.as_f64().unwrap()],
            };
            found.push(((name.to_owned(), of.clone()), at, values));
        }
    }
    found
}

/// What something measures, each value by itself.
pub(super) async fn values(work: impl Future<Output = ()>, at: Millis) -> Vec<(Series, f64)> {
    let ((), measured): ((), Measured) = collect(work).await;
    let lines = measured.lines(NAMESPACE, at);
    let read = lines.iter().flat_map(|line| read(line));
    read.flat_map(|(series, _, values)| values.into_iter().map(move |value| (series.clone(), value)))
        .collect()
}
