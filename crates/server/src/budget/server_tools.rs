//! Tools that the server itself runs while it answers (`server_tools`): the model reads by a handle
//! what has left its prompt, and asks how much room there is.
//!
//! Both are declared whenever the request's field says so, and not only when there are handles: a
//! list of tools that changes would change the beginning of the prompt, and nothing of it would be
//! cached.

mod outcome;
mod page;

use chrono::NaiveDateTime;
use memory::Tenant;
use serde_json::{Value, json};

use crate::app::App;
use crate::model::ServedModel;
use crate::prompt;
use crate::validate::chat::Conversation;
use crate::validate::messages::ToolChoice;
use crate::wire::context_report::ServerToolReport;
use crate::wire::error::ApiError;
use outcome::Outcome;

/// The field that asks for them.
pub const FIELD: &str = "context_budget.server_tools";

const RESTORE: &str = "context_restore";
const STATUS: &str = "context_status";

/// How often results are made again because the prompt with them has more tokens than was counted.
const ATTEMPTS: usize = 3;

/// The server's tool of that name.
pub fn find(name: &str) -> Option<&'static str> {
    [RESTORE, STATUS].into_iter().find(|tool| *tool == name)
}

/// Adds the server's tools to those of a request; false if its `tool_choice` allows none.
///
/// # Errors
/// When the request or the model leaves no room for such tools.
pub(super) fn declare(
    conversation: &mut Conversation,
    model: &ServedModel,
) -> Result<bool, ApiError> {
    if conversation.tools.choice == ToolChoice::None {
        return Ok(false);
    }
    if model.tool_calls.is_none() {
        let message = format!("`{FIELD}`: the server cannot read this model's tool calls.");
        return Err(ApiError::unsupported(FIELD, message));
    }
    if !conversation.add_generation_prompt {
        let message = format!("`{FIELD}`: the answer must be a message of its own.");
        return Err(ApiError::field(FIELD, message));
    }
    let tools = &mut conversation.tools;
    let name = |tool: &Value| find(tool["function"]["name"].as_str().unwrap_or_default());
    if let Some((at, name)) = tools.all().find_map(|(at, tool)| Some((at, name(tool)?))) {
        let path = format!("tools[{at}]");
        let message = format!("`{path}`: with `{FIELD}`, `{name}` is the server's own tool.");
        return Err(ApiError::field(path, message));
    }
    tools.definitions.extend(definitions());
    Ok(true)
}

/// The server's tools, in OpenAI's shape.
pub fn definitions() -> [Value; 2] {
    let tool = |name: &str, description: &str, parameters: Value| {
        json!({"type": "function", "function":
            {"name": name, "description": description, "parameters": parameters}})
    };
    [
        tool(
            RESTORE,
            "Reads a text that has left this conversation, by the handle that stands in its place.",
            json!({
                "type": "object",
                "properties": {
                    "handle": {"type": "string", "description": "ctx:// and 13 letters"},
                    "offset": {"type": "integer", "description": "characters to skip"},
                },
                "required": ["handle"],
            }),
        ),
        tool(
            STATUS,
            "Tells how many tokens of the context are used and left.",
            json!({"type": "object", "properties": {}}),
        ),
    ]
}

/// The server's tools in one answer: the conversation that the model sees, which grows by calls and
/// results. The client never sees those, so its next request is without them.
pub struct ServerTools {
    pub(super) model: ServedModel,
    /// As it stands in the prompt, edits and note included.
    pub(super) conversation: Conversation,
    /// The time that templates write, the same in all rounds.
    pub(super) now: NaiveDateTime,
    pub(super) tenant: Tenant,
    /// Tokens that prompt and output may have together.
    pub(super) budget: usize,
    pub(super) uses: Vec<ServerToolReport>,
}

/// A call of one of the server's tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCall {
    /// Its name.
    pub tool: &'static str,
    /// JSON text, as the model wrote it.
    pub arguments: String,
}

/// What the model has said before it waits for results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerRound {
    /// Text beside the calls.
    pub said: String,
    /// At least one.
    pub calls: Vec<ServerCall>,
}

/// The prompt of the next round, and what was called for it.
type Filled = (Vec<u32>, Vec<ServerToolReport>);

impl ServerTools {
    /// What was called so far.
    pub fn uses(&self) -> &[ServerToolReport] {
        &self.uses
    }

    /// Notes calls that nobody runs.
    pub fn pass_over(&mut self, calls: &[ServerCall]) {
        let uses = calls.iter().map(|call| ServerToolReport {
            tool: call.tool,
            handle: None,
            tokens: 0,
            result: "not_run",
        });
        self.uses.extend(uses);
    }

