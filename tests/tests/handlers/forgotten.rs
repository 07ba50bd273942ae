//! What a new limit and a new line of a log would forget.

use crate::{lists::sources, support::workspace};

/// Each limit of the code: where it is, and its row in `docs/limits.md`, or in words why it needs none.
const LIMITS: &[(&str, &str)] = &[
    ("functions/account/src/sign_in.rs MAX_TEXT", "client_id"),
    (
        "functions/archive/src/sheet.rs LARGEST",
        "pixels of a thumbnail, of which the row thumbnail has the bytes",
    ),
    (
        "functions/catalog/src/list.rs MAX_NAME",
        "what is searched for, within a path that is bounded",
    ),
    (
        "functions/catalog/src/list.rs MOST",
        "entries of a page, as the document says",
    ),
    ("functions/catalog/src/model.rs MAX_ID", "within a path that is bounded"),
    ("functions/claim/src/end.rs MAX_PICTURES", "result_pictures"),
    ("functions/claim/src/heartbeat.rs MAX_REASON", "of a line of the log"),
    ("functions/claim/src/assign.rs MAX_LOST", "of our own work"),
    ("functions/claim/src/lib.rs MAX_NAME", "worker_model"),
    ("functions/generate/src/submit.rs MAX_BODY", "submit_body"),
    ("functions/generate/src/variants.rs MAX_PLANS", "of our own memory"),
    ("functions/generate/src/variants.rs MOST", "variants"),
    ("functions/progress-push/src/lib.rs MAX_SYNC", "sync"),
    ("shared/catalog/src/inspect/mod.rs MAX_HEADER", "of our own reading"),
    (
        "shared/catalog/src/inspect/training.rs MAX_TEXT",
        "of what is shown of a file",
    ),
    (
        "shared/catalog/src/inspect/training.rs MAX_WORDS",
        "of what is shown of a file",
    ),
    (
        "shared/catalog/src/models/change.rs MOST_VERSIONS",
        "of one transaction",
    ),
    (
        "shared/catalog/src/models/upload.rs MAX_NAME",
        "of the store of models, tried with it",
    ),
    (
        "shared/catalog/src/models/upload.rs MAX_TEXT",
        "of the store of models, tried with it",
    ),
    (
        "shared/catalog/src/models/upload.rs MOST_ENTRIES",
        "of the store of models, tried with it",
    ),
    (
        "shared/catalog/src/models/upload.rs MOST_KNOWN",
        "of the store of models, tried with it",
    ),
    (
        "shared/catalog/src/models/upload.rs MOST_OPEN",
        "of the store of models, tried with it",
    ),
    (
        "shared/catalog/src/models/upload.rs MOST_PRIVATE",
        "of the store of models, tried with it",
    ),
    (
        "shared/catalog/src/models/upload.rs MOST_URLS",
        "of the store of models, tried with it",
    ),
    ("shared/catalog/src/uploads.rs MAX_FORGOTTEN", "of our own work"),
    ("shared/catalog/src/uploads.rs MAX_NAME", "of a message"),
    ("shared/catalog/src/uploads.rs MAX_NAMED", "named_loras"),
    ("shared/cloud/src/bucket.rs LARGEST_PUT", "S3's own"),
    ("shared/cloud/src/bucket.rs LONGEST_KEY", "S3's own"),
    ("shared/cloud/src/bucket.rs LONGEST_LIFE", "S3's own"),
    ("shared/cloud/src/http/extract.rs LARGEST", "any_body"),
    ("shared/cloud/src/http/serve.rs LONGEST", "path"),
    ("shared/cloud/src/lib.rs LONGEST_CHAIN", "logged_error"),
    ("shared/cloud/src/multipart.rs MOST_PARTS", "S3's own"),
    (
        "shared/cloud/src/page.rs LARGEST",
        "a number, whose text is within the path",
    ),
    ("shared/cloud/src/page.rs LONGEST", "cursor"),
    ("shared/cloud/src/retry.rs LONGEST", "of a pause"),
    ("shared/cloud/src/unknown.rs MOST", "of our own memory"),
    (
        "shared/forecast/src/clean.rs LONGEST",
        "of our own counts, kept for thirteen months",
    ),
    ("shared/model/src/failure.rs MAX_MESSAGE", "failure_message"),
    ("shared/model/src/guess.rs MOST_WORK", "of a sum"),
    ("shared/model/src/run.rs MAX_ALONE", "picture_alone"),
    ("shared/model/src/run.rs MAX_THUMBNAIL", "thumbnail"),
    ("shared/model/src/task.rs MAX_FAILURES", "of tries"),
    ("shared/model/src/worker_api.rs MAX_PLAN", "plan"),
    ("shared/tasks/src/bodies.rs INLINE", "plan"),
    ("shared/tasks/src/intake/inputs.rs MAX_INLINE", "inline_picture"),
    ("shared/tasks/src/list/mod.rs MOST", "tasks_page"),
    (
        "shared/tasks/src/groups.rs MOST",
        "entries of a page, as the document says",
    ),
    (
        "functions/generate/src/list.rs LONGEST",
        "what is searched for, within a path that is bounded",
    ),
    ("shared/history/src/file.rs MOST", "of our own reading"),
    (
        "shared/model/src/parameters.rs LONGEST",
        "of what a submit lets in already, tried with it",
    ),
    ("shared/cloud/src/tables.rs MOST", "of our own reading"),
    ("shared/cloud/src/query.rs MOST", "of our own reading"),
    ("shared/model/src/scheduling.rs MOST", "of a sum"),
    ("shared/model/src/worker.rs MOST", "of a time that a machine says"),
    ("shared/tasks/src/intake/ahead.rs MOST", "of our own memory"),
    ("shared/tasks/src/presence.rs MOST", "of our own memory"),
    ("shared/model/src/socket.rs MAX_PREVIEW", "preview"),
    ("functions/progress-push/src/look.rs LONGEST", "preview"),
    ("shared/accounts/src/audit.rs MOST", "of our own reading"),
    ("functions/studio/src/recording/export.rs MOST", "of our own answer"),
    // The histories of a painter, and by the same name the bytes of a small picture.
    ("shared/model/src/recording.rs MOST", "histories"),
    ("shared/model/src/recording.rs MOST_APPLIED", "applied"),
    ("shared/model/src/recording.rs MOST_RESULTS", "history_pictures"),
    (
        "shared/model/src/group.rs MOST_VOTES",
        "of a group's item, tried with it: one of each person for two variants",
    ),
    ("shared/model/src/recording.rs MOST_STEPS", "history_steps"),
    ("shared/model/src/pool.rs MOST", "of our own memory"),
    (
        "shared/web/src/tongue.rs MOST_RANGES",
        "of a header, within all headers",
    ),
    ("shared/web/src/visit.rs LONGEST", "within the path"),
];

