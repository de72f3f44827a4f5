//! The cache done naively: blocks name their content by all tokens up to it, and everything is
//! found by looking at every block.

use kv_cache::TokenId;

/// A block's content: the tokens from the start of the sequence to the block's last filled slot.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    salt: u8,
    history: Vec<TokenId>,
    /// How many of them are in this block.
    filled: usize,
}

#[derive(Clone, Debug, Default)]
struct Block {
    refs: u32,
    content: Option<Content>,
    retained: Option<Hold>,
}

/// Until when a block is retained, and by whom.
#[derive(Clone, Copy, Debug)]
struct Hold {
    until: u64,
    key: u8,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    block_size: usize,
    blocks: Vec<Block>,
    /// Next to hand out first.
    free: Vec<u32>,
    pub(crate) evictions: u64,
    pub(crate) retained_evictions: u64,
    /// Blocks that can be retained, and for each key.
    limits: (usize, usize),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelTable {
    pub(crate) blocks: Vec<u32>,
    pub(crate) num_sealed: usize,
    pub(crate) copy_src: Option<u32>,
}

impl Model {
    pub(crate) fn new(num_blocks: u32, block_size: usize, limits: (usize, usize)) -> Self {
        Self {
            block_size,
            blocks: vec![Block::default(); num_blocks as usize],
            free: (1..num_blocks).collect(),
            evictions: 0,
            retained_evictions: 0,
            limits,
        }
    }

    pub(crate) fn num_free(&self) -> usize {
        self.free.len()
    }

    pub(crate) fn num_evictable(&self) -> usize {
        let is_cached = |&&id: &&u32| self.blocks[id as usize].content.is_some();
        self.free.iter().filter(is_cached).count()
    }

    /// Full blocks that hold the start of `tokens`, all but the last of which may be used.
    pub(crate) fn full_blocks(&self, salt: u8, tokens: &[TokenId]) -> Vec<u32> {
        let limit = (tokens.len() - 1) / self.block_size;
        let at = |index: usize| self.sealed(salt, &tokens[..(index + 1) * self.block_size]);
        (0..limit).map_while(at).collect()
    }

    /// Blocks that share the longest prefix with what follows `full` tokens, and its length.
    pub(crate) fn best_children(
        &self,
        salt: u8,
        tokens: &[TokenId],
        full: usize,
    ) -> (Vec<u32>, usize) {
        let end = (tokens.len() - 1).min(full + self.block_size);
        let shared = |id: u32| {
            let Some(content) = &self.blocks[id as usize].content else {
                return 0;
            };
            let start = content.history.len() - content.filled;
            if content.salt != salt || content.history[..start] != tokens[..full] {
                return 0;
            }
            let wanted = tokens[full..end].iter();
            wanted
                .zip(&content.history[start..])
                .take_while(|(a, b)| a == b)
                .count()
        };
        let ids = 1..self.blocks.len() as u32;
        let best = ids.clone().map(shared).max().unwrap_or(0);
        (
            ids.filter(|&id| best > 0 && shared(id) == best).collect(),
            best,
        )
    }

    pub(crate) fn refs(&self, id: u32) -> u32 {
        self.blocks[id as usize].refs
    }

    pub(crate) fn hold(&mut self, id: u32) {
        self.free.retain(|&other| other != id);
        self.blocks[id as usize].refs += 1;
    }

    pub(crate) fn let_go(&mut self, id: u32) {
        let block = &mut self.blocks[id as usize];
        block.refs -= 1;
        match (block.refs, block.content.is_some()) {
            (0, true) => self.free.push(id),
            (0, false) => self.free.insert(0, id),
            _ => {}
        }
    }

    /// A table of `num_blocks` blocks that starts with `full`, its copy's source pinned.
    pub(crate) fn allocate(
        &mut self,
        full: &[u32],
        num_blocks: usize,
        copy_src: Option<u32>,
    ) -> ModelTable {
        for &id in full.iter().chain(&copy_src) {
            self.hold(id);
        }
        let mut blocks = full.to_vec();
        while blocks.len() < num_blocks {
            blocks.push(self.take());
        }
        ModelTable {
            blocks,
            num_sealed: full.len(),
            copy_src,
        }
    }

    /// Hands out the next free block.
    pub(crate) fn take(&mut self) -> u32 {
        let is_normal = |&id: &u32| self.blocks[id as usize].retained.is_none();
        let at = self.free.iter().position(is_normal).unwrap_or(0);
        let id = self.free.remove(at);
        let block = &mut self.blocks[id as usize];
        block.refs = 1;
        self.retained_evictions += u64::from(block.retained.take().is_some());
        self.evictions += u64::from(block.content.take().is_some());
        id
    }

    /// Seals a table's blocks that are full of computed tokens.
    pub(crate) fn seal(&mut self, table: &mut ModelTable, salt: u8, computed: &[TokenId]) {
        while (table.num_sealed + 1) * self.block_size <= computed.len() {
            let index = table.num_sealed;
            let id = table.blocks[index];
            let history = &computed[..(index + 1) * self.block_size];
            self.blocks[id as usize].content = None;
            match self.sealed(salt, history) {
                Some(first) => {
                    self.hold(first);
                    self.let_go(id);
                    table.blocks[index] = first;
                }
                None => self.register(id, salt, history, self.block_size),
            }
            table.num_sealed += 1;
        }
    }

