//! What the live turn is about, as words to look for.

use std::sync::LazyLock;

use crate::retrieval::words::words;

/// The words of a live turn; lines that share them are kept longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Focus {
    /// Hashes, sorted.
    words: Vec<u64>,
}

impl Focus {
    /// The words of `text` that say something: function words and single characters do not count.
    /// Empty text has no focus.
    pub fn new(text: &str) -> Self {
        let mut words = content_words(text);
        words.sort_unstable();
        words.dedup();
        Self { words }
    }

    /// Whether there are no words to look for.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Numbers of the focus words in `text`, each once, ascending.
    pub(super) fn hits(&self, text: &str) -> Vec<usize> {
        if self.is_empty() {
            return Vec::new();
        }
        let found = words(text)
            .into_iter()
            .filter_map(|word| self.words.binary_search(&word).ok());
        let mut hits: Vec<usize> = found.collect();
        hits.sort_unstable();
        hits.dedup();
        hits
    }

    /// How much each of `texts` says about the focus: the sum of its focus words, each less the
    /// more texts have it, 0 for one that a quarter of many texts have.
    pub(super) fn weights<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Vec<f64> {
        let hits: Vec<Vec<usize>> = texts.map(|text| self.hits(text)).collect();
        let mut frequencies = vec![0_usize; self.words.len()];
        for hit in hits.iter().flatten() {
            frequencies[*hit] += 1;
        }
        let all = hits.len() as f64;
        let weight = |hit: &usize| {
            let frequency = frequencies[*hit] as f64;
            if hits.len() > 8 && frequency > all / 4.0 {
                return 0.0;
            }
            ((all + 1.0) / frequency).ln() / (all + 1.0).ln()
        };
        hits.iter()
            .map(|hits| hits.iter().map(weight).sum())
            .collect()
    }
}

/// The words of `text` in their order, function words and single characters left out.
pub(crate) fn content_words(text: &str) -> Vec<u64> {
    let mut all = words(text);
    all.retain(|word| STOPS.binary_search(word).is_err());
    all
}

static STOPS: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let mut stops = words(
        "a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7 8 9 \
         about after again all also am an and any are as at be because been before being between \
         both but by can could did do does doing done for from further get gets give go going got \
         had has have having he her here hers him his how if in into is it its just let like ll \
         made make many may me might more most much must my need needs no nor not of off on once \
         one only or other our out over own please re same see shall she should so some such than \
         that the their them then there these they thing this those through to too under until up \
         us use used uses using ve very want was way we were what when where which while who why \
         will with would yes yet you your now new still well okay ok",
    );
    stops.sort_unstable();
    stops.dedup();
    stops
});