fn all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["shared", "functions"] {
        sources(&workspace().join(folder), &mut found);
    }
    // Policies are sums over what was let in; the in-memory AWS is no part of the product.
    let ours = |name: &str| {
        name.contains("/src/") && !name.contains("policy/") && !name.contains("/memory/") && !name.ends_with("tests.rs")
    };
    found.retain(|(name, _)| ours(name));
    found
}

/// The name of a limit that this line declares.
fn limit(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("const ")?;
    let name = rest.split(':').next()?;
    let begins = ["MAX_", "MOST", "LONGEST", "LARGEST", "INLINE"];
    let is_name = name.bytes().all(|it| it.is_ascii_uppercase() || it == b'_');
    (is_name && begins.iter().any(|it| name.starts_with(it))).then_some(name)
}

#[test]
fn every_limit_of_the_code_has_a_row_or_a_reason() {
    let mut found = Vec::new();
    for (file, text) in all() {
        let of_file = text.lines().filter_map(limit).map(|name| format!("{file} {name}"));
        found.extend(of_file);
    }
    found.sort();
    found.dedup();
    let mut known: Vec<_> = LIMITS.iter().map(|(at, _)| (*at).to_owned()).collect();
    known.sort();
    assert_eq!(
        found, known,
        "limits of the code, and those that somebody has looked at"
    );
    let rows = std::fs::read_to_string(workspace().join("docs/limits.md")).unwrap();
    for (at, row) in LIMITS.iter().filter(|(_, row)| !row.contains(' ')) {
        assert!(rows.contains(&format!("| `{row}` |")), "{at}: no row {row}");
    }
}

/// `%error` and `?error` log an error as long as whoever caused it made it; `chain` cuts it and names its sources.
#[test]
fn no_log_has_an_error_uncut() {
    let uncut = |line: &str| {
        ["error", "problem"].iter().any(|name| {
            [
                format!("%{name}"),
                format!("?{name}"),
                format!("{name} = %"),
                format!("{name} = ?"),
            ]
            .iter()
            .any(|form| line.contains(form.as_str()))
                || line.contains(&format!("= {name}.to_string()")) && line.contains("error =")
        })
    };
    let mut wrong = Vec::new();
    for (file, text) in all() {
        let lines = text.lines().zip(1..).filter(|(line, _)| uncut(line));
        wrong.extend(lines.map(|(line, at)| format!("{file}:{at}: {}", line.trim())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