    /// Registers the block being filled, unless another holds all of its tokens.
    pub(crate) fn register_partial(&mut self, table: &ModelTable, salt: u8, computed: &[TokenId]) {
        let filled = computed.len() % self.block_size;
        if filled == 0 {
            return;
        }
        let id = table.blocks[computed.len() / self.block_size];
        self.blocks[id as usize].content = None;
        let covers = |content: &Content| {
            let same_start = content.history.len() - content.filled == computed.len() - filled;
            content.salt == salt && same_start && content.history.starts_with(computed)
        };
        if !self
            .blocks
            .iter()
            .filter_map(|block| block.content.as_ref())
            .any(covers)
        {
            self.register(id, salt, computed, filled);
        }
    }

    pub(crate) fn release(&mut self, mut table: ModelTable, salt: u8, computed: &[TokenId]) {
        let mut computed = computed;
        if let Some(src) = table.copy_src.take() {
            self.let_go(src);
            computed = &computed[..computed.len().min(table.num_sealed * self.block_size)];
        }
        self.seal(&mut table, salt, computed);
        self.register_partial(&table, salt, computed);
        for &id in table.blocks.iter().rev() {
            self.let_go(id);
        }
    }

    pub(crate) fn reset(&mut self) {
        for id in 0..self.blocks.len() as u32 {
            self.blocks[id as usize].content = None;
            if self.blocks[id as usize].retained.is_some() {
                self.end_retention(id);
            }
        }
    }

    /// Retains a table's sealed blocks as far as the limits allow; returns how many.
    pub(crate) fn retain(
        &mut self,
        table: &ModelTable,
        num_tokens: usize,
        until: u64,
        key: u8,
    ) -> usize {
        let num_blocks = (num_tokens / self.block_size).min(table.num_sealed);
        for (at, &id) in table.blocks[..num_blocks].iter().enumerate() {
            let holds = || self.blocks.iter().filter_map(|block| block.retained);
            let held = self.blocks[id as usize].retained;
            if held.is_some_and(|hold| hold.until >= until) {
                continue;
            }
            let is_own = held.is_some_and(|hold| hold.key == key);
            let own = holds().filter(|hold| hold.key == key).count();
            let full = held.is_none() && holds().count() >= self.limits.0;
            if full || (!is_own && own >= self.limits.1) {
                return at;
            }
            self.blocks[id as usize].retained = Some(Hold { until, key });
        }
        num_blocks
    }

    /// Ends what has been retained until now: the shortest first, then the deepest.
    pub(crate) fn expire(&mut self, now: u64) {
        let ended = |&id: &u32| {
            let hold = self.blocks[id as usize].retained?;
            let content = self.blocks[id as usize].content.as_ref()?;
            let depth = content.history.len();
            (hold.until <= now).then_some((hold.until, std::cmp::Reverse(depth), id))
        };
        let mut ended: Vec<_> = (0..self.blocks.len() as u32)
            .filter_map(|id| ended(&id))
            .collect();
        ended.sort_unstable();
        for (_, _, id) in ended {
            self.end_retention(id);
        }
    }

    pub(crate) fn num_retained(&self) -> usize {
        let is_retained = |block: &&Block| block.retained.is_some();
        self.blocks.iter().filter(is_retained).count()
    }

    fn end_retention(&mut self, id: u32) {
        self.blocks[id as usize].retained = None;
        if let Some(at) = self.free.iter().position(|&free| free == id) {
            self.free.remove(at);
            self.free.push(id);
        }
    }

    fn sealed(&self, salt: u8, history: &[TokenId]) -> Option<u32> {
        let is_it = |block: &Block| {
            block.content.as_ref().is_some_and(|content| {
                content.filled == self.block_size
                    && content.salt == salt
                    && content.history == history
            })
        };
        self.blocks.iter().position(is_it).map(|at| at as u32)
    }

    /// Also drops the free block just before in the order of tokens, if it is the start of this.
    fn register(&mut self, id: u32, salt: u8, history: &[TokenId], filled: usize) {
        let start = history.len() - filled;
        let before = (1..self.blocks.len()).filter(|&other| {
            self.blocks[other].content.as_ref().is_some_and(|content| {
                content.salt == salt
                    && content.history.len() - content.filled == start
                    && content.history[..start] == history[..start]
                    && content.history[start..] < history[start..]
            })
        });
        let tail = |&other: &usize| {
            self.blocks[other]
                .content
                .as_ref()
                .map(|content| content.history[start..].to_vec())
        };
        if let Some(other) = before.max_by_key(tail)
            && self.blocks[other].refs == 0
            && tail(&other).is_some_and(|tokens| history[start..].starts_with(&tokens))
        {
            self.blocks[other].content = None;
            self.free.retain(|&free| free != other as u32);
            self.free.insert(0, other as u32);
        }
        let history = history.to_vec();
        self.blocks[id as usize].content = Some(Content {
            salt,
            history,
            filled,
        });
    }
}
