//! Which server is measured.

use clap::Args;

use super::client::Client;
use super::error::ServerError;

/// Options that say whom to ask.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// Where the server listens; a trailing /v1 makes no difference
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    pub base_url: String,

    /// Model to ask for [default: the first that /v1/models lists]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// Key sent as a bearer token; never written to the results
    #[arg(
        long,
        value_name = "KEY",
        env = "OPENAI_API_KEY",
        hide_env_values = true
    )]
    pub api_key: Option<String>,

    /// Give up when the server sends nothing for so many seconds
    #[arg(long, value_name = "S", default_value_t = 600,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
}

impl ServerArgs {
    /// # Errors
    /// `InvalidUrl`.
    pub(crate) fn client(&self) -> Result<Client, ServerError> {
        Client::new(&self.base_url, self.api_key.as_deref(), self.timeout)
    }

    /// These options with every default spelled out and without the key, for a command line.
    pub(crate) fn words(&self, model: &str) -> String {
        format!(
            "--base-url {} --model {} --timeout {}",
            quoted(&self.base_url),
            quoted(model),
            self.timeout
        )
    }
}

/// `text` as one word of a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
