//! Many requests from one: as many as were said, in a stable order, each with exactly its axes changed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::wire;
use proptest::prelude::*;
use serde_json::{Value, json};
use workflow::{
    WorkflowInput,
    variants::{Expanded, Variants},
};

const MOST: u32 = 96;

fn base() -> WorkflowInput {
    let mut request = wire("01_generate");
    request["models"]["loras"] = json!([{ "name": "ink.safetensors", "strength": 0.5 }]);
    request["conditioning"]["positive"] = "a {animal} on a {thing}".into();
    WorkflowInput::read(request).unwrap()
}

fn refused(variants: Value, input: &WorkflowInput) -> String {
    let refused = match Variants::read(variants) {
        Err(refused) => refused,
        Ok(read) => match read.expand(input, MOST) {
            Err(refused) => refused,
            Ok(all) => all.collect::<Result<Vec<_>, _>>().unwrap_err(),
        },
    };
    refused
        .to_string()
        .strip_prefix("Validation error: ")
        .unwrap()
        .to_owned()
}

fn expanded(variants: &Value, input: &WorkflowInput) -> Vec<Expanded> {
    let variants = Variants::read(variants.clone()).unwrap();
    let all = variants.expand(input, MOST).unwrap();
    let said = (all.len(), variants.count(MOST).unwrap());
    let all: Vec<_> = all.collect::<Result<_, _>>().unwrap();
    assert_eq!(said, (all.len(), all.len()));
    all
}

#[test]
fn a_grid_has_each_value_with_each_other() {
    let grid = json!({ "samplers": ["euler", "dpmpp_2m"], "guidance": [5.0, 7.5], "seeds": [1, 2] });
    let labels: Vec<_> = expanded(&grid, &base()).into_iter().map(|it| it.label).collect();
    assert_eq!(
        labels,
        [
            "euler · guidance 5 · seed 1",
            "euler · guidance 5 · seed 2",
            "euler · guidance 7.5 · seed 1",
            "euler · guidance 7.5 · seed 2",
            "dpmpp_2m · guidance 5 · seed 1",
            "dpmpp_2m · guidance 5 · seed 2",
            "dpmpp_2m · guidance 7.5 · seed 1",
            "dpmpp_2m · guidance 7.5 · seed 2",
        ]
    );
}

#[test]
fn parts_stand_where_the_prompt_names_them() {
    let grid = json!({ "prompt_parts": { "animal": ["cat", "dog"], "thing": ["mat"] } });
    let prompts: Vec<_> = expanded(&grid, &base())
        .into_iter()
        .map(|it| it.input.conditioning.unwrap().positive)
        .collect();
    assert_eq!(prompts, ["a cat on a mat", "a dog on a mat"]);
    let of_prompts = json!({ "prompts": ["{animal}", "two {animal}s"], "prompt_parts": { "animal": ["cat"] } });
    let labels: Vec<_> = expanded(&of_prompts, &base()).into_iter().map(|it| it.label).collect();
    assert_eq!(labels, ["{animal} · animal: cat", "two {animal}s · animal: cat"]);
}

#[test]
fn seeds_are_counted_from_the_requests_own_and_never_negative() {
    let mut request = base();
    request.sampling.as_mut().unwrap().seed = i64::MAX - 1;
    let seeds: Vec<_> = expanded(&json!({ "seeds": 4 }), &request)
        .into_iter()
        .map(|it| it.input.sampling.unwrap().seed)
        .collect();
    assert_eq!(seeds, [i64::MAX - 1, i64::MAX, 0, 1]);
}

#[test]
fn what_cannot_be_varied_is_refused_in_words() {
    let million: Vec<_> = (0..1000).collect();
    let many: serde_json::Map<_, _> = (0..20).map(|name| (format!("p{name}"), json!(["x"]))).collect();
    let huge = "x".repeat(3000);
    let upscale = WorkflowInput::read(wire("07_upscale_simple")).unwrap();
    let mut repeated = base();
    repeated.conditioning.as_mut().unwrap().positive = "{animal}".repeat(2000);
    for (variants, input, words) in [
        (
            json!({}),
            &base(),
            "the variants name nothing to vary. Give seeds, prompts, checkpoints, samplers, steps, guidance or LoRAs.",
        ),
        (
            json!({ "sampler": ["euler"] }),
            &base(),
            "the variants cannot be read: \"unknown field `sampler`, expected one of `checkpoints`, `lo…\".",
        ),
        (
            json!([1]),
            &base(),
            "the variants cannot be read: \"invalid type: integer `1`, expected a sequence\".",
        ),
        (
            json!({ "seeds": -4 }),
            &base(),
            "the variants cannot be read: \"data did not match any variant of untagged enum Seeds\".",
        ),
        (json!({ "seeds": 0 }), &base(), "the variants' seeds are empty."),
        (
            json!({ "loras": { "ink.safetensors": [] } }),
            &base(),
            "the variants' weights of the LoRA \"ink.safetensors\" are empty.",
        ),
        (
            json!({ "seeds": 10_000 }),
            &base(),
            "these are 10,000 variants, and at most 96 may be asked for at once.",
        ),
        (
            json!({ "seeds": million, "steps": million }),
            &base(),
            "these are 1,000,000 variants, and at most 96 may be asked for at once.",
        ),
        (
            json!({ "seeds": u64::MAX, "steps": million, "samplers": ["a"] }),
            &base(),
            "these are 18,446,744,073,709,551,615,000 variants, and at most 96 may be asked for at once.",
        ),
        (
            json!({ "prompt_parts": many }),
            &base(),
            "20 things to vary are too many, the limit is 16.",
        ),
        (
            json!({ "steps": [20, 30, 20] }),
            &base(),
            "the variants' steps have \"20 steps\" twice.",
        ),
        (
            json!({ "loras": { "wash.safetensors": [1.0] } }),
            &base(),
            "this request (generate) has no weights of the LoRA \"wash.safetensors\" to vary.",
        ),
        (
            json!({ "seeds": 2 }),
            &upscale,
            "this request (upscale_simple) has no seeds to vary.",
        ),
        (
            json!({ "prompt_parts": { "bird": ["owl"] } }),
            &base(),
            "\"{bird}\" does not stand in each prompt.",
        ),
        (
            json!({ "prompt_parts": { "": ["owl"] } }),
            &base(),
            "\"{}\" does not stand in each prompt.",
        ),
        (
            json!({ "prompt_parts": { "animal": ["a {thing}"], "thing": ["mat"] } }),
            &base(),
            "\"{thing}\" stands in a prompt part, which cannot be varied itself.",
        ),
        (
            json!({ "prompt_parts": { "animal": [huge] } }),
            &repeated,
            "the prompt is too long with its parts. Shorten it.",
        ),
    ] {
        assert_eq!(refused(variants, input), words);
    }
    // Beyond what can be counted.
    let axes: serde_json::Map<_, _> = (0..14)
        .map(|name| (format!("p{name}"), json!(million_words())))
        .collect();
    let words = refused(json!({ "seeds": u64::MAX, "prompt_parts": axes }), &base());
    assert_eq!(
        words,
        "these are more than 10^38 variants, and at most 96 may be asked for at once."
    );
}

