//! Reads what a user types into a search box.
//!
//! - `solar panels`: words. A text with either matches, with both it scores higher. Endings don't count.
//! - `"solar panel"`: these words in this order; a text without them does not match at all. A single quoted word must
//!   occur, spelled right.
//! - `instal*`: any word that begins with these letters (two or more).
//! - `-shingles`, `-"metal roof"`: a text with these does not match. A number is never excluded: `-5` is a number.
//!
//! Whatever one types is read, unless it is too long: a quotation mark without a partner and emoji are passed over. Words
//! like "the" are left out unless there is nothing else, so that "how" and "on" have no weight in "how to install panels
//! on a roof"; inside quotes they stay.
//!
//! A plain word also matches, for less, where it is written differently: with one wrong letter (words of five letters or
//! more; always on screen, on other channels only if no live text has the word), together with its neighbours in the query
//! as one word ("amberanvil"), or as two ("sun flower").

use super::language::Language;
use super::words::{Word, WordCutter, with_cutter};
use crate::error::{Error, Result};

/// The longest query, in bytes.
pub const MAX_QUERY_BYTES: usize = 8 * 1024;
/// The most words, prefixes and phrases that a query may have.
pub const MAX_CLAUSES: usize = 256;
/// The most words of one phrase.
pub const MAX_PHRASE_WORDS: usize = 64;

/// How many neighbouring words of a query are tried as one word at most.
const MAX_JOINED: usize = 4;
/// The fewest letters that several words tried as one must have.
const MIN_JOINED_LETTERS: usize = 6;
/// The fewest letters of either half where a word is tried as two.
const MIN_HALF_LETTERS: usize = 3;
/// The shortest word for which a wrong letter is forgiven.
const MIN_FUZZY_LETTERS: usize = 5;

/// A query over words, for one language. The default one asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextQuery {
    pub(super) language: Language,
    /// First those that must match and those that must not, so that they narrow what follows.
    pub(super) clauses: Vec<Clause>,
    /// Neighbouring words written as one, with the clauses that each satisfies.
    pub(super) joins: Vec<Join>,
    /// Neighbouring plain words, for texts in which they stand together in the same order.
    pub(super) pairs: Vec<Pair>,
}

/// One condition on a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) occur: Occur,
    pub(super) kind: ClauseKind,
}

/// What a text that lacks the clause is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Occur {
    Must,
    MustNot,
    Should,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ClauseKind {
    /// `fuzzy`: whether one letter may be wrong. `halves`: the stems of the word cut in two.
    Word { stem: String, fuzzy: bool, halves: Vec<(String, String)> },
    /// Forms that begin with this.
    Prefix { form: String },
    /// Two stems or more, one after another.
    Phrase { stems: Vec<String> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Join {
    pub(super) stem: String,
    pub(super) clauses: Vec<usize>,
}

/// Two words with at most stop words between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) clauses: [usize; 2],
    /// How many words the second stands after the first.
    pub(super) distance: u32,
}

impl TextQuery {
    /// Reads a query in English.
    ///
    /// # Errors
    /// `invalid_query` if it is longer than `MAX_QUERY_BYTES` or has more than `MAX_CLAUSES` clauses.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_in(text, Language::default())
    }

    /// Reads a query in the language of the library.
    ///
    /// # Errors
    /// As `parse`.
    pub(crate) fn parse_in(text: &str, language: Language) -> Result<Self> {
        if text.len() > MAX_QUERY_BYTES {
            let detail = format!("the query has {} bytes, at most {MAX_QUERY_BYTES} are allowed", text.len());
            return Err(Error::InvalidQuery { detail });
        }
        with_cutter(language, |cutter| {
            let mut reader = Reader { cutter, items: Vec::new() };
            reader.read(text);
            reader.finish()
        })
    }

    /// The language.
    #[must_use]
    pub fn language(&self) -> Language {
        self.language
    }

    /// Whether no text can match, because nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clauses.iter().all(|clause| clause.occur == Occur::MustNot)
    }
}

/// A piece of the query, in the order of the text.
enum Item {
    /// A plain word.
    Word(Word),
    /// Anything else, which ends a run of plain words.
    Clause(Clause),
}

struct Reader<'a> {
    cutter: &'a mut WordCutter,
    items: Vec<Item>,
}

