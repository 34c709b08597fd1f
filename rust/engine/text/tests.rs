//! What the text room promises, over whole parts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::index::TextIndex;
use super::language::Language;
use super::lookup::tests::READ;
use super::query::TextQuery;
use super::stats::TextStats;
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::error::Result;
use crate::storage::section::{Section, SectionBytes};

type Texts<'a> = Vec<(u32, Channel, &'a str)>;

fn bytes(row_count: u32, texts: &[(u32, Channel, &str)]) -> SectionBytes {
    let mut out = SectionBytes::new();
    assert!(TextIndex::build(row_count, texts, &mut out).is_ok());
    out
}

fn sections(bytes: SectionBytes) -> BTreeMap<String, Section> {
    bytes.into_iter().map(|(name, bytes)| (name, Section::from_vec(bytes))).collect()
}

fn index(row_count: u32, texts: &[(u32, Channel, &str)]) -> TextIndex {
    match TextIndex::open(&sections(bytes(row_count, texts))) {
        Ok(Some(index)) => index,
        other => unreachable!("{other:?}"),
    }
}

fn on(channel: Channel, texts: &[&'static str]) -> TextIndex {
    let texts: Texts<'_> = texts.iter().enumerate().map(|(row, text)| (row as u32, channel, *text)).collect();
    index(texts.len() as u32, &texts)
}

fn query(text: &str) -> TextQuery {
    TextQuery::parse(text).unwrap_or_else(|error| unreachable!("{error}"))
}

/// What parts hold of a query's words.
fn collect(parts: &[(&TextIndex, &RowSet)], query: &TextQuery, channel: Channel) -> Result<TextStats> {
    let mut stats = TextStats::default();
    for (index, live) in parts {
        index.collect(query, channel, live, &mut stats)?;
    }
    let variants = parts
        .iter()
        .map(|(index, live)| index.collect_variants(query, channel, live, &stats))
        .collect::<Result<Vec<_>>>()?;
    for of_part in &variants {
        stats.merge(of_part)?;
    }
    Ok(stats)
}

fn collected(index: &TextIndex, live: &RowSet, query: &TextQuery, channel: Channel) -> TextStats {
    collect(&[(index, live)], query, channel).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Rows with their share of the ideal score.
fn shares(index: &TextIndex, text: &str, channel: Channel) -> Vec<(u32, f32)> {
    let (query, live) = (query(text), RowSet::full(index.row_count()));
    let stats = collected(index, &live, &query, channel);
    let found = index.search(&query, channel, &stats, &live).unwrap_or_else(|error| unreachable!("{error}"));
    found.into_iter().map(|(row, score)| (row, score / stats.ideal(&query))).collect()
}

fn rows(index: &TextIndex, text: &str) -> Vec<u32> {
    shares(index, text, Channel::Speech).into_iter().map(|(row, _)| row).collect()
}

#[test]
fn words_match_whatever_their_endings_case_and_accents() {
    let index = on(Channel::Speech, &["Installing solar PANELS", "a café on the roof", "nothing here", "🎬"]);
    assert_eq!(rows(&index, "how to install a panel on the roof"), [0, 1]);
    assert_eq!(rows(&index, "CAFÉS"), [1]);
    assert_eq!(rows(&index, "🎬"), [0; 0]);
    assert_eq!(rows(&index, ""), [0; 0]);
}

#[test]
fn quoted_words_must_occur_in_their_order_and_excluded_ones_must_not() {
    let index = on(Channel::Speech, &["solar panel roof", "panel solar roof", "a solar panel", "roof tile"]);
    assert_eq!(rows(&index, "\"solar panels\" roof"), [0, 2]);
    assert_eq!(rows(&index, "\"roof\" -\"solar panel\""), [1, 3]);
    assert_eq!(rows(&index, "roof -solar"), [3]);
    assert_eq!(rows(&index, "-solar"), [0; 0]);
    assert_eq!(rows(&index, "\"panel panel\""), [0; 0]);
}

#[test]
fn a_prefix_matches_words_as_written() {
    let index = on(Channel::Speech, &["installing", "installed", "instant", "stall"]);
    assert_eq!(rows(&index, "installin*"), [0]);
    assert_eq!(rows(&index, "insta*"), [0, 1, 2]);
}

#[test]
fn misread_words_on_screen_match_for_less() {
    let texts = ["amber anvil basalt", "amberanvil basalt", "amber anv1l basalt", "amber anvil bas alt", "other words"];
    let found = shares(&on(Channel::Screen, &texts), "amber anvil basalt", Channel::Screen);
    assert_eq!(found.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let share = |row: usize| found.get(row).map_or(0.0, |(_, share)| *share);
    assert!(share(0) > 0.7, "{found:?}");
    for misread in 1..4 {
        assert!(share(misread) < share(0) && share(misread) > 0.4, "{found:?}");
    }
    let spoken = on(Channel::Speech, &["horse riding", "a house"]);
    assert_eq!(rows(&spoken, "house"), [1], "a word that was said is not taken for another");
    assert_eq!(rows(&spoken, "hoise"), [0, 1]);
}

#[test]
fn words_that_occur_nowhere_hold_the_share_down() {
    let index = on(Channel::Speech, &["solar panels on the roof", "a cat", "a dog", "rain"]);
    let share = |text: &str| shares(&index, text, Channel::Speech).first().map_or(0.0, |(_, share)| *share);
    let (whole, half, little) = (share("solar panels"), share("solar walrus"), share("solar walrus quartz teapot"));
    assert!(whole > 0.7 && half < whole * 0.6 && little < half * 0.6, "{whole} {half} {little}");
}

#[test]
fn of_rows_with_the_same_words_the_one_in_the_order_of_the_query_is_first() {
    for channel in [Channel::Speech, Channel::Screen] {
        let texts =
            ["basalt anvil amber", "amber anvil basalt", "amber basalt anvil", "other words", "amberanvil basalt"];
        let found = shares(&on(channel, &texts), "amber anvil basalt", channel);
        let share = |row: usize| found.iter().find(|(at, _)| *at as usize == row).map_or(0.0, |(_, share)| *share);
        assert!(share(1) > share(0) && share(1) > share(2) && share(0) > 0.6, "{found:?}");
        assert!(share(4) > 0.5, "neighbours written as one word stand together: {found:?}");
    }
    let texts = ["panels on the roof", "roof and the panels", "roof"];
    let found = shares(&on(Channel::Speech, &texts), "panels on a roof", Channel::Speech);
    assert!(matches!(found.as_slice(), [(0, first), (1, second), ..] if first > second), "{found:?}");
}

#[test]
fn a_complete_match_stays_near_the_ideal_however_long_the_text() {
    let filler = |words: usize| (0..words).map(|n| format!("w{n} ")).collect::<String>();
    let texts: Vec<String> = vec![format!("solar roof {}", filler(300)), "solar roof".into(), filler(30), filler(30)];
    let rows: Texts<'_> = texts.iter().zip(0..).map(|(text, row)| (row, Channel::Speech, text.as_str())).collect();
    let found = shares(&index(4, &rows), "solar roof", Channel::Speech);
    assert!(matches!(found.as_slice(), [(0, long), (1, short)] if *long > 0.5 && *short > 0.8), "{found:?}");
}

#[test]
fn texts_are_given_back_by_row_and_channel() {
    let texts = [(1, Channel::Screen, "ü"), (1, Channel::Speech, ""), (3, Channel::Metadata, "Title")];
    let index = index(5, &texts);
    for row in 0..5 {
        for channel in Channel::ALL {
            let expected =
                texts.iter().find(|(r, c, _)| (*r, *c) == (row, channel)).map(|(.., text)| (*text).to_owned());
            assert_eq!(index.text(row, channel).ok(), Some(expected));
        }
    }
}

#[test]
fn a_part_without_text_has_no_sections() {
    assert!(bytes(7, &[]).is_empty());
    assert!(matches!(TextIndex::open(&sections(SectionBytes::new())), Ok(None)));
}

#[test]
fn rows_that_do_not_ascend_are_refused() {
    let mut out = SectionBytes::new();
    for texts in
        [[(1, Channel::Speech, "a"), (0, Channel::Speech, "b")], [(0, Channel::Speech, "a"), (9, Channel::Speech, "b")]]
    {
        assert_eq!(TextIndex::build(3, &texts, &mut out).map_err(|error| error.code()), Err("internal"));
    }
}

#[test]
fn another_language_is_refused_and_another_channel_too() {
    let index = on(Channel::Speech, &["word"]);
    let german = TextQuery::parse_in("word", Language::German).unwrap_or_else(|error| unreachable!("{error}"));
    let (live, mut stats) = (RowSet::full(1), TextStats::default());
    let code = index.collect(&german, Channel::Speech, &live, &mut stats).map_err(|error| error.code());
    assert_eq!(code, Err("invalid_query"));
    let query = query("word");
    assert!(index.collect(&query, Channel::Speech, &live, &mut stats).is_ok());
    assert!(index.collect(&query, Channel::Screen, &live, &mut stats).is_err());
}

#[test]
fn equal_texts_give_equal_bytes() {
    let texts = [(0, Channel::Screen, "one two"), (2, Channel::Speech, "three two one")];
    assert_eq!(bytes(4, &texts), bytes(4, &texts));
}

/// Every byte of every section is cut off or changed in turn; whatever comes back, it is no panic that gets out.
#[test]
fn damaged_sections_are_errors_and_never_a_panic() {
    let texts = [(0, Channel::Screen, "amber anvil"), (1, Channel::Screen, "basalt anvil")];
    let whole = bytes(3, &texts);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let mut refused = 0;
    for section in 0..whole.len() {
        let len = whole.get(section).map_or(0, |(_, bytes)| bytes.len());
        for at in (0..len).step_by(3) {
            for cut in [true, false] {
                let mut damaged = whole.clone();
                if let Some((_, bytes)) = damaged.get_mut(section) {
                    if cut {
                        bytes.truncate(at);
                    } else if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 0x55;
                    }
                }
                refused += u32::from(touch(damaged).is_err());
            }
        }
    }
    std::panic::set_hook(hook);
    assert!(refused > 100, "{refused}");
}

fn touch(bytes: SectionBytes) -> Result<()> {
    let Some(index) = TextIndex::open(&sections(bytes))? else { return Ok(()) };
    let (query, live) = (query("\"anvil\" amb* basult"), RowSet::full(3));
    for row in 0..3 {
        index.text(row, Channel::Screen)?;
    }
    let stats = collect(&[(&index, &live)], &query, Channel::Screen)?;
    index.search(&query, Channel::Screen, &stats, &live)?;
    Ok(())
}

/// The scores of all rows of a collection that lies in several parts, some of whose rows are deleted.
fn spread(texts: &[String], dead: &[bool], cuts: &[usize], channel: Channel, text: &str) -> Vec<(usize, u32)> {
    let query = query(text);
    let mut parts = Vec::new();
    let mut start = 0;
    for &cut in cuts.iter().chain([&texts.len()]) {
        let slice = texts.get(start..cut).unwrap_or_default();
        let rows: Texts<'_> = slice.iter().zip(0..).map(|(text, row)| (row, channel, text.as_str())).collect();
        if !rows.is_empty() {
            let mut live = RowSet::full(rows.len() as u32);
            for row in 0..rows.len() {
                if dead.get(start + row).copied().unwrap_or_default() {
                    live.remove(row as u32);
                }
            }
            parts.push((start, index(rows.len() as u32, &rows), live));
        }
        start = cut.max(start);
    }
    let all: Vec<(&TextIndex, &RowSet)> = parts.iter().map(|(_, index, live)| (index, live)).collect();
    let stats = collect(&all, &query, channel).unwrap_or_else(|error| unreachable!("{error}"));
    let mut all = Vec::new();
    for (start, index, live) in &parts {
        let found = index.search(&query, channel, &stats, live).unwrap_or_else(|error| unreachable!("{error}"));
        for (row, score) in found {
            assert!(score > 0.0 && score <= stats.ideal(&query), "{score} of {}", stats.ideal(&query));
            all.push((start + row as usize, score.to_bits()));
        }
    }
    all
}

/// A part that lacks a word once counted what is one letter away from it, and neighbours were looked for among these even
/// where another part has the word, so the score of "amber bazalt" depended on whether "basalt" lay in the same part.
#[test]
fn a_misread_neighbour_is_not_forgiven_where_another_part_has_the_word() {
    let texts = ["amber bazalt the ".to_owned(), "basalt ".to_owned()];
    let dead = [false, false];
    for channel in [Channel::Metadata, Channel::Screen] {
        let split = spread(&texts, &dead, &[1], channel, "amber basalt");
        assert_eq!(split.len(), 2);
        assert_eq!(split, spread(&texts, &dead, &[], channel, "amber basalt"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The score of a row depends on the live rows alone: not on how they are split into parts, and not on rows that
    /// were deleted, which might as well never have been there.
    #[test]
    fn scores_do_not_depend_on_parts_or_on_deleted_rows(
        rows in prop::collection::vec(("((basalt|basalts|bazalt|amber|anvil|amberanvil|an vil|the|roof) ){0,12}", any::<bool>()), 1..24),
        mut cuts in prop::collection::vec(0_usize..24, 0..4),
        text in "((basalt|amber|anvil|roof|the|walrus|am\\*|-roof|\"amber anvil\"|\"the\") ){1,5}",
        screen in any::<bool>(),
    ) {
        let channel = if screen { Channel::Screen } else { Channel::Metadata };
        let (texts, dead): (Vec<String>, Vec<bool>) = rows.into_iter().unzip();
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(texts.len()));
        cuts.sort_unstable();
        let split = spread(&texts, &dead, &cuts, channel, &text);
        let kept: Vec<usize> = (0..texts.len()).filter(|row| !dead.get(*row).copied().unwrap_or_default()).collect();
        let living: Vec<String> = kept.iter().filter_map(|row| texts.get(*row).cloned()).collect();
        let whole = spread(&living, &[], &[], channel, &text);
        let whole: Vec<(usize, u32)> = whole.into_iter().filter_map(|(at, score)| Some((*kept.get(at)?, score))).collect();
        prop_assert_eq!(split, whole);
    }
}

/// Texts of which few words make up most; the others are the rarer the higher their number.
fn natural(row_count: u32, mut state: u64) -> TextIndex {
    const WORDS: [&str; 24] = [
        "water",
        "roof",
        "basalt",
        "tile",
        "music",
        "amber",
        "people",
        "anvil",
        "garden",
        "solar",
        "panel",
        "horse",
        "rider",
        "beach",
        "bazalt",
        "amberanvil",
        "an vil",
        "basalts",
        "ambers",
        "river",
        "walnut",
        "violin",
        "quartz",
        "teapot",
    ];
    let mut random = move |below: f64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1_u64 << 31) as f64 * below
    };
    let mut word = || {
        let number = (random(1.0).powi(4) * 400.0) as usize;
        WORDS.get(number).map_or_else(|| format!("w{number}"), |word| (*word).to_owned())
    };
    let mut texts = Vec::new();
    for row in 0..row_count {
        let length = 1 + row.wrapping_mul(2_654_435_761) % 13;
        texts.push((0..length).map(|_| word()).collect::<Vec<_>>().join(" "));
    }
    let rows: Texts<'_> = texts.iter().zip(0..).map(|(text, row)| (row, Channel::Screen, text.as_str())).collect();
    index(row_count, &rows)
}

fn bits(found: &[(u32, f32)]) -> Vec<(u32, u32)> {
    found.iter().map(|(row, score)| (*row, score.to_bits())).collect()
}

fn sorted(mut found: Vec<(u32, f32)>, count: usize) -> Vec<(u32, f32)> {
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    found.truncate(count);
    found
}

/// The postings that `work` reads.
fn read<T>(work: impl FnOnce() -> crate::error::Result<T>) -> (T, usize) {
    READ.set(0);
    let answer = work().unwrap_or_else(|error| unreachable!("{error}"));
    (answer, READ.get())
}

#[test]
fn common_words_are_not_read_for_likely_rows_nor_for_few() {
    let (index, channel, live) = (natural(20_000, 7), Channel::Screen, RowSet::full(20_000));
    let ranges = [100..130, 9_000..9_030, 19_990..20_000];
    for rare in (25..400).step_by(15) {
        for others in
            ["water roof", "water w40 roof tile", "w90 water w200 roof", "basalt water tile roof", "w60 w75 w390 water"]
        {
            let query = query(&format!("w{rare} {others}"));
            let stats = collected(&index, &live, &query, channel);
            let (found, whole) = read(|| index.search(&query, channel, &stats, &live));
            for (count, postings) in [(1, 0), (10, 1000), (200, 20_000)] {
                let (likely, of_likely) = read(|| index.likely(&query, channel, &stats, &live, (count, postings)));
                assert!(likely.len() <= count && likely.is_sorted_by(|a, b| (b.1, a.0) <= (a.1, b.0)));
                for (row, score) in &likely {
                    let of_all = found.iter().find(|(of, _)| of == row).map_or(0.0, |(_, score)| *score);
                    assert!(*score > 0.0 && *score <= of_all * 1.0001, "{score} of {of_all}");
                }
                // One word at least, with what forgives its spelling.
                assert!(of_likely < postings.max(whole / 3), "{of_likely} of {whole}");
            }
            let (few, of_few) = read(|| index.score_rows(&query, channel, &stats, &live, &ranges));
            let within = |(row, _): &(u32, f32)| ranges.iter().any(|range| range.contains(row));
            assert_eq!(bits(&few), bits(&found.into_iter().filter(within).collect::<Vec<_>>()));
            assert!(of_few * 20 < whole, "{of_few} of {whole}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn likely_rows_and_few_rows_are_as_in_the_search_of_all(
        (row_count, seed) in (1_u32..3_000, any::<u64>()),
        (deleted, allowed_every) in (prop::collection::vec(0_u32..3_000, 0..200), 1_u32..4),
        mut cuts in prop::collection::vec(0_u32..3_100, 0..24),
        text in "((water|roof|tile|basalt|basald|amber|anvil|anv1l|people|horse|violin|teapot|walrus|solarpanel|solar|panel|w[3-9][0-9]|w[1-3][0-9][0-9]) ){1,6}((am\\*|b\\*|-roof|-horse|\"amber\"|\"roof tile\"|\"the\") ){0,1}",
        count in prop_oneof![0_usize..12, 1_usize..400],
    ) {
        let (index, channel, query) = (natural(row_count, seed), Channel::Screen, query(&text));
        let mut live = RowSet::full(row_count);
        deleted.into_iter().for_each(|row| live.remove(row));
        let stats = collected(&index, &live, &query, channel);
        (0..row_count).filter(|row| allowed_every > 1 && row % allowed_every == 0).for_each(|row| live.remove(row));
        let found = index.search(&query, channel, &stats, &live);
        let found = found.unwrap_or_else(|error| unreachable!("{error}"));
        cuts.sort_unstable();
        let ranges: Vec<_> = cuts.chunks_exact(2).filter_map(|cut| Some(*cut.first()?..*cut.last()?)).collect();
        let within = |(row, _): &(u32, f32)| ranges.iter().any(|range| range.contains(row));
        let expected: Vec<_> = found.iter().copied().filter(within).collect();
        let few = index.score_rows(&query, channel, &stats, &live, &ranges);
        prop_assert_eq!(few.map(|few| bits(&few)).ok(), Some(bits(&expected)));
        let likely = index.likely(&query, channel, &stats, &live, (count, usize::MAX));
        let likely = likely.unwrap_or_else(|error| unreachable!("{error}"));
        prop_assert_eq!(likely.len(), count.min(found.len()));
        if query.pairs.is_empty() {
            for ((_, one), (_, other)) in likely.iter().zip(sorted(found, count)) {
                prop_assert!((one - other).abs() <= other * 1e-4, "{} {}", one, other);
            }
        }
    }
}
