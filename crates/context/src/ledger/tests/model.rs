//! Random operations beside a list that knows the conversations themselves instead of hashes.

use super::*;

const OPERATIONS: usize = 100_000;
const MAX_BYTES: usize = 24 * ENTRY_OVERHEAD;

/// What is kept, found by comparing whole beginnings of conversations.
#[derive(Clone, Debug)]
struct Kept {
    scope: usize,
    beginning: String,
    kind: EntryKind,
    span: usize,
    made_at: usize,
    bytes: usize,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Edit(LedgerEdit),
    /// Each with its span.
    Summaries(Vec<(usize, Summary)>),
    Mark,
}

/// The last used entry is the last of the list.
#[derive(Default)]
struct Model {
    kept: Vec<Kept>,
    evictions: u64,
    hits: u64,
    misses: u64,
    replayed: u64,
    regretted: u64,
}

impl Model {
    fn find(&self, scope: usize, beginning: &str, kind: EntryKind) -> Option<usize> {
        self.kept
            .iter()
            .position(|kept| (kept.scope, &*kept.beginning, kept.kind) == (scope, beginning, kind))
    }

    fn use_again(&mut self, at: usize) {
        let kept = self.kept.remove(at);
        self.kept.push(kept);
    }

    fn bytes(&self) -> usize {
        self.kept.iter().map(|kept| kept.bytes).sum()
    }

    fn insert(&mut self, kept: Kept) -> bool {
        if kept.bytes > MAX_BYTES {
            return false;
        }
        if let Some(at) = self.find(kept.scope, &kept.beginning, kept.kind) {
            self.kept.remove(at);
        }
        while self.bytes() + kept.bytes > MAX_BYTES {
            self.kept.remove(0);
            self.evictions += 1;
        }
        self.kept.push(kept);
        true
    }

    /// The edits to apply: segments, size of the conversation when made, edit.
    fn replay(
        &mut self,
        scope: usize,
        letters: &str,
        protected: usize,
    ) -> Vec<(RangeInclusive<usize>, usize, LedgerEdit)> {
        let mut found: Vec<(RangeInclusive<usize>, Kept)> = Vec::new();
        for kept in &self.kept {
            let last = kept.beginning.len() - 1;
            let segments = last + 1 - kept.span..=last;
            let is_edit = matches!(kept.content, Content::Edit(_));
            let is_there = kept.scope == scope && letters.starts_with(&kept.beginning);
            if is_edit && is_there && !segments.contains(&protected) {
                found.push((segments, kept.clone()));
            }
        }
        found.sort_by_key(|(segments, kept)| {
            let is_compaction = kept.kind == EntryKind::Span;
            std::cmp::Reverse((kept.span, is_compaction, *segments.end()))
        });
        let mut applied: Vec<(RangeInclusive<usize>, Kept)> = Vec::new();
        for (segments, kept) in found {
            let touches = |other: &RangeInclusive<usize>| {
                segments.clone().any(|segment| other.contains(&segment))
            };
            if !applied.iter().any(|(other, _)| touches(other)) {
                applied.push((segments, kept));
            }
        }
        applied.sort_by_key(|(segments, _)| *segments.start());
        for (_, kept) in applied.iter().rev() {
            let at = self.find(kept.scope, &kept.beginning, kept.kind);
            self.use_again(at.unwrap());
        }
        if applied.is_empty() {
            self.misses += 1;
        } else {
            self.hits += 1;
        }
        self.replayed += applied.len() as u64;
        let edits = applied
            .into_iter()
            .map(|(segments, kept)| match kept.content {
                Content::Edit(edit) => (segments, kept.made_at, edit),
                Content::Summaries(_) | Content::Mark => unreachable!("only edits were found"),
            });
        edits.collect()
    }
}

