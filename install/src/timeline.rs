//! What the functions and the machine wrote of a task, as one time line.

use anyhow::{Context, Result};
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use futures_util::future::join_all;
use model::{Millis, Task};
use serde_json::Value;

use crate::aws::{Aws, failed};

/// Clocks differ, and what is told of a task may come before and after it.
const MARGIN: std::time::Duration = std::time::Duration::from_mins(5);
/// Most lines of one log.
const MOST: usize = 500;

struct Line {
    at: Millis,
    /// The log group's name in the template, without `Logs`.
    by: String,
    /// A JSON object, or anything else.
    text: String,
}

/// The lines that name the task, in order of time, and below them the query that finds them in the console. A log that
/// cannot be read is said and takes no other along.
pub async fn of(aws: &Aws, stack: &str, task: &Task, now: Millis) -> Result<String> {
    let resources = aws.resources(stack).await;
    let resources = resources.with_context(|| format!("say which stack it is: --stack (it is not {stack})"))?;
    let logs: Vec<_> = resources.iter().filter(|it| it.kind == "AWS::Logs::LogGroup").collect();
    let (from, until) = (task.created - MARGIN, task.ended_at.unwrap_or(now) + MARGIN);
    let reads = logs.iter().map(async |it| {
        let by = it.logical.trim_end_matches("Logs");
        (by, read(aws, &it.physical, by, task, from, until).await)
    });
    let (mut lines, mut unread) = (Vec::new(), Vec::new());
    for (by, read) in join_all(reads).await {
        match read {
            Ok(some) => lines.extend(some),
            Err(error) => unread.push(format!("the log of {by} could not be read: {error:#}")),
        }
    }
    let mut text = vec![draw(lines, task.created)];
    text.extend(unread);
    text.push(format!(
        "in the console (CloudWatch, Logs Insights, all log groups of the stack):\n  fields @timestamp, @log, @message | filter \
         @message like \"{}\" | sort @timestamp",
        task.task_id
    ));
    Ok(text.join("\n\n"))
}

async fn read(aws: &Aws, group: &str, by: &str, task: &Task, from: Millis, until: Millis) -> Result<Vec<Line>> {
    let client = aws_sdk_cloudwatchlogs::Client::new(&aws.sdk);
    let mut pages = client
        .filter_log_events()
        .log_group_name(group)
        .filter_pattern(format!("\"{}\"", task.task_id))
        .start_time(i64::try_from(from.0).unwrap_or(0))
        .end_time(i64::try_from(until.0).unwrap_or(i64::MAX))
        .into_paginator()
        .send();
    let mut lines = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failed("read a log", error))?;
        lines.extend(page.events().iter().map(|event: &FilteredLogEvent| Line {
            at: Millis(event.timestamp().and_then(|it| u64::try_from(it).ok()).unwrap_or(0)),
            by: by.to_owned(),
            text: event.message().unwrap_or_default().trim().to_owned(),
        }));
        if lines.len() >= MOST {
            lines.truncate(MOST);
            break;
        }
    }
    Ok(lines)
}

/// Fields that every line has, that say what is said already, or that only CloudWatch reads.
const KNOWN: [&str; 7] = ["timestamp", "level", "message", "task.id", "target", "spans", "_aws"];

/// The lines in order, each with the time since the submit.
fn draw(mut lines: Vec<Line>, submitted: Millis) -> String {
    if lines.is_empty() {
        return "the logs say nothing of it: they are kept for as long as the parameter LogRetentionDays says, and come some \
                seconds late"
            .to_owned();
    }
    lines.sort_by_key(|it| it.at);
    let drawn: Vec<_> = lines.iter().map(|line| one(line, submitted)).collect();
    drawn.join("\n")
}

fn one(Line { at, by, text }: &Line, submitted: Millis) -> String {
    let seconds = if *at >= submitted {
        format!("+{:.1}", at.since(submitted).as_secs_f64())
    } else {
        format!("-{:.1}", submitted.since(*at).as_secs_f64())
    };
    let said = match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => {
            let word = |name| fields.get(name).and_then(Value::as_str).unwrap_or_default();
            let level = match word("level") {
                "INFO" => "",
                other => other,
            };
            let rest = fields.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
            let rest = rest.map(|(name, value)| match value {
                Value::String(text) => format!("{name}={text}"),
                other => format!("{name}={other}"),
            });
            let said = [level.to_owned(), word("message").to_owned()].into_iter().chain(rest);
            said.filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ")
        }
        _ => text.clone(),
    };
    // What somebody sent may be in it, and this is a terminal.
    let plain: String = said.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    format!("{seconds:>8} s  {by:<13} {plain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: u64, by: &str, text: &str) -> Line {
        Line {
            at: Millis(at),
            by: by.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn lines_of_all_logs_are_one_time_line() {
        let lines = vec![
            line(
                14_200,
                "Claim",
                r#"{"timestamp":"x","level":"INFO","task.id":"t","run.id":"r","message":"claimed"}"#,
            ),
            line(
                10_000,
                "Generate",
                r#"{"level":"INFO","message":"submitted","task.id":"t","task.work":3.5,"spans":[{"name":"Lambda runtime invoke"}]}"#,
            ),
            line(
                14_300,
                "Claim",
                r#"{"_aws":{"Timestamp":1},"task.id":"t","TaskWait":4200.0}"#,
            ),
            line(9_000, "HttpAccess", "POST /v1/generate t"),
            line(
                20_000,
                "Lifecycle",
                r#"{"level":"WARN","message":"a run \u001b[2J was lost"}"#,
            ),
        ];
        assert_eq!(
            draw(lines, Millis(10_000)),
            "    -1.0 s  HttpAccess    POST /v1/generate t
    +0.0 s  Generate      submitted task.work=3.5
    +4.2 s  Claim         claimed run.id=r
    +4.3 s  Claim         TaskWait=4200.0
   +10.0 s  Lifecycle     WARN a run  [2J was lost"
        );
    }
}
