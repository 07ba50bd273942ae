//! Alarms and dashboard as the template has them, held against what is declared. Read as lines: each alarm is a block of its
//! own, and the dashboard is JSON.

use std::{collections::BTreeSet, fs};

use model::metrics::TABLE;
use serde_json::Value;

use super::emf::NAMESPACE;
use crate::support::workspace;

/// AWS's own metrics that are looked at, with their dimensions, which it names.
const AWS_OWN: [(&str, &str, &[&str]); 7] = [
    ("AWS/Lambda", "Errors", &["FunctionName"]),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", &["QueueName"]),
    ("AWS/ApiGateway", "5xx", &["ApiId"]),
    ("AWS/ApiGateway", "Count", &["ApiId"]),
    ("AWS/S3", "BucketSizeBytes", &["BucketName", "StorageType"]),
    ("AWS/EFS", "MeteredIOBytes", &["FileSystemId"]),
    ("AWS/EFS", "DataReadIOBytes", &["FileSystemId"]),
];

#[derive(Debug, Clone)]
pub(super) struct Alarm {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) seen: Seen,
    pub(super) statistic: String,
    pub(super) period: u64,
    pub(super) periods: usize,
    pub(super) datapoints: usize,
    pub(super) operator: String,
    pub(super) threshold: f64,
    pub(super) missing: String,
    pub(super) low_samples: Option<String>,
}

/// A metric that is looked at, and the names and values of its dimensions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) namespace: String,
    pub(super) metric: String,
    pub(super) of: Vec<(String, Option<String>)>,
}

fn template() -> String {
    fs::read_to_string(workspace().join("template.yaml")).unwrap()
}

/// Every alarm.
pub(super) fn alarms() -> Vec<Alarm> {
    let text = template();
    let blocks = text
        .split("\n\n")
        .filter(|it| it.contains("Type: AWS::CloudWatch::Alarm"));
    let alarms: Vec<_> = blocks.map(alarm).collect();
    assert!(alarms.len() >= 11, "the template was not understood: {alarms:?}");
    alarms
}

fn alarm(block: &str) -> Alarm {
    let optional = |name: &str| {
        let line = block
            .lines()
            .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "))?;
        Some(line.split(" #").next()?.trim().to_owned())
    };
    let value = |name: &str| optional(name).unwrap_or_else(|| panic!("no {name} in {block}"));
    let (before, _) = block.split_once(":\n    Type: AWS::CloudWatch::Alarm").unwrap();
    let of = optional("Dimensions").map(|it| {
        let name = it.split("Name: ").nth(1).unwrap().split(',').next().unwrap();
        (name.to_owned(), None)
    });
    assert!(!block.contains("Metrics:"), "the emulator refuses metric math: {block}");
    Alarm {
        name: before.lines().last().unwrap().trim().to_owned(),
        description: value("AlarmDescription"),
        seen: Seen {
            namespace: value("Namespace")
                .replace("!Sub ", "")
                .replace("${AWS::StackName}", "x"),
            metric: value("MetricName"),
            of: of.into_iter().collect(),
        },
        statistic: optional("Statistic").unwrap_or_else(|| value("ExtendedStatistic")),
        period: value("Period").parse().unwrap(),
        periods: value("EvaluationPeriods").parse().unwrap(),
        datapoints: value("DatapointsToAlarm").parse().unwrap(),
        operator: value("ComparisonOperator"),
        threshold: value("Threshold").parse().unwrap(),
        missing: value("TreatMissingData"),
        low_samples: optional("EvaluateLowSampleCountPercentile"),
    }
}

/// The dashboard of a studio whose machines (do not) share models, with an x for each thing that CloudFormation puts in.
fn dashboard(shared_models: bool) -> Value {
    let text = template();
    let (_, body) = text.split_once("DashboardBody: !Sub\n        - |\n").unwrap();
    let (body, variables) = body.split_once("\n        - ").unwrap();
    let (_, widget) = variables
        .split_once("SharedModelsWidget: !If\n            - WithSharedModels\n            - !Sub |-\n")
        .unwrap();
    let (widget, without) = widget.split_once("\n            - ").unwrap();
    assert!(without.starts_with("\"\"\n"), "{without}");
    let body = body.replace("${SharedModelsWidget}", if shared_models { widget } else { "" });
    let mut parts = body.split("${");
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let (_, rest) = part.split_once('}').unwrap();
        plain.push('x');
        plain.push_str(rest);
    }
    serde_json::from_str(&plain).unwrap()
}

/// Every metric on the dashboard.
fn shown(dashboard: &Value) -> Vec<Seen> {
    let widgets = dashboard["widgets"].as_array().unwrap().iter();
    let metrics = widgets
        .filter_map(|it| it["properties"]["metrics"].as_array())
        .flatten();
    metrics.map(|it| seen(it.as_array().unwrap())).collect()
}

