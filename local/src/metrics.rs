//! What the functions of a run have measured, as a page: the emulator makes no metrics of their lines, and has no dashboard.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context, Result};
use model::metrics::TABLE;
use serde_json::Value;

/// The values of one series, each with its moment, milliseconds since the epoch.
pub type Points = Vec<(u64, f64)>;

/// Each series of these lines of logs, by metric and the values of its dimensions.
pub fn read(lines: &[String]) -> Result<BTreeMap<(String, Vec<String>), Points>> {
    let mut found: BTreeMap<_, Points> = BTreeMap::new();
    for text in lines.iter().filter(|it| it.contains("\"CloudWatchMetrics\"")) {
        let broken = || format!("no line of metrics: {text}");
        let line: Value = serde_json::from_str(text).with_context(broken)?;
        let at = line["_aws"]["Timestamp"].as_u64().with_context(broken)?;
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
            let of = directive["Dimensions"][0].as_array().with_context(broken)?.iter();
            let of: Option<Vec<_>> = of.map(|it| Some(line[it.as_str()?].as_str()?.to_owned())).collect();
            let of = of.with_context(broken)?;
            for metric in directive["Metrics"].as_array().into_iter().flatten() {
                let name = metric["Name"].as_str().with_context(broken)?;
                let values = match &line[name] {
                    Value::Array(values) => values.iter().filter_map(Value::as_f64).collect(),
                    value => vec![value.as_f64().with_context(broken)?],
                };
                let points = found.entry((name.to_owned(), of.clone())).or_default();
                points.extend(values.into_iter().map(|value| (at, value)));
            }
        }
    }
    for points in found.values_mut() {
        points.sort_by_key(|(at, _)| *at);
    }
    Ok(found)
}

const HEAD: &str = "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>What this run measured</title><style>\
body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;margin:.5rem 0 1rem}td,th{padding:.15rem .75rem;text-align:right;border-bottom:1px solid #ccc}\
td:first-child,th:first-child{text-align:left}svg{width:100%;height:5rem;border-bottom:1px solid #888}</style>\
<h1>What this run measured</h1>";

/// Width and height of a picture of a series.
const SIZE: (f64, f64) = (900.0, 80.0);

/// The page: each metric of the table that has values, its series as a picture and in numbers.
pub fn page(lines: &[String]) -> Result<String> {
    let found = read(lines)?;
    let times = || found.values().flatten().map(|(at, _)| *at);
    let (begin, end) = (times().min().unwrap_or(0), times().max().unwrap_or(1));
    let mut page = HEAD.to_owned();
    for row in TABLE {
        let series: Vec<_> = found.iter().filter(|((name, _), _)| name == row.name).collect();
        if series.is_empty() {
            continue;
        }
        write!(page, "<h2>{}</h2><p>{}</p>", row.name, plain(row.meaning))?;
        for ((_, _), points) in &series {
            page.push_str(&picture(points, begin, end.max(begin + 1)));
        }
        write!(
            page,
            "<table><tr><th>series<th>values<th>least<th>mean<th>most<th>sum, {}</tr>",
            row.unit.word()
        )?;
        for ((_, of), points) in series {
            let values = || points.iter().map(|(_, value)| *value);
            let sum: f64 = values().sum();
            let (least, most) = values().fold((f64::MAX, f64::MIN), |(least, most), it| (least.min(it), most.max(it)));
            write!(
                page,
                "<tr><td>{}<td>{}<td>{least:.3}<td>{:.3}<td>{most:.3}<td>{sum:.3}</tr>",
                plain(&of.join(", ")),
                points.len(),
                sum / points.len() as f64
            )?;
        }
        page.push_str("</table>");
    }
    Ok(page)
}

/// Each value as a line from the bottom, at its time.
fn picture(points: &Points, begin: u64, end: u64) -> String {
    let most = points.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let mut drawn = format!(
        "<svg viewBox=\"0 0 {} {}\" aria-hidden=\"true\" preserveAspectRatio=\"none\">",
        SIZE.0, SIZE.1
    );
    for (at, value) in points {
        let x = (at - begin) as f64 / (end - begin) as f64 * (SIZE.0 - 8.0) + 4.0;
        let top = SIZE.1 - value / most * (SIZE.1 - 8.0);
        // Writing to a text cannot fail.
        let _ = write!(
            drawn,
            "<path d=\"M{x:.1} {}V{top:.1}\" stroke=\"#1f5fbf\" stroke-width=\"3\"/>",
            SIZE.1
        );
    }
    drawn + "</svg>"
}

fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('`', "")
}

#[cfg(test)]
mod tests {
    use cloud::metrics::{collect, note};
    use model::{
        Millis,
        metrics::{QUEUE_LENGTH, TASK_WAIT},
    };

    use super::*;

    async fn lines() -> Vec<String> {
        let mut lines = vec!["{\"message\":\"tick\"}".to_owned()];
        for minute in 0..3_u32 {
            let work = async {
                note(
                    [
                        QUEUE_LENGTH.sample(["<main>"], f64::from(minute)),
                        TASK_WAIT.of(5.0),
                        TASK_WAIT.of(7.0),
                    ],
                    &[],
                );
            };
            let ((), measured) = collect(work).await;
            lines.extend(measured.lines("Atelier/test", Millis(60_000 * u64::from(minute))));
        }
        lines
    }

    #[tokio::test]
    async fn what_was_written_is_read_and_drawn() {
        let lines = lines().await;
        let found = read(&lines).unwrap();
        let queue = &found[&("QueueLength".to_owned(), vec!["<main>".to_owned()])];
        assert_eq!(queue[..], [(0, 0.0), (60_000, 1.0), (120_000, 2.0)]);
        let page = page(&lines).unwrap();
        assert_eq!((page.matches("<svg").count(), page.matches("<path").count()), (2, 9));
        assert!(
            page.contains("<td>&lt;main><td>3<td>0.000<td>1.000<td>2.000<td>3.000"),
            "{page}"
        );
        assert!(!page.contains("BreakerOpen"));
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for broken in ["\"CloudWatchMetrics\"", "{\"_aws\":{\"CloudWatchMetrics\":[]}}"] {
            assert!(read(&[broken.to_owned()]).unwrap_err().to_string().contains(broken));
        }
    }
}
