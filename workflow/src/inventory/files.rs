//! Files of one kind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alike;

/// Files by the names that painters see. Serialised it is the names alone, as the plugin wants them; read from names, each
/// file is called as it is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Files(BTreeMap<String, String>);

impl Files {
    /// Adds a file, in place of one of the same name.
    pub fn insert(&mut self, name: String, file: String) {
        self.0.insert(name, file);
    }

    /// Names and files, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, file)| (name.as_str(), file.as_str()))
    }

    /// The file of this name; neither case nor the direction of slashes matters.
    pub fn find(&self, name: &str) -> Option<&str> {
        let exact = self.0.get(name).map(String::as_str);
        exact.or_else(|| self.iter().find(|(key, _)| alike(key, name)).map(|(_, file)| file))
    }

    /// The name of this file.
    pub fn name_of(&self, file: &str) -> Option<&str> {
        self.iter().find(|(_, it)| *it == file).map(|(name, _)| name)
    }

    /// Those whose file is not among these.
    #[must_use]
    pub(crate) fn but(&self, left_out: impl Fn(&str) -> bool) -> Self {
        let kept = self.0.iter().filter(|(_, file)| !left_out(file));
        Self(kept.map(|(name, file)| (name.clone(), file.clone())).collect())
    }
}

impl FromIterator<String> for Files {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().map(|name| (name.clone(), name)).collect())
    }
}

impl From<Vec<String>> for Files {
    fn from(names: Vec<String>) -> Self {
        names.into_iter().collect()
    }
}

impl From<Files> for Vec<String> {
    fn from(files: Files) -> Self {
        files.0.into_keys().collect()
    }
}
