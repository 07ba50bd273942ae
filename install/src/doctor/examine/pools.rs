//! Pools, their breakers and limits, and what their machines need of the account.

use model::{BreakerForce, Millis};
use policy::meter;

use super::{Findings, ago};
use crate::{
    deploy::check::link,
    doctor::{PoolSeen, Snapshot},
};

pub(super) fn examine(snapshot: &Snapshot, findings: &mut Findings, now: Millis) {
    let vcpus = findings
        .seen("quota", "the quota of GPU instances", &snapshot.vcpus)
        .copied();
    let Some(pools) = findings.seen("pool", "the pools", &snapshot.pools) else {
        return;
    };
    if pools.is_empty() {
        findings.broken(
            "pool",
            "there are no pools, so nothing renders",
            "`ops deploy` again makes one, or `ops seed`",
        );
    }
    let allowed = snapshot.stack.as_ref().ok().and_then(Option::as_ref);
    let allowed = allowed.and_then(|stack| stack.parameters.get("InstanceTypes"));
    for it in pools {
        limits(it, allowed.map(String::as_str), findings, now);
        breaker(it, findings, now);
        warm_up(it, snapshot, findings);
        forecast(it, findings);
    }
    let needed: u64 = pools.iter().map(most_vcpus).sum();
    if let Some(vcpus) = vcpus
        && (vcpus as u64) < needed
    {
        let least: u64 = pools.iter().filter_map(least_vcpus).min().unwrap_or(needed);
        let what = format!(
            "the account may run {vcpus} vCPUs of G and VT instances at once, the pools' limits ask for {needed}"
        );
        let todo = format!(
            "ask AWS for {needed} (EC2, Running On-Demand G and VT instances): {}",
            link(&snapshot.region, ("ec2", "L-DB2E81BA"))
        );
        if (vcpus as u64) < least {
            findings.broken("quota", format!("{what}: no machine can start"), todo);
        } else {
            findings.warning("quota", what, todo);
        }
    }
}

fn forecast(it: &PoolSeen, findings: &mut Findings) {
    if let Some(fault) = &it.fault {
        findings.warning(
            "forecast",
            format!("{} has none: {fault}", it.pool.pool),
            "nothing: the training of the next night makes it anew; if it stays, see the log of forecast",
        );
    }
}

fn limits(it: &PoolSeen, allowed: Option<&str>, findings: &mut Findings, now: Millis) {
    let pool = &it.pool;
    let name = &pool.pool;
    if pool.max_workers == 0 {
        let what = format!("{name} may have no machines");
        findings.warning("pool", what, format!("`ops pool set {name} --max-workers 2`"));
    } else if pool.instance_types.is_empty() {
        let what = format!("{name} has no instance types");
        findings.broken(
            "pool",
            what,
            format!("`ops pool set {name} --instance-types g6.xlarge,g5.xlarge`"),
        );
    }
    if let Some(allowed) = allowed {
        let refused = |kind: &&String| !allowed.split(',').any(|pattern| fits(pattern.trim(), kind));
        for kind in pool.instance_types.iter().filter(refused) {
            findings.warning(
                "pool",
                format!("{name} asks for {kind}, which the stack may not launch ({allowed})"),
                "deploy with it in InstanceTypes, or take it out by `ops pool set`",
            );
        }
    }
    if meter::is_reached(pool, &it.workers, now) {
        let what = format!("{name} has reached its monthly limit and starts nothing");
        let todo = format!("`ops pool lift {name}`, or a higher one by `ops pool set {name} --monthly-limit`");
        findings.broken("pool", what, todo);
    } else if meter::percent(pool, &it.workers, now).is_some_and(|percent| percent >= 80) {
        let what = format!("{name} has used 80 % of its monthly limit");
        findings.warning("pool", what, format!("`ops pool show {name}` says what is left"));
    }
}

fn breaker(it: &PoolSeen, findings: &mut Findings, now: Millis) {
    let (name, breaker) = (&it.pool.pool, &it.pool.breaker);
    match (breaker.forced, breaker.opened_at) {
        (Some(BreakerForce::Open), _) => findings.broken(
            "breaker",
            format!("{name} starts nothing, by hand"),
            format!("`ops pool breaker {name} auto`"),
        ),
        (Some(BreakerForce::Closed), _) => findings.warning(
            "breaker",
            format!("{name} starts machines however many fail, by hand"),
            format!("`ops pool breaker {name} auto`"),
        ),
        (None, Some(opened)) => findings.broken(
            "breaker",
            format!("machines of {name} have not come up for {}", ago(opened, now)),
            format!("`ops pool show {name}`, and the logs of dispatch and lifecycle say why"),
        ),
        (None, None) => {}
    }
}

fn warm_up(it: &PoolSeen, snapshot: &Snapshot, findings: &mut Findings) {
    let Ok(catalogue) = &snapshot.catalogue else { return };
    let Some(warm_up) = &it.pool.warm_up else { return };
    let mut models = catalogue.models.iter().filter(|it| it.deleted.is_none());
    let there = models.any(|it| it.kind == "checkpoint" && it.name == *warm_up);
    if !there {
        let what = format!(
            "{} warms up with {warm_up}, which is not in the catalogue",
            it.pool.pool
        );
        findings.warning(
            "pool",
            what,
            "`ops pool set --warm-up` another, or write the catalogue by `ops seed --catalog`",
        );
    }
}

/// Whether a type fits a pattern with * and ?.
fn fits(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            fits(&pattern[1..], text)
                || text
                    .chars()
                    .next()
                    .is_some_and(|it| fits(pattern, &text[it.len_utf8()..]))
        }
        (Some(wanted), Some(it)) if wanted == '?' || wanted == it => {
            fits(&pattern[wanted.len_utf8()..], &text[it.len_utf8()..])
        }
        _ => false,
    }
}

/// vCPUs of a type by its size: 4 of an `xlarge`, and so on.
fn vcpus(instance_type: &str) -> u64 {
    let size = instance_type.split_once('.').map_or("", |(_, size)| size);
    match size.strip_suffix("xlarge") {
        Some("") => 4,
        Some(times) => times.parse().map_or(4, |times: u64| times * 4),
        None => 4,
    }
}

fn most_vcpus(it: &PoolSeen) -> u64 {
    let largest = it.pool.instance_types.iter().map(|it| vcpus(it)).max().unwrap_or(0);
    u64::from(it.pool.max_workers) * largest
}

fn least_vcpus(it: &PoolSeen) -> Option<u64> {
    (it.pool.max_workers > 0)
        .then(|| it.pool.instance_types.iter().map(|it| vcpus(it)).min())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_sizes() {
        for (pattern, text, wanted) in [
            ("g5.*", "g5.xlarge", true),
            ("g5.*", "g5g.xlarge", false),
            ("g?.xlarge", "g6.xlarge", true),
            ("*", "", true),
            ("", "g", false),
            ("g5.xlarge", "g5.xlarge", true),
            ("*large", "g5.2xlarge", true),
        ] {
            assert_eq!(fits(pattern, text), wanted, "{pattern} {text}");
        }
        assert_eq!(["g5.xlarge", "g5.8xlarge", "g5.metal", "g"].map(vcpus), [4, 32, 4, 4]);
    }
}
