//! The part of a text that shows best why it matched.

use std::ops::Range;

use super::query::{ClauseKind, Occur, TextQuery};
use super::words::{Word, with_cutter};

/// Stands where text was left out.
const LEFT_OUT: char = '…';

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snippet {
    /// The piece, with "…" where the text goes on.
    pub text: String,
    /// The words that the query asked for, as byte ranges of `text`, ascending.
    pub highlights: Vec<Range<usize>>,
}

/// The window of `text`, at most `max_chars` characters long and cut between words, that holds the most different
/// clauses of the query, and of those the one with the most words, and of those the first. Without any match it is the
/// beginning. Line breaks become spaces. `max_chars` below 2 gives an empty snippet if the text does not fit.
#[must_use]
pub fn snippet(query: &TextQuery, text: &str, max_chars: usize) -> Snippet {
    let words = with_cutter(query.language(), |cutter| cutter.cut(text));
    let marks = marks(query, &words);
    let window =
        if text.chars().count() <= max_chars { 0..text.len() } else { best_window(text, &words, &marks, max_chars) };
    let body = text.get(window.clone()).unwrap_or_default();
    let (left, right) = (window.start > 0, window.end < text.len());
    let mut shown = String::new();
    if left && !body.is_empty() {
        shown.push(LEFT_OUT);
    }
    let shift = shown.len();
    let highlights = words
        .iter()
        .zip(&marks)
        .filter(|(word, mark)| mark.is_some() && word.range.start >= window.start && word.range.end <= window.end)
        .map(|(word, _)| word.range.start - window.start + shift..word.range.end - window.start + shift)
        .collect();
    // A line break is one byte, and so is the space that takes its place: ranges stay right.
    shown.extend(body.chars().map(|character| if character.is_ascii_control() { ' ' } else { character }));
    if right && !body.is_empty() {
        shown.push(LEFT_OUT);
    }
    Snippet { text: shown, highlights }
}

/// For each word the clause that it satisfies.
fn marks(query: &TextQuery, words: &[Word]) -> Vec<Option<usize>> {
    let mut marks = vec![None; words.len()];
    let mut mark = |from: usize, len: usize, clause: usize| {
        for slot in marks.iter_mut().skip(from).take(len) {
            slot.get_or_insert(clause);
        }
    };
    for (index, clause) in query.clauses.iter().enumerate() {
        if clause.occur == Occur::MustNot {
            continue;
        }
        for (at, word) in words.iter().enumerate() {
            let follow = |stems: &[&String]| {
                let here = words.get(at..at + stems.len()).unwrap_or_default();
                !here.is_empty() && here.iter().zip(stems).all(|(word, stem)| word.stem == **stem)
            };
            match &clause.kind {
                ClauseKind::Word { stem, fuzzy, halves } => {
                    if word.stem == *stem || (*fuzzy && within_one_edit(&word.stem, stem)) {
                        mark(at, 1, index);
                    }
                    if halves.iter().any(|(left, right)| follow(&[left, right])) {
                        mark(at, 2, index);
                    }
                }
                ClauseKind::Prefix { form } if word.form.starts_with(form) => mark(at, 1, index),
                ClauseKind::Prefix { .. } => {}
                ClauseKind::Phrase { stems } => {
                    if follow(&stems.iter().collect::<Vec<_>>()) {
                        mark(at, stems.len(), index);
                    }
                }
            }
        }
    }
    for join in &query.joins {
        for (at, word) in words.iter().enumerate() {
            if let (true, Some(clause)) = (word.stem == join.stem, join.clauses.first()) {
                mark(at, 1, *clause);
            }
        }
    }
    marks
}

