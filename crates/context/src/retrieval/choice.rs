//! Which documents are worth their tokens.

use super::DropReason;
use super::similarity::Similarity;

/// A document that may be chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) document: usize,
    /// Its room.
    pub(super) tokens: usize,
    /// What its tokens cost; positive.
    pub(super) cost: f64,
    /// Its value if nothing similar is chosen; positive.
    pub(super) value: f64,
}

/// What was chosen.
pub(super) struct Choice {
    /// In the order in which they were chosen.
    pub(super) taken: Vec<Taken>,
    /// By document: why an item was not chosen.
    pub(super) reasons: Vec<Option<DropReason>>,
}

/// A chosen document.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) document: usize,
    pub(super) tokens: usize,
    /// Its value beside those chosen before.
    pub(super) value: f64,
    /// What stands for it if not all of it does.
    pub(super) extract: Option<String>,
}

/// Sentences of a document.
pub(super) struct Extract {
    pub(super) text: String,
    /// As they count for the room.
    pub(super) tokens: usize,
    /// The share of the document's relevance that they hold, 0 to 1.
    pub(super) share: f64,
}

/// Chooses from `items` what fits into `cap` tokens.
///
/// `words` are those of every document; `diversity` is that of the rule; `extract` gives sentences of a document for so many tokens, or `None` if not one fits.
pub(super) fn choose(
    items: &[Item],
    words: &[Vec<u64>],
    cap: usize,
    diversity: f64,
    extract: impl Fn(usize, usize) -> Option<Extract>,
) -> Choice {
    let similarity = Similarity::new(items.iter().map(|item| words[item.document].as_slice()));
    let nothing = || Chosen::nothing(items, &similarity, diversity);
    let mut best = nothing();
    best.fill(cap);
    if let Some(item) = best_where(items, |item| item.tokens <= cap)
        && items[item].value > best.value()
    {
        best = nothing();
        best.take(item, items[item].tokens, None);
        best.fill(cap);
    }
    // A document that is larger than all the room takes part with its best sentences.
    if let Some(item) = best_where(items, |item| item.tokens > cap)
        && items[item].value > best.value()
        && let Some(extract) = extract(items[item].document, cap)
        && items[item].value * extract.share > best.value()
    {
        best = nothing();
        best.take(item, extract.tokens, Some(extract));
        best.fill(cap);
    }
    best.finish(words.len())
}

/// The item of the highest value among those that `allowed` lets through; the first of equals.
fn best_where(items: &[Item], allowed: impl Fn(&Item) -> bool) -> Option<usize> {
    let allowed = (0..items.len()).filter(|i| allowed(&items[*i]));
    allowed.reduce(|best, i| {
        if items[i].value > items[best].value {
            i
        } else {
            best
        }
    })
}

/// A choice being made.
struct Chosen<'a> {
    items: &'a [Item],
    similarity: &'a Similarity,
    diversity: f64,
    /// By item: similarity to the chosen item that is most like it, and that item.
    likeness: Vec<(f64, usize)>,
    open: Vec<bool>,
    taken: Vec<Taken>,
    tokens: usize,
}

impl<'a> Chosen<'a> {
    fn nothing(items: &'a [Item], similarity: &'a Similarity, diversity: f64) -> Self {
        Self {
            items,
            similarity,
            diversity,
            likeness: vec![(0.0, 0); items.len()],
            open: vec![true; items.len()],
            taken: Vec::new(),
            tokens: 0,
        }
    }

    /// What was chosen is worth.
    fn value(&self) -> f64 {
        self.taken.iter().map(|taken| taken.value).sum()
    }

    /// Takes what fits, by value per cost, until nothing does.
    fn fill(&mut self, cap: usize) {
        let fits = |chosen: &Self, i: usize| chosen.tokens + chosen.items[i].tokens <= cap;
        loop {
            let open = (0..self.items.len())
                .filter(|i| self.open[*i] && fits(self, *i) && self.marginal(*i) > 0.0);
            let rate = |i: usize| self.marginal(i) / self.items[i].cost;
            let next = open.reduce(|best, i| if rate(i) > rate(best) { i } else { best });
            match next {
                Some(item) => self.take(item, self.items[item].tokens, None),
                None => return,
            }
        }
    }

    /// An item's value beside what is chosen.
    fn marginal(&self, item: usize) -> f64 {
        let repeated = (1.0 + self.diversity) * self.likeness[item].0;
        self.items[item].value * (1.0 - repeated).max(0.0)
    }

    fn take(&mut self, item: usize, tokens: usize, extract: Option<Extract>) {
        let share = extract.as_ref().map_or(1.0, |extract| extract.share);
        self.taken.push(Taken {
            document: self.items[item].document,
            tokens,
            value: self.marginal(item) * share,
            extract: extract.map(|extract| extract.text),
        });
        self.open[item] = false;
        self.tokens += tokens;
        let similarities = self.similarity.to_all(item);
        for (likeness, similarity) in self.likeness.iter_mut().zip(similarities) {
            if similarity > likeness.0 {
                *likeness = (similarity, item);
            }
        }
    }

    fn finish(self, documents: usize) -> Choice {
        let mut reasons = vec![None; documents];
        for (i, item) in self.items.iter().enumerate().filter(|(i, _)| self.open[*i]) {
            let original = self.items[self.likeness[i].1].document;
            reasons[item.document] = Some(if self.marginal(i) <= 0.0 {
                DropReason::Repeats(original)
            } else {
                DropReason::NoRoom
            });
        }
        Choice {
            taken: self.taken,
            reasons,
        }
    }
}
