//! From the grammar that a request asks for to what the engine follows.

use std::sync::{Arc, OnceLock};

use engine::{ConstraintError, TokenConstraint, TokenId, TokenMask};
use serde_json::Value;
use text::{
    CallGrammar, Grammar, GrammarCompiler, GrammarError, GrammarMatcher, Instead, Preamble,
};

use crate::app::App;
use crate::model::ServedModel;
use crate::validate::grammar::AskedGrammar;
use crate::validate::messages::{ToolChoice, Tools};
use crate::wire::error::ApiError;

/// Compiles grammars for the model's vocabulary, which is prepared when the first one comes.
#[derive(Clone, Default)]
pub struct Grammars {
    compiler: Arc<OnceLock<Result<GrammarCompiler, GrammarError>>>,
}

/// An answer's place in its grammar, for the engine.
struct GrammarConstraint(GrammarMatcher);

impl Grammars {
    /// Compiles what is asked for, if anything, where text is worked on.
    ///
    /// # Errors
    /// What is wrong with it, by its field.
    pub async fn compile(
        &self,
        app: &App,
        asked: Option<&AskedGrammar>,
        preamble: Option<Preamble>,
    ) -> Result<Option<GrammarMatcher>, ApiError> {
        let Some(AskedGrammar { grammar, field }) = asked.cloned() else {
            return Ok(None);
        };
        let compiler = Arc::clone(&self.compiler);
        let tokenizer = app.model().tokenizer.clone();
        let work = move || {
            let compiler = compiler.get_or_init(|| GrammarCompiler::new(&tokenizer));
            let compiled = match compiler {
                Ok(compiler) => compiler.compile(&grammar, preamble),
                Err(error) => Err(error.clone()),
            };
            compiled.map_err(|error| match (&grammar, compiler) {
                (Grammar::Calls(calls), Ok(compiler)) => {
                    wrong_tool(compiler, calls, &field, &error)
                }
                _ => wrong(&field, &error),
            })
        };
        app.text_pool().run(work).await.map(Some)
    }
}

/// The form of a chat's answer: by what it asks for, and by the tools that it may or must call.
///
/// # Errors
/// When the model's calls cannot be given a form.
pub fn of_chat(
    model: &ServedModel,
    asked: Option<&AskedGrammar>,
    tools: &Tools,
) -> Result<Option<AskedGrammar>, ApiError> {
    let strict = |tool: &Value| tool["function"]["strict"] == true;
    let (field, instead) = match (&tools.choice, asked) {
        (ToolChoice::None, asked) => return Ok(asked.cloned()),
        (ToolChoice::Required | ToolChoice::Named(_), _) => ("tool_choice", Instead::Nothing),
        (ToolChoice::Auto, asked) if !tools.are_callable() => return Ok(asked.cloned()),
        (ToolChoice::Auto, Some(asked)) => {
            let form = Box::new(asked.grammar.clone());
            (asked.field.as_str(), Instead::Form(form))
        }
        (ToolChoice::Auto, None) if tools.definitions.iter().any(strict) => {
            ("tools", Instead::Text)
        }
        (ToolChoice::Auto, None) if !tools.parallel => ("parallel_tool_calls", Instead::Text),
        (ToolChoice::Auto, None) => return Ok(None),
    };
    let Some(format) = model.tool_calls else {
        let message = format!("`{field}`: the server cannot read this model's tool calls.");
        return Err(ApiError::unsupported(field, message));
    };
    let is_forced = instead == Instead::Nothing;
    let callable = tools.definitions.iter().filter(|tool| match &tools.choice {
        ToolChoice::Named(name) => tool["function"]["name"] == name.as_str(),
        _ => true,
    });
    let definitions = callable.map(|tool| {
        let mut tool = tool.clone();
        // The model is trusted with the arguments of tools that do not ask for more.
        if !is_forced
            && !strict(&tool)
            && let Some(function) = tool["function"].as_object_mut()
        {
            function.shift_remove("parameters");
        }
        tool
    });
    let calls = CallGrammar {
        format,
        tools: definitions.collect(),
        instead,
        parallel: tools.parallel && !matches!(tools.choice, ToolChoice::Named(_)),
    };
    Ok(Some(AskedGrammar {
        grammar: Grammar::Calls(calls),
        field: field.to_owned(),
    }))
}

/// What the engine follows in an answer that begins at the beginning of a grammar.
pub fn constraint(matcher: &GrammarMatcher) -> Box<dyn TokenConstraint> {
    Box::new(GrammarConstraint(matcher.fork()))
}

/// Names the tool whose schema it is, if it is one's.
fn wrong_tool(
    compiler: &GrammarCompiler,
    calls: &CallGrammar,
    field: &str,
    error: &GrammarError,
) -> ApiError {
    let schema = |tool: &Value| Grammar::JsonSchema(tool["function"]["parameters"].clone());
    let broken = calls.tools.iter().find_map(|tool| {
        tool["function"].get("parameters")?;
        let error = compiler.compile(&schema(tool), None).err()?;
        Some((tool["function"]["name"].as_str().unwrap_or_default(), error))
    });
    match broken {
        Some((name, error)) => {
            let message =
                format!("`tools`: the parameters of `{name}` cannot be compiled: {error}.");
            ApiError::field("tools", message)
        }
        None => wrong(field, error),
    }
}

fn wrong(field: &str, error: &GrammarError) -> ApiError {
    match error {
        GrammarError::NoEnd => ApiError::unsupported(field, format!("`{field}`: {error}.")),
        GrammarError::Invalid(_) | GrammarError::Stuck(_) => {
            ApiError::field(field, format!("`{field}` cannot be compiled: {error}."))
        }
    }
}

impl TokenConstraint for GrammarConstraint {
    fn allowed(&mut self) -> Result<TokenMask, ConstraintError> {
        let set = self.0.allowed().map_err(stuck)?;
        Ok(TokenMask::from_words(set.words().to_vec()))
    }

    fn accept(&mut self, token: TokenId) -> Result<(), ConstraintError> {
        self.0.accept(token.0).map_err(stuck)
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "what a result is mapped with"
)]
fn stuck(error: GrammarError) -> ConstraintError {
    ConstraintError(error.to_string())
}
