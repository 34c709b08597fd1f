//! Cuts text into words, the same way for what is indexed, what is asked and what is shown.
//!
//! A word is a run of letters and digits, with apostrophes inside it ("don't") and combining accents. What French and
//! Italian elide before a word is not part of it ("l'eau" → "eau"). Chinese, Japanese and Thai put no space between words,
//! so each of their characters is a word of its own. A letter written in several characters, such as a Korean syllable in
//! its sounds (file names on macOS are written so), counts as the one that they compose, and half-width Katakana as that
//! of full width. Latin letters that are only drawn otherwise (of full width, bold, joined as in "ﬁ") count as the plain
//! ones, "ß" as "ss", a Greek "ς" as "σ", and a soft hyphen or the dot of an Indian letter as nothing.
//!
//! A word's *form* is in lower case with accents folded ("Café" → "cafe"); its *stem* has its endings taken off first
//! ("panels" → "panel"). Words longer than `MAX_WORD_BYTES` are skipped but keep their place in the order, so that no
//! phrase matches across them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

use tantivy::tokenizer::{AsciiFoldingFilter, RawTokenizer, Stemmer, TextAnalyzer, TokenStream};
use unicode_normalization::char::{compose, decompose_compatible};

use super::language::Language;

/// Longer runs are not words but encoded data or a failed recognition.
pub(crate) const MAX_WORD_BYTES: usize = 96;

/// How many stems are kept, since most words of a text were met before: a power of two.
const REMEMBERED_STEMS: usize = 8192;

/// Where a word may be broken at the end of a line; otherwise it isn't seen.
const SOFT_HYPHEN: char = '\u{00ad}';

/// What French and Italian write before an apostrophe and a vowel in place of a word of its own.
const ELIDED: [&str; 24] = [
    "l", "d", "j", "m", "t", "s", "n", "c", "qu", "jusqu", "lorsqu", "puisqu", "quoiqu", "un", "dell", "all", "nell",
    "sull", "dall", "gl", "bell", "quell", "quest", "sant",
];

/// Before what a word is elided; an `h` is mute there. In English the apostrophe of "Bell's" stands before another letter.
const VOWELS: &str = "aeiouyhàáâäæèéêëìíîïòóôöœùúûüÿ";

/// One word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Lower case, accents folded.
    pub(crate) form: String,
    /// The form without its endings.
    pub(crate) stem: String,
    /// Which word of the text it is, counted from 0.
    pub(crate) position: usize,
    /// Where it stands in the text, in bytes.
    pub(crate) range: Range<usize>,
}

/// Cuts text and takes the endings off.
#[derive(Clone)]
pub(crate) struct WordCutter {
    language: Language,
    stemmer: Option<TextAnalyzer>,
    folder: TextAnalyzer,
    stems: Stems,
}

impl std::fmt::Debug for WordCutter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WordCutter").field("language", &self.language).finish_non_exhaustive()
    }
}

impl WordCutter {
    /// A cutter for texts in `language`.
    #[must_use]
    pub(crate) fn new(language: Language) -> Self {
        let stemmer = language
            .endings()
            .map(|endings| TextAnalyzer::builder(RawTokenizer::default()).filter(Stemmer::new(endings)).build());
        let folder = TextAnalyzer::builder(RawTokenizer::default()).filter(AsciiFoldingFilter).build();
        Self { language, stemmer, folder, stems: Stems::default() }
    }

    /// The language.
    #[must_use]
    pub(crate) fn language(&self) -> Language {
        self.language
    }

    /// The words of `text`, in order.
    pub(crate) fn cut(&mut self, text: &str) -> Vec<Word> {
        let mut words = Vec::new();
        self.each_run(text, |cutter, position, range, lower| {
            let stem = cutter.stem(lower);
            words.push(Word { form: cutter.fold(lower).into_owned(), stem, position, range });
        });
        words
    }

    /// Calls `found` with the range, form and stem of each word that `cut` gives.
    pub(super) fn each_word(&mut self, text: &str, mut found: impl FnMut(Range<usize>, &str, &str)) {
        self.each_run(text, |cutter, _, range, lower| {
            let form = cutter.fold(lower);
            found(range, &form, &cutter.stem_of(lower));
        });
    }

    /// The stem of one word that is in lower case already.
    pub(crate) fn stem(&mut self, lower: &str) -> String {
        self.stem_of(lower).into_owned()
    }

    fn stem_of<'a>(&'a mut self, lower: &'a str) -> Cow<'a, str> {
        let Some(stemmer) = &mut self.stemmer else {
            return self.fold(lower);
        };
        let folder = &mut self.folder;
        // Accents go after the endings, because the endings of many languages are recognised by their accents.
        let stem = self.stems.get_or_make(lower, || fold(folder, &run(stemmer, lower)).into_owned());
        Cow::Borrowed(stem)
    }

