//! What the server puts into a prompt by itself: memories that match what the user says, and
//! documents that it chooses from those that the request offers.
//!
//! How much room there is for them is known only when the prompt without them is counted. So a
//! request with them is drafted twice: first without, then with what was chosen.

use context::{Bound, Mode, Placement, RetrievalRule, Segment, SegmentKind, Zone};
use engine::CacheProbe;
use memory::Namespace;

use super::changes;
use super::documents::{Choosing, Chosen, KnownOrders, OfferKind, Offered, Offers};
use super::draft::{Draft, DraftInput, Revision};
use super::insertion::{self, Insertion, Inset};
use super::{probe, recall};
use crate::app::App;
use crate::model::ServedModel;
use crate::prompt;
use crate::validate::budget::Document;
use crate::wire::context_report::{DroppedReport, PlacementReport};
use crate::wire::error::ApiError;

/// Share of the budget that the best document is kept room for, where nobody says how much.
const EVIDENCE_SHARE: usize = 4;

/// Share of the budget that memories have where nobody says how much.
const MEMORY_SHARE: usize = 8;

/// How often documents are chosen again because tokens at borders were not as counted.
const ATTEMPTS: usize = 3;

/// What a request wants to be put in.
#[derive(Clone, Debug, Default)]
pub(super) struct Supply {
    /// Documents to choose from.
    pub(super) documents: Vec<Document>,
    /// The memory whose files are looked at.
    pub(super) memory: Option<Namespace>,
}

/// What was put in.
#[derive(Clone, Debug, Default)]
pub(super) struct Supplied {
    /// Where.
    pub(super) insertions: Vec<Insertion>,
    placement: Vec<PlacementReport>,
    dropped: Vec<DroppedReport>,
    /// The first line of each document, in their order.
    openings: Vec<String>,
}

impl Supply {
    /// Whether nothing is to be put in.
    fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.memory.is_none()
    }

    /// Says where nothing is put in, rather than to pass it over.
    ///
    /// # Errors
    /// When there is something.
    pub(super) fn refuse(&self, why: &str) -> Result<(), ApiError> {
        if self.is_empty() {
            return Ok(());
        }
        let field = if self.documents.is_empty() {
            "store.memory_namespace"
        } else {
            "documents"
        };
        let path = format!("context_budget.{field}");
        let message = format!("`{path}`: {why}.");
        Err(ApiError::unsupported(path, message))
    }
}

/// Drafts a request, with what is to be put in.
///
/// # Errors
/// What [`Draft::new`] says, when there is no place for documents, or when the memory or the engine
/// cannot be asked.
pub(super) async fn draft(
    app: &App,
    input: DraftInput,
    supply: Supply,
    priority: i32,
) -> Result<Draft, ApiError> {
    let shared = app.clone();
    if supply.is_empty() {
        let work = move || Draft::new(input, shared.budgeter());
        return app.text_pool().run(work).await;
    }
    let salt = input.tenant_salt.clone();
    let work = move || Bare::new(&shared, input, supply);
    let bare = app.text_pool().run(work).await?;
    let known = if bare.rivals.is_empty() {
        KnownOrders::default()
    } else {
        let prompts = bare.rivals.iter().map(|rival| rival.prompt.clone());
        let probed = probe::ask(app, prompts.collect(), &salt, priority).await?;
        bare.known(&probed)
    };
    let shared = app.clone();
    let work = move || bare.supplied(&shared, &known);
    app.text_pool().run(work).await
}

