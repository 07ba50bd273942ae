//! What a sick or lying ComfyUI does to the worker.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use comfyui_double::{Faults, NodeFault};
use futures_util::stream;
use model::{
    FailureClass, RunId,
    worker_api::{InputBlob, RunFailure},
};
use serde_json::Value;

use crate::{
    bench::{Bench, Setup},
    cloud::Seen,
    plans::{refine, steps, webp},
};

/// How a ComfyUI between the worker and the double lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// A bare NaN in the history, as Python writes it.
    NaN,
    /// Each picture so many times.
    Many(usize),
    /// So many MiB before the history.
    Long(u64),
}

#[derive(Debug, Clone)]
struct Liar {
    to: String,
    lie: Lie,
    served: Arc<AtomicU64>,
    http: reqwest::Client,
}

async fn pass(State(liar): State<Liar>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let url = format!("{}{}", liar.to, parts.uri);
    let mut headers = parts.headers.clone();
    headers.remove("host");
    let reply = liar
        .http
        .request(parts.method.clone(), url)
        .headers(headers)
        .body(body)
        .send()
        .await;
    let Ok(reply) = reply else {
        return axum::http::StatusCode::BAD_GATEWAY.into_response();
    };
    let status = reply.status();
    let kind = reply.headers().get("content-type").cloned();
    let bytes = reply.bytes().await.unwrap();
    let history = parts.method == "GET" && parts.uri.path().starts_with("/history/");
    let mut made: Response = match liar.lie {
        Lie::NaN if history && bytes.len() > 2 => {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            Body::from(text.replacen("\"outputs\":", "\"meta\": {\"score\": NaN}, \"outputs\":", 1)).into_response()
        }
        Lie::Many(times) if history && bytes.len() > 2 => {
            let mut entry: Value = serde_json::from_slice(&bytes).unwrap();
            for outputs in entry.as_object_mut().unwrap().values_mut() {
                for output in outputs["outputs"].as_object_mut().unwrap().values_mut() {
                    let Some(images) = output["images"].as_array().cloned() else {
                        continue;
                    };
                    output["images"] = images.iter().cycle().take(times).cloned().collect();
                }
            }
            Body::from(entry.to_string()).into_response()
        }
        Lie::Long(mebibytes) if history && bytes.len() > 2 => {
            let served = Arc::clone(&liar.served);
            let space = Bytes::from(vec![b' '; 1 << 20]);
            let chunks = (0..=mebibytes).map(move |at| {
                served.fetch_add(1, Ordering::SeqCst);
                Ok::<_, std::io::Error>(if at == mebibytes { bytes.clone() } else { space.clone() })
            });
            Body::from_stream(stream::iter(chunks)).into_response()
        }
        _ => Body::from(bytes).into_response(),
    };
    *made.status_mut() = status;
    if let Some(kind) = kind {
        made.headers_mut().insert("content-type", kind);
    }
    made
}

/// A bench whose worker speaks with a liar.
async fn lied_to(lie: Lie) -> (Bench, Arc<AtomicU64>) {
    let mut bench = Bench::double().await;
    let served = Arc::new(AtomicU64::new(0));
    let liar = Liar {
        to: bench.comfy.clone(),
        lie,
        served: Arc::clone(&served),
        http: reqwest::Client::new(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    bench.comfy = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(pass).with_state(liar)).await });
    (bench.ready().await, served)
}

/// How a run ended: `None` by its picture.
async fn end(bench: &Bench, run: RunId) -> Option<RunFailure> {
    bench
        .cloud
        .wait("an end", |seen| match seen {
            Seen::Failure(failure) if failure.run_id == run => Some(Some(failure.clone())),
            Seen::Result(result) if result.run_id == run => Some(None),
            _ => None,
        })
        .await
}

/// A broken CUDA context lasts until ComfyUI is restarted.
#[tokio::test]
async fn a_broken_cuda_context_costs_comfyui_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("restarted");
    let mut bench = Bench::double().await;
    bench.start(Setup {
        restart: Some(format!("touch {}", file.display())),
        ..Setup::default()
    });
    bench.cloud.beat("ready", |beat| beat.ready).await;
    bench.double.as_ref().unwrap().set_faults(Faults {
        cuda_error: Some(NodeFault::always("VAEDecode")),
        ..Faults::default()
    });
    let mut failed = 0;
    let runs: Vec<_> = (0..6).map(|seed| bench.run(&steps(2, 100 + seed))).collect();
    for run in runs {
        bench.cloud.failure(run).await;
        failed += 1;
        if file.exists() {
            return;
        }
    }
    panic!("{failed} runs failed one after the other by a CUDA error, and ComfyUI was never restarted");
}

