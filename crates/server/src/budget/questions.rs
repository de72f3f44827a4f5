//! Asking the model about a conversation, before and after its edits.
//!
//! Every question is a user message behind the conversation, so all of them stand on the same
//! cached prefix. They run as requests like any other, a few at a time.

use std::sync::Arc;

use engine::{SamplingParams, TokenId};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use text::AnswerFormat;

use crate::adapters::ServedAdapter;
use crate::answer::{AnswerEvent, Answers, Order, Part};
use crate::app::App;
use crate::auth::Caller;
use crate::prompt;
use crate::scoring::says;
use crate::traces::RequestTrace;
use crate::validate::chat::Conversation;
use crate::validate::retention::CacheWish;
use crate::validate::sampling::Generation;
use crate::wire::chat::finite;
use crate::wire::context_probe::{ProbeAnswer, ProbeReport, ProbeSummary};
use crate::wire::error::ApiError;
use crate::wire::usage::Usage;

/// Questions that are asked at once: enough to share the cost of a step, and few beside what others
/// ask.
const AT_ONCE: usize = 8;

/// Added to a logit to choose its token whatever the others are. Log probabilities are the model's
/// own, before any bias.
const CHOSEN: f32 = 1e6;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// What a right answer contains; empty if it is to say that the context does not have it.
    pub answer: String,
    /// The answer's tokens.
    pub tokens: Vec<u32>,
    /// The client's word for it.
    pub kind: Option<String>,
}

/// Questions about two forms of a conversation.
pub struct Examination {
    /// As it was sent.
    pub raw: Conversation,
    /// After the edits.
    pub edited: Conversation,
    /// The questions.
    pub questions: Vec<Question>,
    /// Longest answer, in tokens.
    pub max_tokens: usize,
    /// Class of the requests to the engine.
    pub priority: i32,
    /// The request's own salt.
    pub cache_salt: String,
    /// The adapter that it names, if it is not the model itself.
    pub adapter: Option<Arc<ServedAdapter>>,
    /// Who asks.
    pub caller: Caller,
}

/// All answers.
pub struct Answered {
    /// Each question, in order.
    pub probes: Vec<ProbeReport>,
    /// All answers to the raw conversation; `None` if it does not fit.
    pub raw: Option<ProbeSummary>,
    /// All answers to the edited one.
    pub edited: ProbeSummary,
    /// What all of it cost.
    pub usage: Usage,
}

/// Asks every question twice. Dropping the future cancels what the engine computes.
///
/// # Errors
/// When the edited conversation does not fit with a question, or the engine refuses or fails.
pub async fn ask(app: &App, examination: Examination) -> Result<Answered, ApiError> {
    let examination = Arc::new(examination);
    let mut cost = Cost::default();
    // One after the other: the edited conversation begins as the raw one does.
    let raw = match all(app, &examination, Form::Raw, &mut cost).await {
        Ok(answers) => answers.into_iter().map(Some).collect(),
        Err(error) if error.is_context_length() => vec![None; examination.questions.len()],
        Err(error) => return Err(error),
    };
    let edited = all(app, &examination, Form::Edited, &mut cost).await?;
    let summary = |matches: usize| ProbeSummary {
        matched: matches,
        of: examination.questions.len(),
    };
    let matched_raw = raw.iter().flatten().filter(|said| said.is_match).count();
    let has_raw = raw.iter().all(Option::is_some);
    let matched_edited = edited.iter().filter(|said| said.is_match).count();
    let answers = raw.into_iter().zip(edited);
    let probes = examination.questions.iter().zip(answers);
    Ok(Answered {
        probes: probes
            .map(|(question, (raw, edited))| ProbeReport {
                q: question.text.clone(),
                expected: question.answer.clone(),
                kind: question.kind.clone(),
                raw,
                edited,
            })
            .collect(),
        raw: has_raw.then(|| summary(matched_raw)),
        edited: summary(matched_edited),
        usage: Usage::new(cost.prompt, cost.cached, cost.output),
    })
}

/// Which form of a conversation is asked about.
#[derive(Clone, Copy)]
enum Form {
    Raw,
    Edited,
}

/// Tokens of requests.
#[derive(Clone, Copy, Default)]
struct Cost {
    prompt: usize,
    cached: usize,
    output: usize,
}

async fn all(
    app: &App,
    examination: &Arc<Examination>,
    form: Form,
    cost: &mut Cost,
) -> Result<Vec<ProbeAnswer>, ApiError> {
    let asked = (0..examination.questions.len()).map(|question| {
        let (app, examination) = (app.clone(), Arc::clone(examination));
        async move { examination.ask(&app, form, question).await }
    });
    let asked = futures::stream::iter(asked).buffered(AT_ONCE);
    let answers: Vec<(ProbeAnswer, Cost)> = asked.try_collect().await?;
    let answers = answers.into_iter().map(|(answer, own)| {
        cost.prompt += own.prompt;
        cost.cached += own.cached;
        cost.output += own.output;
        answer
    });
    Ok(answers.collect())
}

