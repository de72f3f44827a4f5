//! Responses that another may go on from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memory::Tenant;
use serde_json::Value;

/// Responses kept at most.
const MAX_RESPONSES: usize = 1_000;
/// Bytes of their JSON at most.
const MAX_BYTES: usize = 64 << 20;

/// A response, and what came before it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredResponse {
    /// The response as it was answered.
    pub response: Value,
    /// What its request added to the conversation, as items of the API.
    pub input: Vec<Value>,
    /// The same and the answer, as messages of a chat.
    pub messages: Vec<Value>,
    /// The response that it goes on from.
    pub previous: Option<String>,
}

/// The last responses, within bounds; clones share them. What was used longest ago makes room.
#[derive(Clone, Default)]
pub struct ResponseStore {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    responses: BTreeMap<String, Entry>,
    /// Names by the time of their last use.
    uses: BTreeMap<u64, String>,
    next_use: u64,
    num_bytes: usize,
}

struct Entry {
    tenant: Tenant,
    stored: Arc<StoredResponse>,
    num_bytes: usize,
    last_use: u64,
}

impl ResponseStore {
    /// Keeps a response under its name.
    pub fn put(&self, tenant: Tenant, id: &str, stored: StoredResponse) {
        let num_bytes = stored.num_bytes();
        let mut kept = self.lock();
        kept.forget(id);
        let entry = Entry {
            tenant,
            stored: Arc::new(stored),
            num_bytes,
            last_use: 0,
        };
        kept.num_bytes += num_bytes;
        kept.responses.insert(id.to_owned(), entry);
        kept.touch(id);
        while kept.responses.len() > MAX_RESPONSES || kept.num_bytes > MAX_BYTES {
            let Some((_, oldest)) = kept.uses.first_key_value() else {
                break;
            };
            let oldest = oldest.clone();
            kept.forget(&oldest);
        }
    }

    /// The tenant's response of this name.
    pub fn get(&self, tenant: Tenant, id: &str) -> Option<Arc<StoredResponse>> {
        self.lock().get(tenant, id)
    }

    /// The messages of a conversation up to and with a response; `None` if any part of it is gone.
    pub fn conversation(&self, tenant: Tenant, id: &str) -> Option<Vec<Value>> {
        let mut kept = self.lock();
        let (mut chain, mut next) = (Vec::new(), Some(id.to_owned()));
        while let Some(id) = next {
            let stored = kept.get(tenant, &id)?;
            next = stored.previous.clone();
            chain.push(stored);
        }
        drop(kept);
        let messages = chain.iter().rev().flat_map(|stored| &stored.messages);
        Some(messages.cloned().collect())
    }

    /// Forgets the tenant's response of this name; false if there is none.
    pub fn remove(&self, tenant: Tenant, id: &str) -> bool {
        let mut kept = self.lock();
        let is_there = kept.get(tenant, id).is_some();
        if is_there {
            kept.forget(id);
        }
        is_there
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn get(&mut self, tenant: Tenant, id: &str) -> Option<Arc<StoredResponse>> {
        let entry = self.responses.get(id)?;
        if entry.tenant != tenant {
            return None;
        }
        let stored = Arc::clone(&entry.stored);
        self.touch(id);
        Some(stored)
    }

    fn touch(&mut self, id: &str) {
        let now = self.next_use;
        self.next_use += 1;
        if let Some(entry) = self.responses.get_mut(id) {
            self.uses.remove(&entry.last_use);
            entry.last_use = now;
            self.uses.insert(now, id.to_owned());
        }
    }

    fn forget(&mut self, id: &str) {
        if let Some(entry) = self.responses.remove(id) {
            self.uses.remove(&entry.last_use);
            self.num_bytes -= entry.num_bytes;
        }
    }
}

impl StoredResponse {
    fn num_bytes(&self) -> usize {
        let lists = self.input.iter().chain(&self.messages);
        let values = lists.chain([&self.response]);
        values.map(|value| value.to_string().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn response(text: &str, previous: Option<&str>) -> StoredResponse {
        StoredResponse {
            response: json!({"text": text}),
            input: Vec::new(),
            messages: vec![json!({"content": text})],
            previous: previous.map(str::to_owned),
        }
    }

    fn tenant(name: &str) -> Tenant {
        Tenant::of(name.as_bytes())
    }

    #[test]
    fn a_conversation_is_all_that_came_before() {
        let store = ResponseStore::default();
        let own = tenant("a");
        store.put(own, "1", response("one", None));
        store.put(own, "2", response("two", Some("1")));
        store.put(own, "3", response("three", Some("2")));
        store.put(own, "x", response("other", Some("1")));
        let texts = |id: &str| {
            let messages = store.conversation(own, id)?;
            let texts = messages.iter().filter_map(|it| it["content"].as_str());
            Some(texts.map(str::to_owned).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(texts("3").as_deref(), Some("one two three"));
        assert_eq!(texts("x").as_deref(), Some("one other"));
        assert_eq!(store.conversation(tenant("b"), "3"), None);
        assert!(!store.remove(tenant("b"), "2"));
        assert!(store.remove(own, "2") && !store.remove(own, "2"));
        assert_eq!((texts("3"), texts("1").as_deref()), (None, Some("one")));
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let store = ResponseStore::default();
        let own = tenant("a");
        for number in 0..MAX_RESPONSES {
            store.put(own, &number.to_string(), response("x", None));
        }
        assert!(store.get(own, "0").is_some());
        store.put(own, "new", response("x", None));
        assert!(store.get(own, "0").is_some() && store.get(own, "1").is_none());
        // A large one takes the place of many.
        let large = response(&"x".repeat(MAX_BYTES / 2 - 100), None);
        store.put(own, "large", large.clone());
        assert!(store.get(own, "large").is_some());
        assert!(store.lock().num_bytes <= MAX_BYTES);
        // One that is too large for all of the room is not kept.
        let mut huge = large;
        huge.input = vec![json!("x".repeat(MAX_BYTES))];
        store.put(own, "huge", huge);
        let kept = store.lock();
        assert!(!kept.responses.contains_key("huge"));
        assert_eq!((kept.num_bytes, kept.uses.len()), (0, 0));
    }
}
