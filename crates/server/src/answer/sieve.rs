//! Parts the calls that the server runs from what the client reads.

use super::Part;
use crate::budget::server_tools::{self, ServerCall, ServerRound};

/// The parts of one round after the other, those of the server's own tools taken out.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    round: ServerRound,
    /// For each call of the round, whose it is.
    routes: Vec<Route>,
    num_client_calls: usize,
    /// Whether an earlier round said something.
    has_spoken: bool,
}

#[derive(Clone, Copy, Debug)]
enum Route {
    /// The number that it has among the client's calls.
    Client(usize),
    /// The number that it has among the server's calls.
    Server(usize),
}

impl Sieve {
    /// The parts for the client.
    pub(super) fn sift(&mut self, parts: Vec<Part>) -> Vec<Part> {
        let sifted = parts.into_iter().filter_map(|part| self.sift_one(part));
        sifted.collect()
    }

    /// Ends a round: what the server is to run, and how many calls are the client's.
    pub(super) fn end_round(&mut self) -> (ServerRound, usize) {
        self.has_spoken |= !self.round.said.trim().is_empty();
        self.routes.clear();
        let num_client_calls = std::mem::take(&mut self.num_client_calls);
        (std::mem::take(&mut self.round), num_client_calls)
    }

    fn sift_one(&mut self, part: Part) -> Option<Part> {
        match part {
            Part::Content(text) => {
                // The client gets one text, of all rounds.
                let joins = self.has_spoken && self.round.said.is_empty();
                self.round.said.push_str(&text);
                let text = if joins { format!("\n\n{text}") } else { text };
                Some(Part::Content(text))
            }
            Part::Reasoning(text) => Some(Part::Reasoning(text)),
            Part::CallStart { name, .. } => match server_tools::find(&name) {
                Some(tool) => {
                    self.routes.push(Route::Server(self.round.calls.len()));
                    self.round.calls.push(ServerCall {
                        tool,
                        arguments: String::new(),
                    });
                    None
                }
                None => {
                    let index = self.num_client_calls;
                    self.routes.push(Route::Client(index));
                    self.num_client_calls += 1;
                    Some(Part::CallStart { index, name })
                }
            },
            Part::ArgumentsDelta { index, text } => match *self.routes.get(index)? {
                Route::Client(index) => Some(Part::ArgumentsDelta { index, text }),
                Route::Server(at) => {
                    self.round.calls[at].arguments.push_str(&text);
                    None
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(index: usize, name: &str) -> Part {
        let name = name.to_owned();
        Part::CallStart { index, name }
    }

    fn arguments(index: usize, text: &str) -> Part {
        let text = text.to_owned();
        Part::ArgumentsDelta { index, text }
    }

    #[test]
    fn clients_see_their_own_calls_and_one_text() {
        let mut sieve = Sieve::default();
        let said = Part::Content("Let me look.".to_owned());
        let first = vec![
            said.clone(),
            start(0, "context_restore"),
            arguments(0, "{\"handle\""),
            arguments(0, ": \"x\"}"),
        ];
        assert_eq!(sieve.sift(first), [said]);
        let (round, num_client_calls) = sieve.end_round();
        assert_eq!(num_client_calls, 0);
        let call = |tool, arguments: &str| ServerCall {
            tool,
            arguments: arguments.to_owned(),
        };
        let expected = ServerRound {
            said: "Let me look.".to_owned(),
            calls: vec![call("context_restore", "{\"handle\": \"x\"}")],
        };
        assert_eq!(round, expected);
        let second = vec![
            Part::Content("Now".to_owned()),
            Part::Content(" this.".to_owned()),
            start(0, "context_status"),
            start(1, "read_file"),
            arguments(0, "{}"),
            arguments(1, "{\"path\": 1}"),
        ];
        let expected = [
            Part::Content("\n\nNow".to_owned()),
            Part::Content(" this.".to_owned()),
            start(0, "read_file"),
            arguments(0, "{\"path\": 1}"),
        ];
        assert_eq!(sieve.sift(second), expected);
        let (round, num_client_calls) = sieve.end_round();
        assert_eq!((round.said.as_str(), num_client_calls), ("Now this.", 1));
        assert_eq!(round.calls, [call("context_status", "{}")]);
    }
}
