//! What a handler answered over HTTP.

use serde_json::Value;

/// What a handler answered over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: i64,
    pub(crate) body: Value,
    /// Where a page sends on to.
    pub(crate) location: Option<String>,
    pub(crate) cookies: Vec<String>,
}

impl Answer {
    /// The error in words, which every refusal must have.
    pub(crate) fn error(&self) -> &str {
        let error = self.body["error"].as_str().unwrap_or_default();
        let fields = if self.status == 402 { 2 } else { 1 };
        assert!(
            self.status >= 400 && !error.is_empty() && self.body.as_object().unwrap().len() == fields,
            "{self:?}"
        );
        error
    }

    /// The body of a success.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    pub(crate) fn parsed<T: serde::de::DeserializeOwned>(self) -> T {
        serde_json::from_value(self.ok()).unwrap()
    }
}