    fn fold<'a>(&mut self, lower: &'a str) -> Cow<'a, str> {
        fold(&mut self.folder, lower)
    }

    /// Calls `emit` with the number, range and lower case of each word.
    fn each_run(&mut self, text: &str, mut emit: impl FnMut(&mut Self, usize, Range<usize>, &str)) {
        let mut run = Run::default();
        let mut position = 0;
        let mut characters = text.char_indices().map(|(at, character)| (at, full_width(character))).peekable();
        while let Some((at, character)) = characters.next() {
            let end = at + character.len_utf8();
            let next = characters.peek().map(|(_, next)| *next);
            let is_alone = stands_alone(character);
            let joins = !is_alone && run.takes(character, next);
            if joins {
                run.push(at, character, next);
            }
            let ends = !joins || next.is_none();
            if ends && !run.lower.is_empty() {
                if run.lower.len() <= MAX_WORD_BYTES {
                    emit(self, position, run.start..if joins { end } else { at }, &run.lower);
                }
                position += 1;
                run.lower.clear();
            }
            if is_alone {
                let voiced = next.and_then(|next| composed(character, next));
                let end = voiced.and_then(|_| characters.next()).map_or(end, |(at, mark)| at + mark.len_utf8());
                let alone = voiced.unwrap_or(character);
                emit(self, position, at..end, alone.to_lowercase().collect::<String>().as_str());
                position += 1;
            }
        }
    }
}

/// The word at hand, as far as it was read.
#[derive(Default)]
struct Run {
    lower: String,
    /// Where it begins in the text; of no meaning before its first character.
    start: usize,
}

impl Run {
    /// Whether a character that does not stand alone belongs to the word, or begins one.
    #[inline]
    fn takes(&self, character: char, next: Option<char>) -> bool {
        let is_letter = |next: char| next.is_alphanumeric() && !stands_alone(next);
        character.is_alphanumeric()
            || (!self.lower.is_empty()
                && (is_combining(character)
                    || ((is_apostrophe(character) || character == SOFT_HYPHEN) && next.is_some_and(is_letter))))
    }

    /// Adds a character that belongs to the word, in lower case and composed with the one before it.
    #[inline]
    fn push(&mut self, at: usize, character: char, next: Option<char>) {
        let lower = &mut self.lower;
        if lower.is_empty() {
            self.start = at;
        }
        if is_apostrophe(character) {
            let is_vowel = |next: char| next.to_lowercase().any(|one| VOWELS.contains(one));
            if next.is_some_and(is_vowel) && ELIDED.contains(&lower.as_str()) {
                lower.clear();
            } else {
                lower.push('\'');
            }
        } else if character.is_ascii() {
            lower.push(character.to_ascii_lowercase());
        } else if let Some(composed) = lower.chars().next_back().and_then(|last| composed(last, character)) {
            lower.pop();
            lower.push(composed);
        } else if has_plain_form(character) {
            decompose_compatible(character, |plain| push_lower(lower, plain));
        } else if !is_combining(character) && character != SOFT_HYPHEN {
            push_lower(lower, character);
        }
    }
}

/// Adds a letter in lower case, in the one form that it has for all its places in a word.
#[inline]
fn push_lower(lower: &mut String, letter: char) {
    for part in letter.to_lowercase().filter(|part| !is_combining(*part)) {
        match part {
            // Lower case letter by letter: at the end of a word in capitals there is no "ς".
            'ς' => lower.push('σ'),
            // Before endings are taken off: "STRASSE" would keep another stem than "Straße".
            'ß' => lower.push_str("ss"),
            _ => lower.push(part),
        }
    }
}