fn seen(metric: &[Value]) -> Seen {
    if let Some(search) = metric[0]["expression"].as_str() {
        let (_, rest) = search.split_once('{').unwrap();
        let (schema, rest) = rest.split_once('}').unwrap();
        let mut schema = schema.split(',').map(|it| it.trim_matches('"').to_owned());
        let metric = rest.split("MetricName=\"").nth(1).unwrap().split('"').next().unwrap();
        return Seen {
            namespace: schema.next().unwrap(),
            metric: metric.to_owned(),
            of: schema.map(|it| (it, None)).collect(),
        };
    }
    let texts: Vec<_> = metric.iter().map_while(Value::as_str).map(str::to_owned).collect();
    let of = texts[2..].chunks(2).map(|it| (it[0].clone(), Some(it[1].clone())));
    Seen {
        namespace: texts[0].clone(),
        metric: texts[1].clone(),
        of: of.collect(),
    }
}

/// Whether there is such a series.
fn check(seen: &Seen) {
    let names: Vec<_> = seen.of.iter().map(|(name, _)| name.as_str()).collect();
    if seen.namespace != NAMESPACE {
        let known = AWS_OWN.iter().any(|(namespace, metric, of)| {
            (*namespace, *metric) == (seen.namespace.as_str(), seen.metric.as_str()) && *of == names
        });
        assert!(known, "AWS has no such metric: {seen:?}");
        return;
    }
    let row = TABLE.iter().find(|row| row.name == seen.metric);
    let row = row.unwrap_or_else(|| panic!("{seen:?} is not declared"));
    let declared: Vec<_> = row.dimensions.iter().map(|it| it.word()).collect();
    assert_eq!(names, declared, "{seen:?}");
    for (dimension, (_, value)) in row.dimensions.iter().zip(&seen.of) {
        assert!(value.as_ref().is_none_or(|it| dimension.has(it)), "{seen:?}");
    }
}

#[test]
fn alarms_and_dashboard_look_at_what_is_declared() {
    let shown = shown(&dashboard(true));
    shown.iter().for_each(check);
    for alarm in alarms() {
        check(&alarm.seen);
    }
    let names: BTreeSet<_> = shown.iter().map(|it| it.metric.as_str()).collect();
    for row in TABLE {
        assert!(names.contains(row.name), "the dashboard does not show {}", row.name);
    }
}

/// Four rows, each with its title, of which none covers another.
#[test]
fn the_dashboard_has_four_rows_and_nothing_lies_on_top_of_another() {
    let dashboard = dashboard(true);
    let widgets = dashboard["widgets"].as_array().unwrap();
    let titles = widgets.iter().filter(|it| it["type"] == "text");
    let titles: Vec<_> = titles
        .map(|it| it["properties"]["markdown"].as_str().unwrap())
        .collect();
    for (title, row) in titles.iter().zip(["Compute", "Storage", "Business", "Health"]) {
        assert!(title.starts_with(&format!("# {row} ")), "{titles:?}");
    }
    assert_eq!(titles.len(), 4);
    let mut taken = BTreeSet::new();
    for widget in widgets {
        let number = |name: &str| widget[name].as_u64().unwrap();
        for x in number("x")..number("x") + number("width") {
            for y in number("y")..number("y") + number("height") {
                assert!(x < 24 && taken.insert((x, y)), "{widget}");
            }
        }
    }
}

/// A studio without a shared file system sees no empty picture of one, and all else.
#[test]
fn the_shared_file_system_is_shown_where_there_is_one() {
    let (with, without) = (shown(&dashboard(true)), shown(&dashboard(false)));
    let efs = |it: &&Seen| it.namespace == "AWS/EFS";
    assert_eq!(
        (with.iter().filter(efs).count(), without.iter().filter(efs).count()),
        (3, 0)
    );
    assert!(with.iter().filter(|it| !efs(it)).eq(&without));
}

/// Whoever is woken by an alarm reads what to do, and where there is more.
#[test]
fn each_alarm_says_what_to_do() {
    let page = fs::read_to_string(workspace().join("docs/monitoring.md")).unwrap();
    let sections: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let named: BTreeSet<_> = alarms().into_iter().map(|alarm| alarm.name).collect();
    for alarm in alarms() {
        let end = format!("docs/monitoring.md, {}.", alarm.name);
        assert!(alarm.description.ends_with(&end), "{}", alarm.description);
        assert!(
            sections.contains(alarm.name.as_str()),
            "docs/monitoring.md has no ### {}",
            alarm.name
        );
    }
    assert_eq!(sections.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), named);
}