impl Reader<'_> {
    fn read(&mut self, text: &str) {
        let mut rest = text;
        loop {
            rest = rest.trim_start();
            let Some(first) = rest.chars().next() else { return };
            let after = &rest[first.len_utf8()..];
            let is_excluded = first == '-' && after.starts_with(|next: char| next.is_alphabetic() || is_quote(next));
            let body = if is_excluded { after } else { rest };
            let unless_excluded = |occur| if is_excluded { Occur::MustNot } else { occur };
            if let Some(open) = body.chars().next().filter(|&open| is_quote(open)) {
                let inner = &body[open.len_utf8()..];
                if let Some(close) = inner.find(is_quote) {
                    self.quoted(&inner[..close], unless_excluded(Occur::Must));
                    rest = &inner[close..];
                    rest = rest.strip_prefix(is_quote).unwrap_or(rest);
                } else {
                    rest = inner;
                }
                continue;
            }
            let end = body.find(|next: char| next.is_whitespace() || is_quote(next)).unwrap_or(body.len());
            self.chunk(&body[..end], unless_excluded(Occur::Should));
            rest = &body[end..];
        }
    }

    fn quoted(&mut self, text: &str, occur: Occur) {
        let words = self.cutter.cut(text);
        for words in words.chunks(MAX_PHRASE_WORDS) {
            self.phrase(words, occur);
        }
    }

    fn phrase(&mut self, words: &[Word], occur: Occur) {
        let kind = match words {
            [] => return,
            [word] => exact(word.stem.clone()),
            words => ClauseKind::Phrase { stems: words.iter().map(|word| word.stem.clone()).collect() },
        };
        self.items.push(Item::Clause(Clause { occur, kind }));
    }

    /// Takes what stands between spaces or quotation marks.
    fn chunk(&mut self, text: &str, occur: Occur) {
        let mut words = self.cutter.cut(text);
        let prefix = text.ends_with('*').then(|| words.pop()).flatten();
        let (prefix, back) = match prefix {
            Some(word) if word.form.chars().count() >= 2 => (Some(word), None),
            other => (None, other),
        };
        words.extend(back);
        if occur == Occur::MustNot {
            self.phrase(&words, occur);
        } else {
            self.items.extend(words.into_iter().map(Item::Word));
        }
        if let Some(word) = prefix {
            self.items.push(Item::Clause(Clause { occur, kind: ClauseKind::Prefix { form: word.form } }));
        }
    }

    fn finish(mut self) -> Result<TextQuery> {
        let language = self.cutter.language();
        let is_stop = |word: &Word| language.is_stop_word(&word.form);
        let only_stop_words = self.items.iter().all(|item| match item {
            Item::Word(word) => is_stop(word),
            Item::Clause(clause) => clause.occur == Occur::MustNot,
        });
        let mut clauses: Vec<Clause> = Vec::new();
        for item in &self.items {
            let clause = match item {
                Item::Word(word) if is_stop(word) && !only_stop_words => continue,
                Item::Word(word) => {
                    let same = |clause: &Clause| {
                        matches!(&clause.kind,
                        ClauseKind::Word { stem, .. } if *stem == word.stem && clause.occur == Occur::Should)
                    };
                    if clauses.iter().any(same) {
                        continue;
                    }
                    Clause { occur: Occur::Should, kind: plain(self.cutter, word) }
                }
                Item::Clause(clause) if clauses.contains(clause) => continue,
                Item::Clause(clause) => clause.clone(),
            };
            clauses.push(clause);
        }
        if clauses.len() > MAX_CLAUSES {
            let detail =
                format!("the query has {} words and phrases, at most {MAX_CLAUSES} are allowed", clauses.len());
            return Err(Error::InvalidQuery { detail });
        }
        clauses.sort_by_key(|clause| clause.occur);
        let items = std::mem::take(&mut self.items);
        let runs: Vec<Vec<&Word>> = items.split(|item| matches!(item, Item::Clause(_))).map(words_of).collect();
        let pairs = pairs(&runs, &clauses);
        let joins = self.joins(&runs, &clauses);
        Ok(TextQuery { language, clauses, joins, pairs })
    }

    fn joins(&mut self, runs: &[Vec<&Word>], clauses: &[Clause]) -> Vec<Join> {
        let mut joins: Vec<Join> = Vec::new();
        for words in runs {
            for length in 2..=MAX_JOINED {
                for window in words.windows(length) {
                    let joined: String = window.iter().map(|word| word.form.as_str()).collect();
                    let mut satisfied: Vec<usize> =
                        window.iter().filter_map(|word| position(clauses, &word.stem)).collect();
                    satisfied.sort_unstable();
                    satisfied.dedup();
                    if satisfied.is_empty() || joined.chars().count() < MIN_JOINED_LETTERS {
                        continue;
                    }
                    let stem = self.cutter.stem(&joined);
                    let join = Join { stem, clauses: satisfied };
                    if !joins.contains(&join) {
                        joins.push(join);
                    }
                }
            }
        }
        joins
    }
}

fn words_of(items: &[Item]) -> Vec<&Word> {
    items.iter().filter_map(|item| if let Item::Word(word) = item { Some(word) } else { None }).collect()
}

fn pairs(runs: &[Vec<&Word>], clauses: &[Clause]) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    for words in runs {
        let known = words.iter().zip(0_u32..).filter_map(|(word, at)| Some((position(clauses, &word.stem)?, at)));
        let known: Vec<(usize, u32)> = known.collect();
        for (&(first, at), &(second, next)) in known.iter().zip(known.iter().skip(1)) {
            let is_new = !pairs.iter().any(|pair| pair.clauses == [first, second]);
            if first != second && is_new {
                pairs.push(Pair { clauses: [first, second], distance: next - at });
            }
        }
    }
    pairs
}

