//! The part of a text that shows best why it matched.

use std::collections::BTreeMap;
use std::ops::Range;

use super::query::{ClauseKind, Occur, TextQuery};
use super::stats::TextStats;
use super::words::with_cutter;

/// Stands where text was left out.
const LEFT_OUT: char = '…';

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Excerpt {
    /// The piece, with "…" where the text goes on.
    pub(crate) text: String,
    /// The words that the query asked for, as byte ranges of `text`, ascending.
    pub(crate) highlights: Vec<Range<usize>>,
}

/// The window of `text`, at most `max_chars` characters long and cut between words, that holds the most different
/// clauses of the query; of equally good ones the one with the most matching words, and of those the first. Without any
/// match it is the beginning of the text. Line breaks become spaces. `max_chars` below 2 gives an empty excerpt if the text
/// does not fit. `stats` are those by which the text was scored: they say in which words a wrong letter was forgiven.
#[must_use]
pub(crate) fn excerpt(query: &TextQuery, stats: &TextStats, text: &str, max_chars: usize) -> Excerpt {
    // No text has more characters than bytes.
    let is_short = text.len() <= max_chars || text.chars().count() <= max_chars;
    // Whole and without a mark, its words need not be known.
    let words = if is_short && query.is_empty() { TextWords::default() } else { TextWords::of(query, text) };
    let marks = marks(query, stats, &words);
    let window = if is_short { 0..text.len() } else { best_window(text, &words.ranges, &marks, max_chars) };
    let body = text.get(window.clone()).unwrap_or_default();
    let (left, right) = (window.start > 0, window.end < text.len());
    let mut shown = String::with_capacity(body.len() + 2 * LEFT_OUT.len_utf8());
    if left && !body.is_empty() {
        shown.push(LEFT_OUT);
    }
    let shift = shown.len();
    let highlights = (words.ranges.iter().zip(&marks))
        .filter(|(word, mark)| mark.is_some() && word.start >= window.start && word.end <= window.end)
        .map(|(word, _)| word.start - window.start + shift..word.end - window.start + shift)
        .collect();
    if body.bytes().any(|byte| byte.is_ascii_control()) {
        // A line break is one byte, and so is the space that takes its place: ranges stay right.
        shown.extend(body.chars().map(|character| if character.is_ascii_control() { ' ' } else { character }));
    } else {
        shown.push_str(body);
    }
    if right && !body.is_empty() {
        shown.push(LEFT_OUT);
    }
    Excerpt { text: shown, highlights }
}

/// The words of a text.
#[derive(Default)]
struct TextWords {
    /// Where they stand in it.
    ranges: Vec<Range<usize>>,
    /// Their stems, then their forms if the query asks for those, one after another.
    written: String,
    /// Where each stem ends, and where each form does.
    ends: Vec<[usize; 2]>,
}

impl TextWords {
    fn of(query: &TextQuery, text: &str) -> Self {
        let needs_forms = query.clauses.iter().any(|clause| matches!(clause.kind, ClauseKind::Prefix { .. }));
        let mut words = Self { ranges: Vec::new(), written: String::with_capacity(text.len()), ends: Vec::new() };
        with_cutter(query.language(), |cutter| {
            cutter.each_word(text, |range, form, stem| {
                words.ranges.push(range);
                words.written.push_str(stem);
                let end = words.written.len();
                if needs_forms {
                    words.written.push_str(form);
                }
                words.ends.push([end, words.written.len()]);
            });
        });
        words
    }

    fn stems(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(0).chain(self.ends.iter().map(|[_, form_end]| *form_end));
        begins.zip(&self.ends).map(|(begin, [end, _])| self.written.get(begin..*end).unwrap_or_default())
    }

    fn form(&self, at: usize) -> Option<&str> {
        let &[begin, end] = self.ends.get(at)?;
        self.written.get(begin..end)
    }
}

