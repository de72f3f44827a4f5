//! Errors in OpenAI's shape, and which status each has.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use context::{SettingsError, Window, WindowExceeded};
use engine::{ProbeError, RequestError, SubmitError};
use serde_json::{Value, json};

/// `{"error": {"message", "type", "param", "code"}}` with its status.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
    retry_after: Option<Duration>,
    /// What the context budgeter says of it.
    context_budget: Option<Box<Value>>,
    /// What did not fit into the window.
    exceeded: Option<Box<WindowExceeded>>,
}

impl ApiError {
    /// 400: a field of the request is wrong.
    pub fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        let (param, message) = (Some(param.into()), message.into());
        Self {
            param,
            ..Self::request(message)
        }
    }

    /// 400: the request as a whole is wrong.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// 400: a field asks for something that the server cannot do.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: Some("unsupported_parameter"),
            ..Self::field(param, message)
        }
    }

    /// 400: prompt and output do not fit; agents look for the code to compact their context.
    pub fn context_length(exceeded: WindowExceeded) -> Self {
        let WindowExceeded {
            prompt,
            output,
            window,
        } = exceeded;
        let message = format!(
            "This model's maximum context length is {window} tokens. However, you requested {} \
             tokens ({prompt} in the prompt, {output} in the completion). Please reduce the length \
             of the prompt or of the completion.",
            prompt.saturating_add(output)
        );
        Self {
            code: Some("context_length_exceeded"),
            exceeded: Some(Box::new(exceeded)),
            ..Self::field("messages", message)
        }
    }

    /// 400: a text that cannot fit, whatever its tokens.
    pub fn text_too_long(param: &str, bytes: usize, window: Window) -> Self {
        let window = window.tokens;
        let message = format!(
            "This model's maximum context length is {window} tokens, which cannot hold a text of \
             {bytes} bytes. Please reduce the length of the prompt."
        );
        Self {
            code: Some("context_length_exceeded"),
            ..Self::field(param, message)
        }
    }

    /// 400: a prompt that cannot be made to fit its budget; `table` says where its tokens are.
    pub fn infeasible(message: impl Into<String>, table: Value) -> Self {
        Self {
            code: Some("context_length_exceeded"),
            context_budget: Some(Box::new(table)),
            ..Self::field("messages", message)
        }
    }

    /// 400: a setting of the context budgeter that cannot be meant.
    pub fn setting(param: impl Into<String>, message: impl Into<String>, table: Value) -> Self {
        Self {
            context_budget: Some(Box::new(table)),
            ..Self::field(param, message)
        }
    }

    /// 404: there is no such thing, or not for this caller.
    pub fn not_found(
        param: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: Some(code),
            ..Self::field(param, message)
        }
    }

    /// 404: the model has another name.
    pub fn model_not_found(name: &str, known: &[String]) -> Self {
        let message = format!(
            "The model `{name}` does not exist. This server has: {}.",
            known.join(", ")
        );
        Self {
            status: StatusCode::NOT_FOUND,
            code: Some("model_not_found"),
            ..Self::field("model", message)
        }
    }

    /// 401: no key, or an unknown one.
    pub fn unauthorized() -> Self {
        let message = "A valid API key is required: send it as `Authorization: Bearer KEY` or as \
                       `x-api-key: KEY`.";
        let error = Self::new(StatusCode::UNAUTHORIZED, "authentication_error", message);
        Self {
            code: Some("invalid_api_key"),
            ..error
        }
    }

    /// 500: a bug.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    /// Another status that HTTP itself defines.
    pub fn http(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, "invalid_request_error", message)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What went wrong, for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The body, which is also what an event stream carries.
    pub fn body(&self) -> Value {
        let mut body = json!({"error": {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }});
        if let Some(table) = &self.context_budget {
            body["error"]["context_budget"] = (**table).clone();
        }
        body
    }

    /// The field that is wrong.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// What the context budgeter says of it.
    pub fn context_budget(&self) -> Option<&Value> {
        self.context_budget.as_deref()
    }

    /// The prompt and output that did not fit, where they were counted.
    pub fn exceeded(&self) -> Option<WindowExceeded> {
        self.exceeded.as_deref().copied()
    }

    /// Whether prompt and output did not fit.
    pub fn is_context_length(&self) -> bool {
        self.code == Some("context_length_exceeded")
    }

    /// Says that the wrong field is `param`.
    pub fn with_param(self, param: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..self
        }
    }

    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let (code, param, retry_after) = (None, None, None);
        Self {
            status,
            kind,
            message: message.into(),
            param,
            code,
            retry_after,
            context_budget: None,
            exceeded: None,
        }
    }

    fn overloaded(retry_after: Duration) -> Self {
        let seconds = retry_after.as_secs_f64().ceil();
        let message = format!("The server's queue is full. Please retry after {seconds} s.");
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message);
        Self {
            code: Some("queue_full"),
            retry_after: Some(retry_after),
            ..error
        }
    }

    fn shutting_down() -> Self {
        let message = "The server is shutting down.";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message);
        Self {
            code: Some("shutting_down"),
            ..error
        }
    }
}

impl From<&SettingsError> for ApiError {
    fn from(error: &SettingsError) -> Self {
        let field = format!("context_budget.{}", error.field);
        let message = format!("`{field}`: {}.", error.problem);
        Self::setting(field, message, json!({"code": error.problem.code()}))
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::TooLong {
                prompt_tokens,
                max_tokens,
                max_model_len,
            } => Self::context_length(WindowExceeded {
                prompt: prompt_tokens,
                output: max_tokens,
                window: max_model_len,
            }),
            SubmitError::QueueFull { retry_after } => Self::overloaded(retry_after),
            SubmitError::ShuttingDown => Self::shutting_down(),
        }
    }
}

impl From<ProbeError> for ApiError {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::TooManyPrompts { prompts, max } => Self::internal(format!(
                "{prompts} prompts were asked about at once, not {max}."
            )),
            ProbeError::QueueFull => Self::overloaded(Duration::from_secs(1)),
            ProbeError::ShuttingDown => Self::shutting_down(),
        }
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused(refused) => refused.into(),
            RequestError::Model(reason) => Self::internal(format!("The model failed: {reason}.")),
            RequestError::Constraint(error) => {
                // Its own grammar has asked for more than the parser's limits.
                Self::request(format!("The answer cannot follow its grammar: {error}."))
            }
            RequestError::Abandoned => Self::overloaded(Duration::from_secs(1)),
            RequestError::ShutDown => Self::shutting_down(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(after) = self.retry_after {
            // Whole seconds, rounded up, as RFC 9110 has it.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        // For APIs in which errors look otherwise.
        response.extensions_mut().insert(self);
        response
    }
}
