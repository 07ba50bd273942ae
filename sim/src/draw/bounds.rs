//! Hours against time-outs, with and without what is learned of painters, beside what no rule is below.

use std::fmt::Write;

use crate::{
    bounds::Bound,
    minutes::Side,
    svg::{LEFT, RIGHT, WIDTH, dashed, line, open, polyline, text},
};

use super::{BLUE, GREEN, ORANGE, nice};

/// The curves of one kind of painters, up to four times the goal's time-outs.
pub fn bound(title: &str, bound: &Bound) -> String {
    const HEIGHT: f64 = 420.0;
    let most_y = nice(bound.timeouts_pct * 4.0);
    let curves: [(&str, &[Side], &str, bool); 4] = [
        ("fixed times", &bound.fixed, ORANGE, false),
        ("ours", &bound.worths, BLUE, false),
        ("the best rule in hindsight", &bound.by_signs, GREEN, true),
        ("that knows the hour, too", &bound.by_hours, "#000", true),
    ];
    let shown = |side: &&Side| side.timeouts_pct <= most_y;
    let sides = curves.iter().flat_map(|it| it.1).filter(shown);
    let most_x = nice(sides.map(|it| it.hours_month).fold(bound.hours_month, f64::max));
    let least_x = (bound.clairvoyant_hours * 0.08).floor() * 10.0;
    let x = |hours: f64| LEFT + (hours - least_x) / (most_x - least_x).max(1.0) * (WIDTH - LEFT - RIGHT);
    let y = |share: f64| HEIGHT - 50.0 - share / most_y * (HEIGHT - 130.0);
    let mut svg = open(HEIGHT, title);
    for tick in 0..=5 {
        let part = f64::from(tick) / 5.0;
        let (hours, share) = (least_x + (most_x - least_x) * part, most_y * part);
        line(&mut svg, (x(hours), y(0.0)), (x(hours), y(most_y)), "#eee");
        line(&mut svg, (x(least_x), y(share)), (x(most_x), y(share)), "#eee");
        text(&mut svg, x(hours), y(0.0) + 18.0, "middle", &format!("{hours:.0}"));
        text(
            &mut svg,
            x(least_x) - 8.0,
            y(share) + 4.0,
            "end",
            &format!("{share:.1} %"),
        );
    }
    text(&mut svg, x(most_x), y(0.0) + 36.0, "end", "GPU hours a month");
    text(&mut svg, x(least_x), y(most_y) - 10.0, "start", "time-outs");
    let (width, height) = (x(bound.hours_month) - x(least_x), y(0.0) - y(bound.timeouts_pct));
    let _ = writeln!(
        svg,
        r##"<rect x="{:.1}" y="{:.1}" width="{width:.1}" height="{height:.1}" fill="#999" opacity="0.25"/>"##,
        x(least_x),
        y(bound.timeouts_pct)
    );
    text(
        &mut svg,
        x(least_x) + 6.0,
        y(bound.timeouts_pct) + 14.0,
        "start",
        "goal",
    );
    let best = x(bound.clairvoyant_hours);
    dashed(&mut svg, &[(best, y(0.0)), (best, y(most_y))], "#999");
    text(&mut svg, best + 4.0, y(most_y) + 12.0, "start", "clairvoyant");
    let mut key = LEFT;
    for (name, sides, colour, is_dashed) in curves {
        let points: Vec<_> = sides.iter().filter(shown).collect();
        let points: Vec<_> = points
            .iter()
            .map(|it| (x(it.hours_month), y(it.timeouts_pct)))
            .collect();
        let draw = if is_dashed { dashed } else { polyline };
        draw(&mut svg, &points, colour);
        draw(&mut svg, &[(key, 44.0), (key + 30.0, 44.0)], colour);
        text(&mut svg, key + 36.0, 48.0, "start", name);
        key += 215.0;
        for (x, y) in points {
            let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#);
        }
    }
    let (hours, share) = (x(bound.ours.hours_month), y(bound.ours.timeouts_pct));
    let _ = writeln!(
        svg,
        r#"<circle cx="{hours:.1}" cy="{share:.1}" r="7" fill="none" stroke="{BLUE}" stroke-width="2"/>"#
    );
    text(&mut svg, hours, share - 13.0, "middle", "as shipped");
    svg + "</svg>\n"
}
