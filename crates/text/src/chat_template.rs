//! Chat templates: a conversation to the text that the model was trained on, exactly as
//! transformers' `apply_chat_template` renders it.

mod conversation;
mod dialect;
mod environment;
mod python_json;
mod python_method;
mod python_number;
mod python_repr;
mod python_slice;
mod strftime;

use std::sync::Arc;

use chrono::NaiveDateTime;
use minijinja::{Environment, Value};
use serde_json::{Map, Value as Json};

use crate::{ConfigError, SpecialTokens, TokenizerFiles};
use conversation::ContentShape;

/// A compiled chat template. Clones share everything.
#[derive(Clone)]
pub struct ChatTemplate {
    shared: Arc<Shared>,
}

/// The templates of one model, by name.
#[derive(Clone, Debug)]
pub struct ChatTemplates {
    named: Vec<(String, ChatTemplate)>,
}

/// What a template renders.
#[derive(Clone, Debug)]
pub struct ChatInput<'a> {
    /// The conversation, see [`ChatTemplate::prepare_messages`].
    pub messages: &'a [Json],
    /// Tools as JSON schemas, in OpenAI's shape.
    pub tools: Option<&'a [Json]>,
    /// Documents for retrieval, objects with `title` and `text`.
    pub documents: Option<&'a [Json]>,
    /// Whether the text ends with the beginning of an answer.
    pub add_generation_prompt: bool,
    /// Whether the text ends inside the last message, for the model to continue it.
    pub continue_final_message: bool,
    /// More variables for the template (`chat_template_kwargs`), stronger than special tokens.
    pub kwargs: Option<&'a Map<String, Json>>,
    /// What `strftime_now` says: local time.
    pub now: NaiveDateTime,
}

