//! Counting a conversation as it is, without an edit.

use std::collections::BTreeMap;

use context::{Mode, Replay, SegmentKind};

use super::division::Division;
use super::draft::DraftInput;
use super::pipeline::{self, Circumstances, Wish};
use super::place::Place;
use super::prefix_ends::PrefixEnds;
use super::{probe, report};
use crate::app::App;
use crate::validate::chat::Conversation;
use crate::wire::context_count::{ContextCount, DocumentCount, MessageCount, ToolCount};
use crate::wire::error::ApiError;

/// Counts the prompt that a completion without a budget would compute, and what is cached of it.
/// `wish` says which zones there are.
///
/// # Errors
/// What is wrong with the conversation or the settings. A prompt beyond the window is no error.
pub async fn count(
    app: &App,
    conversation: Conversation,
    wish: &Wish,
    circumstances: &Circumstances<'_>,
) -> Result<ContextCount, ApiError> {
    let salt = circumstances.salt();
    let (_, input, supply) =
        pipeline::input(app, conversation, wish, circumstances, Mode::Observe)?;
    supply.refuse("what the server puts in is not counted; it depends on the plan")?;
    let model = app.model().name().to_owned();
    let (tokens, counted) = app.text_pool().run(move || counted(&input, model)).await?;
    let probed = probe::ask(app, vec![tokens], &salt, circumstances.priority).await?;
    Ok(ContextCount {
        cached_tokens: probed.prompts[0].cached_tokens,
        ..counted
    })
}

/// The prompt, and everything but what is cached of it.
fn counted(input: &DraftInput, model: String) -> Result<(Vec<u32>, ContextCount), ApiError> {
    let division = Division::new(
        &input.model,
        &input.conversation,
        &input.annotations,
        &[],
        None,
        input.now,
    )?;
    let ends = PrefixEnds {
        marked: division.marked_end(
            input.settings.stable_prefix,
            &input.conversation.notes.marks,
        ),
        shared: 0,
    };
    let resolved = input.resolve(&division, &division.segments, &Replay::default(), ends)?;
    let rules = resolved.policy.zones.iter();
    let mut zones: BTreeMap<String, usize> =
        rules.map(|rule| (rule.zone.name().to_owned(), 0)).collect();
    for segment in &division.segments {
        *zones.entry(segment.zone.name().to_owned()).or_default() += segment.tokens;
    }
    let overhead = division.tokens.len() - zones.values().sum::<usize>();
    let Shares {
        system,
        messages,
        tools,
        documents,
    } = Shares::of(&division, &input.conversation);
    let count = ContextCount {
        object: "context.count",
        model,
        tokens: division.tokens.len(),
        zones,
        system,
        messages,
        tools,
        documents,
        deferred_tools: division.deferred.clone(),
        template_overhead: overhead,
        cached_tokens: 0,
        is_exact: division.is_exact,
        warnings: report::warnings(
            &division,
            resolved.policy.stable_prefix_end,
            &input.model.tokenizer,
        ),
    };
    Ok((division.tokens, count))
}

/// A prompt's tokens by what they are in the conversation.
struct Shares {
    system: Option<usize>,
    messages: Vec<MessageCount>,
    tools: Vec<ToolCount>,
    documents: Vec<DocumentCount>,
}

impl Shares {
    fn of(division: &Division, conversation: &Conversation) -> Self {
        let mut shares = Self::empty(conversation);
        for (at, segment) in division.segments.iter().enumerate() {
            let tokens = match (division.places[at], division.messages[at]) {
                (Place::Tool(tool), _) => &mut shares.tools[tool].tokens,
                (Place::Document(document), _) => &mut shares.documents[document].tokens,
                (_, Some(message)) => &mut shares.messages[message].tokens,
                (_, None) => shares.system.get_or_insert(0),
            };
            *tokens += segment.tokens;
            if let SegmentKind::ToolCall { name, .. } = &segment.kind {
                let called = shares.tools.iter_mut().find(|tool| *tool.name == **name);
                if let Some(tool) = called {
                    tool.last_used_turn = tool.last_used_turn.max(Some(segment.turn));
                }
            }
        }
        shares
    }

    fn empty(conversation: &Conversation) -> Self {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let messages = conversation.notes.roles.iter().enumerate();
        let tools = conversation.tools.definitions.iter();
        let documents = conversation.documents.as_ref().map_or(0, Vec::len);
        Self {
            system: None,
            messages: messages
                .map(|(index, role)| MessageCount {
                    index,
                    role: role.clone(),
                    tokens: 0,
                })
                .collect(),
            tools: tools
                .map(|tool| ToolCount {
                    name: text(&tool["function"]["name"]),
                    tokens: 0,
                    last_used_turn: None,
                })
                .collect(),
            documents: (0..documents)
                .map(|index| DocumentCount { index, tokens: 0 })
                .collect(),
        }
    }
}
