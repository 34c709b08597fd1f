//! Keeps what was last looked up in a part's dictionary.
//!
//! A question looks up the same words several times, also cut in two, and finding the words one letter away from one takes a
//! walk through the dictionary. A part never changes, so what was found once stays true.

use parking_lot::Mutex;

use super::words::slot_of;

/// What was found for some terms.
pub(super) struct LookupCache<T> {
    /// How many terms are kept at most: a power of two.
    most: usize,
    /// Empty before the first term. Each term has one slot, by its hash; another term with the same slot takes it over.
    slots: Mutex<Vec<Option<(String, T)>>>,
}

impl<T: Clone> LookupCache<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, slots: Mutex::default() }
    }

    /// What was found for the term before, or what `find` finds now.
    pub(super) fn of(&self, term: String, find: impl FnOnce(&str) -> tantivy::Result<T>) -> tantivy::Result<T> {
        let slot = slot_of(&term, self.most);
        if let Some(Some((known, found))) = self.slots.lock().get(slot)
            && *known == term
        {
            return Ok(found.clone());
        }
        let found = find(&term)?;
        let mut slots = self.slots.lock();
        if slots.is_empty() {
            slots.resize_with(self.most, || None);
        }
        if let Some(slot) = slots.get_mut(slot) {
            *slot = Some((term, found.clone()));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 64;

    #[test]
    fn a_term_is_looked_up_once_until_another_takes_its_slot() -> tantivy::Result<()> {
        let cache = LookupCache::new(MOST);
        let mut looked_up = Vec::new();
        let mut ask = |term: String| {
            cache.of(term, |term| {
                looked_up.push(term.to_owned());
                Ok(format!("{term}s"))
            })
        };
        let is_rival = |word: &String| slot_of(word, MOST) == slot_of("panel", MOST);
        let rival = (0..100_000).map(|number| format!("word{number}")).find(is_rival).unwrap_or_default();
        for term in ["panel", "panel", rival.as_str(), "panel"] {
            assert_eq!(ask(term.to_owned())?, format!("{term}s"));
        }
        assert_eq!(looked_up, ["panel", rival.as_str(), "panel"]);
        Ok(())
    }

    #[test]
    fn what_failed_is_not_kept() {
        let cache = LookupCache::new(MOST);
        let failed = cache.of("panel".to_owned(), |_| Err(tantivy::TantivyError::InternalError(String::new())));
        assert!(failed.is_err());
        assert_eq!(cache.of("panel".to_owned(), |_| Ok(7)).ok(), Some(7));
    }
}
