//! Drawings of the hourly forecast: a day with its band, and how often what was said was kept to.

use std::fmt::Write;

use crate::{
    foreseen::Told,
    svg::{LEFT, RIGHT, WIDTH, dashed, line, open, polyline, text},
};

use super::{BLUE, ORANGE, nice};

const DAY: u64 = 288;

/// What was said of each hour of this day (counted from 0), and what came.
pub fn band(title: &str, day: u64, told: &[Told]) -> String {
    const HEIGHT: f64 = 380.0;
    let of_day: Vec<_> = told.iter().filter(|it| it.slot / DAY == day).collect();
    let most = nice(of_day.iter().map(|it| it.p90.max(it.came)).fold(1.0, f64::max));
    let x = |slot: u64| LEFT + (slot % DAY) as f64 / DAY as f64 * (WIDTH - LEFT - RIGHT);
    let y = |requests: f64| HEIGHT - 40.0 - requests / most * (HEIGHT - 110.0);
    let mut svg = open(HEIGHT, title);
    for tick in 0..=4 {
        let requests = most * f64::from(tick) / 4.0;
        line(&mut svg, (LEFT, y(requests)), (WIDTH - RIGHT, y(requests)), "#eee");
        text(
            &mut svg,
            LEFT - 8.0,
            y(requests) + 4.0,
            "end",
            &format!("{requests:.0}"),
        );
    }
    for hour in (0..=24).step_by(3) {
        let at = LEFT + f64::from(hour) / 24.0 * (WIDTH - LEFT - RIGHT);
        text(&mut svg, at, HEIGHT - 16.0, "middle", &format!("{hour}:00"));
    }
    let through =
        |value: fn(&Told) -> f64| -> Vec<(f64, f64)> { of_day.iter().map(|it| (x(it.slot), y(value(it)))).collect() };
    let (middle, high) = (through(|it| it.p50), through(|it| it.p90));
    let mut path = String::new();
    for (number, (x, y)) in high.iter().chain(middle.iter().rev()).enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if number == 0 { 'M' } else { 'L' });
    }
    let _ = writeln!(svg, r#"<path d="{path}Z" fill="{BLUE}" opacity="0.2"/>"#);
    polyline(&mut svg, &middle, BLUE);
    dashed(&mut svg, &high, BLUE);
    polyline(&mut svg, &through(|it| it.came), "#000");
    let mut key = LEFT;
    for (name, colour, is_dashed) in [
        ("what came", "#000", false),
        ("median", BLUE, false),
        ("ninth of ten", BLUE, true),
    ] {
        let draw = if is_dashed { dashed } else { polyline };
        draw(&mut svg, &[(key, 44.0), (key + 30.0, 44.0)], colour);
        text(&mut svg, key + 36.0, 48.0, "start", name);
        key += 150.0;
    }
    text(&mut svg, WIDTH - RIGHT, 48.0, "end", "requests in the hour that begins");
    svg + "</svg>\n"
}

/// The forecasts in groups by what they say, from the fewest requests to the most: the share of each group's hours that
/// stayed below the median and the ninth of ten.
pub fn calibration(title: &str, told: &[Told]) -> String {
    const HEIGHT: f64 = 380.0;
    const GROUPS: usize = 6;
    let mut told: Vec<_> = told.iter().filter(|it| it.p90 > 0.0).collect();
    told.sort_by(|a, b| a.p90.total_cmp(&b.p90));
    let y = |share: f64| HEIGHT - 60.0 - share * (HEIGHT - 130.0);
    let mut svg = open(HEIGHT, title);
    for tick in 0..=10 {
        let share = f64::from(tick) / 10.0;
        line(&mut svg, (LEFT, y(share)), (WIDTH - RIGHT, y(share)), "#eee");
        if tick % 2 == 0 {
            let percent = format!("{:.0} %", share * 100.0);
            text(&mut svg, LEFT - 8.0, y(share) + 4.0, "end", &percent);
        }
    }
    let wide = (WIDTH - LEFT - RIGHT) / GROUPS as f64;
    let (mut middle, mut high) = (Vec::new(), Vec::new());
    let size = told.len().div_ceil(GROUPS).max(1);
    for (number, group) in told.chunks(size).enumerate() {
        let x = LEFT + (number as f64 + 0.5) * wide;
        let share = |within: fn(&Told) -> bool| {
            let within = group.iter().filter(|it| within(it)).count();
            within as f64 / group.len() as f64
        };
        middle.push((x, y(share(|it| it.came <= it.p50))));
        high.push((x, y(share(|it| it.came <= it.p90))));
        let (low, most) = (group[0].p90, group[group.len() - 1].p90);
        text(&mut svg, x, HEIGHT - 38.0, "middle", &format!("{low:.0} to {most:.0}"));
    }
    text(
        &mut svg,
        LEFT,
        HEIGHT - 16.0,
        "start",
        "requests that the ninth of ten says, in six groups of as many forecasts",
    );
    let mut key = LEFT;
    for (points, nominal, name, colour, is_round) in [
        (&middle, 0.5, "at most the median: half should be", ORANGE, false),
        (
            &high,
            0.9,
            "at most the ninth of ten: nine of ten should be",
            BLUE,
            true,
        ),
    ] {
        dashed(&mut svg, &[(LEFT, y(nominal)), (WIDTH - RIGHT, y(nominal))], colour);
        polyline(&mut svg, points, colour);
        for (x, y) in points {
            let _ = if is_round {
                writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="5" fill="{colour}"/>"#)
            } else {
                writeln!(
                    svg,
                    r#"<rect x="{:.1}" y="{:.1}" width="9" height="9" fill="{colour}"/>"#,
                    x - 4.5,
                    y - 4.5
                )
            };
        }
        polyline(&mut svg, &[(key, 44.0), (key + 30.0, 44.0)], colour);
        text(&mut svg, key + 36.0, 48.0, "start", name);
        key += 400.0;
    }
    svg + "</svg>\n"
}
