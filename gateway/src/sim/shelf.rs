//! A map that cannot grow: when it is full, the entry that was put first goes.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A map of at most `max` entries.
#[derive(Debug)]
pub(super) struct Shelf<K, V> {
    max: usize,
    entries: HashMap<K, V>,
    /// Every key once, the oldest first.
    order: VecDeque<K>,
}

impl<K: Clone + Eq + Hash, V> Shelf<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self { max, entries: HashMap::new(), order: VecDeque::new() }
    }

    /// Puts an entry; one with the same key is replaced and keeps its age.
    pub(super) fn put(&mut self, key: K, value: V) {
        if self.entries.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    pub(super) fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries.get_mut(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_shelf_drops_what_was_put_first() {
        let mut shelf = Shelf::new(2);
        shelf.put("a", 1);
        shelf.put("b", 2);
        shelf.put("a", 3);
        shelf.put("c", 4);
        assert_eq!((shelf.get("a"), shelf.get("b"), shelf.get("c")), (None, Some(&2), Some(&4)));
        assert_eq!((shelf.entries.len(), shelf.order.len()), (2, 2));
    }
}
