//! A question, the document that answers it, and others that do not.

use serde_json::{Value, json};

use crate::eval::compose::ANSWER_TOKENS;
use crate::eval::facts::{Fact, FactKind, FactSource};
use crate::eval::generator::RULES;
use crate::eval::message::{Message, Role, to_json};
use crate::eval::prose::filler;
use crate::measure::random::Random;

/// A task. Documents are numbered as a client would send them, in no order.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) seed: u64,
    pub(super) fact: Fact,
    documents: Vec<Document>,
    /// The number of the document that answers.
    evidence: usize,
}

/// A document that a retriever has found.
#[derive(Debug, Clone)]
struct Document {
    id: String,
    text: String,
    /// From 1, the best; what a retriever thinks of it.
    rank: usize,
}

/// In which order the documents stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrangement {
    /// Nothing but the one that answers.
    Alone,
    /// The one that answers in that place, the others as they were found.
    At(usize),
    /// As the server puts them by that rule.
    Rule(&'static str),
}

impl Task {
    /// The task of a seed. The best rank is the evidence's in half of the tasks, the second one in
    /// a quarter, and so on: retrievers err.
    pub(super) fn draw(seed: u64, documents: usize, sentences: usize) -> Self {
        let mut random = Random::new(seed ^ 0x0091_ace0_0d0c_5000);
        let mut source = FactSource::new(seed);
        let fact = source.draw(FactKind::Evidence);
        let evidence = random.below(documents);
        let mut best = 0;
        while best + 1 < documents && random.below(2) == 0 {
            best += 1;
        }
        let mut ranks: Vec<usize> = (1..=documents).filter(|rank| *rank != best + 1).collect();
        random.shuffle(&mut ranks);
        ranks.insert(evidence, best + 1);
        let mut numbers: Vec<usize> = (1..=documents).collect();
        random.shuffle(&mut numbers);
        let documents = ranks.into_iter().zip(numbers).enumerate();
        let documents = documents.map(|(at, (rank, number))| {
            let statement = match at == evidence {
                true => fact.statement.clone(),
                false => source.place_decoy(),
            };
            Document {
                id: format!("d{number:04}"),
                text: text(&mut random, statement, sentences),
                rank,
            }
        });
        Self {
            seed,
            documents: documents.collect(),
            evidence,
            fact,
        }
    }

    /// Id of the document that answers.
    pub(super) fn evidence(&self) -> &str {
        &self.documents[self.evidence].id
    }

    /// Rules and question.
    pub(super) fn messages(&self) -> Value {
        to_json(&[
            Message::new(Role::System, RULES),
            Message::new(Role::User, &self.fact.question),
        ])
    }

    /// `context_budget` that places the documents so; the room is the whole window.
    pub(super) fn context_budget(&self, arrangement: Arrangement) -> Value {
        let mut order: Vec<&Document> = self.documents.iter().collect();
        match arrangement {
            Arrangement::Alone => order = vec![order[self.evidence]],
            Arrangement::At(place) => {
                let evidence = order.remove(self.evidence);
                order.insert(place, evidence);
            }
            Arrangement::Rule(_) => {}
        }
        let placement = match arrangement {
            Arrangement::Rule(rule) => rule,
            Arrangement::Alone | Arrangement::At(_) => "as_is",
        };
        let all = self.documents.len() as f64;
        let documents = order.into_iter().map(|document| {
            let score = 1.0 - document.rank as f64 / (2.0 * all);
            json!({"id": document.id, "text": document.text, "score": score})
        });
        json!({
            "version": 1,
            "mode": "enforce",
            "report": "full",
            "utilization": {"high": 1.0},
            "documents": documents.collect::<Vec<_>>(),
            "zones": {
                "retrieval": {"max": {"fraction": 1.0}, "placement": placement},
                "output_buffer": {
                    "min": ANSWER_TOKENS,
                    "target": ANSWER_TOKENS,
                    "max": ANSWER_TOKENS,
                },
            },
        })
    }
}

/// A statement somewhere among sentences that say nothing.
fn text(random: &mut Random, statement: String, sentences: usize) -> String {
    let mut lines: Vec<String> = (1..sentences).map(|_| filler(random)).collect();
    lines.insert(random.below(sentences), statement);
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(budget: &Value) -> Vec<String> {
        let documents = budget["documents"].as_array().unwrap().iter();
        let id = |document: &Value| document["id"].as_str().unwrap().to_owned();
        documents.map(id).collect()
    }

    #[test]
    fn the_evidence_stands_where_it_is_asked_for_and_the_others_stay() {
        let task = Task::draw(7, 6, 4);
        let sent = ids(&task.context_budget(Arrangement::Rule("edges")));
        let mut others = sent.clone();
        others.retain(|id| id != task.evidence());
        assert_eq!(others.len(), 5);
        for place in 0..6 {
            let mut swept = ids(&task.context_budget(Arrangement::At(place)));
            assert_eq!(swept.remove(place), task.evidence());
            assert_eq!(swept, others);
        }
        let alone = task.context_budget(Arrangement::Alone);
        assert_eq!(ids(&alone), [task.evidence()]);
        let text = alone["documents"][0]["text"].as_str().unwrap();
        assert!(text.contains(&task.fact.statement));
        assert_eq!(
            text.matches('.').count(),
            4 + task.fact.value.matches('.').count()
        );
    }

    #[test]
    fn ranks_are_of_a_retriever_that_errs() {
        let rank = |seed| {
            let task = Task::draw(seed, 8, 2);
            let mut ranks: Vec<usize> = task.documents.iter().map(|one| one.rank).collect();
            let evidence = ranks[task.evidence];
            ranks.sort_unstable();
            assert_eq!(ranks, (1..=8).collect::<Vec<_>>());
            evidence
        };
        let ranks: Vec<usize> = (0..400).map(rank).collect();
        let first = ranks.iter().filter(|rank| **rank == 1).count();
        assert!((160..240).contains(&first), "{first} of 400");
        assert!(ranks.iter().any(|rank| *rank > 3));
    }
}
