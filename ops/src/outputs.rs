//! The deployed stack's outputs: where everything is.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use cloud::tables::{Table, TableNames};
use serde_json::{Value, json};

/// Outputs by name.
#[derive(Debug, Clone)]
pub struct Outputs(BTreeMap<String, String>);

impl Outputs {
    /// Reads a file of `sam list stack-outputs --output json`, or a plain JSON object.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "{} cannot be read; write it with `sam list stack-outputs --output json`",
                path.display()
            )
        })?;
        Self::parse(&text).with_context(|| format!("{} holds no stack outputs", path.display()))
    }

    /// The same from text.
    pub fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).context("this is not JSON")?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let outputs: Option<BTreeMap<_, _>> = match &value {
            Value::Object(map) => map
                .iter()
                .map(|(name, value)| Some((name.clone(), text(value)?)))
                .collect(),
            Value::Array(list) => list
                .iter()
                .map(|it| Some((text(it.get("OutputKey")?)?, text(it.get("OutputValue")?)?)))
                .collect(),
            _ => None,
        };
        outputs
            .and_then(Self::of)
            .context("neither a list of OutputKey and OutputValue nor an object of names and values")
    }

    /// These; none are no outputs.
    pub fn of(outputs: BTreeMap<String, String>) -> Option<Self> {
        (!outputs.is_empty()).then_some(Self(outputs))
    }

    /// The outputs as a file of them has them.
    pub fn to_json(&self) -> String {
        json!(self.0).to_string()
    }

    /// The output with this name.
    pub fn get(&self, name: &str) -> Result<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("the stack has no output {name}; deploy it again"))
    }

    /// Where messages to WebSockets are posted.
    pub fn callback_url(&self) -> Result<String> {
        let socket = self.get("SocketUrl")?;
        let rest = socket.strip_prefix("ws").context("the socket's address is none")?;
        Ok(format!("http{rest}"))
    }

    /// The tables' names.
    pub fn tables(&self) -> Result<TableNames> {
        let name = |table| match table {
            Table::Tasks => "TasksTable",
            Table::TaskBodies => "TaskBodiesTable",
            Table::Fleet => "FleetTable",
            Table::Sessions => "SessionsTable",
            Table::Catalog => "CatalogTable",
            Table::Accounts => "AccountsTable",
            Table::Pools => "PoolsTable",
            Table::History => "HistoryTable",
        };
        for table in Table::ALL {
            self.get(name(table))?;
        }
        Ok(TableNames::read(|table| {
            self.get(name(table)).unwrap_or_default().to_owned()
        }))
    }
}