/// What a report says of what was put in, after the plan's edits of it.
pub(super) fn told(
    draft: &Draft,
    revision: &Revision,
    mode: Mode,
) -> (Vec<PlacementReport>, Vec<DroppedReport>) {
    let Supplied {
        mut placement,
        mut dropped,
        openings,
        ..
    } = draft.input.supplied.clone();
    let is_of_documents = |at: usize| {
        draft.division.inserted[at] && draft.division.segments[at].kind == SegmentKind::Document
    };
    let mut edits = revision.edits.iter();
    let edit = edits.find(|edit| is_of_documents(*edit.segments.start()));
    let Some(edit) = edit.filter(|_| mode == Mode::Enforce) else {
        return (placement, dropped);
    };
    let original = &draft.division.texts[*edit.segments.start()];
    let edited = &*edit.edit.replacement;
    for placed in placement.iter_mut().filter(|p| p.zone == "retrieval") {
        let mut kept = placed.clone();
        (kept.order, kept.scores) = (Vec::new(), Vec::new());
        for ((id, score), opening) in placed.order.iter().zip(&placed.scores).zip(&openings) {
            if !edited.contains(opening.as_str()) {
                dropped.push(DroppedReport {
                    zone: placed.zone,
                    id: id.clone(),
                    reason: "no room".to_owned(),
                });
                kept.shortened.retain(|shortened| shortened != id);
                continue;
            }
            let whole = whole_element(original, opening);
            if !whole.is_some_and(|whole| edited.contains(whole)) && !kept.shortened.contains(id) {
                kept.shortened.push(id.clone());
            }
            kept.order.push(id.clone());
            kept.scores.push(*score);
        }
        *placed = kept;
    }
    placement.retain(|placed| !placed.order.is_empty());
    (placement, dropped)
}

/// An element of `text`, by its first line.
fn whole_element<'t>(text: &'t str, opening: &str) -> Option<&'t str> {
    let element = &text[text.find(opening)?..];
    Some(&element[..element.find("</document>")?])
}

/// A request without what is to be put in, and that.
struct Bare {
    input: DraftInput,
    draft: Draft,
    /// What the user says.
    query: String,
    memory: Offers,
    documents: Offers,
    /// Documents without text.
    empty: Vec<DroppedReport>,
    /// Two orders of the documents, between which the cache decides.
    rivals: Vec<Rival>,
}

/// An order of the documents.
struct Rival {
    /// Their numbers.
    order: Vec<usize>,
    /// The prompt with them.
    prompt: Vec<u32>,
}

/// What was chosen of a request's supply.
struct Choices {
    memory: Chosen,
    documents: Chosen,
    /// Tokens that all of it may have.
    room: usize,
}

/// Tokens that could be added to a prompt.
struct Room {
    /// Below the high mark.
    soft: usize,
    /// Inside the budget, if everything that may be edited were gone.
    hard: usize,
}

impl Bare {
    fn new(app: &App, input: DraftInput, supply: Supply) -> Result<Self, ApiError> {
        if !supply.documents.is_empty() && insertion::live_message(&input.conversation).is_none() {
            let path = "context_budget.documents";
            let message = format!("`{path}`: there is no user message that they could precede.");
            return Err(ApiError::field(path, message));
        }
        let draft = Draft::new(input.clone(), app.budgeter())?;
        let query = draft.division.query();
        let files = match &supply.memory {
            Some(namespace) => recall::matching(app.memory(), &input.tenant, namespace, &query)?,
            None => Vec::new(),
        };
        let (empty, documents): (Vec<Document>, Vec<Document>) = supply
            .documents
            .into_iter()
            .partition(|document| document.text.trim().is_empty());
        let count = counter(input.model.clone());
        let mut bare = Self {
            memory: Offers::new(OfferKind::Memory, files, &count),
            documents: Offers::new(
                OfferKind::Documents,
                documents.into_iter().map(Offered::from).collect(),
                &count,
            ),
            empty: empty
                .into_iter()
                .map(|document| DroppedReport {
                    zone: "retrieval",
                    id: document.id,
                    reason: "empty".to_owned(),
                })
                .collect(),
            input,
            draft,
            query,
            rivals: Vec::new(),
        };
        bare.rivals = bare.rivals()?;
        Ok(bare)
    }

    /// Two orders that compete, if the rule leaves it to the cache.
    fn rivals(&self) -> Result<Vec<Rival>, ApiError> {
        if self.rule().placement != Placement::Auto {
            return Ok(Vec::new());
        }
        let orders = [Placement::Edges, Placement::Canonical].map(|placement| {
            let rule = RetrievalRule {
                placement,
                ..self.rule()
            };
            self.choose(rule, 0, &KnownOrders::default())
        });
        if orders[0].documents.order == orders[1].documents.order {
            return Ok(Vec::new());
        }
        let rivals = orders.iter().map(|choices| {
            Ok(Rival {
                order: choices.documents.order.clone(),
                prompt: self.prompt_with(&choices.insets())?,
            })
        });
        rivals.collect()
    }

