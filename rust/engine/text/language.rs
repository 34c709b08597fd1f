//! The language whose endings are taken off words. Each part keeps its own; all are English, since nothing chooses
//! another yet.

use serde::{Deserialize, Serialize};
use tantivy::tokenizer::Language as Endings;

use crate::error::{Error, Result};

/// Which words count as the same word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Snowball's English ("Porter 2"); the default.
    #[default]
    English,
    /// Snowball's Danish.
    Danish,
    /// Snowball's Dutch.
    Dutch,
    /// Snowball's Finnish.
    Finnish,
    /// Snowball's French.
    French,
    /// Snowball's German.
    German,
    /// Snowball's Italian.
    Italian,
    /// Snowball's Norwegian.
    Norwegian,
    /// Snowball's Portuguese.
    Portuguese,
    /// Snowball's Russian.
    Russian,
    /// Snowball's Spanish.
    Spanish,
    /// Snowball's Swedish.
    Swedish,
    /// Words are compared as they are written, apart from case and accents.
    None,
}

impl Language {
    /// Every language, the default first.
    pub const ALL: [Self; 13] = [
        Self::English,
        Self::Danish,
        Self::Dutch,
        Self::Finnish,
        Self::French,
        Self::German,
        Self::Italian,
        Self::Norwegian,
        Self::Portuguese,
        Self::Russian,
        Self::Spanish,
        Self::Swedish,
        Self::None,
    ];

    /// The name on disk and in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "english",
            Self::Danish => "danish",
            Self::Dutch => "dutch",
            Self::Finnish => "finnish",
            Self::French => "french",
            Self::German => "german",
            Self::Italian => "italian",
            Self::Norwegian => "norwegian",
            Self::Portuguese => "portuguese",
            Self::Russian => "russian",
            Self::Spanish => "spanish",
            Self::Swedish => "swedish",
            Self::None => "none",
        }
    }

    /// Reads a language's name.
    ///
    /// # Errors
    /// `invalid_query` naming the languages there are.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|language| language.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|language| language.name()).collect();
            Error::InvalidQuery { detail: format!("no language {name:?}; languages are {}", names.join(", ")) }
        })
    }

    /// tantivy's name for it.
    pub(super) const fn endings(self) -> Option<Endings> {
        Some(match self {
            Self::English => Endings::English,
            Self::Danish => Endings::Danish,
            Self::Dutch => Endings::Dutch,
            Self::Finnish => Endings::Finnish,
            Self::French => Endings::French,
            Self::German => Endings::German,
            Self::Italian => Endings::Italian,
            Self::Norwegian => Endings::Norwegian,
            Self::Portuguese => Endings::Portuguese,
            Self::Russian => Endings::Russian,
            Self::Spanish => Endings::Spanish,
            Self::Swedish => Endings::Swedish,
            Self::None => return None,
        })
    }

    /// Whether a query is better off without this word (lower case, accents folded), which says nothing of its subject.
    ///
    /// Frequency alone would tell in a large collection; in a small one "the" can be rare. English only so far: other
    /// languages rely on frequency.
    #[must_use]
    pub(crate) fn is_stop_word(self, form: &str) -> bool {
        self == Self::English && ENGLISH_STOP_WORDS.binary_search(&form).is_ok()
    }
}

/// Sorted. Articles, pronouns, prepositions, conjunctions, auxiliaries and question words; no verb or noun of content.
#[rustfmt::skip]
const ENGLISH_STOP_WORDS: [&str; 133] = [
    "a", "about", "after", "again", "all", "also", "am", "an", "and", "any", "are", "aren't", "as", "at", "be",
    "because", "been", "before", "being", "between", "both", "but", "by", "can", "can't", "could", "did", "didn't",
    "do", "does", "doesn't", "doing", "don't", "during", "each", "for", "from", "further", "had", "has", "have",
    "having", "he", "her", "here", "hers", "him", "his", "how", "i", "i'm", "if", "in", "into", "is", "isn't", "it",
    "it's", "its", "itself", "just", "let's", "me", "more", "most", "my", "myself", "no", "nor", "not", "of", "off",
    "on", "once", "only", "or", "other", "our", "ours", "out", "over", "own", "same", "she", "should", "so", "some",
    "such", "than", "that", "that's", "the", "their", "theirs", "them", "themselves", "then", "there", "there's",
    "these", "they", "this", "those", "through", "to", "too", "under", "until", "up", "very", "was", "wasn't", "we",
    "were", "what", "what's", "when", "where", "which", "while", "who", "whom", "whose", "why", "will", "with",
    "would", "you", "you're", "your", "yours", "yourself", "yourselves",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stop_words_are_sorted_so_that_they_are_found() {
        assert!(ENGLISH_STOP_WORDS.is_sorted());
        assert!(Language::English.is_stop_word("on"));
        assert!(!Language::English.is_stop_word("roof"));
    }

    #[test]
    fn every_language_is_read_back_by_its_name() {
        for language in Language::ALL {
            assert_eq!(Language::parse(language.name()).ok(), Some(language));
        }
        assert_eq!(Language::parse("klingon").map_err(|error| error.code()), Err("invalid_query"));
    }
}
