//! What ComfyUI says, as nobody meant it: no panic, and whatever is told to a painter is one plain sentence.

use fuzz::{Chance, Sample};
use model::Failure;
use serde_json::{Map, Value, json};

use super::{
    client::from_json,
    events::{RunEvent, parse},
    progress::Meter,
    refusal,
    replies::{History, Queue},
    run::{Ending, ending},
    trouble,
};

/// Everything recorded under this key, in all transcripts.
fn recorded(key: &str) -> Vec<Value> {
    let files = fuzz::corpus("comfyui-double/tests/recorded").into_iter();
    let mut found = vec![];
    files.for_each(|(_, file)| collect(&file, key, &mut found));
    found
}

fn collect(value: &Value, key: &str, found: &mut Vec<Value>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get(key).cloned());
            map.values().for_each(|it| collect(it, key, found));
        }
        Value::Array(list) => list.iter().for_each(|it| collect(it, key, found)),
        _ => {}
    }
}

/// Stands for whatever ComfyUI says in its own words.
const SECRET: &str = "a-very-secret-prompt";

fn check_words(failure: &Failure) {
    let message = &failure.message;
    let sentence = message.ends_with(['.', '…']) && !message.contains(char::is_control);
    assert!(sentence && message.len() <= Failure::MAX_MESSAGE, "{message:?}");
}

#[test]
fn fuzz_frames() {
    let graphs = recorded("graph");
    let frames: Vec<_> = recorded("frames")
        .iter()
        .filter_map(Value::as_array)
        .flatten()
        .cloned()
        .collect();
    let make = |chance: &mut Chance| {
        let graph = chance.value(&graphs);
        let steps = chance.number() as u32;
        let frames: Vec<_> = (0..20).map(|_| chance.json(&frames)).collect();
        (graph, steps, frames)
    };
    let taken = |(graph, steps, frames): &(Value, u32, Vec<Sample>)| {
        let mut meter = Meter::new(graph.as_object().unwrap_or(&Map::new()), *steps);
        let events = frames.iter().filter_map(|frame| parse(str::from_utf8(frame).ok()?));
        let mut last = None;
        for (_, event) in events {
            let share = meter.on(&event);
            assert!((0.0..1.0).contains(&share), "{share} after {event:?}");
            last = Some(event);
        }
        matches!(last, Some(RunEvent::Ended))
    };
    fuzz::run(200, make, taken);
}

#[test]
fn fuzz_history() {
    let histories = recorded("history");
    let taken = |json: &Sample| {
        let Ok(history) = from_json::<History>(json) else {
            return false;
        };
        match ending(history) {
            Ending::Failed(failure) => check_words(&failure),
            Ending::Interrupted => {}
            Ending::Done(made) => assert!(made.files.len() + made.texts.len() <= json.len()),
        }
        true
    };
    fuzz::run(300, |chance| chance.json(&histories), taken);
}

#[test]
fn fuzz_troubles() {
    let errors: Vec<_> = recorded("frames")
        .iter()
        .filter_map(Value::as_array)
        .flatten()
        .cloned()
        .collect();
    let errors: Vec<_> = errors
        .iter()
        .filter(|it| it["type"] == "execution_error")
        .map(|it| it["data"].clone())
        .collect();
    let make = |chance: &mut Chance| {
        let mut error = chance.value(&errors);
        let said = format!("{}{SECRET}{}", chance.text(), chance.text());
        if let Some(error) = error.as_object_mut() {
            error.insert("exception_message".into(), said.clone().into());
            error.insert("traceback".into(), said.into());
        }
        error
    };
    let taken = |error: &Value| {
        let failure = trouble::failure(error);
        check_words(&failure);
        assert!(!failure.message.contains(SECRET), "{failure:?}");
        failure.message.contains("KSampler")
    };
    fuzz::run(300, make, taken);
}

#[test]
fn fuzz_refusals() {
    let mut replies = recorded("reply");
    replies.retain(|reply| reply["error"].is_object());
    let taken = |json: &Sample| {
        let Ok(reply) = from_json::<Value>(json) else {
            return false;
        };
        check_words(&refusal::failure(&reply));
        refusal::has_node_errors(&reply)
    };
    fuzz::run(300, |chance| chance.json(&replies), taken);
}

#[test]
fn fuzz_queue() {
    let run = |id: &str| json!([7, id, {"3": {"class_type": "KSampler"}}, {"client_id": "c"}, ["9"]]);
    let queues = [json!({"queue_running": [run("a")], "queue_pending": [run("b"), run("c")]})];
    let taken = |json: &Sample| from_json::<Queue>(json).is_ok_and(|queue| queue.holds("b"));
    fuzz::run(300, |chance| chance.json(&queues), taken);
}