/// Calls `work` with this thread's cutter for `language`, which remembers the stems of earlier calls.
pub(crate) fn with_cutter<T>(language: Language, work: impl FnOnce(&mut WordCutter) -> T) -> T {
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

/// Stems by their words: each word has one slot, which the next word of that slot takes over.
#[derive(Clone, Default)]
struct Stems {
    /// Empty before the first word. Each slot has a word and its stem in one string, and where the stem begins.
    slots: Vec<(Box<str>, usize)>,
}

impl Stems {
    fn get_or_make(&mut self, word: &str, stem: impl FnOnce() -> String) -> &str {
        if self.slots.is_empty() {
            self.slots.resize(REMEMBERED_STEMS, Default::default());
        }
        let (both, begin) = &mut self.slots[slot_of(word, REMEMBERED_STEMS)];
        // No word is empty.
        if *begin == 0 || both.get(..*begin) != Some(word) {
            (*both, *begin) = ([word, stem().as_str()].concat().into_boxed_str(), word.len());
        }
        both.get(*begin..).unwrap_or_default()
    }
}

/// Which of `slots`, a power of two, a word is kept in: the high bits of a hash that takes eight bytes at a time.
pub(super) fn slot_of(word: &str, slots: usize) -> usize {
    let hash = word.as_bytes().chunks(8).fold(0_u64, |hash, chunk| {
        let eight = chunk.iter().rev().fold(0, |eight, byte| eight << 8 | u64::from(*byte));
        (hash.rotate_left(5) ^ eight).wrapping_mul(0x517c_c1b7_2722_0a95)
    });
    (hash >> (u64::BITS - slots.ilog2())) as usize
}

fn fold<'a>(folder: &mut TextAnalyzer, lower: &'a str) -> Cow<'a, str> {
    if lower.is_ascii() { Cow::Borrowed(lower) } else { Cow::Owned(run(folder, lower)) }
}

fn run(analyzer: &mut TextAnalyzer, text: &str) -> String {
    let mut stream = analyzer.token_stream(text);
    if stream.advance() { std::mem::take(&mut stream.token_mut().text) } else { String::new() }
}

fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '\u{2019}' | '\u{02bc}')
}

/// Accents, and the dot of Indian scripts (nukta).
fn is_combining(character: char) -> bool {
    matches!(
        character,
        '\u{0300}'..='\u{036f}' | '\u{093c}' | '\u{09bc}' | '\u{0a3c}' | '\u{0abc}' | '\u{0b3c}' | '\u{0cbc}'
    )
}

/// Latin letters that are told from the plain ones by how they look: joined, of full width, and the bold, italic and other
/// alphabets of mathematics, in which titles are written to stand out. And letters of Indian scripts with a dot, which
/// normalised text writes in two characters.
fn has_plain_form(character: char) -> bool {
    matches!(character, '\u{fb00}'..='\u{fb06}' | '\u{ff10}'..='\u{ff5a}' | '\u{1d400}'..='\u{1d7ff}'
        | '\u{0958}'..='\u{095f}' | '\u{09dc}'..='\u{09df}' | '\u{0a33}' | '\u{0a36}' | '\u{0a59}'..='\u{0a5e}'
        | '\u{0b5c}'..='\u{0b5d}')
}

/// The one character that two stand for: a letter with an accent or a voicing mark, sounds of a Korean syllable, or a vowel
/// of an Indian script that is written on both sides of its consonant.
fn composed(one: char, other: char) -> Option<char> {
    let is_part = is_combining(other)
        || matches!(other, '\u{09be}'..='\u{0ddf}' | '\u{102e}' | '\u{1161}'..='\u{11c2}' | '\u{3099}' | '\u{309a}');
    if is_part { compose(one, other) } else { None }
}

/// Katakana of half width, as old captions have it, in full width; any other character as it is. Both take three bytes.
fn full_width(character: char) -> char {
    let mut full = character;
    if matches!(character, '\u{ff66}'..='\u{ff9f}') {
        decompose_compatible(character, |part| full = part);
    }
    full
}

