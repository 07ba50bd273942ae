//! Tables, as this command prints them.

use anyhow::Result;
use serde::Serialize;
use sim::{
    bounds::Bound,
    foreseen::Worth,
    goals::Goal,
    minutes::{Pair, Side},
    stats::Report,
    variants::Variants,
};

/// Rows as a table, or as JSON.
pub(crate) fn print<T: Serialize>(json: bool, rows: &[T], table: fn(&[T])) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(rows)?);
    } else {
        table(rows);
    }
    Ok(())
}

/// A policy a line.
pub(crate) fn policies(reports: &[Report]) {
    println!(
        "| policy | time-outs % | late % | h/month | $/picture | mean s | p95 s | wait s | × clairvoyant | × bound | \
         VRAM misses % | starts/month | busy % | ETA off s |"
    );
    println!("|---|{}", "--:|".repeat(13));
    for it in reports {
        println!(
            "| {} | {:.2} | {:.2} | {:.1} | {:.4} | {:.1} | {:.1} | {:.1} | {:.2} | {:.2} | {:.0} | {:.0} | {:.1} | {:.1} |",
            it.policy,
            it.timeouts_pct,
            it.late_pct,
            it.hours_month,
            it.cost_per_picture,
            it.mean_s,
            it.p95_s,
            it.wait_s,
            it.clairvoyant_ratio,
            it.lower_bound_ratio,
            it.vram_miss_pct,
            it.starts_month,
            it.busy_pct,
            it.eta_error_s,
        );
    }
}

/// Without and with a forecast.
pub(crate) fn worths(worths: &[Worth]) {
    println!(
        "| painters | no forecast: time-outs % | h/month | learned forecast: time-outs % | h/month | × machine time |\n\
         |---|--:|--:|--:|--:|--:|"
    );
    for it in worths {
        println!(
            "| {} | {:.2} | {:.1} | {:.2} | {:.1} | {:.2} |",
            it.what,
            it.without.timeouts_pct,
            it.without.hours_month,
            it.with.timeouts_pct,
            it.with.hours_month,
            it.times(),
        );
    }
}

/// Goals of machine time beside what any rule could do.
pub(crate) fn bounds(bounds: &[Bound]) {
    println!(
        "| painters | goal | ours | met | the best rule in hindsight | that knows the hour, too | fitted to other days | clairvoyant |\n\
         |---|--:|--:|---|--:|--:|--:|--:|"
    );
    let hours = |hours: Option<f64>| hours.map_or("–".to_owned(), |it| format!("{it:.1} h"));
    for it in bounds {
        println!(
            "| {} | ≤ {:.0} h at ≤ {} % | {:.1} h at {:.2} % | {} | {} | {} | {} | {:.1} h |",
            it.what,
            it.hours_month,
            it.timeouts_pct,
            it.ours.hours_month,
            it.ours.timeouts_pct,
            if it.is_met() { "yes" } else { "no" },
            hours(it.hours_at_goal(&it.by_signs)),
            hours(it.hours_at_goal(&it.by_hours)),
            hours(it.hours_at_goal(&it.by_other_days)),
            it.clairvoyant_hours,
        );
    }
}

/// What models take.
pub(crate) fn models(reports: &[Report]) {
    println!("| models and policy | GPU misses % | disk misses % | load s | mean s | p95 s | time-outs % | h/month |");
    println!("|---|{}", "--:|".repeat(7));
    for it in reports {
        println!(
            "| {} | {:.1} | {:.1} | {:.2} | {:.1} | {:.1} | {:.2} | {:.1} |",
            it.policy,
            it.vram_miss_pct,
            it.disk_miss_pct,
            it.load_s,
            it.mean_s,
            it.p95_s,
            it.timeouts_pct,
            it.hours_month,
        );
    }
}

/// Fixed times and what was learned.
pub(crate) fn pairs(pairs: &[Pair]) {
    println!(
        "| circumstances | fixed times: time-outs % | h/month | × clairvoyant | learned: time-outs % | h/month | × clairvoyant |"
    );
    println!("|---|{}", "--:|".repeat(6));
    for it in pairs {
        let side = |side: Side| {
            format!(
                "{:.2} | {:.1} | {:.2}",
                side.timeouts_pct, side.hours_month, side.clairvoyant_ratio
            )
        };
        println!("| {} | {} | {} |", it.what, side(it.fixed), side(it.learned));
    }
}

/// What groups of variants do to the others.
pub(crate) fn variants(rows: &[Variants]) {
    println!(
        "| variants | others' p95 s | times | others beside a group | their p95 s | times | runs taken back | a group takes min | h/month |"
    );
    println!("|--:|{}", "--:|".repeat(8));
    for it in rows {
        println!(
            "| {} | {:.1} → {:.1} | {:.3} | {} | {:.1} → {:.1} | {:.3} | {:.1} | {:.1} | {:.1} → {:.1} |",
            it.variants,
            it.p95_without_s,
            it.p95_with_s,
            it.times(),
            it.beside,
            it.beside_without_s,
            it.beside_with_s,
            it.beside_with_s / it.beside_without_s.max(1e-9),
            it.preempted,
            it.done_min,
            it.hours_without,
            it.hours_with,
        );
    }
}

/// Goals and whether they are met.
pub(crate) fn goals(goals: &[Goal]) {
    println!("| goal | measured | at most | met |\n|---|--:|--:|---|");
    for it in goals {
        let met = if it.met { "yes" } else { "no" };
        println!("| {} | {:.3} | {} | {met} |", it.goal, it.measured, it.at_most);
    }
}