fn position(clauses: &[Clause], wanted: &str) -> Option<usize> {
    clauses.iter().position(|clause| {
        clause.occur == Occur::Should && matches!(&clause.kind, ClauseKind::Word { stem, .. } if stem == wanted)
    })
}

fn exact(stem: String) -> ClauseKind {
    ClauseKind::Word { stem, fuzzy: false, halves: Vec::new() }
}

fn plain(cutter: &mut WordCutter, word: &Word) -> ClauseKind {
    let letters: Vec<char> = word.form.chars().collect();
    if !letters.iter().all(|letter| letter.is_alphabetic()) {
        return exact(word.stem.clone());
    }
    let fuzzy = letters.len() >= MIN_FUZZY_LETTERS && word.stem.chars().count() >= MIN_FUZZY_LETTERS - 1;
    let mut halves = Vec::new();
    for cut in MIN_HALF_LETTERS..=letters.len().saturating_sub(MIN_HALF_LETTERS) {
        let (left, right) = letters.split_at(cut);
        let half = |letters: &[char], cutter: &mut WordCutter| cutter.stem(&letters.iter().collect::<String>());
        halves.push((half(left, cutter), half(right, cutter)));
    }
    ClauseKind::Word { stem: word.stem.clone(), fuzzy, halves }
}

fn is_quote(character: char) -> bool {
    matches!(character, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{00ab}' | '\u{00bb}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let query = TextQuery::parse(text).unwrap_or_else(|error| unreachable!("{error}"));
        query
            .clauses
            .iter()
            .map(|clause| {
                let sign = match clause.occur {
                    Occur::Must => "+",
                    Occur::MustNot => "-",
                    Occur::Should => "",
                };
                match &clause.kind {
                    ClauseKind::Word { stem, .. } => format!("{sign}{stem}"),
                    ClauseKind::Prefix { form } => format!("{sign}{form}*"),
                    ClauseKind::Phrase { stems } => format!("{sign}({})", stems.join(" ")),
                }
            })
            .collect()
    }

    #[test]
    fn words_phrases_prefixes_and_exclusions_are_told_apart() {
        assert_eq!(
            shown(r#"Installing panels "on a roof" tile* -shingles -"metal roofs" wi-fi"#),
            ["+(on a roof)", "-shingl", "-(metal roof)", "instal", "panel", "tile*", "wi", "fi"]
        );
        assert_eq!(shown("“solar”panel"), ["+solar", "panel"]);
    }

    #[test]
    fn stop_words_are_left_out_unless_there_is_nothing_else() {
        assert_eq!(shown("how to install panels on the roof"), ["instal", "panel", "roof"]);
        assert_eq!(shown("to be or not to be"), ["to", "be", "or", "not"]);
        assert_eq!(shown("the -roof"), ["-roof", "the"]);
    }

    #[test]
    fn odd_input_is_no_error() {
        assert_eq!(shown(r#"12" pizza"#), ["12", "pizza"]);
        assert_eq!(shown(r#""unbalanced words"#), ["unbalanc", "word"]);
        assert!(shown("🎬 \"\" - * -\" ' ''").is_empty());
        assert_eq!(shown("-5 degrees a* 太陽"), ["5", "degre", "太", "陽"]);
        assert!(TextQuery::parse("").is_ok_and(|query| query.is_empty()));
        assert!(TextQuery::parse("-roof").is_ok_and(|query| query.is_empty()));
    }

    #[test]
    fn too_long_a_query_is_an_error() {
        let long = "x".repeat(MAX_QUERY_BYTES + 1);
        assert_eq!(TextQuery::parse(&long).map_err(|error| error.code()), Err("invalid_query"));
        let many: String = (0..300).map(|number| format!("w{number} ")).collect();
        assert_eq!(TextQuery::parse(&many).map_err(|error| error.code()), Err("invalid_query"));
    }

    #[test]
    fn neighbours_are_also_tried_as_one_word() {
        let query = TextQuery::parse("amber anvil basalt").unwrap_or_else(|error| unreachable!("{error}"));
        let joined: Vec<&str> = query.joins.iter().map(|join| join.stem.as_str()).collect();
        assert_eq!(joined, ["amberanvil", "anvilbasalt", "amberanvilbasalt"]);
    }

    #[test]
    fn neighbours_are_pairs_at_the_distance_that_stop_words_leave() {
        let query =
            TextQuery::parse(r#"panels on the roof "red" tile"#).unwrap_or_else(|error| unreachable!("{error}"));
        let pairs: Vec<_> = query.pairs.iter().map(|pair| (pair.clauses, pair.distance)).collect();
        assert_eq!(pairs, [([1, 2], 3)], "required words come first, and end a run");
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_read(text in r#"[ a-z"*'\-“”🎬é太5]{0,60}|.{0,60}"#) {
            prop_assert!(TextQuery::parse(&text).is_ok());
        }
    }
}
