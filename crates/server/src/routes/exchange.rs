//! A conversation that is being answered, whichever API it came by.

mod stream;
mod told;

use axum::response::Response;
use context::{Mode, ReportLevel, Window};
use serde_json::json;

use super::identity::Identity;
use crate::answer::{Order, Rounds};
use crate::app::App;
use crate::auth::Caller;
use crate::budget::drift::Recording;
use crate::budget::infeasible::Declined;
use crate::budget::pipeline::{self, Circumstances, Settled, Wish};
use crate::budget::progress::{Progress, Stage};
use crate::budget::server_tools::{self, ServerTools};
use crate::grammars;
use crate::metrics::Forecast;
use crate::retention::{self, Marked};
use crate::traces::RequestTrace;
use crate::validate::chat::{ChatRequest, Conversation};
use crate::validate::sampling::Generation;
use crate::wire::context_report::ContextReport;
use crate::wire::error::ApiError;
use crate::{prompt, sse};

pub(super) use stream::{Writer, written};
use told::headers;
pub(super) use told::{Told, ToldReport};

/// Where conversations come in.
#[derive(Clone, Copy)]
pub(super) struct Endpoint {
    /// Its path, for records and spans.
    pub(super) path: &'static str,
    /// What the ids of its answers begin with.
    pub(super) id_prefix: &'static str,
}

/// A conversation whose answers the engine is making.
pub(super) struct Exchange {
    pub(super) answers: Rounds,
    pub(super) identity: Identity,
    pub(super) generation: Generation,
    pub(super) told: Told,
}

/// What has become of a request.
pub(super) enum Begun {
    /// The engine has been asked.
    Exchange(Box<Exchange>),
    /// The prompt does not fit, and the client wants to be told so in words.
    Declined(Box<Refusal>),
}

/// An answer that no model gives.
pub(super) struct Refusal {
    declined: Declined,
    pub(super) generation: Generation,
    /// Whether the client asked for edits in Anthropic's terms.
    asks_for_edits: bool,
}

impl Refusal {
    /// Of the answer.
    pub(super) fn identity(&self, endpoint: Endpoint, app: &App) -> Identity {
        Identity::new(endpoint.id_prefix, app.model(), &self.generation)
    }

    /// What is said, and what is told of the context: the report, whatever the client wants of
    /// reports, and to who asks for edits that there were none.
    pub(super) fn into_answer(self) -> (String, Told) {
        let declined = self.declined;
        let told = Told {
            headers: headers(&declined.report),
            report: Some(ToldReport {
                is_full: declined.level == ReportLevel::Full,
                report: declined.report,
                drifted: None,
            }),
            management: self.asks_for_edits.then(|| json!({"applied_edits": []})),
            drift: None,
            explained: None,
        };
        (declined.message, told)
    }
}

/// A conversation that somebody wants to be answered.
pub(super) struct Asked {
    pub(super) caller: Caller,
    pub(super) endpoint: Endpoint,
    pub(super) request: ChatRequest,
    pub(super) trace: RequestTrace,
}

/// Answers a conversation in the words of an API: `respond` gives the answer, at once or as a stream,
/// and `late_refusal` the events of a refusal that comes when a stream has begun. Without it a stream
/// begins with the answer, however long that takes.
///
/// # Errors
/// Whatever is wrong with the request, or the server's refusal.
pub(super) async fn answer<R>(
    app: App,
    asked: Asked,
    late_refusal: Option<fn(&ApiError) -> String>,
    respond: impl FnOnce(App, Begun) -> R + Send + 'static,
) -> Result<Response, ApiError>
where
    R: Future<Output = Result<Response, ApiError>> + Send,
{
    let keep_alive = app.limits().keep_alive;
    let generation = &asked.request.generation;
    let (is_stream, tells_stages) = (generation.stream, generation.include_context_budget);
    let Some(late_refusal) = late_refusal.filter(|_| is_stream) else {
        let begun = begin(&app, asked, Progress::default()).await?;
        return respond(app, begun).await;
    };
    let (mut progress, stages) = Progress::new();
    if !tells_stages {
        progress = Progress::default();
    }
    let trace = asked.trace.clone();
    let answer = async move {
        let begun = begin(&app, asked, progress).await?;
        respond(app, begun).await
    };
    sse::patient(trace.watch(answer), stages, keep_alive, late_refusal).await
}

