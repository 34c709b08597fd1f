//! What a hit shows: its moments and what their evidence says; and the counts of a page.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::hit::{Hit, HitMoment, Snippet};
use super::moments::{MomentRules, find_first_moments};
use super::query::{Facets, Query};
use super::run::{Run, Scored};
use super::scope;
use crate::catalog::channel::Channel;
use crate::catalog::facets::{self, Counts, FacetCounts};
use crate::catalog::row_set::RowSet;
use crate::catalog::video::Span;
use crate::error::{Error, Result};
use crate::text::excerpt::excerpt;
use crate::text::query::TextQuery;
use crate::text::stats::TextStats;

/// Longest text of a match, in characters.
const SNIPPET_CHARS: usize = 240;

impl Run<'_> {
    /// The hit as it is returned: with its moments and what they say.
    pub(super) fn tell(&self, hit: &Scored) -> Result<Hit> {
        let live = self.part(hit.part)?;
        let video = live.part.table().video(hit.video)?;
        if self.query.moments_per_hit == 0 {
            return Ok(Hit { video, score: hit.score, moments: Vec::new() });
        }
        let found;
        let matches = match &hit.matches {
            Some(kept) => kept,
            None => {
                found = self.matches(hit.part, hit.video)?;
                &found
            }
        };
        let shots = self.shots(hit.part, hit.video)?;
        let rules = MomentRules::default();
        // Moments that differ are chosen from all.
        let most = if self.query.diversity.is_some() { usize::MAX } else { self.query.moments_per_hit as usize };
        let mut moments = find_first_moments(matches, &shots, &self.ask.fuser, &rules, self.ask.min_score, most);
        self.choose(self.query, hit.part, hit.video, &mut moments, |one| (one.span, one.peak_seconds))?;
        // A row may be evidence for several moments, and the metadata for all.
        let mut told: BTreeMap<(u32, Channel), Option<Snippet>> = BTreeMap::new();
        let mut describe = |row: u32, channel: Channel| match told.entry((row, channel)) {
            Entry::Occupied(known) => Ok(known.get().clone()),
            Entry::Vacant(place) => Ok(place.insert(self.describe(hit.part, row, channel)?).clone()),
        };
        let moments = moments
            .into_iter()
            .map(|moment| HitMoment::new(moment, |scored| describe(scored.evidence.row, scored.evidence.channel)))
            .collect::<Result<_>>()?;
        Ok(Hit { video, score: hit.score, moments })
    }

    /// Keeps as many moments, which come best first, as the query wants, and no two that are too much alike.
    pub(super) fn choose<T>(
        &self,
        query: &Query,
        part: usize,
        video: u32,
        moments: &mut Vec<T>,
        place: impl Fn(&T) -> (Span, f64),
    ) -> Result<()> {
        let most = query.moments_per_hit as usize;
        if let Some(diversity) = query.diversity {
            scope::diversify(&self.part(part)?.part, video, diversity, most, moments, place)?;
        }
        moments.truncate(most);
        Ok(())
    }

    /// What a row says on a channel, with the words marked that the query asked for and found there.
    pub(super) fn describe(&self, part: usize, row: u32, channel: Channel) -> Result<Option<Snippet>> {
        let Some(shown) = self.part(part)?.part.shown(row, channel)? else { return Ok(None) };
        let is_found = self.words()?.get(part).is_some_and(|words| words.any_within(channel, &(row..row + 1)));
        // The whole question, whichever clause answers: its words are those of all of them.
        let ask = self.ask.channels.iter().find(|ask| is_found && ask.channel == channel);
        let words = ask.and_then(|ask| ask.terms.first()).and_then(|term| term.words.as_ref());
        let cut = match words {
            Some(words) => excerpt(&words.query, &words.stats, &shown, SNIPPET_CHARS),
            None => excerpt(&TextQuery::default(), &TextStats::default(), &shown, SNIPPET_CHARS),
        };
        Ok(Some(Snippet::from_byte_ranges(cut.text, &cut.highlights)))
    }

    /// The facets that the query asks for, over the videos that it returns.
    pub(super) fn count_facets(&self, returned: &[RowSet]) -> Result<BTreeMap<String, Counts>> {
        let names: Vec<String> = match &self.query.facets {
            Facets::Off => return Ok(BTreeMap::new()),
            Facets::All => facets::COLUMNS.iter().map(|name| (*name).to_owned()).collect(),
            Facets::Named(names) => names.clone(),
        };
        let keys = names
            .iter()
            .filter(|name| !facets::COLUMNS.contains(&name.as_str()))
            .map(|name| match name.strip_prefix(facets::METADATA) {
                Some(key) if !key.is_empty() => Ok(key.to_owned()),
                _ => {
                    let known = facets::COLUMNS.join(", ");
                    Err(Error::InvalidQuery { detail: format!("facets: {name:?} is none of {known}, metadata.KEY") })
                }
            })
            .collect::<Result<Vec<_>>>()?;
        let mut counts = FacetCounts::with_metadata(&keys);
        for (part, videos) in self.snapshot.parts.iter().zip(returned) {
            counts.add(part.part.table(), videos)?;
        }
        let mut by_name = counts.into_map();
        by_name.retain(|name, _| names.contains(name));
        Ok(by_name)
    }
}
