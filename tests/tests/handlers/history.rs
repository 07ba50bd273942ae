//! What a task was asked with is kept with it, and told once it is over.

use cloud::tables::BodyOf;
use model::{Parameters, TaskId};
use serde_json::json;

use crate::support::{MARA, NOW, World, seconds, wire};

#[tokio::test]
async fn what_a_task_was_asked_with_is_told_once_it_is_over() {
    let world = World::new().await;
    {
        let request = wire("01_generate");
        let submitted = world.paint(MARA, "POST /v1/generate", "", &request, NOW).await.ok();
        let id = submitted["id"].as_str().unwrap();
        let task: TaskId = id.parse().unwrap();
        let asked = &request["input"]["workflow"];
        let kept: Parameters = world.get(&BodyOf(task)).await.parameters.unwrap();
        assert_eq!(kept.kind, asked["kind"]);
        assert_eq!(world.task(&task).await.kind.as_deref(), asked["kind"].as_str());
        assert_eq!(kept.prompt, asked["conditioning"]["positive"]);
        assert_eq!(kept.checkpoint, asked["models"]["checkpoint"]);
        assert_eq!(kept.seed, asked["sampling"]["seed"].as_u64());
        assert_eq!(json!(kept.steps), asked["sampling"]["total_steps"]);
        let start = asked["sampling"]["start_step"].as_f64().unwrap_or(0.0);
        let total = asked["sampling"]["total_steps"].as_f64().unwrap();
        assert!(
            (kept.strength.unwrap() - (1.0 - start / total)).abs() < 1e-9,
            "{kept:?}"
        );
        assert_eq!(json!([kept.width, kept.height]), asked["images"]["extent"]["target"]);

        let look = async |at| world.paint(MARA, "GET /v1/tasks/{id}", id, &json!(null), at).await.ok();
        let waits = look(NOW).await;
        assert_eq!((&waits["kind"], waits.get("parameters")), (&asked["kind"], None));
        world
            .paint(MARA, "POST /v1/cancel/{worker}/{id}", id, &json!(null), NOW)
            .await
            .ok();
        let over = look(NOW + seconds(1)).await;
        assert_eq!(over["parameters"], json!(kept));
    }
}
