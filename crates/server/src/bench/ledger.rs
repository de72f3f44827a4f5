//! The requests of a run while they come and go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::BenchError;
use super::outcome::{End, Outcome, ms};
use crate::measure::client::StreamAnswer;

/// Every request that was sent, each with what it asked for, `A`. Who sends and who counts share it,
/// so that a run that is interrupted still knows what was under way.
///
/// A request is opened when it is sent, and then either closed with its answer or withdrawn.
#[derive(Debug)]
pub(super) struct Ledger<A> {
    begin: Instant,
    /// `None` once withdrawn.
    entries: Arc<Mutex<Vec<Option<Entry<A>>>>>,
}

/// The place of an open request in its ledger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    place: usize,
    due: Instant,
}

#[derive(Debug)]
struct Entry<A> {
    asked: A,
    due: Instant,
    late_ms: f64,
    /// `None` while it is under way.
    end: Option<End>,
}

impl<A: Clone> Ledger<A> {
    /// An empty one of a run that began at `begin`.
    pub(super) fn new(begin: Instant) -> Self {
        Self {
            begin,
            entries: Arc::default(),
        }
    }

    pub(super) fn begin(&self) -> Instant {
        self.begin
    }

    /// A request that is sent now and should have been when it was `due`.
    pub(super) fn open(&self, asked: A, due: Instant) -> Ticket {
        let mut entries = self.entries();
        entries.push(Some(Entry {
            asked,
            due,
            late_ms: ms(due.elapsed()),
            end: None,
        }));
        Ticket {
            place: entries.len() - 1,
            due,
        }
    }

    /// The request has ended.
    pub(super) fn close(&self, ticket: Ticket, answer: &Result<StreamAnswer, BenchError>) {
        let late = match answer {
            Ok(answer) => answer.sent.saturating_duration_since(ticket.due),
            Err(_) => Duration::ZERO,
        };
        if let Some(entry) = &mut self.entries()[ticket.place] {
            entry.end = Some(End::of(answer, late));
        }
    }

    /// The request is no part of the results.
    pub(super) fn withdraw(&self, ticket: Ticket) {
        self.entries()[ticket.place] = None;
    }

    /// Every request in the order in which they were sent; what has not ended is in flight.
    pub(super) fn outcomes(&self) -> Vec<Outcome<A>> {
        let entries = self.entries();
        let outcome = |entry: &Entry<A>| Outcome {
            asked: entry.asked.clone(),
            at_ms: ms(entry.due.saturating_duration_since(self.begin)),
            late_ms: entry.late_ms,
            end: entry.end.clone().unwrap_or_else(|| End::InFlight {
                in_flight_ms: ms(entry.due.elapsed()),
            }),
        };
        entries.iter().flatten().map(outcome).collect()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Option<Entry<A>>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Clone for Ledger<A> {
    /// The same requests.
    fn clone(&self) -> Self {
        Self {
            begin: self.begin,
            entries: Arc::clone(&self.entries),
        }
    }
}
