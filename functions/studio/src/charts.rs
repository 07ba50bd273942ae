//! Drawings. Nothing is said by colour alone: what runs now is hatched, and every number stands in a table, too.

use maud::{Markup, html};
use model::{Millis, Pool, Worker, WorkerId};

use crate::words::{id, time};

const WIDTH: f64 = 720.0;
const LABEL: f64 = 110.0;
const ROW: f64 = 22.0;
/// Most machines in the time line.
const ROWS: usize = 24;

/// A time for which a machine was up on this day.
struct Up<'a> {
    worker: &'a WorkerId,
    from: Millis,
    to: Millis,
    now: bool,
}

/// The starts and stops of the day (UTC), drawn and as a table.
pub(crate) fn day(pool: &Pool, workers: &[Worker], now: Millis) -> Markup {
    let began = now.day_began();
    let past = pool.shifts.iter().filter(|it| it.to > began).map(|it| Up {
        worker: &it.worker_id,
        from: it.from,
        to: it.to,
        now: false,
    });
    let current = workers.iter().filter(|it| it.state.is_up()).map(|it| Up {
        worker: &it.worker_id,
        from: it.up_since,
        to: now,
        now: true,
    });
    let mut ups: Vec<_> = past.chain(current).collect();
    ups.sort_by_key(|it| it.from);
    let mut rows: Vec<&WorkerId> = Vec::new();
    for up in &ups {
        if !rows.contains(&up.worker) && rows.len() < ROWS {
            rows.push(up.worker);
        }
    }
    ups.retain(|it| rows.contains(&it.worker));
    html! {
        section #day data-live="" {
            h2 { "Starts and stops of the day" }
            @if ups.is_empty() { p { "No machine was up today (UTC)." } }
            @else {
                (drawn(&ups, &rows, began))
                details #day-table {
                    summary { "The same as a table" }
                    table {
                        thead { tr { th scope="col" { "Machine" } th scope="col" { "Asked for" } th scope="col" { "Off" } th scope="col" { "Up" } } }
                        tbody {
                            @for up in &ups {
                                tr {
                                    td { (id(up.worker.as_str())) }
                                    td { (up.from.written()) }
                                    td { @if up.now { "is up" } @else { (up.to.written()) } }
                                    td { (time(up.to.since(up.from))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn drawn(ups: &[Up<'_>], rows: &[&WorkerId], began: Millis) -> Markup {
    let height = ROW * (rows.len() as f64 + 1.0) + 6.0;
    let x = |at: Millis| {
        let share = at.since(began).as_secs_f64() / (24.0 * 3600.0);
        LABEL + share.min(1.0) * (WIDTH - LABEL - 10.0)
    };
    let hour = |hour: u64| x(Millis(began.0 + hour * 3_600_000));
    let number = |it: f64| format!("{it:.1}");
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label="Which machines were up when; the table below says the same" {
            defs { pattern #hatch width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                rect.bar width="6" height="6" {} rect.gap width="2" height="6" {}
            } }
            @for at in [0_u64, 6, 12, 18, 24] {
                line.grid x1=(number(hour(at))) x2=(number(hour(at))) y1="0" y2=(number(height - ROW)) {}
                text x=(number(hour(at))) y=(number(height - 6.0)) text-anchor=(if at == 24 { "end" } else { "middle" }) { (at) ":00" }
            }
            @for (row, worker) in rows.iter().enumerate() {
                @let tail = worker.as_str().len().saturating_sub(8);
                text x="0" y=(number(ROW * row as f64 + 15.0)) { "…" (worker.as_str().get(tail..).unwrap_or_default()) }
                @for up in ups.iter().filter(|it| it.worker == *worker) {
                    @let (from, to) = (x(up.from), x(up.to));
                    rect class=(if up.now { "up now" } else { "up" }) x=(number(from)) y=(number(ROW * row as f64 + 3.0))
                        width=(number((to - from).max(2.0))) height=(number(ROW - 6.0)) {}
                }
            }
        }
    }
}

/// A share of a limit, drawn.
pub(crate) fn share(percent: u64, words: &str) -> Markup {
    let filled = percent.min(100) * 4;
    html! {
        svg.share viewBox="0 0 400 16" role="img" aria-label=(words) {
            rect.frame x="0.5" y="0.5" width="399" height="15" {}
            rect class=(if percent >= 80 { "up now" } else { "up" }) x="0" y="0" width=(filled) height="16" {}
        }
    }
}
