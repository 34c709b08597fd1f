//! Remembers what was looked up in a part's dictionary last.
//!
//! A question looks up the same words several times, also cut in two, and finding the words one letter away from one takes a
//! walk through the dictionary. A part never changes, so what was found once stays true.

use parking_lot::Mutex;

use super::words::place;

/// What was found of some terms.
pub(super) struct Remembered<T> {
    /// The most that are remembered: a power of two.
    most: usize,
    /// Empty before the first term. Each term has one place, by its hash; another term with the same place takes it over.
    places: Mutex<Vec<Option<(String, T)>>>,
}

impl<T: Clone> Remembered<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, places: Mutex::default() }
    }

    /// What was found of the term, or what `find` finds.
    pub(super) fn of(&self, term: String, find: impl FnOnce(&str) -> tantivy::Result<T>) -> tantivy::Result<T> {
        let place = place(&term, self.most);
        if let Some(Some((known, found))) = self.places.lock().get(place)
            && *known == term
        {
            return Ok(found.clone());
        }
        let found = find(&term)?;
        let mut places = self.places.lock();
        if places.is_empty() {
            places.resize_with(self.most, || None);
        }
        if let Some(place) = places.get_mut(place) {
            *place = Some((term, found.clone()));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 64;

    #[test]
    fn a_term_is_looked_up_once_until_another_takes_its_place() -> tantivy::Result<()> {
        let remembered = Remembered::new(MOST);
        let mut looked_up = Vec::new();
        let mut ask = |term: String| {
            remembered.of(term, |term| {
                looked_up.push(term.to_owned());
                Ok(format!("{term}s"))
            })
        };
        let is_rival = |word: &String| place(word, MOST) == place("panel", MOST);
        let rival = (0..100_000).map(|number| format!("word{number}")).find(is_rival).unwrap_or_default();
        for term in ["panel", "panel", rival.as_str(), "panel"] {
            assert_eq!(ask(term.to_owned())?, format!("{term}s"));
        }
        assert_eq!(looked_up, ["panel", rival.as_str(), "panel"]);
        Ok(())
    }

    #[test]
    fn what_failed_is_not_remembered() {
        let remembered = Remembered::new(MOST);
        let failed = remembered.of("panel".to_owned(), |_| Err(tantivy::TantivyError::InternalError(String::new())));
        assert!(failed.is_err());
        assert_eq!(remembered.of("panel".to_owned(), |_| Ok(7)).ok(), Some(7));
    }
}