    fn known(&self, probed: &CacheProbe) -> KnownOrders {
        let rivals = self.rivals.iter().zip(&probed.prompts);
        KnownOrders {
            cached: rivals
                .map(|(rival, prompt)| (rival.order.clone(), prompt.cached_tokens))
                .collect(),
            ms_per_token: probed.step_costs.per_token * 1e3,
        }
    }

    /// The draft with what is put in, which has no more tokens than there is room for.
    fn supplied(mut self, app: &App, known: &KnownOrders) -> Result<Draft, ApiError> {
        let mut excess = 0;
        let mut attempts = 0;
        loop {
            let choices = self.choose(self.rule(), excess, known);
            let insets = choices.insets();
            let mut supplied = choices.supplied();
            supplied.dropped.extend(self.empty.iter().cloned());
            if insets.is_empty() {
                self.draft.input.supplied = supplied;
                return Ok(self.draft);
            }
            let mut input = self.input.clone();
            let DraftInput {
                conversation,
                annotations,
                ..
            } = &mut input;
            supplied.insertions = insertion::insert(conversation, annotations, &insets);
            input.supplied = supplied;
            let draft = Draft::new(input, app.budgeter())?;
            let added = draft.tokens.len().saturating_sub(self.draft.tokens.len());
            let over = added.saturating_sub(choices.room);
            attempts += 1;
            // What is still over after that is for the planner.
            if over == 0 || !self.input.enforces || attempts == ATTEMPTS {
                return Ok(draft);
            }
            excess += over;
        }
    }

    /// Chooses into the room there is less `excess` tokens.
    fn choose(&self, rule: RetrievalRule, excess: usize, known: &KnownOrders) -> Choices {
        let count = counter(self.input.model.clone());
        let choosing = Choosing {
            query: &self.query,
            cap: 0,
            takes_all: false,
            rule,
            count: &count,
            known,
        };
        let room = Room::of(&self.draft);
        let memory_cap = room.soft.min(self.memory_max());
        let memory = self.memory.choose(&Choosing {
            cap: memory_cap.saturating_sub(excess),
            rule: RetrievalRule {
                min_score: recall::LEAST_SHARE,
                placement: Placement::AsIs,
                ..rule
            },
            ..choosing
        });
        let taken = memory.text.as_deref().map_or(0, &count);
        let documents_cap = self.documents_cap(&room, taken, &choosing);
        let documents = self.documents.choose(&Choosing {
            cap: documents_cap.saturating_sub(excess),
            takes_all: !self.input.enforces,
            ..choosing
        });
        Choices {
            room: match documents.text {
                Some(_) => taken + documents_cap,
                None => memory_cap,
            },
            memory,
            documents,
        }
    }

    /// The rule of documents; where nothing may be edited they stand as they are.
    fn rule(&self) -> RetrievalRule {
        let rule = self.draft.resolved.policy.retrieval;
        if self.input.enforces {
            rule
        } else {
            RetrievalRule {
                placement: Placement::AsIs,
                ..rule
            }
        }
    }

    /// Tokens that documents may have beside `taken` ones of memories: up to the high mark and to
    /// their zone's `max`, and not fewer than their zone's `min`, or else a part of the budget for
    /// the best of them.
    fn documents_cap(&self, room: &Room, taken: usize, choosing: &Choosing<'_>) -> usize {
        let (min, max) = self.written_bounds(&Zone::Retrieval);
        let max = max.unwrap_or(usize::MAX);
        let cap = room.soft.saturating_sub(taken).min(max);
        let share = self.draft.resolved.policy.budget / EVIDENCE_SHARE;
        let floor = match min {
            Some(min) => min,
            None if cap < share => self.documents.tokens_of_best(choosing).min(share),
            None => 0,
        };
        let hard = room.hard.saturating_sub(taken);
        cap.max(floor.min(max).min(hard))
    }

