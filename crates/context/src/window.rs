//! The window that prompt and output share.

/// Tokens that a sequence can have, prompt and output together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// At least 1.
    pub tokens: usize,
}

/// A prompt that leaves less room for output than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowExceeded {
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Output tokens that were asked for; 1 when the request did not say.
    pub output: usize,
    /// Tokens that there are.
    pub window: usize,
}

impl Window {
    /// The output tokens of a request: what it asked for, or else `default`, or else all that the
    /// prompt leaves.
    ///
    /// What a client asks for is given or refused, never shortened; the default is the server's
    /// own and yields to the prompt.
    ///
    /// # Errors
    /// When the prompt and the output asked for (at least 1 token) do not fit together.
    pub fn output_tokens(
        self,
        prompt: usize,
        asked: Option<usize>,
        default: Option<usize>,
    ) -> Result<usize, WindowExceeded> {
        let output = asked.unwrap_or(1);
        let room = self.tokens.saturating_sub(prompt);
        if room < output.max(1) {
            return Err(WindowExceeded {
                prompt,
                output,
                window: self.tokens,
            });
        }
        Ok(asked.unwrap_or_else(|| default.map_or(room, |default| default.clamp(1, room))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { tokens: 100 };

    #[test]
    fn what_is_asked_for_is_given_or_refused() {
        assert_eq!(WINDOW.output_tokens(60, Some(40), Some(5)), Ok(40));
        let refused = WindowExceeded {
            prompt: 60,
            output: 41,
            window: 100,
        };
        assert_eq!(WINDOW.output_tokens(60, Some(41), None), Err(refused));
        assert!(WINDOW.output_tokens(60, Some(usize::MAX), None).is_err());
    }

    #[test]
    fn the_default_yields_to_the_prompt() {
        assert_eq!(WINDOW.output_tokens(60, None, None), Ok(40));
        assert_eq!(WINDOW.output_tokens(60, None, Some(16)), Ok(16));
        assert_eq!(WINDOW.output_tokens(90, None, Some(16)), Ok(10));
    }

    #[test]
    fn a_prompt_needs_room_for_one_token() {
        assert_eq!(WINDOW.output_tokens(99, None, None), Ok(1));
        let refused = WindowExceeded {
            prompt: 100,
            output: 1,
            window: 100,
        };
        assert_eq!(WINDOW.output_tokens(100, None, Some(16)), Err(refused));
    }
}