/// For each word the clause that it satisfies.
fn marks(query: &TextQuery, stats: &TextStats, words: &TextWords) -> Vec<Option<usize>> {
    let mut marks = vec![None; words.ranges.len()];
    let stems: Vec<&str> = words.stems().collect();
    let is = |at: usize, stem: &str| stems.get(at) == Some(&stem);
    let mut mark = |from: usize, len: usize, clause: usize| {
        for slot in marks.iter_mut().skip(from).take(len) {
            slot.get_or_insert(clause);
        }
    };
    for (index, clause) in query.clauses.iter().enumerate() {
        if clause.occur == Occur::MustNot {
            continue;
        }
        let is_forgiven = stats.forgives(index, clause).is_some();
        for (at, here) in stems.iter().enumerate() {
            match &clause.kind {
                ClauseKind::Word { stem, halves, .. } => {
                    if here == stem || (is_forgiven && within_one_edit(here, stem)) {
                        mark(at, 1, index);
                    }
                    if halves.iter().any(|(left, right)| is(at, left) && is(at + 1, right)) {
                        mark(at, 2, index);
                    }
                }
                ClauseKind::Prefix { form } => {
                    if words.form(at).is_some_and(|here| here.starts_with(form)) {
                        mark(at, 1, index);
                    }
                }
                ClauseKind::Phrase { stems } => {
                    if !stems.is_empty() && stems.iter().zip(at..).all(|(stem, at)| is(at, stem)) {
                        mark(at, stems.len(), index);
                    }
                }
            }
        }
    }
    for join in &query.joins {
        for (at, _) in stems.iter().enumerate().filter(|(_, here)| **here == join.stem) {
            if let Some(clause) = join.clauses.first() {
                mark(at, 1, *clause);
            }
        }
    }
    marks
}

/// Whether one letter more, less or other, or two swapped, make the words equal.
fn within_one_edit(left: &str, right: &str) -> bool {
    // Four bytes is the longest letter.
    let apart = left.len().abs_diff(right.len());
    if apart > 4 || (apart > 1 && left.is_ascii() && right.is_ascii()) {
        return false;
    }
    // An edit reaches two letters at most, so that of three either the first or the last is untouched.
    let has_three = |word: &str| word.chars().nth(2).is_some();
    let is_first_other = left.chars().next() != right.chars().next();
    if is_first_other && left.chars().next_back() != right.chars().next_back() && has_three(left) && has_three(right) {
        return false;
    }
    let shared = |pairs: &mut dyn Iterator<Item = (char, char)>| -> usize {
        pairs.take_while(|(a, b)| a == b).map(|(letter, _)| letter.len_utf8()).sum()
    };
    let head = shared(&mut left.chars().zip(right.chars()));
    let (left, right) = (left.split_at(head).1, right.split_at(head).1);
    let tail = shared(&mut left.chars().rev().zip(right.chars().rev()));
    let (left, right) = (left.split_at(left.len() - tail).0, right.split_at(right.len() - tail).0);
    let (mut left, mut right) = (left.chars(), right.chars());
    match ([left.next(), left.next(), left.next()], [right.next(), right.next(), right.next()]) {
        ([Some(a), Some(b), None], [Some(c), Some(d), None]) => a == d && b == c,
        ([_, None, None], [_, None, None]) => true,
        _ => false,
    }
}

/// The best window of a text that is too long to be shown whole, in bytes; it begins and ends with words.
fn best_window(text: &str, words: &[Range<usize>], marks: &[Option<usize>], max_chars: usize) -> Range<usize> {
    // Each end may need a character that says that text was left out.
    let measure = Measure { words, chars: CharCounts::of(text), room: max_chars.saturating_sub(2) };
    let beginning = words.first().filter(|word| measure.fits((*word).clone())).map(|_| (0, 0));
    let Some(best) = measure.best_matches(marks).or(beginning) else {
        let end = text.char_indices().nth(measure.room).map_or(text.len(), |(at, _)| at);
        return 0..end;
    };
    let (first, last) = measure.widened(best);
    let mut window = measure.span(first, last);
    if first == 0 && measure.fits(0..window.end) {
        window.start = 0;
    }
    if last + 1 >= words.len() && measure.fits(window.start..text.len()) {
        window.end = text.len();
    }
    window
}

/// How many characters of a text stand before each of its bytes, so that a window is measured without walking the text.
struct CharCounts {
    before: Vec<usize>,
    total: usize,
}

impl CharCounts {
    fn of(text: &str) -> Self {
        let mut before = vec![0_usize; text.len() + 1];
        let mut total = 0;
        for (at, character) in text.char_indices() {
            for slot in before.iter_mut().skip(at).take(character.len_utf8()) {
                *slot = total;
            }
            total += 1;
        }
        if let Some(last) = before.last_mut() {
            *last = total;
        }
        Self { before, total }
    }

    fn within(&self, range: Range<usize>) -> usize {
        let at = |byte: usize| self.before.get(byte).copied().unwrap_or(self.total);
        at(range.end) - at(range.start)
    }
}

/// Measures runs of words by the room for them.
struct Measure<'a> {
    words: &'a [Range<usize>],
    chars: CharCounts,
    /// In characters.
    room: usize,
}

