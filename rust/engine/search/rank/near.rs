//! Approximate answers: the likeliest rows of each channel, and of their videos no more than the page needs.
//!
//! 1. Each channel names rows: those that are closest to its vectors, over all parts together, and those that its words
//!    likely find. It names more than a search on one channel would return (`vector::passed_by`), because a video that is
//!    best on several channels together is seldom among the best of each.
//! 2. All named rows are compared on all channels by their codes. A video counts as much as its best row or, where its timed
//!    rows overlap, as the best of each channel together.
//! 3. The videos whose rows say most, and those whose metadata do, are scored best bound first until the page is full, as for
//!    an exact answer (`best_first`). How many of either these are follows from the effort. What words say is looked up for
//!    these videos alone.
//!
//! So scores are exact. A video is missed if none of the channels named its best row, or if that scores higher than its codes
//! made likely.

use super::bounds::{Bounded, Bounds, Rough};
use super::reader::{self, Room};
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::error::Result;
use crate::part::LivePart;
use crate::search::ask::ChannelAsk;
use crate::search::evidence::WordMatches;
use crate::search::hit::{Plan, Way};
use crate::search::page::Position;
use crate::search::run::{Run, Scored};
use crate::vector::{Asked, Closeness, GraphMemory, PASSED, Passed, Path, QueryVector, passed_by, read_ahead};

/// Videos whose named rows are compared by one task.
const VIDEOS_A_PIECE: usize = 256;
/// For each row of effort this many videos are looked into because of their metadata: there are fewer titles than rows, and
/// a title counts for every row of its video. Where vectors would have to be read from a disk, it is `1 / TITLES`.
const TITLES: usize = 2;
/// For each row of effort, this many titles are named by their vectors, of which the best are then chosen by closer bounds.
const TITLES_PASSED: usize = 2 * TITLES;

/// An approximate answer.
pub(super) struct Near {
    /// In order, at least those up to the end of the page.
    pub(super) hits: Vec<Scored>,
    /// For each part the videos that were named and may be hits.
    pub(super) named: Vec<RowSet>,
    pub(super) plan: Plan,
}

/// What a vector is close to.
struct Closest {
    /// By part, where that has such vectors: which rows and how they were found.
    parts: Vec<Option<(Vec<u32>, Path)>>,
    is_in_memory: bool,
}

/// What the channels name in one part.
#[derive(Default)]
struct Named {
    /// Rows with a time, and their videos; ascending.
    rows: Vec<(u32, u32)>,
    /// Their videos, without those below, and what the metadata of each say at most where that is known; ascending.
    videos: Vec<(u32, f32)>,
    /// Videos whose metadata say something, and what at most; ascending.
    titled: Vec<(u32, f32)>,
    plan: Plan,
}