/// The folder of input pictures is emptied between two runs of the same picture.
#[tokio::test]
async fn a_vanished_input_is_uploaded_again() {
    let bench = Bench::double().await.ready().await;
    let picture = webp(64, 64, 200);
    let blob = InputBlob {
        base64: Some(BASE64_STANDARD.encode(&picture)),
        key: None,
        etag: None,
        offsets: vec![0],
        size: picture.len() as u64,
    };
    let first = bench.assignment(&refine(1), Some(blob.clone()));
    let id = first.run_id;
    bench.cloud.enqueue(first);
    bench.cloud.result(id).await;
    bench.double.as_ref().unwrap().remove_inputs();
    let second = bench.assignment(&refine(2), Some(blob));
    let id = second.run_id;
    bench.cloud.enqueue(second);
    let ended = end(&bench, id).await;
    assert!(
        ended.is_none_or(|it| it.class != Some(FailureClass::User)),
        "the painter is told that it is their fault"
    );
}

/// A bare NaN in ComfyUI's history.
#[tokio::test]
async fn a_nan_in_the_history_is_no_dead_comfyui() {
    let (bench, _) = lied_to(Lie::NaN).await;
    let run = bench.run(&steps(2, 7));
    let ended = end(&bench, run).await;
    assert!(
        ended.is_none(),
        "a finished picture is thrown away, and ComfyUI restarted"
    );
}

/// A history that does not end.
#[tokio::test]
async fn no_more_of_a_history_is_read_than_there_may_be() {
    let (bench, served) = lied_to(Lie::Long(1024)).await;
    let run = bench.run(&steps(2, 9));
    bench.cloud.failure(run).await;
    // Each look reads up to 32 MiB, and what was sent on the way; each of its tries is one.
    assert!(served.load(Ordering::SeqCst) < 512, "{served:?} MiB were read");
}

/// A history that names the picture ten thousand times.
#[tokio::test]
async fn no_more_pictures_are_read_than_were_asked_for() {
    let (bench, _) = lied_to(Lie::Many(3000)).await;
    let run = bench.run(&steps(2, 8));
    bench.cloud.failure(run).await;
    let views = bench.double.as_ref().unwrap().stats().views;
    assert!(views < 20, "{views} files were read into memory for one picture");
}

/// A plan that is too large for an answer lies in the bucket.
#[tokio::test]
async fn a_large_plan_is_fetched_from_where_it_lies() {
    let bench = Bench::double().await.ready().await;
    let mut run = bench.assignment(&steps(2, 11), None);
    let plan = std::mem::take(&mut run.plan);
    bench.cloud.store("plans/large", plan.to_string().into_bytes());
    run.urls.plan = Some(bench.cloud.bucket("plans/large"));
    let id = run.run_id;
    bench.cloud.enqueue(run);
    assert!(end(&bench, id).await.is_none());
    // One that cannot be read, and one that is not there.
    for (key, bytes) in [("plans/odd", Some(b"{\"graph\"".to_vec())), ("plans/none", None)] {
        let mut run = bench.assignment(&steps(2, 12), None);
        run.plan = Value::Null;
        if let Some(bytes) = bytes {
            bench.cloud.store(key, bytes);
        }
        run.urls.plan = Some(bench.cloud.bucket(key));
        let id = run.run_id;
        bench.cloud.enqueue(run);
        assert!(end(&bench, id).await.is_some(), "{key}");
    }
}

/// A ComfyUI that fails after each restart, at a picture and at the probe.
#[tokio::test]
async fn a_comfyui_that_does_not_recover_makes_its_machine_say_so() {
    let bench = Bench::double().await.ready().await;
    let double = bench.double.as_ref().unwrap();
    // It has failed and is well again: a probe says so.
    double.set_faults(Faults {
        cuda_error: Some(NodeFault::once("SaveImage")),
        ..Faults::default()
    });
    let run = bench.run(&steps(2, 22));
    bench.cloud.failure(run).await;
    let before = double.stats().succeeded;
    let run = bench.run(&steps(2, 23));
    assert!(end(&bench, run).await.is_none());
    assert!(double.stats().succeeded > before, "no probe");
    // It fails whatever is tried.
    double.set_faults(Faults {
        cuda_error: Some(NodeFault::always("SaveImage")),
        ..Faults::default()
    });
    let run = bench.run(&steps(2, 24));
    bench.cloud.failure(run).await;
    bench
        .cloud
        .beat("sick", |beat| !beat.ready && beat.sick.is_some())
        .await;
    double.set_faults(Faults::default());
    bench.cloud.beat("well", |beat| beat.ready && beat.sick.is_none()).await;
}
