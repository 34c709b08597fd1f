//! Cuts what is saved into writes, since a log takes no record above a length.

use crate::catalog::video::{Segment, Video};
use crate::error::Result;
use crate::library::Library;
use crate::operation::Content;

/// The most videos of one write.
const MAX_VIDEOS: usize = 200;
/// A write that has reached this length takes no more: far less than a record may have, and little to hold in memory.
const MAX_BYTES: usize = 32 << 20;

/// Videos that wait to be written.
#[derive(Default)]
pub(super) struct Batch {
    videos: Vec<(Video, Vec<Segment>)>,
    byte_len: usize,
}

impl Batch {
    /// Adds a video, and writes what waits as soon as it is enough for one write. The segments of a video that is too long
    /// for one are laid over it, one write after another.
    ///
    /// # Errors
    /// As `Library::put`.
    pub(super) fn add(&mut self, content: Content, target: &Library) -> Result<()> {
        let id = content.video.id.clone();
        self.byte_len += video_bytes(&content.video);
        let mut pieces = pieces(content.segments).into_iter();
        let (first, byte_len) = pieces.next().unwrap_or_default();
        self.byte_len += byte_len;
        self.videos.push((content.video, first));
        if self.byte_len >= MAX_BYTES || self.videos.len() >= MAX_VIDEOS || pieces.len() > 0 {
            self.write(target)?;
        }
        pieces.try_for_each(|(segments, _)| target.overlay(vec![(id.clone(), None, segments)]))
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// As `Library::put`.
    pub(super) fn write(&mut self, target: &Library) -> Result<()> {
        let Self { videos, .. } = std::mem::take(self);
        if videos.is_empty() { Ok(()) } else { target.put(videos) }
    }
}

/// Segments in pieces of about `MAX_BYTES`, each with its length in bytes.
fn pieces(segments: Vec<Segment>) -> Vec<(Vec<Segment>, usize)> {
    let mut pieces: Vec<(Vec<Segment>, usize)> = Vec::new();
    for segment in segments {
        let byte_len = segment_bytes(&segment);
        match pieces.last_mut() {
            Some((piece, len)) if *len < MAX_BYTES => {
                piece.push(segment);
                *len += byte_len;
            }
            _ => pieces.push((vec![segment], byte_len)),
        }
    }
    pieces
}

/// About what a video takes in a record: most of it are its texts.
fn video_bytes(video: &Video) -> usize {
    serde_json::to_vec(video).map_or(0, |json| json.len())
}

/// About what a segment takes in a record: most of it are vectors of two bytes a component, and texts.
fn segment_bytes(segment: &Segment) -> usize {
    const SPAN_BYTES: usize = 16;
    let evidence = segment.evidence.iter().map(|one| {
        let texts = [&one.text, &one.description].into_iter().flatten();
        one.vector.as_ref().map_or(0, |vector| 2 * vector.len()) + texts.map(String::len).sum::<usize>()
    });
    SPAN_BYTES + evidence.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::channel::Channel;
    use crate::catalog::video::{Evidence, Span, VideoId};

    fn content(name: &str, segments: u32, byte_len: usize) -> Result<Content> {
        let described = |second: u32| {
            let description = Some("x".repeat(byte_len));
            let evidence = Evidence { channel: Channel::Frame, vector: None, text: None, description };
            let start = f64::from(second);
            Segment { span: Span { start, end: start + 1.0 }, evidence: vec![evidence] }
        };
        Content::checked(Video::named(VideoId::new(name)?), (0..segments).map(described).collect())
    }

    #[test]
    fn a_write_takes_what_fits_and_a_long_video_takes_several() -> Result<()> {
        let target = Library::in_memory()?;
        let mut batch = Batch::default();
        let videos = [content("a", 2, MAX_BYTES / 4)?, content("b", 9, MAX_BYTES / 4)?, content("c", 0, 0)?];
        for video in &videos {
            batch.add(video.clone(), &target)?;
        }
        assert_eq!(target.snapshot().number, 3, "a and a piece of b, then two pieces of b");
        batch.write(&target)?;
        assert_eq!(target.snapshot().number, 4);
        for video in &videos {
            assert_eq!(target.snapshot().content(&video.video.id)?.as_ref(), Some(video));
        }
        Ok(())
    }
}