/// Seeded numbers (SplitMix64, Steele et al. 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    /// A conversation of up to 8 segments, most of which share their beginnings.
    fn letters(&mut self) -> String {
        let length = 1 + self.below(8);
        (0..length)
            .map(|at| {
                if self.below(6) == 0 {
                    'x'
                } else {
                    ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'][at]
                }
            })
            .collect()
    }

    fn segments(&mut self, length: usize) -> RangeInclusive<usize> {
        let last = self.below(length);
        self.below(last + 1)..=last
    }

    fn text(&mut self) -> String {
        // Rarely one that is larger than the ledger.
        let length = if self.below(100) == 0 {
            MAX_BYTES
        } else {
            self.below(3 * ENTRY_OVERHEAD)
        };
        char::from(b'A' + self.below(26) as u8)
            .to_string()
            .repeat(length)
    }

    fn order(&mut self) -> SummaryOrder {
        SummaryOrder {
            wording: self.below(3) as u64,
            ..ORDER
        }
    }

    fn level(&mut self) -> SummaryLevel {
        SummaryLevel::ALL[self.below(4)]
    }
}

struct World {
    seed: u64,
    operation: usize,
    random: Random,
    ledger: EditLedger,
    model: Model,
}

/// Two tenants, one of them under two policies.
const SCOPES: [LedgerScope<'static>; 3] = [
    SCOPE,
    LedgerScope {
        policy_major: 2,
        ..SCOPE
    },
    LedgerScope {
        tenant_salt: b"other",
        ..SCOPE
    },
];

impl World {
    fn step(&mut self) {
        let scope = self.random.below(SCOPES.len());
        let letters = self.random.letters();
        let chain = chain(&SCOPES[scope], &letters);
        match self.random.below(100) {
            0..30 => self.record(scope, &letters, &chain),
            30..45 => self.store_summary(scope, &letters, &chain),
            45..75 => self.replay(scope, &letters, &chain),
            75..90 => self.look_up_summary(scope, &letters, &chain),
            90..99 => self.count_regret(scope, &letters, &chain),
            _ => self.delete_tenant(scope),
        }
        assert_eq!(
            self.ledger.counters(),
            LedgerCounters {
                hits: self.model.hits,
                misses: self.model.misses,
                replayed: self.model.replayed,
                regretted: self.model.regretted,
                evictions: self.model.evictions,
                entries: self.model.kept.len(),
                bytes: self.model.bytes(),
                max_bytes: MAX_BYTES,
            }
        );
        assert!(self.model.bytes() <= MAX_BYTES);
    }

    fn record(&mut self, scope: usize, letters: &str, chain: &SegmentChain) {
        let mut segments = self.random.segments(letters.len());
        let turns = self.random.below(5);
        let edit = if self.random.below(3) == 0 {
            compaction(&self.random.text(), turns)
        } else {
            segments = *segments.end()..=*segments.end();
            clearing(&self.random.text(), turns)
        };
        let kept = self.model.insert(Kept {
            scope,
            beginning: letters[..=*segments.end()].into(),
            kind: edit_kind(&edit.op),
            span: segments.clone().count(),
            made_at: letters.len(),
            bytes: ENTRY_OVERHEAD + edit.replacement.len(),
            content: Content::Edit(edit.clone()),
        });
        assert_eq!(self.ledger.record(chain, segments, edit).is_ok(), kept);
    }

    fn store_summary(&mut self, scope: usize, letters: &str, chain: &SegmentChain) {
        let segments = self.random.segments(letters.len());
        let level = self.random.level();
        let summary = Summary {
            order: self.random.order(),
            ..summary(&self.random.text())
        };
        let (beginning, span) = (&letters[..=*segments.end()], segments.clone().count());
        let kind = EntryKind::Summaries(level);
        let mut all = vec![(span, summary.clone())];
        if let Some(at) = self.model.find(scope, beginning, kind)
            && let Content::Summaries(known) = &self.model.kept[at].content
        {
            let same =
                |known: &&(usize, Summary)| (known.0, known.1.order) == (span, summary.order);
            let mut others: Vec<_> = known.iter().filter(|known| !same(known)).cloned().collect();
            others.push(all.remove(0));
            all = others;
        }
        let bytes = |all: &[(usize, Summary)]| -> usize {
            let each = all.iter().map(|(_, one)| ENTRY_OVERHEAD + one.text.len());
            each.sum()
        };
        while all.len() > MAX_WISHES || all.len() > 1 && bytes(&all) > MAX_BYTES {
            all.remove(0);
        }
        let kept = self.model.insert(Kept {
            scope,
            beginning: beginning.into(),
            kind,
            span,
            made_at: letters.len(),
            bytes: bytes(&all),
            content: Content::Summaries(all),
        });
        let stored = self.ledger.store_summary(chain, segments, level, summary);
        assert_eq!(stored.is_ok(), kept);
    }