impl Run<'_> {
    pub(super) fn rank_near(&self, effort: usize, position: Option<&Position>, limit: usize) -> Result<Near> {
        let vectors: Vec<(Channel, &QueryVector)> = self.ask.channels.iter().flat_map(vectors_of).collect();
        let closest = self.spread.map(&vectors, 1, |_, &(channel, query)| self.closest(channel, query, effort))?;
        let likely_words = self.find_words(|_, part, rows| WordMatches::find_likely(&self.ask, part, rows, effort))?;
        let steps = reader::steps(&self.ask);
        let bounds = self.bounds_by(&steps, &likely_words)?;
        let mut named = self.spread.map(&self.snapshot.parts, 1, |index, part| {
            match (bounds.get(index), likely_words.get(index)) {
                (Some(bounds), Some(words)) => self.name(index, part, bounds, words, &closest),
                _ => Ok(Named::default()),
            }
        })?;
        let is_in_memory = closest.iter().all(|closest| closest.is_in_memory);
        let titles = if is_in_memory { effort.saturating_mul(TITLES) } else { effort.div_ceil(TITLES) };
        keep_best(&mut named.iter_mut().map(|named| &mut named.titled).collect::<Vec<_>>(), titles);
        named.iter_mut().for_each(Named::part_from_titled);
        let mut plan = Plan::new();
        for (channel, way) in named.iter().flat_map(|named| &named.plan) {
            let known = plan.entry(*channel).or_insert(*way);
            *known = (*way).max(*known);
        }
        let likely = self.likeliest(&named, self.bound_named(&named, &bounds)?, effort.max(limit.saturating_add(1)));
        let words = self.find_words(|index, part, rows| {
            let of_video = likely.get(index).map_or(&[][..], Vec::as_slice).iter();
            let ranges = of_video.map(|video| part.table().rows(*video)).collect::<Result<Vec<_>>>()?;
            WordMatches::find_within(&self.ask, part, rows, &ranges)
        })?;
        let words = self.words_of_some(words);
        let bounds: Vec<Bounds<'_>> =
            bounds.into_iter().zip(words).map(|(bounds, words)| bounds.with_words(words)).collect();
        for (((named, likely), bounds), part) in named.iter_mut().zip(&likely).zip(&bounds).zip(&self.snapshot.parts) {
            named.keep(likely, part)?;
            named.videos = bounds.metadata_of(Closeness::Likely, likely, &mut Room::default())?;
        }
        let mut order = self.bound_named(&named, &bounds)?;
        // Where rows overlap those that were not named count as well, so these videos are bounded by all of their rows.
        order.iter_mut().filter(|one| !one.is_close).for_each(|one| one.bound = f32::INFINITY);
        let (hits, missed) = self.best_first(Rough { videos: order, rows: Vec::new() }, &bounds, position, limit)?;
        let mut videos = self.no_videos();
        for (videos, named) in videos.iter_mut().zip(&named) {
            named.videos.iter().for_each(|(video, _)| videos.insert(*video));
        }
        for one in missed {
            videos.get_mut(one.part).into_iter().for_each(|videos| videos.remove(one.video));
        }
        Ok(Near { hits, named: videos, plan })
    }

    /// Begins to read the graphs of what is asked in the background, where they are not in memory. Not before all of the
    /// answer was read: it is a few blocks here and there, which would wait behind the graphs.
    pub(in crate::search) fn read_graphs_ahead(&self) {
        for (channel, _) in self.ask.channels.iter().flat_map(vectors_of) {
            let columns = self.snapshot.parts.iter().filter_map(|part| part.part.vectors(channel));
            read_ahead(columns, GraphMemory::of_process());
        }
    }

    /// The videos of all parts with what the rows say that were named of them.
    fn bound_named(&self, named: &[Named], bounds: &[Bounds<'_>]) -> Result<Vec<Bounded>> {
        let mut pieces = Vec::new();
        for (part, (named, bounds)) in named.iter().zip(bounds).enumerate() {
            pieces.extend(named.videos.chunks(VIDEOS_A_PIECE).map(|videos| (part, named, bounds, videos)));
        }
        let bounded = |_, &(part, named, bounds, videos): &(usize, &Named, &Bounds<'_>, &[(u32, f32)])| {
            named.bound(part, bounds, videos)
        };
        Ok(self.spread.map(&pieces, 1, bounded)?.concat())
    }

    /// By part, ascending: the videos whose metadata say most, and `count` of the others.
    fn likeliest(&self, named: &[Named], mut others: Vec<Bounded>, count: usize) -> Vec<Vec<u32>> {
        let mut likeliest: Vec<Vec<u32>> =
            named.iter().map(|named| named.titled.iter().map(|(video, _)| *video).collect()).collect();
        if others.len() > count {
            others.select_nth_unstable_by(count, |a, b| b.cmp(a));
            others.truncate(count);
        }
        for one in others {
            likeliest.get_mut(one.part).into_iter().for_each(|videos| videos.push(one.video));
        }
        likeliest.iter_mut().for_each(|videos| videos.sort_unstable());
        likeliest
    }

    /// The rows that a vector is closest to on a channel.
    fn closest(&self, channel: Channel, query: &QueryVector, effort: usize) -> Result<Closest> {
        let live = self.snapshot.parts.iter().zip(&self.ask.allowed).enumerate();
        let (places, asked): (Vec<usize>, Vec<Asked<'_>>) = live
            .filter_map(|(index, (part, allowed))| {
                let column = part.part.vectors(channel)?;
                let is_whole = allowed.rows.count() == allowed.rows.universe();
                Some((index, Asked { column, allowed: (!is_whole).then_some(&allowed.rows) }))
            })
            .unzip();
        let passed = if channel == Channel::Metadata { TITLES_PASSED } else { PASSED };
        let memory = GraphMemory::of_process();
        let Passed { columns, is_in_memory } = passed_by(&asked, query, effort, passed, memory)?;
        let mut parts = vec![None; self.snapshot.parts.len()];
        for (place, rows) in places.into_iter().zip(columns) {
            if let Some(part) = parts.get_mut(place) {
                *part = Some(rows);
            }
        }
        Ok(Closest { parts, is_in_memory })
    }

    fn name(
        &self,
        index: usize,
        part: &LivePart,
        bounds: &Bounds<'_>,
        words: &WordMatches,
        closest: &[Closest],
    ) -> Result<Named> {
        let (table, mut plan) = (part.part.table(), Plan::new());
        let Some(allowed) = self.ask.allowed.get(index) else { return Ok(Named::default()) };
        let is_filtered = allowed.videos != *part.videos;
        let mut closest = closest.iter();
        let (mut timed, mut titles) = (Vec::new(), Vec::new());
        for channel in &self.ask.channels {
            let rows = if channel.channel == Channel::Metadata { &mut titles } else { &mut timed };
            let mut way = Way::Exact;
            for (at, term) in channel.terms.iter().enumerate() {
                if let Some(closest) = term.vector.as_ref().and_then(|_| closest.next())
                    && let Some(Some((close, path))) = closest.parts.get(index)
                {
                    way = way.max(match path {
                        Path::Exact | Path::Allowed => Way::Exact,
                        Path::Codes => Way::Codes,
                        Path::Graph if is_filtered => Way::FilteredWalk,
                        Path::Graph => Way::Approximate,
                    });
                    rows.extend(close);
                }
                rows.extend(words.on(channel.channel).get(at).into_iter().flatten().map(|(row, _)| *row));
            }
            plan.insert(channel.channel, way);
        }
        let titles = table.with_videos(in_order(titles))?;
        let titled = bounds.metadata_of_rows(Closeness::Likely, &titles, &mut Room::default())?;
        Ok(Named { rows: table.with_videos(in_order(timed))?, videos: Vec::new(), titled, plan })
    }
}

impl Named {
    /// Leaves the rows of the videos whose metadata say most for later: they are all looked into.
    fn part_from_titled(&mut self) {
        let mut titled = self.titled.iter().map(|(video, _)| *video).peekable();
        self.rows.retain(|(_, video)| {
            while titled.next_if(|of| of < video).is_some() {}
            titled.peek() != Some(video)
        });
        self.videos = videos_of(&self.rows).into_iter().map(|video| (video, 0.0)).collect();
    }

    /// Keeps the rows of some ascending videos alone; all of those whose metadata say most.
    fn keep(&mut self, videos: &[u32], part: &LivePart) -> Result<()> {
        let named = std::mem::take(&mut self.rows);
        let mut rest = named.as_slice();
        for &video in videos {
            if self.titled.binary_search_by_key(&video, |(of, _)| *of).is_ok() {
                self.rows.extend(part.part.table().rows(video)?.map(|row| (row, video)));
            } else {
                rest = rest.get(rest.partition_point(|(_, of)| *of < video)..).unwrap_or_default();
                self.rows.extend(rest.iter().take_while(|(_, of)| *of == video));
            }
        }
        Ok(())
    }

    /// Some of the videos with what the rows say that were named of them.
    fn bound(&self, part: usize, bounds: &Bounds<'_>, videos: &[(u32, f32)]) -> Result<Vec<Bounded>> {
        let (Some((first, _)), Some((last, _))) = (videos.first(), videos.last()) else { return Ok(Vec::new()) };
        let start = self.rows.partition_point(|(_, of)| of < first);
        let end = self.rows.partition_point(|(_, of)| of <= last);
        let rows = self.rows.get(start..end).unwrap_or_default();
        let bounded = bounds.of_named(Closeness::Likely, videos, rows, &mut Room::default())?;
        let of_video = |((video, _), bound): (&(u32, f32), f32)| Bounded {
            bound,
            part,
            video: *video,
            rows_at: None,
            is_close: bounds.is_apart(*video),
            is_hit: None,
        };
        Ok(videos.iter().zip(bounded).map(of_video).collect())
    }
}

/// The vectors that a channel is asked, in the order of its terms.
fn vectors_of(channel: &ChannelAsk) -> impl Iterator<Item = (Channel, &QueryVector)> {
    channel.terms.iter().filter_map(|term| Some((channel.channel, term.vector.as_ref()?)))
}

/// Rows in order, each once.
fn in_order(mut rows: Vec<u32>) -> Vec<u32> {
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// The videos of rows in order.
fn videos_of(rows: &[(u32, u32)]) -> Vec<u32> {
    let mut videos: Vec<u32> = rows.iter().map(|(_, video)| *video).collect();
    videos.dedup();
    videos
}

/// Keeps so many of the videos of all parts with the greatest numbers, of equal ones the first.
fn keep_best(parts: &mut [&mut Vec<(u32, f32)>], count: usize) {
    let of_part = |(part, videos): (usize, &&mut Vec<(u32, f32)>)| {
        videos.iter().map(move |(video, number)| (*number, part, *video)).collect::<Vec<_>>()
    };
    let mut all: Vec<(f32, usize, u32)> = parts.iter().enumerate().flat_map(of_part).collect();
    if all.len() <= count {
        return;
    }
    let (_, &mut (least, last_part, last), _) =
        all.select_nth_unstable_by(count, |a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    for (part, videos) in parts.iter_mut().enumerate() {
        videos.retain(|&(video, number)| number.total_cmp(&least).then((last_part, last).cmp(&(part, video))).is_gt());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_of_all_parts_are_kept(
            parts in prop::collection::vec(prop::collection::vec((0_u32..1000, 0_u8..5), 0..20), 1..5),
            count in 0_usize..60,
        ) {
            let numbered = |videos: &Vec<(u32, u8)>| videos.iter().map(|(video, number)| (*video, f32::from(*number))).collect();
            let mut kept: Vec<Vec<(u32, f32)>> = parts.iter().map(numbered).collect();
            for videos in &mut kept {
                videos.sort_by_key(|(video, _)| *video);
                videos.dedup_by_key(|(video, _)| *video);
            }
            let all: Vec<(usize, u32, f32)> =
                kept.iter().enumerate().flat_map(|(part, videos)| videos.iter().map(move |one| (part, one.0, one.1))).collect();
            let mut best = all.clone();
            best.sort_by(|a, b| b.2.total_cmp(&a.2));
            best.truncate(count);
            best.sort_by_key(|(part, video, _)| (*part, *video));
            keep_best(&mut kept.iter_mut().collect::<Vec<_>>(), count);
            let found: Vec<(usize, u32, f32)> =
                kept.iter().enumerate().flat_map(|(part, videos)| videos.iter().map(move |one| (part, one.0, one.1))).collect();
            prop_assert_eq!(found, best);
        }
    }
}
