//! Drawings as SVG: cost against time-outs, and one day of instances and queue; forecasts and bounds in files of their own.

pub mod bounds;
pub mod forecast;

use std::fmt::Write;

use crate::{
    stats::{Moment, Report},
    svg::{LEFT, RIGHT, WIDTH, line, open, polyline, text},
};

const MINUTES: f64 = 24.0 * 60.0;
const DAY_MS: u64 = 86_400_000;

// Okabe and Ito's colours, which the colour-blind tell apart.
const BLUE: &str = "#0072b2";
const ORANGE: &str = "#d55e00";
const GREEN: &str = "#009e73";

/// GPU hours against time-outs, a dot for each policy; the reactive ones are joined to a curve.
pub fn cost_against_timeouts(title: &str, reports: &[Report]) -> String {
    const HEIGHT: f64 = 480.0;
    let drawn: Vec<_> = reports.iter().filter(|report| report.hours_month < 700.0).collect();
    let most_x = nice(drawn.iter().map(|report| report.hours_month).fold(1.0, f64::max));
    let most_y = nice(drawn.iter().map(|report| report.timeouts_pct).fold(1.0, f64::max));
    let x = |hours: f64| LEFT + hours / most_x * (WIDTH - LEFT - RIGHT);
    let y = |share: f64| HEIGHT - 50.0 - share / most_y * (HEIGHT - 100.0);
    let mut svg = open(HEIGHT, title);
    for tick in 0..=5 {
        let (hours, share) = (most_x * f64::from(tick) / 5.0, most_y * f64::from(tick) / 5.0);
        line(&mut svg, (x(hours), y(0.0)), (x(hours), y(most_y)), "#eee");
        line(&mut svg, (x(0.0), y(share)), (x(most_x), y(share)), "#eee");
        text(&mut svg, x(hours), y(0.0) + 18.0, "middle", &format!("{hours:.0}"));
        text(&mut svg, x(0.0) - 8.0, y(share) + 4.0, "end", &format!("{share:.0} %"));
    }
    text(&mut svg, x(most_x), y(0.0) + 36.0, "end", "GPU hours a month");
    text(&mut svg, x(0.0), y(most_y) - 10.0, "start", "time-outs");
    let at = |report: &Report| (x(report.hours_month), y(report.timeouts_pct));
    let is_reactive = |report: &&&Report| report.policy.starts_with("reactive");
    let curve: Vec<_> = drawn
        .iter()
        .filter(is_reactive)
        .map(|it| (x(it.hours_month), y(it.timeouts_pct)))
        .collect();
    polyline(&mut svg, &curve, "#999");
    for report in &drawn {
        let colour = if is_reactive(&report) { "#999" } else { "#06c" };
        let (x, y) = at(report);
        let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="4" fill="{colour}"/>"#);
        // Where labels would meet, this one goes to the left; the curve's go below it.
        let crowded = drawn
            .iter()
            .any(|it| (1.0..120.0).contains(&(at(it).0 - x)) && (at(it).1 - y).abs() < 12.0);
        if is_reactive(&report) {
            text(&mut svg, x - 8.0, y + 14.0, "end", &report.policy);
        } else if crowded {
            text(&mut svg, x - 8.0, y - 5.0, "end", &report.policy);
        } else {
            text(&mut svg, x + 8.0, y - 5.0, "start", &report.policy);
        }
    }
    svg + "</svg>\n"
}

/// Painters present, workers and the queue, minute by minute, on this day (counted from 0).
pub fn day(title: &str, day: u64, moments: &[Moment]) -> String {
    const ROW: f64 = 90.0;
    type Value = fn(&Moment) -> usize;
    let rows: [(&str, &str, Value, Option<Value>); 3] = [
        ("painters present", "#c80", |it| it.present, None),
        (
            "workers, on their way (light) and up",
            "#06c",
            |it| it.serving,
            Some(|it| it.serving + it.coming),
        ),
        ("tasks in line", "#c04", |it| it.waiting, None),
    ];
    let of_day: Vec<_> = moments.iter().filter(|it| it.at / DAY_MS == day).collect();
    let x = |at: u64| LEFT + (at % DAY_MS) as f64 / 60_000.0 / MINUTES * (WIDTH - LEFT - RIGHT);
    let height = 60.0 + 3.0 * (ROW + 30.0);
    let mut svg = open(height, title);
    for (number, (label, colour, value, behind)) in rows.into_iter().enumerate() {
        let base = 60.0 + number as f64 * (ROW + 30.0) + ROW;
        let top = |it: &Moment| behind.map_or_else(|| value(it), |behind| behind(it));
        let most = of_day.iter().map(|it| top(it)).max().unwrap_or(0).max(1);
        let mut area = |value: Value, opacity: f64| {
            let y = |it: &Moment| base - value(it) as f64 / most as f64 * (ROW - 20.0);
            let mut path = format!("M{LEFT:.1} {base:.1}");
            let mut last = f64::NAN;
            for it in &of_day {
                if (y(it) - last).abs() > 0.01 || last.is_nan() {
                    let _ = write!(path, "H{:.1}V{:.1}", x(it.at), y(it));
                    last = y(it);
                }
            }
            let end = WIDTH - RIGHT;
            let _ = write!(path, "H{end:.1}");
            let _ = writeln!(
                svg,
                r#"<path d="{path}V{base:.1}Z" fill="{colour}" opacity="{opacity}"/>"#
            );
        };
        if let Some(behind) = behind {
            area(behind, 0.35);
        }
        area(value, 0.9);
        line(&mut svg, (LEFT, base), (WIDTH - RIGHT, base), "#999");
        text(&mut svg, LEFT, base - ROW + 12.0, "start", label);
        text(&mut svg, LEFT - 8.0, base - ROW + 28.0, "end", &most.to_string());
    }
    for hour in (0..=24).step_by(3) {
        let at = LEFT + f64::from(hour) / 24.0 * (WIDTH - LEFT - RIGHT);
        text(&mut svg, at, height - 8.0, "middle", &format!("{hour}:00"));
    }
    svg + "</svg>\n"
}

/// The next round number.
fn nice(most: f64) -> f64 {
    let step = 10_f64.powf(most.log10().floor());
    (most / step * 2.0).ceil() / 2.0 * step
}
