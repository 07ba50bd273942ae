//! Log lines on their way to CloudWatch Logs, against a small stand-in of it.

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_credential_types::Credentials;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, time::sleep};
use worker::{Destination, Intake, shipping};

/// What was asked for, and what is to be answered next.
#[derive(Debug, Default)]
struct Logs {
    calls: Vec<(String, Value)>,
    answers: Vec<(u16, &'static str)>,
}

impl Logs {
    fn messages(&self) -> Vec<String> {
        let put = self.calls.iter().filter(|(action, _)| action == "PutLogEvents");
        let events = put.flat_map(|(_, body)| body["logEvents"].as_array().unwrap().clone());
        events.map(|it| it["message"].as_str().unwrap().to_owned()).collect()
    }
}

type Shared = Arc<Mutex<Logs>>;

async fn answer(State(logs): State<Shared>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!(text("content-type"), "application/x-amz-json-1.1");
    let signed = text("authorization");
    assert!(
        signed.contains("/eu-central-1/logs/aws4_request") && signed.contains("x-amz-target"),
        "{signed}"
    );
    let action = text("x-amz-target").replace("Logs_20140328.", "");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&body["logGroupName"], &body["logStreamName"]),
        (&json!("group"), &json!("w-1/now"))
    );
    let mut logs = logs.lock().unwrap();
    let next = if logs.answers.is_empty() {
        (200, "")
    } else {
        logs.answers.remove(0)
    };
    if next.0 == 200 {
        logs.calls.push((action, body));
    }
    let kind = json!({ "__type": format!("com.amazonaws.logs#{}", next.1) });
    (StatusCode::from_u16(next.0).unwrap(), kind.to_string())
}

async fn begun(answers: Vec<(u16, &'static str)>) -> (Shared, Destination) {
    let logs = Shared::default();
    logs.lock().unwrap().answers = answers;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(Arc::clone(&logs));
    tokio::spawn(async { axum::serve(listener, router).await });
    let to = Destination {
        endpoint,
        region: "eu-central-1".to_owned(),
        group: "group".to_owned(),
        stream: "w-1/now".to_owned(),
    };
    (logs, to)
}

fn credentials() -> Credentials {
    Credentials::new("AKID", "secret", Some("session".into()), None, "test")
}

/// At once, as whoever formats lines writes them.
fn line(intake: &mut Intake, text: &str) {
    intake.write_all(format!("{text}\n").as_bytes()).unwrap();
}

async fn until(logs: &Shared, is_so: impl Fn(&Logs) -> bool) {
    let waiting = async {
        while !is_so(&logs.lock().unwrap()) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(45), waiting).await.unwrap();
}

/// Refused, throttled and not answered at all: each line comes once and in order, and none is asked for twice.
#[tokio::test]
async fn lines_come_once_and_in_order_whatever_is_refused_meanwhile() {
    let trouble = vec![
        (500, "InternalFailure"),
        (400, "ResourceAlreadyExistsException"),
        (400, "ThrottlingException"),
        (503, "ServiceUnavailableException"),
    ];
    let (logs, to) = begun(trouble).await;
    let (mut intake, shipper) = shipping(to, credentials()).unwrap();
    let (ends, ended) = oneshot::channel::<()>();
    let running = tokio::spawn(shipper.run(async { drop(ended.await) }));
    for number in 0..1500 {
        line(&mut intake, &format!("{{\"line\":{number}}}"));
    }
    until(&logs, |it| it.messages().len() >= 1000).await;
    // What is left goes with the worker's last words.
    line(&mut intake, &format!("{}é", "x".repeat(16 * 1024 - 1)));
    drop(ends);
    running.await.unwrap();
    let found = logs.lock().unwrap().messages();
    let (long, lines) = found.split_last().unwrap();
    let wanted: Vec<_> = (0..1500).map(|it| format!("{{\"line\":{it}}}")).collect();
    assert_eq!(lines, wanted);
    assert_eq!(long.len(), 16 * 1024 - 1, "a line is cut between letters");
    let largest = logs
        .lock()
        .unwrap()
        .calls
        .iter()
        .map(|(_, body)| body.to_string().len())
        .max();
    assert!(largest < Some(1 << 20), "{largest:?}");
}

/// Nobody waits for a line: what there is no room for is counted, and said.
#[tokio::test]
async fn what_there_is_no_room_for_is_counted() {
    let (logs, to) = begun(vec![]).await;
    let (mut intake, shipper) = shipping(to, credentials()).unwrap();
    for number in 0..5000 {
        line(&mut intake, &number.to_string());
    }
    let running = tokio::spawn(shipper.run(std::future::pending()));
    until(&logs, |it| it.messages().len() >= 4097).await;
    let found = logs.lock().unwrap().messages();
    let said = found.iter().find(|it| it.contains("were dropped")).unwrap();
    assert!(said.contains("\"lines\":904"), "{said}");
    let first = logs.lock().unwrap().calls[0].clone();
    assert_eq!(first.0, "CreateLogStream");
    running.abort();
}