/// Characters of scripts that are written without spaces: Thai, Lao, Khmer, Kana, Han.
fn stands_alone(character: char) -> bool {
    character >= '\u{0e00}'
        && matches!(character,
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
        assert_eq!(forms("'apple'という"), ["apple", "と", "い", "う"]);
    }

    /// Names of files on macOS come decomposed: a title made of one was not found by what is typed.
    #[test]
    fn letters_in_several_characters_are_the_ones_that_they_compose() {
        for (decomposed, composed) in [
            ("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af} a", "한글 a"),
            ("カ\u{3099}ハ\u{309a} a", "ガパ a"),
            ("МОИ\u{306} е\u{308}лка", "мой ёлка"),
            ("Vie\u{323}\u{302}t cafe\u{301}", "việt café"),
            (
                "\u{ba4}\u{bae}\u{bbf}\u{bb4}\u{bcd} \u{bae}\u{bc6}\u{bbe}\u{bb4}\u{bbf}",
                "\u{ba4}\u{bae}\u{bbf}\u{bb4}\u{bcd} \u{bae}\u{bca}\u{bb4}\u{bbf}",
            ),
            (
                "\u{9ac}\u{9be}\u{982}\u{9b2}\u{9be} \u{9ad}\u{9c7}\u{9be}\u{9b0}",
                "\u{9ac}\u{9be}\u{982}\u{9b2}\u{9be} \u{9ad}\u{9cb}\u{9b0}",
            ),
        ] {
            assert_eq!(forms(decomposed), forms(composed));
            let words = WordCutter::new(Language::English).cut(decomposed);
            assert!(words.iter().all(|word| !decomposed[word.range.clone()].contains(' ')));
            assert!(words[0].range.start == 0 && words.is_sorted_by(|one, next| one.range.end <= next.range.start));
        }
        let words = WordCutter::new(Language::English).cut("カ\u{3099}");
        assert_eq!(words[0].range, 0..6);
    }

    #[test]
    fn katakana_of_half_width_is_that_of_full_width() {
        assert_eq!(forms("ﾊﾟﾈﾙ ｶﾞｰﾄﾞ abcｶ"), forms("パネル ガード abcカ"));
        assert_eq!(forms("ﾊﾟｶ"), ["パ", "カ"]);
        let words = WordCutter::new(Language::English).cut("ﾊﾟｶ");
        assert_eq!(words.into_iter().map(|word| word.range).collect::<Vec<_>>(), [0..6, 6..9]);
    }

    /// Endings were looked for in the letters as they are drawn, so "ＰＡＮＥＬＳ" was no plural; and a Greek word in capitals
    /// ended in another letter.
    #[test]
    fn letters_that_are_only_drawn_otherwise_are_the_plain_ones() {
        let mut cutter = WordCutter::new(Language::English);
        for (drawn, plain) in [
            ("ＳＯＬＡＲ Ｐａｎｅｌｓ １２", "solar panels 12"),
            ("𝐒𝐨𝐥𝐚𝐫 𝘱𝘢𝘯𝘦𝘭𝘴 𝟏𝟐", "solar panels 12"),
            ("ﬁshing oﬃces", "fishing offices"),
            ("Straße GROẞE", "STRASSE grosse"),
            ("ΛΌΓΟΣ ΛΌΓΟΣ.", "λόγος Λόγος"),
            ("so\u{ad}lar pan\u{ad}els", "solar panels"),
            ("ल\u{95c}का ग\u{9dc}ি", "ल\u{921}\u{93c}का ग\u{9a1}\u{9bc}ি"),
        ] {
            let stems = |cutter: &mut WordCutter, text: &str| -> Vec<String> {
                cutter.cut(text).into_iter().map(|word| word.stem).collect()
            };
            assert_eq!(stems(&mut cutter, drawn), stems(&mut cutter, plain), "{drawn}");
        }
        let words = cutter.cut("a\u{ad} so\u{ad}lar");
        assert_eq!(words.into_iter().map(|word| word.range).collect::<Vec<_>>(), [0..1, 4..11]);
    }

    #[test]
    fn what_is_elided_before_a_word_is_none_of_it() {
        assert_eq!(forms("L’eau de l'été, dell'arte aujourd'hui"), ["eau", "de", "ete", "arte", "aujourd'hui"]);
        assert_eq!(forms("qu'il d'un l' ' l'\u{301}"), ["il", "un", "l", "l"]);
        assert_eq!(WordCutter::new(Language::English).cut("de l'eau")[1].range, 5..8);
        assert_eq!(forms("l'Été à L'HÔTEL, c'è"), ["ete", "a", "hotel", "e"]);
        // In English a name goes on.
        assert_eq!(
            forms("Bell's theorem, all's well, Dell's s'mores"),
            ["bell's", "theorem", "all's", "well", "dell's", "s'mores"]
        );
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
        fn remembered_stems_are_those_of_words_met_first(words in proptest::collection::vec("[a-dé]{0,3}(ing|ed|s|ly)?", 0..60)) {
            let mut cutter = WordCutter::new(Language::English);
            for word in words.iter().chain(&words) {
                prop_assert_eq!(cutter.stem(word), WordCutter::new(Language::English).stem(word));
            }
        }

        #[test]
        fn words_of_one_slot_do_not_stand_for_each_other(words in proptest::collection::vec(0_u32..40_000, 1..40_000)) {
            let mut stems = Stems::default();
            for word in words {
                let (word, stem) = (format!("word{word}"), format!("stem{word}"));
                prop_assert_eq!(stems.get_or_make(&word, || stem.clone()), stem.as_str());
            }
        }

        #[test]
        fn each_word_is_one_that_is_cut(text in "[a-zA-Zéß '漢]{0,60}") {
            let mut cutter = WordCutter::new(Language::English);
            let words: Vec<_> = cutter.cut(&text).into_iter().map(|word| (word.range, word.form, word.stem)).collect();
            let mut each = Vec::new();
            cutter.each_word(&text, |range, form, stem| each.push((range, form.to_owned(), stem.to_owned())));
            prop_assert_eq!(each, words);
        }

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