    fn replay(&mut self, scope: usize, letters: &str, chain: &SegmentChain) {
        let protected = self.random.below(12);
        let replay = self.ledger.replay(chain, |known| without(known, protected));
        let edits = replay.edits.into_iter();
        let edits: Vec<_> = edits
            .map(|known| (known.segments, known.made_at, (*known.edit).clone()))
            .collect();
        assert_eq!(edits, self.model.replay(scope, letters, protected));
    }

    fn look_up_summary(&mut self, scope: usize, letters: &str, chain: &SegmentChain) {
        let (segments, level) = (self.random.segments(letters.len()), self.random.level());
        let (kind, order) = (EntryKind::Summaries(level), self.random.order());
        let at = self.model.find(scope, &letters[..=*segments.end()], kind);
        let span = segments.clone().count();
        let expected = at.and_then(|at| match &self.model.kept[at].content {
            Content::Summaries(all) => {
                let mut latest = all.iter().rev();
                let found = latest.find(|(of, one)| *of == span && order.accepts(one));
                found.map(|(_, summary)| summary.clone())
            }
            Content::Edit(_) | Content::Mark => unreachable!("the kind is a summary's"),
        });
        let found = self.ledger.summary(chain, &segments, level, &order);
        assert_eq!(found.as_deref(), expected.as_ref());
        match at.filter(|_| expected.is_some()) {
            Some(at) => {
                self.model.use_again(at);
                self.model.hits += 1;
            }
            None => self.model.misses += 1,
        }
    }

    fn count_regret(&mut self, scope: usize, letters: &str, chain: &SegmentChain) {
        let again = self.random.below(letters.len());
        let regret = Regret { first: 0, again };
        let fresh = self.ledger.count_regrets(chain, &[regret]);
        let beginning = &letters[..=again];
        if let Some(at) = self.model.find(scope, beginning, EntryKind::Regret) {
            self.model.use_again(at);
            assert_eq!(fresh, []);
            return;
        }
        assert_eq!(fresh, [regret]);
        self.model.regretted += 1;
        self.model.insert(Kept {
            scope,
            beginning: beginning.into(),
            kind: EntryKind::Regret,
            span: 1,
            made_at: letters.len(),
            bytes: ENTRY_OVERHEAD,
            content: Content::Mark,
        });
    }

    fn delete_tenant(&mut self, scope: usize) {
        let tenant = SCOPES[scope].tenant_salt;
        let before = self.model.kept.len();
        let is_other = |kept: &Kept| SCOPES[kept.scope].tenant_salt != tenant;
        self.model.kept.retain(is_other);
        let removed = self.ledger.delete_tenant(&TenantKey::new(tenant));
        assert_eq!(removed, before - self.model.kept.len());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("seed {}, operation {}", self.seed, self.operation);
        }
    }
}

#[test]
fn random_operations_agree_with_a_list() {
    let seed = 0x1ed6e7;
    let mut world = World {
        seed,
        operation: 0,
        random: Random(seed),
        ledger: EditLedger::new(MAX_BYTES),
        model: Model::default(),
    };
    while world.operation < OPERATIONS {
        world.step();
        world.operation += 1;
    }
    // The run has seen what it is about.
    let LedgerCounters {
        hits,
        misses,
        replayed,
        evictions,
        ..
    } = world.ledger.counters();
    assert!(
        hits > 1_000 && misses > 1_000 && evictions > 1_000,
        "{hits} {misses} {evictions}"
    );
    assert!(replayed > hits / 2, "{replayed}");
    // Rows of evicted entries serve again.
    assert!(world.ledger.store.num_rows() <= MAX_BYTES / ENTRY_OVERHEAD);
}