/// Whether one letter more, less or other, or two swapped, make the words equal.
fn within_one_edit(left: &str, right: &str) -> bool {
    // Four bytes is the longest letter.
    if left.len().abs_diff(right.len()) > 4 {
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

/// Bytes that begin and end with words.
fn best_window(text: &str, words: &[Word], marks: &[Option<usize>], max_chars: usize) -> Range<usize> {
    let room = max_chars.saturating_sub(2);
    // Character offsets by byte, so that windows are measured without walking the text again.
    let mut chars_before = vec![0_usize; text.len() + 1];
    let mut count = 0;
    for (at, character) in text.char_indices() {
        for slot in chars_before.iter_mut().skip(at).take(character.len_utf8()) {
            *slot = count;
        }
        count += 1;
    }
    if let Some(last) = chars_before.last_mut() {
        *last = count;
    }
    let chars = |range: Range<usize>| {
        let at = |byte: usize| chars_before.get(byte).copied().unwrap_or(count);
        at(range.end) - at(range.start)
    };
    let hits: Vec<(usize, usize)> =
        marks.iter().enumerate().filter_map(|(at, mark)| mark.map(|clause| (at, clause))).collect();
    let span = |first: usize, last: usize| match (words.get(first), words.get(last)) {
        (Some(first), Some(last)) => first.range.start..last.range.end,
        _ => 0..0,
    };
    let mut best: Option<((usize, usize), (usize, usize))> = None;
    let mut inside: std::collections::BTreeMap<usize, usize> = std::collections::BTreeMap::new();
    let mut end = 0;
    for (begin, &(first, clause)) in hits.iter().enumerate() {
        while let Some(&(last, added)) = hits.get(end)
            && chars(span(first, last)) <= room
        {
            *inside.entry(added).or_default() += 1;
            end += 1;
        }
        if end <= begin {
            end = begin + 1;
            continue;
        }
        let rank = (inside.len(), end - begin);
        if let Some(&(last, _)) = hits.get(end - 1)
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
    let fits_first = words.first().is_some_and(|word| chars(word.range.clone()) <= room);
    let Some((mut first, mut last)) = best.map(|(_, hit)| hit).or_else(|| fits_first.then_some((0, 0))) else {
        let end = text.char_indices().nth(room).map_or(text.len(), |(at, _)| at);
        return 0..end;
    };
    // Words around the match fill the room, twice as many after it as before.
    let mut turn = 0;
    let (mut can_left, mut can_right) = (true, true);
    while can_left || can_right {
        let to_left = can_left && (turn % 3 == 2 || !can_right);
        turn += 1;
        if to_left {
            can_left = first > 0 && chars(span(first - 1, last)) <= room;
            first -= usize::from(can_left);
        } else {
            can_right = last + 1 < words.len() && chars(span(first, last + 1)) <= room;
            last += usize::from(can_right);
        }
    }
    let mut window = span(first, last);
    if first == 0 && chars(0..window.end) <= room {
        window.start = 0;
    }
    if last + 1 >= words.len() && chars(window.start..text.len()) <= room {
        window.end = text.len();
    }
    window
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(query: &str, text: &str, max_chars: usize) -> (String, Vec<String>) {
        let query = TextQuery::parse(query).unwrap_or_else(|error| unreachable!("{error}"));
        let made = snippet(&query, text, max_chars);
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
    fn without_a_match_the_beginning_is_shown() {
        let (text, words) = shown("zebra", "one two three four five six", 12);
        assert_eq!((text.as_str(), words.len()), ("one two…", 0));
    }

    proptest! {
        #[test]
        fn snippets_fit_and_highlights_are_slices(text in "([a-e]{1,6}[ ,é🎬\n]){0,60}", query in "[a-e ]{0,20}", max in 0_usize..60) {
            let query = TextQuery::parse(&query).unwrap_or_else(|error| unreachable!("{error}"));
            let made = snippet(&query, &text, max);
            prop_assert!(made.text.chars().count() <= max.max(2) || text.chars().count() <= max);
            for range in &made.highlights {
                prop_assert!(made.text.get(range.clone()).is_some_and(|slice| !slice.is_empty()));
            }
            prop_assert!(made.highlights.windows(2).all(|pair| matches!(pair, [a, b] if a.end <= b.start)));
        }
    }
}