    fn memory_max(&self) -> usize {
        let (_, max) = self.written_bounds(&Zone::Memory);
        max.unwrap_or(self.draft.resolved.policy.budget / MEMORY_SHARE)
    }

    /// A zone's `min` and `max` as far as they were given as numbers, less the tokens that it has
    /// already. What symbols stand for is counted with the documents in place.
    fn written_bounds(&self, zone: &Zone) -> (Option<usize>, Option<usize>) {
        let asked = self.input.settings.zones.get(zone);
        let is_number =
            |bound: Option<Bound>| matches!(bound, Some(Bound::Tokens(_) | Bound::Share(_)));
        let segments = self.draft.standing.segments.iter();
        let has: usize = segments
            .filter(|segment| segment.zone == *zone)
            .map(|segment| segment.tokens)
            .sum();
        let Some((asked, rule)) = asked.zip(self.draft.resolved.policy.rule(zone)) else {
            return (None, None);
        };
        let less = |bound: usize| bound.saturating_sub(has);
        (
            is_number(asked.min).then(|| less(rule.bounds.min)),
            is_number(asked.max).then(|| less(rule.bounds.max)),
        )
    }

    /// The prompt that there would be.
    fn prompt_with(&self, insets: &[Inset]) -> Result<Vec<u32>, ApiError> {
        let DraftInput { model, now, .. } = &self.draft.input;
        let known = self.draft.known_edits();
        let draft = &self.draft;
        let mut changed = changes::apply(&draft.input.conversation, &draft.division, &known);
        insertion::insert(&mut changed, &mut [], insets);
        let text = prompt::render(model, &changed, *now)?;
        prompt::encode(model, "messages", &text, changed.add_special_tokens)
    }
}

impl Choices {
    fn insets(&self) -> Vec<Inset> {
        let chosen = [
            (&self.memory, SegmentKind::Memory, Zone::Memory),
            (&self.documents, SegmentKind::Document, Zone::Retrieval),
        ];
        let insets = chosen.into_iter().filter_map(|(chosen, kind, zone)| {
            let text = chosen.text.clone()?;
            Some(Inset { kind, zone, text })
        });
        insets.collect()
    }

    fn supplied(&self) -> Supplied {
        let chosen = [&self.memory, &self.documents];
        let placed = chosen.into_iter().filter(|chosen| chosen.text.is_some());
        Supplied {
            insertions: Vec::new(),
            placement: placed.map(|chosen| chosen.placement.clone()).collect(),
            dropped: chosen
                .into_iter()
                .flat_map(|chosen| chosen.dropped.clone())
                .collect(),
            openings: self.documents.openings.clone(),
        }
    }
}

impl Room {
    fn of(draft: &Draft) -> Self {
        let policy = &draft.resolved.policy;
        let segments = &draft.standing.segments;
        let own: usize = segments.iter().map(|segment| segment.tokens).sum();
        // Of what the live turn has, only results of tools give way.
        let is_said = |s: &&Segment| s.live && !matches!(s.kind, SegmentKind::ToolResult { .. });
        let fixed = segments
            .iter()
            .filter(|s| is_said(s) || s.is_untouchable(policy.stable_prefix_end));
        let fixed: usize = fixed.map(|segment| segment.tokens).sum();
        let beside = draft.input.incoming + policy.output.min;
        let prompt = draft.tokens.len();
        let high = (policy.utilization.high * policy.budget as f64) as usize;
        let template = prompt.saturating_sub(own);
        Self {
            soft: high.saturating_sub(prompt + beside),
            hard: policy.budget.saturating_sub(fixed + template + beside),
        }
    }
}

impl From<Document> for Offered {
    fn from(document: Document) -> Self {
        let Document {
            id,
            text,
            score,
            source,
            group,
        } = document;
        Self {
            id,
            text,
            score,
            source,
            group,
        }
    }
}

/// Tokens of texts. One that could not stand in any prompt is as long as it has bytes.
fn counter(model: ServedModel) -> impl Fn(&str) -> usize {
    move |text| {
        let fits = text.len() <= model.max_text_bytes;
        let tokens = fits.then(|| model.tokenizer.encode(text, false).ok());
        tokens.flatten().map_or(text.len(), |tokens| tokens.len())
    }
}
