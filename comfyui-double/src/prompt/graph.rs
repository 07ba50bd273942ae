//! A prompt graph: nodes with a class and inputs, inputs being values or links.

use serde::Deserialize;
use serde_json::Value;

use super::ordered::Ordered;

/// A graph in the "API" format: node id to node.
pub(crate) type Graph = Ordered<Node>;

/// One node as posted. Both parts may be missing: their absence has its own error.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) class_type: Option<Value>,
    pub(crate) inputs: Option<Ordered<Value>>,
}

impl Node {
    /// The class name, or "" if it is missing or no string.
    pub(crate) fn class(&self) -> &str {
        self.class_type.as_ref().and_then(Value::as_str).unwrap_or_default()
    }

    /// The inputs that are links to other nodes, in order.
    pub(crate) fn links(&self) -> impl Iterator<Item = (&str, Link<'_>)> {
        self.inputs
            .iter()
            .flat_map(Ordered::iter)
            .filter_map(|(name, value)| Some((name, Link::of(value)?)))
    }

    pub(crate) fn input(&self, name: &str) -> Option<&Value> {
        self.inputs.as_ref()?.get(name)
    }
}

/// `["4", 0]`: an output of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link<'a> {
    pub(crate) node: &'a str,
    pub(crate) slot: i64,
}

/// The place in a list that a slot means: Python counts negative ones from the end.
pub(crate) fn place(slot: i64, length: usize) -> Option<usize> {
    let place = match usize::try_from(slot) {
        Ok(slot) => slot,
        Err(_) => length.checked_sub(usize::try_from(slot.unsigned_abs()).ok()?)?,
    };
    (place < length).then_some(place)
}

impl<'a> Link<'a> {
    pub(crate) fn of(value: &'a Value) -> Option<Self> {
        match value.as_array()?.as_slice() {
            [Value::String(node), Value::Number(slot)] => Some(Self {
                node,
                slot: slot.as_i64()?,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_count_from_both_ends() {
        assert_eq!(
            [0, 2, -1, -3].map(|slot| place(slot, 3)),
            [Some(0), Some(2), Some(2), Some(0)]
        );
        assert_eq!([3, -4].map(|slot| place(slot, 3)), [None, None]);
    }
}
