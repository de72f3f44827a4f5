//! The tools that an answer may call.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

/// Schemas of the parameters of the tools, by name. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Tools(Arc<BTreeMap<String, Value>>);

impl Tools {
    /// Reads tools in OpenAI's shape, `{"type": "function", "function": {"name": .., "parameters":
    /// ..}}`, or the inner objects alone. What has no name is no tool.
    pub(crate) fn new(tools: &[Value]) -> Self {
        let named = tools.iter().filter_map(|tool| {
            let function = tool.get("function").unwrap_or(tool);
            let name = function.get("name")?.as_str()?.to_owned();
            let parameters = function.get("parameters").cloned().unwrap_or_default();
            Some((name, parameters))
        });
        Self(Arc::new(named.collect()))
    }

    /// Whether the name can be that of a tool: any can when no tools are known.
    pub(super) fn may_have(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.contains_key(name)
    }

    /// Whether there is a tool of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// JSON schema of the parameters of a tool.
    pub(super) fn parameters(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}
