//! From the grammar that a request asks for to what the engine follows.

use std::sync::{Arc, OnceLock};

use engine::{ConstraintError, TokenConstraint, TokenId, TokenMask};
use text::{GrammarCompiler, GrammarError, GrammarMatcher};

use crate::app::App;
use crate::validate::grammar::AskedGrammar;
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
    ) -> Result<Option<GrammarMatcher>, ApiError> {
        let Some(AskedGrammar { grammar, field }) = asked.cloned() else {
            return Ok(None);
        };
        let compiler = Arc::clone(&self.compiler);
        let tokenizer = app.model().tokenizer.clone();
        let work = move || {
            let compiler = compiler.get_or_init(|| GrammarCompiler::new(&tokenizer));
            let compiled = match compiler {
                Ok(compiler) => compiler.compile(&grammar),
                Err(error) => Err(error.clone()),
            };
            compiled.map_err(|error| wrong(&field, &error))
        };
        app.text_pool().run(work).await.map(Some)
    }
}

/// What the engine follows in an answer that begins at the beginning of a grammar.
pub fn constraint(matcher: &GrammarMatcher) -> Box<dyn TokenConstraint> {
    Box::new(GrammarConstraint(matcher.fork()))
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