/// Why a conversation cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template is not Jinja.
    #[error("chat template, line {line}: {message}")]
    Syntax {
        /// Line in the template, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The template refuses the conversation (`raise_exception`); the message is for the client.
    #[error("{message}")]
    Raised {
        /// The template's own words.
        message: String,
    },
    /// The template does something impossible with this conversation.
    #[error("chat template, line {line}: {message}")]
    Render {
        /// Line in the template, from 1; 0 when unknown.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// There is nothing to render.
    #[error("the conversation is empty")]
    NoMessages,
    /// A message or document is not an object.
    #[error("{0} must be objects")]
    NotObjects(&'static str),
    /// A variable that the caller may not set.
    #[error("`{0}` cannot be set in chat_template_kwargs")]
    ReservedVariable(String),
    /// `continue_final_message` cannot be honoured.
    #[error("continue_final_message is set, but {0}")]
    Continue(&'static str),
    /// Several templates, none of them for this conversation.
    #[error("the model has no chat template `default`, only {0}")]
    NoDefault(String),
}

struct Shared {
    env: Environment<'static>,
    source: String,
    special: SpecialTokens,
    content: ContentShape,
}

const NAME: &str = "chat_template";

/// Variables that [`ChatInput`] has fields for.
const RESERVED: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];

impl<'a> ChatInput<'a> {
    /// A conversation to be answered, at the time `now`.
    pub fn new(messages: &'a [Json], now: NaiveDateTime) -> Self {
        Self {
            messages,
            tools: None,
            documents: None,
            add_generation_prompt: true,
            continue_final_message: false,
            kwargs: None,
            now,
        }
    }
}

impl ChatTemplate {
    /// Compiles a template that knows these special tokens by name.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Syntax`].
    pub fn new(source: &str, special: &SpecialTokens) -> Result<Self, TemplateError> {
        let env = environment::compile(NAME, source)?;
        let (source, special) = (source.to_owned(), special.clone());
        let mut shared = Shared {
            env,
            source,
            special,
            content: ContentShape::Any,
        };
        shared.content = conversation::probe_content_shape(|message| {
            shared
                .render(&ChatInput::new(&[message], NaiveDateTime::default()))
                .ok()
        });
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The template as it was given.
    pub fn source(&self) -> &str {
        &self.shared.source
    }

    /// Brings messages in OpenAI's shape into the one that this template takes.
    ///
    /// * `arguments` of tool calls that are strings of a JSON object become that object.
    /// * Content in parts becomes text, its parts joined by line breaks, when the template does
    ///   not go through parts; text becomes a part when the template takes nothing else. Content
    ///   with a part that is not text stays as it is.
    pub fn prepare_messages(&self, messages: &[Json]) -> Vec<Json> {
        conversation::prepare(messages, self.shared.content)
    }

    /// The text of the conversation, byte for byte what transformers renders: fields that are
    /// null count as absent, and reasoning is known under all its names.
    ///
    /// # Errors
    ///
    /// Everything but [`TemplateError::Syntax`]: the conversation does not suit the template.
    pub fn render(&self, input: &ChatInput<'_>) -> Result<String, TemplateError> {
        self.shared.render(input)
    }
}

impl ChatTemplates {
    /// Compiles the templates of a model folder; `None` when it has none.
    ///
    /// # Errors
    ///
    /// When a file cannot be understood, or a template does not compile.
    pub fn from_files(files: &TokenizerFiles<'_>) -> Result<Option<Self>, LoadTemplateError> {
        let special = files.special_tokens()?;
        let mut named = Vec::new();
        for (name, source) in files.chat_templates()? {
            let template = ChatTemplate::new(&source, &special).map_err(|source| {
                LoadTemplateError::Template {
                    name: name.clone(),
                    source,
                }
            })?;
            named.push((name, template));
        }
        Ok((!named.is_empty()).then_some(Self { named }))
    }

    /// The template of that name.
    pub fn get(&self, name: &str) -> Option<&ChatTemplate> {
        self.named
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, template)| template)
    }

    /// The template for a conversation with or without tools: with tools `tool_use` where there
    /// is one, otherwise `default`.
    ///
    /// # Errors
    ///
    /// [`TemplateError::NoDefault`].
    pub fn select(&self, has_tools: bool) -> Result<&ChatTemplate, TemplateError> {
        let tool_use = if has_tools {
            self.get("tool_use")
        } else {
            None
        };
        tool_use.or_else(|| self.get("default")).ok_or_else(|| {
            let names: Vec<&str> = self.named.iter().map(|(name, _)| name.as_str()).collect();
            TemplateError::NoDefault(names.join(", "))
        })
    }
}

/// Why a model's chat templates cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadTemplateError {
    /// A file cannot be understood.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A template does not compile.
    #[error("chat template `{name}`: {source}")]
    Template {
        /// Name of the template.
        name: String,
        /// What is wrong with it.
        source: TemplateError,
    },
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("source", &self.source())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn render(&self, input: &ChatInput<'_>) -> Result<String, TemplateError> {
        let mut messages = conversation::normalise(input.messages)?;
        if let Some(documents) = input.documents
            && !documents.iter().all(Json::is_object)
        {
            return Err(TemplateError::NotObjects("documents"));
        }
        let open = if input.continue_final_message {
            if input.add_generation_prompt {
                let reason = "add_generation_prompt asks for a new message";
                return Err(TemplateError::Continue(reason));
            }
            Some(conversation::tag_final_message(
                &mut messages,
                &self.source,
            )?)
        } else {
            None
        };
        let variables = self.variables(input, &messages)?;
        let template = self
            .env
            .get_template(NAME)
            .map_err(|error| environment::error(&error))?;
        let text = template
            .render(variables)
            .map_err(|error| environment::error(&error))?;
        match open {
            Some(open) => open.cut(text),
            None => Ok(text),
        }
    }

    fn variables(
        &self,
        input: &ChatInput<'_>,
        messages: &[Map<String, Json>],
    ) -> Result<Value, TemplateError> {
        let list = |items: &[Json]| items.iter().map(environment::value).collect::<Value>();
        let optional = |items: Option<&[Json]>| items.map_or(Value::from(()), list);
        let messages: Value = messages.iter().map(environment::object).collect();
        let mut variables: Vec<(String, Value)> = vec![
            ("strftime_now".into(), environment::strftime_now(input.now)),
            ("messages".into(), messages),
            ("tools".into(), optional(input.tools)),
            ("documents".into(), optional(input.documents)),
            (
                "add_generation_prompt".into(),
                Value::from(input.add_generation_prompt),
            ),
        ];
        for (name, token) in self.special.iter() {
            variables.push((name.into(), Value::from(token)));
        }
        for (name, value) in input.kwargs.into_iter().flatten() {
            if RESERVED.contains(&name.as_str()) {
                return Err(TemplateError::ReservedVariable(name.clone()));
            }
            variables.retain(|(known, _)| known != name);
            variables.push((name.clone(), environment::value(value)));
        }
        Ok(Value::from_pairs(variables))
    }
}
