//! What an answer consists of.

/// A piece of an answer in which reasoning and tool calls have been found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerPart {
    /// Text of the answer.
    Content(String),
    /// Text that the model has thought, not answered.
    Reasoning(String),
    /// A call begins; its arguments follow.
    CallStart {
        /// 0 for the first call of the answer.
        index: usize,
        /// The function that is called.
        name: String,
    },
    /// More of a call's arguments. All of a call that the model has finished are JSON; formats in
    /// which the model writes JSON pass it on byte for byte, the others translate.
    ArgumentsDelta {
        /// Index of the call.
        index: usize,
        /// The text.
        text: String,
    },
}

/// Parts that are certain and have not been handed out. Neighbours of one kind are one part.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    list: Vec<AnswerPart>,
    num_calls: usize,
}

impl Parts {
    pub(crate) fn content(&mut self, text: &str) {
        match self.list.last_mut() {
            _ if text.is_empty() => {}
            Some(AnswerPart::Content(last)) => last.push_str(text),
            _ => self.list.push(AnswerPart::Content(text.to_owned())),
        }
    }

    pub(crate) fn reasoning(&mut self, text: &str) {
        match self.list.last_mut() {
            _ if text.is_empty() => {}
            Some(AnswerPart::Reasoning(last)) => last.push_str(text),
            _ => self.list.push(AnswerPart::Reasoning(text.to_owned())),
        }
    }

    pub(crate) fn start_call(&mut self, name: String) {
        let index = self.num_calls;
        self.list.push(AnswerPart::CallStart { index, name });
        self.num_calls += 1;
    }

    /// More arguments of the call that was started last.
    pub(crate) fn arguments(&mut self, more: &str) {
        match self.list.last_mut() {
            _ if more.is_empty() => {}
            Some(AnswerPart::ArgumentsDelta { text, .. }) => text.push_str(more),
            _ => self.list.push(AnswerPart::ArgumentsDelta {
                index: self.num_calls.saturating_sub(1),
                text: more.to_owned(),
            }),
        }
    }

    /// Hands out everything.
    pub(crate) fn take(&mut self) -> Vec<AnswerPart> {
        std::mem::take(&mut self.list)
    }
}
