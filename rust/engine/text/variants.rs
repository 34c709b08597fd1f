//! The words one letter away from those that were asked for last. To find them is a walk through the dictionary, which
//! is most of what it costs to begin a question on the screen's words; and a part's dictionary never changes.

use std::sync::Arc;

use parking_lot::Mutex;
use tantivy::postings::TermInfo;

use super::words::place;

/// The most terms that are remembered: a power of two.
const REMEMBERED_TERMS: usize = 512;

/// A word and where its postings lie.
pub(super) type Variant = (String, TermInfo);

/// What was found of each term.
#[derive(Default)]
pub(super) struct Variants {
    /// None before the first term: each has one place, which the next term of that place takes over.
    places: Mutex<Vec<(String, Arc<[Variant]>)>>,
}

impl Variants {
    /// What was found of the term, or what `find` finds.
    pub(super) fn of(
        &self,
        term: String,
        find: impl FnOnce(&str) -> tantivy::Result<Vec<Variant>>,
    ) -> tantivy::Result<Arc<[Variant]>> {
        let place = place(&term, REMEMBERED_TERMS);
        if let Some((_, found)) = self.places.lock().get(place).filter(|(known, _)| *known == term) {
            return Ok(Arc::clone(found));
        }
        let found: Arc<[Variant]> = find(&term)?.into();
        let mut places = self.places.lock();
        if places.is_empty() {
            places.resize_with(REMEMBERED_TERMS, Default::default);
        }
        if let Some(place) = places.get_mut(place) {
            *place = (term, Arc::clone(&found));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_looked_up_once_until_another_takes_its_place() -> tantivy::Result<()> {
        let variants = Variants::default();
        let mut looked_up = Vec::new();
        let mut ask = |term: String| {
            let found = variants.of(term, |term| {
                looked_up.push(term.to_owned());
                Ok(vec![(format!("{term}s"), TermInfo::default())])
            })?;
            Ok::<_, tantivy::TantivyError>(found.first().map(|(word, _)| word.clone()))
        };
        let rival = (0..100_000)
            .map(|number| format!("word{number}"))
            .find(|word| place(word, REMEMBERED_TERMS) == place("panel", REMEMBERED_TERMS));
        let rival = rival.unwrap_or_default();
        for term in ["panel", "panel", rival.as_str(), "panel"] {
            assert_eq!(ask(term.to_owned())?, Some(format!("{term}s")));
        }
        assert_eq!(looked_up, ["panel", rival.as_str(), "panel"]);
        Ok(())
    }

    #[test]
    fn what_failed_is_not_remembered() {
        let variants = Variants::default();
        let failed = variants.of("panel".to_owned(), |_| Err(tantivy::TantivyError::InternalError(String::new())));
        assert!(failed.is_err());
        assert!(variants.of("panel".to_owned(), |_| Ok(Vec::new())).is_ok());
    }
}