    /// Runs the calls of a round and returns the prompt of the next one, which leaves `reserve`
    /// tokens of the budget; `None` if there is no room for any result.
    ///
    /// # Errors
    /// When the memory store fails, or the template refuses the conversation.
    pub fn go_on(
        &mut self,
        app: &App,
        round: &ServerRound,
        reserve: usize,
    ) -> Result<Option<Vec<u32>>, ApiError> {
        let before = self.conversation.messages.len();
        let mut kept = reserve;
        for _ in 0..ATTEMPTS {
            self.append(round);
            let Some((prompt, uses)) = self.fill(app, round, kept)? else {
                break;
            };
            if prompt.len() + reserve <= self.budget {
                self.count_needs(app, &uses);
                self.uses.extend(uses);
                return Ok(Some(prompt));
            }
            // Tokens merge across borders.
            kept += prompt.len() + reserve - self.budget;
            self.conversation.messages.truncate(before);
        }
        self.conversation.messages.truncate(before);
        self.pass_over(&round.calls);
        Ok(None)
    }

    /// What the model reads again, later plans spare.
    fn count_needs(&self, app: &App, uses: &[ServerToolReport]) {
        let read = uses
            .iter()
            .filter(|used| matches!(used.result, "whole" | "page"));
        let handles = read.filter_map(|used| used.handle.as_deref()?.parse().ok());
        let mut counts = app.budgeter().uses();
        handles.for_each(|handle| counts.count_need(self.tenant, handle));
    }

    /// Adds the calls, and results that are still empty.
    fn append(&mut self, round: &ServerRound) {
        let messages = &mut self.conversation.messages;
        // Templates that write ids want them to differ, and the cache wants them to be the same
        // every time.
        let first = messages.len();
        let id = |at: usize| format!("server{}", first + at);
        let calls = round.calls.iter().enumerate().map(|(at, call)| {
            // Templates parse the arguments; what is no JSON is told in the result.
            let is_object = serde_json::from_str::<serde_json::Map<_, Value>>(&call.arguments);
            let arguments = is_object.map_or("{}", |_| &call.arguments);
            json!({"id": id(at), "type": "function",
                "function": {"name": call.tool, "arguments": arguments}})
        });
        let calls: Vec<Value> = calls.collect();
        messages.push(json!({"role": "assistant", "content": round.said, "tool_calls": calls}));
        for (at, call) in round.calls.iter().enumerate() {
            messages.push(
                json!({"role": "tool", "tool_call_id": id(at), "name": call.tool,
                "content": ""}),
            );
        }
    }

    /// Puts the results in, into what `kept` leaves of the budget.
    fn fill(
        &mut self,
        app: &App,
        round: &ServerRound,
        kept: usize,
    ) -> Result<Option<Filled>, ApiError> {
        let bare = self.encode()?.len();
        let Some(mut room) = self.budget.checked_sub(bare + kept) else {
            return Ok(None);
        };
        let first = self.conversation.messages.len() - round.calls.len();
        let mut uses = Vec::with_capacity(round.calls.len());
        for (at, call) in round.calls.iter().enumerate() {
            let outcome = self.run(app, call, room, kept)?;
            let tokens = self.count(&outcome.text);
            let Some(left) = room.checked_sub(tokens) else {
                return Ok(None);
            };
            room = left;
            self.conversation.messages[first + at]["content"] = Value::from(outcome.text);
            uses.push(ServerToolReport {
                tool: call.tool,
                handle: outcome.handle.map(|handle| handle.to_string()),
                tokens,
                result: outcome.result,
            });
        }
        Ok(Some((self.encode()?, uses)))
    }

    fn run(
        &self,
        app: &App,
        call: &ServerCall,
        room: usize,
        kept: usize,
    ) -> Result<Outcome, ApiError> {
        if call.tool == STATUS {
            let status = |left: usize| Outcome::status(self.budget, kept, left);
            // Its own tokens are no longer left when it is read.
            let own = self.count(&status(room).text);
            return Ok(status(room.saturating_sub(own)));
        }
        Outcome::restore(app, &self.tenant, call, room, &self.model.tokenizer)
    }

    fn count(&self, text: &str) -> usize {
        let tokens = self.model.tokenizer.encode(text, false);
        tokens.map_or(text.len(), |tokens| tokens.len())
    }

    fn encode(&self) -> Result<Vec<u32>, ApiError> {
        let text = prompt::render(&self.model, &self.conversation, self.now)?;
        let special = self.conversation.add_special_tokens;
        prompt::encode(&self.model, "messages", &text, special)
    }
}