impl Measure<'_> {
    /// The bytes from the first to the last of some words.
    fn span(&self, first: usize, last: usize) -> Range<usize> {
        match (self.words.get(first), self.words.get(last)) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => 0..0,
        }
    }

    fn fits(&self, range: Range<usize>) -> bool {
        self.chars.within(range) <= self.room
    }

    /// The first and the last matching word of the best run of them that fits; none if no word matches, or none fits.
    fn best_matches(&self, marks: &[Option<usize>]) -> Option<(usize, usize)> {
        let matching: Vec<(usize, usize)> =
            marks.iter().enumerate().filter_map(|(at, mark)| mark.map(|clause| (at, clause))).collect();
        let mut best: Option<((usize, usize), (usize, usize))> = None;
        // How often each clause is matched between `begin` and `end`.
        let mut inside: BTreeMap<usize, usize> = BTreeMap::new();
        let mut end = 0;
        for (begin, &(first, clause)) in matching.iter().enumerate() {
            while let Some(&(last, added)) = matching.get(end)
                && self.fits(self.span(first, last))
            {
                *inside.entry(added).or_default() += 1;
                end += 1;
            }
            if end <= begin {
                end = begin + 1;
                continue;
            }
            let rank = (inside.len(), end - begin);
            if let Some(&(last, _)) = matching.get(end - 1)
                && best.is_none_or(|(so_far, _)| rank > so_far)
            {
                best = Some((rank, (first, last)));
            }
            if let Some(left) = inside.get_mut(&clause) {
                *left -= 1;
                if *left == 0 {
                    inside.remove(&clause);
                }
            }
        }
        best.map(|(_, run)| run)
    }

    /// A run of words with as many around it as fit, twice as many after it as before.
    fn widened(&self, (mut first, mut last): (usize, usize)) -> (usize, usize) {
        let mut turn = 0;
        let (mut can_left, mut can_right) = (true, true);
        while can_left || can_right {
            let to_left = can_left && (turn % 3 == 2 || !can_right);
            turn += 1;
            if to_left {
                can_left = first > 0 && self.fits(self.span(first - 1, last));
                first -= usize::from(can_left);
            } else {
                can_right = last + 1 < self.words.len() && self.fits(self.span(first, last + 1));
                last += usize::from(can_right);
            }
        }
        (first, last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::stats::ClauseStats;
    use super::super::words::WordCutter;
    use super::*;

    fn shown(query: &str, text: &str, max_chars: usize) -> (String, Vec<String>) {
        let query = TextQuery::parse(query).unwrap_or_else(|error| unreachable!("{error}"));
        let made = excerpt(&query, &TextStats::default(), text, max_chars);
        let words =
            made.highlights.iter().filter_map(|range| made.text.get(range.clone())).map(str::to_owned).collect();
        (made.text, words)
    }

    #[test]
    fn a_short_text_is_shown_whole_with_its_words_marked() {
        let (text, words) = shown("solar panel roof", "We install Solar panels\non the roof", 80);
        assert_eq!(text, "We install Solar panels on the roof");
        assert_eq!(words, ["Solar", "panels", "roof"]);
    }

    #[test]
    fn the_window_is_where_most_different_words_of_the_query_meet() {
        let text = format!("the roof {} a roof with solar panels {}", "and so on ".repeat(30), "more talk ".repeat(30));
        let (text, words) = shown("solar panels roof", &text, 50);
        assert!(text.starts_with('…') && text.ends_with('…'), "{text}");
        assert!(text.chars().count() <= 50);
        assert_eq!(words, ["roof", "solar", "panels"]);
    }

    #[test]
    fn phrases_prefixes_and_misread_words_are_marked_as_they_match() {
        let (_, words) = shown("\"solar panel\" inst*", "panel solar, solar panel installed", 80);
        assert_eq!(words, ["solar", "panel", "installed"]);
        let (_, words) = shown("amber anvil basalt", "AMBERANVIL 8asalt", 80);
        assert_eq!(words, ["AMBERANVIL", "8asalt"]);
    }

    #[test]
    fn a_word_of_one_other_letter_is_marked_where_that_is_forgiven() {
        let query = TextQuery::parse("house").unwrap_or_else(|error| unreachable!("{error}"));
        let holding = |rows: u64| TextStats {
            clauses: vec![ClauseStats { row_counts: vec![rows], ..ClauseStats::default() }],
            ..TextStats::default()
        };
        let marked = |rows: u64| excerpt(&query, &holding(rows), "a horse and a house", 80).highlights;
        assert_eq!(marked(0), [2..7, 14..19]);
        assert_eq!(marked(1).as_slice(), std::slice::from_ref(&(14..19)));
    }

    #[test]
    fn without_a_match_the_beginning_is_shown() {
        let (text, words) = shown("zebra", "one two three four five six", 12);
        assert_eq!((text.as_str(), words.len()), ("one two…", 0));
    }

    /// Every word that one edit makes of `word`, with letters out of "abés": questions below have no others.
    fn edits(word: &str) -> Vec<String> {
        let letters: Vec<char> = word.chars().collect();
        let mut all = vec![letters.clone()];
        for at in 0..=letters.len() {
            let (head, tail) = letters.split_at(at);
            all.extend(['a', 'b', 'é', 's'].map(|letter| [head, &[letter], tail].concat()));
            if let [first, rest @ ..] = tail {
                all.push([head, rest].concat());
                all.extend(['a', 'b', 'é', 's'].map(|letter| [head, &[letter], rest].concat()));
                if let [second, rest @ ..] = rest {
                    all.push([head, &[*second, *first], rest].concat());
                }
            }
        }
        all.into_iter().map(String::from_iter).collect()
    }

    /// What `marks` gives, word by word as they are cut.
    fn plain_marks(query: &TextQuery, text: &str) -> Vec<Option<usize>> {
        let words = WordCutter::new(query.language()).cut(text);
        let is = |at: usize, stem: &str| words.get(at).is_some_and(|word| word.stem == stem);
        let by_clause = query.clauses.iter().enumerate().filter(|(_, clause)| clause.occur != Occur::MustNot);
        let mut marked: Vec<(usize, usize)> = Vec::new();
        for (index, clause) in by_clause {
            for (at, word) in words.iter().enumerate() {
                let len = match &clause.kind {
                    ClauseKind::Word { halves, .. } if halves.iter().any(|(a, b)| is(at, a) && is(at + 1, b)) => 2,
                    ClauseKind::Word { stem, fuzzy, .. } => {
                        usize::from(is(at, stem) || (*fuzzy && edits(&word.stem).contains(stem)))
                    }
                    ClauseKind::Prefix { form } => usize::from(word.form.starts_with(form)),
                    ClauseKind::Phrase { stems } if (at..).zip(stems).all(|(at, stem)| is(at, stem)) => stems.len(),
                    ClauseKind::Phrase { .. } => 0,
                };
                marked.extend((at..at + len).map(|at| (at, index)));
            }
        }
        for join in &query.joins {
            let places = (0..words.len()).filter(|at| is(*at, &join.stem));
            marked.extend(places.filter_map(|at| Some((at, *join.clauses.first()?))));
        }
        let first = |at: usize| marked.iter().find(|(marked, _)| *marked == at).map(|(_, clause)| *clause);
        (0..words.len()).map(first).collect()
    }

    proptest! {
        #[test]
        fn one_edit_is_what_an_edit_makes(left in "[abé]{0,6}", right in "[abé]{0,6}") {
            prop_assert_eq!(within_one_edit(&left, &right), edits(&left).contains(&right));
        }

        #[test]
        fn words_are_marked_as_each_is_by_itself(
            text in "([ab]{1,6}(ing|s)?[ ,é]){0,20}",
            query in prop_oneof!["[ab]{1,6}s?( [ab]{2,7}){0,3}", "\"[ab]{1,2} [ab]{1,2}\" [ab]{2}\\* -[ab]{1,2} [ab]{5,6}"],
        ) {
            let query = TextQuery::parse(&query).unwrap_or_else(|error| unreachable!("{error}"));
            prop_assert_eq!(marks(&query, &TextStats::default(), &TextWords::of(&query, &text)), plain_marks(&query, &text));
        }

        #[test]
        fn excerpts_fit_and_highlights_are_slices(text in "([a-e]{1,6}[ ,é🎬\n]){0,60}", query in "[a-e ]{0,20}", max in 0_usize..60) {
            let query = TextQuery::parse(&query).unwrap_or_else(|error| unreachable!("{error}"));
            let made = excerpt(&query, &TextStats::default(), &text, max);
            prop_assert!(made.text.chars().count() <= max.max(2) || text.chars().count() <= max);
            for range in &made.highlights {
                prop_assert!(made.text.get(range.clone()).is_some_and(|slice| !slice.is_empty()));
            }
            prop_assert!(made.highlights.windows(2).all(|pair| matches!(pair, [a, b] if a.end <= b.start)));
        }
    }
}
