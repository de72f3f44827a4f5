//! What every answer says of itself.

use crate::answer::BlockKind;
use crate::auth::Caller;
use crate::clock;
use crate::model::ServedModel;
use crate::records::Origin;
use crate::validate::sampling::Generation;

/// Id, time and model of an answer.
pub(super) struct Identity {
    /// Unique.
    pub(super) id: String,
    /// Seconds since 1970.
    pub(super) created: u64,
    /// The model's name.
    pub(super) model: String,
}

impl Identity {
    /// A new answer of `model` or one of its adapters; its id begins with `prefix`.
    pub(super) fn new(prefix: &str, model: &ServedModel, generation: &Generation) -> Self {
        let adapter = generation.adapter.as_deref();
        Self {
            id: format!("{prefix}{}", unique()),
            created: clock::unix_seconds(),
            model: model.name_with(adapter).to_owned(),
        }
    }

    /// What the record of the answer tells of where it comes from.
    pub(super) fn origin(
        &self,
        endpoint: &'static str,
        caller: &Caller,
        generation: &Generation,
    ) -> Origin {
        let salt = caller.cache_salt(&generation.cache_salt);
        Origin {
            id: self.id.clone(),
            endpoint,
            tenant: caller.tenant(),
            salt: match &generation.adapter {
                None => salt,
                Some(adapter) => adapter.handle.cache_salt(&salt),
            },
            created: clock::unix_time(),
            stream: generation.stream,
        }
    }

    /// The id of a tool call.
    pub(super) fn call() -> String {
        format!("call_{}", &unique()[..24])
    }

    /// The id of an item of a response.
    pub(super) fn item(kind: &BlockKind) -> String {
        let prefix = match kind {
            BlockKind::Reasoning => "rs",
            BlockKind::Text => "msg",
            BlockKind::Call(_) => "fc",
        };
        format!("{prefix}_{}", unique())
    }

    /// The id of an item of this type that a request has added.
    pub(super) fn input_item(kind: &str) -> String {
        let prefix = match kind {
            "reasoning" => "rs",
            "function_call" => "fc",
            "function_call_output" => "fco",
            _ => "msg",
        };
        format!("{prefix}_{}", unique())
    }

    /// The id of a tool call, as Anthropic's begin.
    pub(super) fn tool_use() -> String {
        format!("toolu_{}", &unique()[..24])
    }
}

fn unique() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
