//! Cuts text into words, the same way for what is indexed, what is asked and what is shown.
//!
//! A word is a run of letters and digits, with apostrophes inside it ("don't") and combining accents. Chinese, Japanese
//! and Thai put no space between words, so each of their characters is a word of its own. A word's *form* is in lower
//! case with accents folded ("Café" → "cafe"); its *stem* has its endings taken off first ("panels" → "panel"). Words
//! longer than `MAX_WORD_BYTES` are skipped but keep their place in the order, so phrases do not close over them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use tantivy::tokenizer::{AsciiFoldingFilter, RawTokenizer, Stemmer, TextAnalyzer, TokenStream};

use super::language::Language;

/// Longer runs are no words but encoded data or a failed recognition.
pub const MAX_WORD_BYTES: usize = 96;

/// Stems that are remembered, because most words of a text were met before.
const REMEMBERED_STEMS: usize = 8192;

/// One word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Lower case, accents folded.
    pub form: String,
    /// The form without its endings.
    pub stem: String,
    /// Which word of the text it is, counted from 0.
    pub position: usize,
    /// Where it stands in the text, in bytes.
    pub range: Range<usize>,
}

/// Cuts text and takes the endings off.
#[derive(Clone)]
pub struct WordCutter {
    language: Language,
    stemmer: Option<TextAnalyzer>,
    folder: TextAnalyzer,
    stems: HashMap<String, String>,
}

impl std::fmt::Debug for WordCutter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WordCutter").field("language", &self.language).finish_non_exhaustive()
    }
}

impl WordCutter {
    /// A cutter for texts in `language`.
    #[must_use]
    pub fn new(language: Language) -> Self {
        let stemmer = language
            .endings()
            .map(|endings| TextAnalyzer::builder(RawTokenizer::default()).filter(Stemmer::new(endings)).build());
        let folder = TextAnalyzer::builder(RawTokenizer::default()).filter(AsciiFoldingFilter).build();
        Self { language, stemmer, folder, stems: HashMap::new() }
    }

    /// The language.
    #[must_use]
    pub fn language(&self) -> Language {
        self.language
    }

    /// The words of `text`, in order.
    pub fn cut(&mut self, text: &str) -> Vec<Word> {
        let mut words = Vec::new();
        self.each_run(text, |cutter, position, range, lower| {
            let stem = cutter.stem(lower);
            words.push(Word { form: cutter.fold(lower), stem, position, range });
        });
        words
    }

    /// The stem of one word that is in lower case already.
    pub fn stem(&mut self, lower: &str) -> String {
        let Some(stemmer) = &mut self.stemmer else {
            return self.fold(lower);
        };
        if let Some(stem) = self.stems.get(lower) {
            return stem.clone();
        }
        // Accents go after the endings, because the endings of many languages are recognised by their accents.
        let stem = run(stemmer, lower);
        let stem = self.fold(&stem);
        if self.stems.len() >= REMEMBERED_STEMS {
            self.stems.clear();
        }
        self.stems.insert(lower.to_owned(), stem.clone());
        stem
    }

    fn fold(&mut self, lower: &str) -> String {
        if lower.is_ascii() { lower.to_owned() } else { run(&mut self.folder, lower) }
    }

    fn each_run(&mut self, text: &str, mut emit: impl FnMut(&mut Self, usize, Range<usize>, &str)) {
        let mut lower = String::new();
        let mut start = 0;
        let mut position = 0;
        let mut characters = text.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            let end = at + character.len_utf8();
            let stands_alone = stands_alone(character);
            let joins = if character.is_alphanumeric() {
                !stands_alone
            } else {
                let next_is_letter = characters.peek().is_some_and(|(_, next)| next.is_alphanumeric());
                !lower.is_empty() && (is_combining(character) || (is_apostrophe(character) && next_is_letter))
            };
            if joins {
                if lower.is_empty() {
                    start = at;
                }
                if is_apostrophe(character) {
                    lower.push('\'');
                } else if !is_combining(character) {
                    lower.extend(character.to_lowercase().filter(|part| !is_combining(*part)));
                }
            }
            let ends = !joins || characters.peek().is_none();
            if ends && !lower.is_empty() {
                if lower.len() <= MAX_WORD_BYTES {
                    emit(self, position, start..if joins { end } else { at }, &lower);
                }
                position += 1;
                lower.clear();
            }
            if stands_alone {
                emit(self, position, at..end, character.to_lowercase().collect::<String>().as_str());
                position += 1;
            }
        }
    }
}

/// Calls `work` with this thread's cutter for `language`, which remembers the stems of earlier calls.
pub fn with_cutter<T>(language: Language, work: impl FnOnce(&mut WordCutter) -> T) -> T {
    thread_local! {
        static CUTTER: RefCell<Option<WordCutter>> = const { RefCell::new(None) };
    }
    // Taken out, so that a call within `work` makes one of its own.
    let kept = CUTTER.take().filter(|cutter| cutter.language() == language);
    let mut cutter = kept.unwrap_or_else(|| WordCutter::new(language));
    let done = work(&mut cutter);
    CUTTER.set(Some(cutter));
    done
}

fn run(analyzer: &mut TextAnalyzer, text: &str) -> String {
    let mut stream = analyzer.token_stream(text);
    if stream.advance() { std::mem::take(&mut stream.token_mut().text) } else { String::new() }
}

fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '\u{2019}' | '\u{02bc}')
}

fn is_combining(character: char) -> bool {
    matches!(character, '\u{0300}'..='\u{036f}')
}

/// Characters of scripts that are written without spaces: Thai, Lao, Khmer, Kana, Han.
fn stands_alone(character: char) -> bool {
    matches!(character,
        '\u{0e00}'..='\u{0eff}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
        && character.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn forms(text: &str) -> Vec<String> {
        WordCutter::new(Language::English).cut(text).into_iter().map(|word| word.form).collect()
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case_without_accents() {
        assert_eq!(forms("Café, CAFE\u{301} — 4K wi-fi!"), ["cafe", "cafe", "4k", "wi", "fi"]);
        assert_eq!(forms("don’t 'quote' rock'n'roll"), ["don't", "quote", "rock'n'roll"]);
        assert_eq!(forms("🎬🎥 … --"), [""; 0]);
    }

    #[test]
    fn scripts_without_spaces_give_a_word_for_each_character() {
        assert_eq!(forms("太陽光パネル abc漢"), ["太", "陽", "光", "パ", "ネ", "ル", "abc", "漢"]);
    }

    #[test]
    fn endings_are_taken_off() {
        let mut cutter = WordCutter::new(Language::English);
        let stems: Vec<String> =
            cutter.cut("installing Solar panels, John's cafés").into_iter().map(|w| w.stem).collect();
        assert_eq!(stems, ["instal", "solar", "panel", "john", "cafe"]);
        assert_eq!(WordCutter::new(Language::None).stem("panels"), "panels");
    }

    #[test]
    fn an_endless_run_is_skipped_but_keeps_its_place() {
        let words = WordCutter::new(Language::English).cut(&format!("a {} b", "x".repeat(500)));
        assert_eq!(words.iter().map(|word| word.position).collect::<Vec<_>>(), [0, 2]);
    }

    proptest! {
        #[test]
        fn every_range_is_a_slice_of_the_text_and_ranges_ascend(text in ".{0,80}") {
            let mut last = 0;
            for word in WordCutter::new(Language::English).cut(&text) {
                prop_assert!(word.range.start >= last);
                prop_assert!(text.get(word.range.clone()).is_some_and(|slice| !slice.is_empty()));
                last = word.range.end;
            }
        }
    }
}