/// Makes the prompt of a conversation, within its budget if it has one, and asks the engine.
async fn begin(app: &App, asked: Asked, progress: Progress) -> Result<Begun, ApiError> {
    let Asked {
        caller,
        endpoint,
        request,
        trace,
    } = asked;
    let mut tools = request.conversation.tools.clone();
    let generation = request.generation;
    let marked = Marked::of(&request.conversation);
    let context = if request.wish.mode(app)? == Mode::Off {
        check_silent(&generation)?;
        Context::plain(app, prompt::of_chat(app, request.conversation).await?)
    } else {
        let (conversation, wish) = (request.conversation, &request.wish);
        match budgeted(app, &caller, &generation, conversation, wish, progress).await? {
            Ok(context) => context,
            Err(declined) => {
                let asks_for_edits = wish.management.is_some();
                return Ok(Begun::Declined(Box::new(Refusal {
                    declined: *declined,
                    generation,
                    asks_for_edits,
                })));
            }
        }
    };
    let defaults = [app.model().defaults.max_tokens, context.max_output_tokens];
    let tokens = &context.tokens;
    if context.server_tools.is_some() {
        tools.definitions.extend(server_tools::definitions());
    }
    let preamble = app.model().preamble(tokens);
    let asked = grammars::of_chat(app.model(), generation.grammar.as_ref(), &tools)?;
    let compiling = app.grammars().compile(app, asked.as_ref(), preamble);
    let grammar = compiling.await?;
    let retention = retention::request(app, &caller, &generation.cache, marked, tokens).await;
    let identity = Identity::new(endpoint.id_prefix, app.model(), &generation);
    let origin = identity.origin(endpoint.path, &caller, &generation);
    let order = Order {
        prompts: vec![context.tokens],
        generation: &generation,
        default_max_tokens: defaults.into_iter().flatten().min(),
        grammar: grammar.as_ref(),
        format: app.model().answer_format(preamble, &tools.definitions),
        window: context.window,
        min_output_tokens: context.min_output_tokens,
        caller: &caller,
        origin: Some(&origin),
        trace,
        num_before: 0,
        retention,
        scored: context.told.scored(),
        // What the server's tools are called for in between is no part of what the client sends.
        recording: context.recording.filter(|_| context.server_tools.is_none()),
    };
    let mut answers = Rounds::submit(app, &order, context.server_tools)?;
    if let Some(forecast) = context.forecast {
        answers.expect(forecast);
    }
    let told = context
        .told
        .explained_to(generation.cache.explain.then_some(caller));
    Ok(Begun::Exchange(Box::new(Exchange {
        answers,
        identity,
        generation,
        told,
    })))
}

/// The prompt that the context budgeter has decided on, or why there is none.
async fn budgeted(
    app: &App,
    caller: &Caller,
    generation: &Generation,
    conversation: Conversation,
    wish: &Wish,
    progress: Progress,
) -> Result<Result<Context, Box<Declined>>, ApiError> {
    wish.check_answers(app, generation.n)?;
    let circumstances = Circumstances {
        caller,
        cache_salt: &generation.cache_salt,
        adapter: generation.adapter.as_deref(),
        priority: generation.priority,
        output_asked: generation.max_tokens,
        progress: progress.clone(),
    };
    let settled = match pipeline::settle(app, conversation, wish, &circumstances).await? {
        Ok(settled) => settled,
        Err(declined) => {
            remember(app, caller, &declined.report);
            return Ok(Err(declined));
        }
    };
    if settled.level != ReportLevel::None {
        remember(app, caller, &settled.report);
    }
    let context = Context::from(settled);
    let report = context.told.report.as_ref().map(ToldReport::to_json);
    progress.tell(Stage::Applied(report));
    Ok(Ok(context))
}

/// Without a budget there are no stages to tell of.
fn check_silent(generation: &Generation) -> Result<(), ApiError> {
    if !generation.include_context_budget {
        return Ok(());
    }
    let field = "stream_options.include_context_budget";
    let message = format!("`{field}`: the context budget of this request is off.");
    Err(ApiError::field(field, message))
}

/// The prompt of a chat, and what the answer tells of it.
struct Context {
    tokens: Vec<u32>,
    window: Window,
    min_output_tokens: usize,
    /// What an answer has at most whose request does not say.
    max_output_tokens: Option<usize>,
    forecast: Option<Forecast>,
    server_tools: Option<ServerTools>,
    /// Where it is kept how likely the answer was.
    recording: Option<Recording>,
    told: Told,
}

/// What clients are told of, they may give feedback to.
fn remember(app: &App, caller: &Caller, report: &ContextReport) {
    let mut plans = app.budgeter().told_plans();
    plans.tell(caller.tenant(), report);
}

impl Context {
    /// A prompt as the client sent it.
    fn plain(app: &App, tokens: Vec<u32>) -> Self {
        Self {
            tokens,
            window: app.model().window,
            min_output_tokens: 0,
            max_output_tokens: None,
            forecast: None,
            server_tools: None,
            recording: None,
            told: Told::default(),
        }
    }
}

impl From<Settled> for Context {
    fn from(settled: Settled) -> Self {
        let headers = headers(&settled.report);
        Self {
            told: Told {
                report: match settled.level {
                    ReportLevel::None => None,
                    level => Some(ToldReport {
                        is_full: level == ReportLevel::Full,
                        report: settled.report,
                        drifted: None,
                    }),
                },
                headers,
                management: settled.management,
                drift: settled.drift,
                explained: None,
            },
            recording: settled.recording,
            window: settled.window,
            min_output_tokens: settled.min_output_tokens,
            max_output_tokens: settled.max_output_tokens,
            forecast: Some(settled.forecast),
            server_tools: settled.server_tools,
            tokens: settled.tokens,
        }
    }
}
