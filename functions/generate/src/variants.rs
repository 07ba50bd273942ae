//! From a request with variants to a group of tasks that wait.

use accounts::Caller;
use cloud::{Cloud, Store, http::HttpError};
use model::{GroupId, Millis, TaskId};
use serde::Serialize;
use serde_json::Value;
use tasks::intake::{self, Files, Fresh, WantedGroup, WantedVariant};
use utoipa::ToSchema;
use workflow::{
    WorkflowInput,
    variants::{Expanded, Variants},
};

use crate::{
    App,
    reply::Spent,
    submit::{Bench, files, language, refused},
};

/// Most bytes of all plans of a group together: they are in memory at once.
const MAX_PLANS: usize = 32 * 1024 * 1024;

/// No transaction takes more with what belongs to them.
const MOST: u32 = 96;

/// A group that waits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubmittedGroup {
    /// What it is called.
    group: GroupId,
    /// Its tasks, in the order in which they were asked for.
    variants: Vec<SubmittedVariant>,
    user: Spent,
    /// Seconds until the last picture is expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_s: Option<u64>,
}

/// One of a group that waits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubmittedVariant {
    id: TaskId,
    /// What is special about it, for people.
    label: String,
}

impl SubmittedGroup {
    fn of(group: model::Group, user: Spent, eta_s: Option<u64>) -> Self {
        let variants = group.members.into_iter().map(|it| SubmittedVariant {
            id: it.task_id,
            label: it.label,
        });
        Self {
            group: group.group_id,
            variants: variants.collect(),
            user,
            eta_s,
        }
    }
}

/// Submits a group: all of its variants, or none.
#[expect(clippy::too_many_arguments, reason = "what a request is made of")]
pub(crate) async fn submit(
    app: &App,
    cloud: &Cloud,
    caller: &Caller,
    fresh: Fresh,
    input: WorkflowInput,
    variants: Value,
    webp: bool,
    now: Millis,
) -> Result<SubmittedGroup, HttpError> {
    let (account, mut wanted) = compiled(app, cloud, caller, &input, variants, now).await?;
    for variant in &mut wanted {
        variant.plan.output.webp = webp;
    }
    let wanted = WantedGroup {
        fresh,
        files: input.image_data.map_or(Files::None, files),
        language: input.conditioning.map_or_else(String::new, |it| language(&it.language)),
        variants: wanted,
    };
    let admitted = intake::admit_group(cloud, &app.settings, &app.recent, &account, wanted, now).await?;
    let user = Spent::of(&admitted.usage, &account);
    let eta_s = admitted.done.map(|it| it.as_secs());
    Ok(SubmittedGroup::of(admitted.group, user, eta_s))
}

/// The answer to a request that was made before.
pub(crate) async fn again(store: &Store, caller: &Caller, id: GroupId) -> Result<SubmittedGroup, HttpError> {
    let group = store.get(&id).await?.filter(|it| it.owner == caller.user());
    let group = group.ok_or_else(|| HttpError::new(404, "There is no such group."))?;
    let account = accounts::of(store, caller).await?;
    let usage = accounts::usage(store, &account.user_id, group.created).await?;
    Ok(SubmittedGroup::of(group, Spent::of(&usage, &account), None))
}

/// What all variants together may cost, in whole credits.
pub(crate) async fn cost(
    app: &App,
    caller: &Caller,
    input: &WorkflowInput,
    variants: Value,
    now: Millis,
) -> Result<String, HttpError> {
    let (_, wanted) = compiled(app, &app.cloud, caller, input, variants, now).await?;
    let credits = wanted.iter().map(|it| it.credits);
    Ok(credits.fold(0, u64::saturating_add).to_string())
}

/// A refusal that says which variant it is about.
fn of_variant(error: HttpError, number: usize, label: &str) -> HttpError {
    match error.message.strip_prefix("Validation error: ") {
        Some(words) if error.status == 400 => {
            HttpError::new(400, format!("Validation error: variant {number} ({label}): {words}"))
        }
        _ => error,
    }
}

/// Compiles each variant, as if it was a request of its own.
async fn compiled(
    app: &App,
    cloud: &Cloud,
    caller: &Caller,
    input: &WorkflowInput,
    variants: Value,
    now: Millis,
) -> Result<(model::Account, Vec<WantedVariant>), HttpError> {
    let in_words = |it: workflow::Refusal| refused(it.to_string());
    let variants = Variants::read(variants).map_err(in_words)?;
    let most = app.settings.max_variants.min(MOST);
    let all = variants.expand(input, most).map_err(in_words)?;
    let mut bench = Bench::of(app, cloud, input, caller, now).await?;
    let mut wanted = Vec::with_capacity(all.len());
    let mut bytes = 0;
    for (variant, number) in all.zip(1..) {
        let Expanded { label, input } = variant.map_err(in_words)?;
        let compiled = bench.compile(&input).await;
        let (plan, models) = compiled.map_err(|it| of_variant(it, number, &label))?;
        bytes += serde_json::to_vec(&plan).map_err(HttpError::broken)?.len();
        if bytes > MAX_PLANS {
            return Err(HttpError::new(
                413,
                "Validation error: these variants together are too long. Ask for fewer, or shorten the prompts.",
            ));
        }
        wanted.push(WantedVariant {
            label,
            plan,
            parameters: intake::parameters(&input),
            models,
            credits: workflow::credits(&input),
        });
    }
    Ok((bench.account, wanted))
}