fn million_words() -> Vec<String> {
    (0..1000).map(|word| word.to_string()).collect()
}

/// An axis with its values, as JSON: few enough for a few of them together.
fn axis() -> impl Strategy<Value = (&'static str, Vec<Value>)> {
    let values = |from: i64, to: i64| {
        prop::collection::btree_set(from..to, 1..4).prop_map(|it| it.into_iter().map(Value::from).collect::<Vec<_>>())
    };
    let words = prop::collection::btree_set("[a-z]{1,8}", 1..4);
    let words = words.prop_map(|it| it.into_iter().map(Value::from).collect::<Vec<_>>());
    prop_oneof![
        values(0, i64::MAX).prop_map(|it| ("seeds", it)),
        values(1, 100).prop_map(|it| ("steps", it)),
        values(1, 20).prop_map(|it| ("guidance", it)),
        words.clone().prop_map(|it| ("samplers", it)),
        words.clone().prop_map(|it| ("checkpoints", it)),
        words.prop_map(|it| ("prompts", it)),
    ]
}

/// Where the axis' value is in a request.
fn place(axis: &str) -> &'static str {
    match axis {
        "seeds" => "/sampling/seed",
        "steps" => "/sampling/total_steps",
        "guidance" => "/sampling/cfg_scale",
        "samplers" => "/sampling/sampler",
        "checkpoints" => "/models/checkpoint",
        "prompts" => "/conditioning/positive",
        other => panic!("{other}"),
    }
}

proptest! {
    #[test]
    fn a_grid_is_whole_and_changes_nothing_else(axes in prop::collection::vec(axis(), 1..4)) {
        let axes: BTreeMap<_, _> = axes.into_iter().collect();
        let spec: serde_json::Map<_, _> = axes.iter().map(|(name, values)| ((*name).to_owned(), json!(values))).collect();
        let input = base();
        let all = expanded(&Value::Object(spec.clone()), &input);
        prop_assert_eq!(&all, &expanded(&Value::Object(spec), &input), "the same again");
        let product: usize = axes.values().map(Vec::len).product();
        prop_assert_eq!(all.len(), product);
        let plain = serde_json::to_value(&input).unwrap();
        let mut seen = BTreeSet::new();
        for variant in &all {
            prop_assert!(variant.label.chars().count() <= 120 && !variant.label.is_empty());
            let mut request = serde_json::to_value(&variant.input).unwrap();
            let mut chosen = Vec::new();
            for (name, values) in &axes {
                let value = request.pointer(place(name)).cloned().unwrap_or(json!(0));
                let same = |it: &Value| it == &value || it.as_f64() == value.as_f64() && it.is_number();
                prop_assert!(values.iter().any(same), "{} {}", name, value);
                chosen.push(value.to_string());
                let (parent, key) = place(name).rsplit_once('/').unwrap();
                let own = plain.pointer(place(name)).cloned().unwrap();
                request.pointer_mut(parent).unwrap()[key] = own;
            }
            prop_assert_eq!(&request, &plain, "nothing else");
            prop_assert!(seen.insert(chosen), "each once");
        }
    }

    #[test]
    fn nothing_that_is_sent_as_variants_breaks_anything(text in "\\PC{0,60}", number in any::<i64>(), name in "[a-z_]{1,12}") {
        for variants in [json!({ name.clone(): [text.clone(), number] }), json!({ "prompts": [text.clone()], "seeds": number }), json!({ "prompt_parts": { text.clone(): [text] }, "steps": [number] })] {
            if let Ok(read) = Variants::read(variants)
                && let Ok(all) = read.expand(&base(), MOST)
            {
                prop_assert!(all.len() <= MOST as usize);
                drop(all.collect::<Result<Vec<_>, _>>());
            }
        }
    }
}
