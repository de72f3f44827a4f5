//! Stop strings in a stream of text.

/// Watches a stream for stop strings, however the stream is cut into deltas.
///
/// The match that is complete first wins; of several that end together, the longest. Text that
/// may be the beginning of a stop string is held back until that is decided.
#[derive(Clone, Debug)]
pub struct StopMatcher {
    stops: Vec<String>,
    include_stop: bool,
    held: String,
    matched: bool,
}

/// Text that may be sent, and whether the stream ends with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopDelta {
    /// Certain text, free of stop strings unless they are to be included.
    pub text: String,
    /// Index of the stop string that was found; nothing after it is text.
    pub matched: Option<usize>,
}

/// A stop string without characters would stop every text before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stop string must not be empty")]
pub struct EmptyStopString;

impl StopMatcher {
    /// Watches for `stops`; `include_stop` leaves the one that is found at the end of the text
    /// (vLLM's `include_stop_str_in_output`).
    ///
    /// # Errors
    ///
    /// When a stop string is empty.
    pub fn new(stops: Vec<String>, include_stop: bool) -> Result<Self, EmptyStopString> {
        if stops.iter().any(String::is_empty) {
            return Err(EmptyStopString);
        }
        Ok(Self {
            stops,
            include_stop,
            held: String::new(),
            matched: false,
        })
    }

    /// Adds text and returns what may be sent. After a match, nothing may.
    pub fn push(&mut self, delta: &str) -> StopDelta {
        if self.matched || delta.is_empty() {
            return StopDelta::default();
        }
        if self.stops.is_empty() {
            return StopDelta {
                text: delta.to_owned(),
                matched: None,
            };
        }
        self.held.push_str(delta);
        if let Some((start, end, index)) = self.first_match() {
            self.matched = true;
            self.held
                .truncate(if self.include_stop { end } else { start });
            return StopDelta {
                text: std::mem::take(&mut self.held),
                matched: Some(index),
            };
        }
        let undecided = self.held.split_off(self.held.len() - self.undecided_len());
        StopDelta {
            text: std::mem::replace(&mut self.held, undecided),
            matched: None,
        }
    }

    /// Ends the stream and returns what was held back.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Start, end and index of the match that ends first.
    fn first_match(&self) -> Option<(usize, usize, usize)> {
        let matches = self.stops.iter().enumerate().filter_map(|(index, stop)| {
            let start = self.held.find(stop.as_str())?;
            Some((start, start + stop.len(), index))
        });
        matches.min_by_key(|&(start, end, index)| (end, start, index))
    }

    /// Length of the longest end of `held` that begins a stop string, in bytes.
    fn undecided_len(&self) -> usize {
        let held = self.held.as_bytes();
        let longest = |stop: &String| {
            let limit = held.len().min(stop.len() - 1);
            (1..=limit)
                .rev()
                .find(|&len| held.ends_with(&stop.as_bytes()[..len]))
        };
        self.stops.iter().filter_map(longest).max().unwrap_or(0)
    }
}
