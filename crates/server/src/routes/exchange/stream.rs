//! An answer as a stream, in the words of an API.

use std::collections::VecDeque;

use futures::Stream;

use crate::answer::{AnswerEvent, Rounds};
use crate::wire::error::ApiError;

/// Puts what happens to an answer into the words of an API.
pub(in crate::routes) trait Writer: Send + 'static {
    /// What the stream is made of.
    type Item: Send + 'static;

    /// What an event is told as.
    fn take(&mut self, event: AnswerEvent) -> Vec<Self::Item>;

    /// What is said of an answer that fails in the middle; nothing follows.
    fn fail(&mut self, error: &ApiError) -> Vec<Self::Item>;

    /// What is said when all is told.
    fn end(&mut self, answers: &Rounds) -> Vec<Self::Item>;
}

/// The stream, which begins with `first`.
pub(in crate::routes) fn written<W: Writer>(
    answers: Rounds,
    first: Vec<W::Item>,
    writer: W,
) -> impl Stream<Item = W::Item> + Send + 'static {
    let written = Written {
        answers,
        ready: first.into(),
        writer,
        is_done: false,
    };
    futures::stream::unfold(written, |mut written| async move {
        let item = written.next().await?;
        Some((item, written))
    })
}

struct Written<W: Writer> {
    answers: Rounds,
    ready: VecDeque<W::Item>,
    writer: W,
    is_done: bool,
}

impl<W: Writer> Written<W> {
    async fn next(&mut self) -> Option<W::Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if self.is_done {
                return None;
            }
            let items = match self.answers.next().await {
                Some(AnswerEvent::Failed(error)) => {
                    self.is_done = true;
                    self.writer.fail(&error)
                }
                Some(event) => self.writer.take(event),
                None => {
                    self.is_done = true;
                    self.writer.end(&self.answers)
                }
            };
            self.ready.extend(items);
        }
    }
}
