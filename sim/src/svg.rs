//! What drawings as SVG are made of.

use std::fmt::Write;

/// Width of a drawing, in its own units, as all that follow.
pub const WIDTH: f64 = 900.0;
/// Where a drawing begins, from the left.
pub const LEFT: f64 = 60.0;
/// What a drawing leaves free on the right.
pub const RIGHT: f64 = 30.0;

/// A drawing of this height with its title; the caller closes it by `</svg>`.
pub fn open(height: f64, title: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    text(&mut svg, LEFT, 22.0, "start", title);
    svg
}

/// A straight line.
pub fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    polyline(svg, &[from, to], colour);
}

/// A line through points.
pub fn polyline(svg: &mut String, points: &[(f64, f64)], colour: &str) {
    stroked(svg, points, colour, "");
}

/// A dashed line through points.
pub fn dashed(svg: &mut String, points: &[(f64, f64)], colour: &str) {
    stroked(svg, points, colour, r#" stroke-dasharray="6 4""#);
}

fn stroked(svg: &mut String, points: &[(f64, f64)], colour: &str, how: &str) {
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        svg,
        r#"<polyline points="{}" fill="none" stroke="{colour}"{how}/>"#,
        points.join(" ")
    );
}

/// A filled rectangle by its upper left corner, width and height.
pub fn bar(svg: &mut String, (x, y): (f64, f64), (width, height): (f64, f64), colour: &str) {
    let _ = writeln!(
        svg,
        r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#
    );
}

/// Words, whose `anchor` (`start`, `middle`, `end`) is at this place.
pub fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
    );
}
