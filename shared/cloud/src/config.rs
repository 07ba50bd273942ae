//! Configuration, read once at cold start.

use model::{Settings, SettingsError};

use crate::tables::{Table, TableNames};

/// Something is wrong with the environment: every problem at once.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {}", problems.join("; "))]
pub struct ConfigError {
    problems: Vec<String>,
}

/// Reads variables and remembers what is missing, so that one error names everything.
#[derive(Debug)]
pub struct Env<F> {
    lookup: F,
    problems: Vec<String>,
}

/// The process's environment.
pub fn process_env() -> Env<impl Fn(&str) -> Option<String>> {
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    Env::new(|name: &str| std::env::var(name).ok())
}

impl<F: Fn(&str) -> Option<String>> Env<F> {
    /// An environment given by a function, so that tests need no process environment.
    pub fn new(lookup: F) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
        }
    }

    /// The variable, if it is set and not empty.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// The variable; its absence is remembered.
    pub fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.problems.push(format!("{name} is not set"));
            String::new()
        })
    }

    /// Notes a problem of a value.
    pub fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    /// All is well, or everything that is not.
    pub fn finish(mut self) -> Result<(), ConfigError> {
        // The SDK would panic.
        if (self.lookup)("AWS_ENDPOINT_URL").is_some_and(|url| url.is_empty()) {
            self.problem("AWS_ENDPOINT_URL is empty; leave it out, or name the emulator");
        }
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError {
                problems: self.problems,
            })
        }
    }
}

/// What every function but `authorize` needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Names of the tables.
    pub tables: TableNames,
    /// The queue of new tasks.
    pub queue_url: String,
    /// The bucket of pictures.
    pub bucket: String,
    /// The bucket of model files.
    pub models_bucket: String,
    /// Where messages to WebSockets are posted.
    pub socket_callback_url: String,
    /// The WebSocket API's address for clients.
    pub socket_url: String,
    /// Durations and limits.
    pub settings: Settings,
    /// The SDK is pointed at an emulator.
    pub local_endpoint: bool,
}

impl Config {
    /// Reads it; problems are left in `env`.
    pub fn read<F: Fn(&str) -> Option<String>>(env: &mut Env<F>) -> Self {
        let settings = Settings::parse(&env.optional("SETTINGS").unwrap_or_default()).unwrap_or_else(|error| {
            let error: SettingsError = error;
            env.problem(format!("SETTINGS: {error}"));
            Settings::default()
        });
        Self {
            tables: TableNames::read(|table: Table| env.required(table.variable())),
            queue_url: env.required("TASK_QUEUE_URL"),
            bucket: env.required("BUCKET"),
            models_bucket: env.required("MODELS_BUCKET"),
            socket_callback_url: env.required("SOCKET_CALLBACK_URL"),
            socket_url: env.required("SOCKET_URL"),
            settings,
            local_endpoint: env.optional("AWS_ENDPOINT_URL").is_some(),
        }
    }

    /// Reads it from the process's environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        let mut env = process_env();
        let config = Self::read(&mut env);
        env.finish()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_names_everything_that_is_wrong() {
        let mut env = Env::new(|name: &str| match name {
            "SETTINGS" => Some("lease=soon".to_owned()),
            "AWS_ENDPOINT_URL" => Some(String::new()),
            _ => None,
        });
        Config::read(&mut env);
        let text = env.finish().unwrap_err().to_string();
        for part in [
            "TASKS_TABLE is not set",
            "BUCKET is not set",
            "SETTINGS: `soon` is no value for the setting `lease`",
            "AWS_ENDPOINT_URL is empty",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