impl Examination {
    /// The answer to one question, and how likely the expected one is.
    async fn ask(
        &self,
        app: &App,
        form: Form,
        question: usize,
    ) -> Result<(ProbeAnswer, Cost), ApiError> {
        let question = &self.questions[question];
        let mut conversation = match form {
            Form::Raw => self.raw.clone(),
            Form::Edited => self.edited.clone(),
        };
        let asked = json!({"role": "user", "content": question.text});
        conversation.messages.push(asked);
        let mut prompt = prompt::of_chat(app, conversation).await?;
        let prompt_tokens = prompt.len();
        let greedy = self.greedy(app);
        let said = self.run(app, prompt.clone(), &greedy).await?;
        let mut cost = said.cost;
        let mut logprob = 0.0;
        for &token in &question.tokens {
            let scored = self
                .run(app, prompt.clone(), &self.scoring(app, token))
                .await?;
            cost.prompt += scored.cost.prompt;
            cost.cached += scored.cost.cached;
            cost.output += scored.cost.output;
            logprob += f64::from(finite(scored.logprob.unwrap_or(f32::NEG_INFINITY)));
            prompt.push(token);
        }
        let number = question.tokens.len();
        let answer = ProbeAnswer {
            is_match: says(&said.text, &question.answer),
            answer: said.text,
            logprob: (number > 0).then(|| logprob / number as f64),
            prompt_tokens,
            cached_tokens: said.cost.cached,
        };
        Ok((answer, cost))
    }

    /// Waits for one answer.
    async fn run(
        &self,
        app: &App,
        prompt: Vec<u32>,
        generation: &Generation,
    ) -> Result<Said, ApiError> {
        let mut answers = Answers::submit(
            app,
            &Order {
                prompts: vec![prompt],
                generation,
                default_max_tokens: None,
                grammar: None,
                format: AnswerFormat::default(),
                window: app.model().window,
                min_output_tokens: 0,
                caller: &self.caller,
                origin: None,
                trace: RequestTrace::default(),
                num_before: 0,
                retention: None,
                scored: Vec::new(),
                recording: None,
            },
        )?;
        let mut said = Said {
            text: String::new(),
            logprob: None,
            cost: Cost {
                prompt: answers.prompt_tokens(),
                ..Cost::default()
            },
        };
        while let Some(event) = answers.next().await {
            match event {
                AnswerEvent::Delta { parts, token, .. } => {
                    for part in parts {
                        if let Part::Content(text) = part {
                            said.text.push_str(&text);
                        }
                    }
                    let logprob = token.map(|piece| piece.logprobs.chosen);
                    said.logprob = logprob.or(said.logprob);
                }
                AnswerEvent::Admitted(_) | AnswerEvent::Scored(_) => {}
                AnswerEvent::Finished(finish) => {
                    said.cost.cached = finish.cached_tokens;
                    said.cost.output = finish.completion_tokens;
                }
                AnswerEvent::Failed(error) => return Err(error),
            }
        }
        Ok(said)
    }

    /// Always the likeliest token, until the model ends its answer.
    fn greedy(&self, app: &App) -> Generation {
        Generation {
            adapter: self.adapter.clone(),
            sampling: SamplingParams::greedy(),
            seed: Some(0),
            n: 1,
            max_tokens: Some(self.max_tokens),
            min_tokens: 0,
            stop: Vec::new(),
            include_stop: false,
            stop_token_ids: app.model().eos_token_ids.clone(),
            thinking_budget: None,
            grammar: None,
            priority: self.priority,
            cache_salt: self.cache_salt.clone(),
            cache: CacheWish::default(),
            skip_special_tokens: true,
            stream: false,
            include_usage: false,
            include_context_budget: false,
        }
    }

    /// One step that chooses `token` and tells how likely it was.
    fn scoring(&self, app: &App, token: u32) -> Generation {
        let sampling = SamplingParams {
            logit_bias: vec![(TokenId(token), CHOSEN)],
            logprobs: Some(0),
            ..SamplingParams::greedy()
        };
        Generation {
            sampling,
            max_tokens: Some(1),
            stop_token_ids: Vec::new(),
            ..self.greedy(app)
        }
    }
}

/// What came of one request.
struct Said {
    text: String,
    /// Of the last token, if it was asked for.
    logprob: Option<f32>,
    cost: Cost,
}
