//! What a writer does to a library, as it is logged and replayed.
//!
//! One log record holds one `Operation`. Replay is idempotent, since an operation says what holds afterwards, or what is
//! laid over what was there, and never by how much a number changes.

use std::collections::BTreeMap;

use half::f16;
use serde::{Deserialize, Serialize};

use crate::catalog::channel::Channel;
use crate::catalog::video::{Evidence, Segment, Space, Span, Video, VideoId};
use crate::error::{Error, Result};
use crate::search::calibrate::Calibration;

/// A video with all its segments, as plain values.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// The video and its metadata.
    pub video: Video,
    /// Its segments, ordered by start, end.
    pub segments: Vec<Segment>,
}

impl Content {
    /// Checks spans and order, and fills in a missing duration from the last segment's end.
    ///
    /// # Errors
    /// `invalid_video`, `invalid_span`.
    pub fn checked(mut video: Video, mut segments: Vec<Segment>) -> Result<Self> {
        video.validate()?;
        for segment in &segments {
            segment.span.validate(&video.id)?;
        }
        segments.sort_by_key(|segment| span_key(segment.span));
        let segments = unite_equal_spans(segments);
        if video.duration <= 0.0 {
            video.duration = segments.iter().map(|segment| segment.span.end).fold(0.0, f64::max);
        }
        Ok(Self { video, segments })
    }

    /// Lays `segments` over the ones that are there: an equal span takes the new evidence channel by channel, others are
    /// added. A video that is not described anew is as long as its last segment at least.
    pub fn overlay(self, video: Option<Video>, segments: Vec<Segment>) -> Result<Self> {
        let mut all = self.segments;
        all.extend(segments);
        let video = video.unwrap_or_else(|| {
            let last = all.iter().map(|segment| segment.span.end).fold(0.0, f64::max);
            Video { duration: self.video.duration.max(last), ..self.video }
        });
        Self::checked(video, all)
    }

    /// Takes the vectors of some channels away; evidence and segments with nothing else go with them.
    #[must_use]
    pub fn without_vectors(mut self, channels: &[Channel]) -> Self {
        for segment in &mut self.segments {
            for evidence in segment.evidence.iter_mut().filter(|evidence| channels.contains(&evidence.channel)) {
                evidence.vector = None;
            }
            segment.evidence.retain(|evidence| {
                evidence.vector.is_some() || evidence.text.is_some() || !channels.contains(&evidence.channel)
            });
        }
        self.segments.retain(|segment| !segment.evidence.is_empty());
        self
    }
}

/// Orders spans by start, then end: non-negative floats are ordered like their bits.
fn span_key(span: Span) -> (u64, u64) {
    ((span.start + 0.0).to_bits(), (span.end + 0.0).to_bits())
}

/// Merges neighbours with the same span; where both have evidence on a channel, what the later has wins.
fn unite_equal_spans(segments: Vec<Segment>) -> Vec<Segment> {
    let mut united: Vec<Segment> = Vec::with_capacity(segments.len());
    for segment in segments {
        match united.last_mut() {
            Some(last) if span_key(last.span) == span_key(segment.span) => {
                let mut by_channel: BTreeMap<Channel, Evidence> =
                    last.evidence.drain(..).map(|evidence| (evidence.channel, evidence)).collect();
                for new in segment.evidence {
                    let old = by_channel.remove(&new.channel);
                    by_channel.insert(new.channel, lay_over(old, new));
                }
                last.evidence = by_channel.into_values().collect();
            }
            _ => {
                let by_channel: BTreeMap<Channel, Evidence> =
                    segment.evidence.into_iter().map(|evidence| (evidence.channel, evidence)).collect();
                united.push(Segment { span: segment.span, evidence: by_channel.into_values().collect() });
            }
        }
    }
    united
}

fn lay_over(old: Option<Evidence>, new: Evidence) -> Evidence {
    let Some(old) = old else { return new };
    Evidence {
        channel: new.channel,
        vector: new.vector.or(old.vector),
        text: new.text.or(old.text),
        description: new.description.or(old.description),
    }
}

/// One acknowledged change.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "operations are few and short-lived; their videos are not")]
pub enum Operation {
    /// The videos are now exactly these.
    Put(Vec<Content>),
    /// The segments are laid over those that are there; a missing video is made. `None` keeps the video's metadata.
    Overlay(Vec<(VideoId, Option<Video>, Vec<Segment>)>),
    /// The video's metadata is now this.
    Update(Video),
    /// The videos are gone.
    Delete(Vec<VideoId>),
    /// The channel's vectors are of this space.
    SetSpace(Channel, Space),
    /// The channel's raw scores are mapped to confidences by this.
    SetCalibration(Channel, Calibration),
    /// These channels change to other spaces, and all videos' vectors on them are now exactly these.
    Respace(Vec<Respaced>, Vec<(VideoId, Vec<Segment>)>),
}

/// A channel whose vectors are replaced by those of another space.
#[derive(Debug, Clone, PartialEq)]
pub struct Respaced {
    /// The channel.
    pub channel: Channel,
    /// Where its vectors live from now on.
    pub space: Space,
    /// How its raw scores become confidences from now on.
    pub calibration: Calibration,
}

/// The serialised form; vectors are little-endian f16 bytes.
#[derive(Serialize, Deserialize)]
enum Record {
    Put(Vec<(String, Vec<SegmentRecord>)>),
    Overlay(Vec<(String, Option<String>, Vec<SegmentRecord>)>),
    Update(String),
    Delete(Vec<String>),
    SetSpace(Channel, Space),
    SetCalibration(Channel, String),
    Respace(Vec<(Channel, Space, String)>, Vec<(String, Vec<SegmentRecord>)>),
}

#[derive(Serialize, Deserialize)]
struct SegmentRecord {
    start: f64,
    end: f64,
    evidence: Vec<EvidenceRecord>,
}

#[derive(Serialize, Deserialize)]
struct EvidenceRecord {
    channel: Channel,
    vector: Option<serde_bytes::ByteBuf>,
    text: Option<String>,
    description: Option<String>,
}

impl Operation {
    /// The bytes of a log record.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let record = match self {
            Self::Put(contents) => Record::Put(
                contents
                    .iter()
                    .map(|content| Ok((to_json(&content.video)?, segment_records(&content.segments))))
                    .collect::<Result<_>>()?,
            ),
            Self::Overlay(changes) => Record::Overlay(
                changes
                    .iter()
                    .map(|(id, video, segments)| {
                        Ok((id.to_string(), video.as_ref().map(to_json).transpose()?, segment_records(segments)))
                    })
                    .collect::<Result<_>>()?,
            ),
            Self::Update(video) => Record::Update(to_json(video)?),
            Self::Delete(ids) => Record::Delete(ids.iter().map(ToString::to_string).collect()),
            Self::SetSpace(channel, space) => Record::SetSpace(*channel, space.clone()),
            Self::SetCalibration(channel, calibration) => Record::SetCalibration(*channel, to_json(calibration)?),
            Self::Respace(channels, videos) => Record::Respace(
                channels
                    .iter()
                    .map(|one| Ok((one.channel, one.space.clone(), to_json(&one.calibration)?)))
                    .collect::<Result<_>>()?,
                videos.iter().map(|(id, segments)| (id.to_string(), segment_records(segments))).collect(),
            ),
        };
        postcard::to_stdvec(&record).map_err(|error| Error::Internal { detail: format!("encoding a record: {error}") })
    }

    /// Reads what `encode` wrote; `Err` holds what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> std::result::Result<Self, String> {
        let record: Record = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
        Ok(match record {
            Record::Put(contents) => Self::Put(
                contents
                    .into_iter()
                    .map(|(video, segments)| {
                        Ok(Content { video: from_json(&video)?, segments: segments_from(segments)? })
                    })
                    .collect::<std::result::Result<_, String>>()?,
            ),
            Record::Overlay(changes) => Self::Overlay(
                changes
                    .into_iter()
                    .map(|(id, video, segments)| {
                        let id = VideoId::new(id).map_err(|error| error.to_string())?;
                        let video = video.as_deref().map(from_json).transpose()?;
                        Ok((id, video, segments_from(segments)?))
                    })
                    .collect::<std::result::Result<_, String>>()?,
            ),
            Record::Update(video) => Self::Update(from_json(&video)?),
            Record::Delete(ids) => Self::Delete(
                ids.into_iter()
                    .map(|id| VideoId::new(id).map_err(|error| error.to_string()))
                    .collect::<std::result::Result<_, String>>()?,
            ),
            Record::SetSpace(channel, space) => Self::SetSpace(channel, space),
            Record::SetCalibration(channel, calibration) => Self::SetCalibration(channel, from_json(&calibration)?),
            Record::Respace(channels, videos) => Self::Respace(
                channels
                    .into_iter()
                    .map(|(channel, space, calibration)| {
                        Ok(Respaced { channel, space, calibration: from_json(&calibration)? })
                    })
                    .collect::<std::result::Result<_, String>>()?,
                videos
                    .into_iter()
                    .map(|(id, segments)| {
                        Ok((VideoId::new(id).map_err(|error| error.to_string())?, segments_from(segments)?))
                    })
                    .collect::<std::result::Result<_, String>>()?,
            ),
        })
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Internal { detail: format!("encoding a record: {error}") })
}

fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> std::result::Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn segment_records(segments: &[Segment]) -> Vec<SegmentRecord> {
    let evidence = |evidence: &Evidence| EvidenceRecord {
        channel: evidence.channel,
        vector: evidence.vector.as_ref().map(|vector| {
            serde_bytes::ByteBuf::from(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
        }),
        text: evidence.text.clone(),
        description: evidence.description.clone(),
    };
    segments
        .iter()
        .map(|segment| SegmentRecord {
            start: segment.span.start,
            end: segment.span.end,
            evidence: segment.evidence.iter().map(evidence).collect(),
        })
        .collect()
}

fn segments_from(records: Vec<SegmentRecord>) -> std::result::Result<Vec<Segment>, String> {
    let evidence = |record: EvidenceRecord| {
        let vector = match record.vector {
            Some(bytes) if bytes.len() % 2 != 0 => return Err("a vector has half a component".to_owned()),
            Some(bytes) => {
                Some(bytes.as_chunks::<2>().0.iter().map(|pair| f16::from_le_bytes(*pair)).collect::<Vec<f16>>())
            }
            None => None,
        };
        Ok(Evidence { channel: record.channel, vector, text: record.text, description: record.description })
    };
    records
        .into_iter()
        .map(|record| {
            let evidence = record.evidence.into_iter().map(evidence).collect::<std::result::Result<_, String>>()?;
            Ok(Segment { span: Span { start: record.start, end: record.end }, evidence })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: f64, text: Option<&str>, vector: Option<&[f32]>) -> Segment {
        let evidence = Evidence {
            channel: Channel::Speech,
            vector: vector.map(|vector| vector.iter().copied().map(f16::from_f32).collect()),
            text: text.map(str::to_owned),
            description: None,
        };
        Segment { span: Span { start, end: start + 1.0 }, evidence: vec![evidence] }
    }

    fn video(id: &str) -> Video {
        serde_json::from_value(serde_json::json!({"id": id, "metadata": {"b": 1, "a": [true]}})).expect("a video")
    }

    #[test]
    fn operations_survive_the_log() {
        let content = Content::checked(video("v"), vec![segment(1.0, Some("é"), Some(&[0.5, -1.0]))]).expect("content");
        for operation in [
            Operation::Put(vec![content.clone()]),
            Operation::Overlay(vec![(content.video.id.clone(), None, content.segments.clone())]),
            Operation::Update(content.video.clone()),
            Operation::Delete(vec![content.video.id.clone()]),
            Operation::Respace(
                vec![Respaced {
                    channel: Channel::Speech,
                    space: Space { name: "n".to_owned(), version: "2".to_owned(), dimension: 2 },
                    calibration: Calibration::default(),
                }],
                vec![(content.video.id.clone(), content.segments.clone())],
            ),
        ] {
            let bytes = operation.encode().expect("encodes");
            assert_eq!(Operation::decode(&bytes).expect("decodes"), operation);
            for cut in 0..bytes.len() {
                let _ = Operation::decode(&bytes[..cut]);
            }
        }
    }

    #[test]
    fn an_equal_span_takes_the_new_evidence_and_keeps_the_rest() {
        let first = Content::checked(video("v"), vec![segment(0.0, Some("old"), Some(&[1.0]))]).expect("content");
        let both = first.overlay(None, vec![segment(0.0, Some("new"), None), segment(1.0, None, None)]).expect("ok");
        assert_eq!(both.segments.len(), 2);
        assert_eq!(both.segments[0].evidence[0].text.as_deref(), Some("new"));
        assert!(both.segments[0].evidence[0].vector.is_some());
        assert!((both.video.duration - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_length_that_is_told_stays_and_one_that_is_not_grows() {
        let told = Video { duration: 1.5, ..video("v") };
        let first = Content::checked(told.clone(), vec![segment(3.0, None, None)]).expect("content");
        for again in [None, Some(told), Some(video("v"))] {
            let expected = if again.as_ref().is_some_and(|video| video.duration > 0.0) { 1.5 } else { 4.0 };
            let content = first.clone().overlay(again, vec![segment(3.0, None, None)]).expect("content");
            assert!((content.video.duration - expected).abs() < f64::EPSILON);
        }
        assert!((first.video.duration - 1.5).abs() < f64::EPSILON);
    }

    #[test]
    fn what_has_nothing_but_a_vector_goes_with_it() {
        let segments = vec![segment(0.0, Some("words"), Some(&[1.0])), segment(1.0, None, Some(&[1.0]))];
        let content = Content::checked(video("v"), segments).expect("content");
        assert_eq!(content.clone().without_vectors(&[Channel::Frame]), content);
        let left = content.without_vectors(&[Channel::Speech]);
        assert_eq!(left.segments.len(), 1);
        assert_eq!(left.segments[0].evidence[0].text.as_deref(), Some("words"));
        assert_eq!(left.segments[0].evidence[0].vector, None);
    }

    #[test]
    fn a_reversed_span_is_refused_with_its_numbers() {
        let mut reversed = segment(2.0, None, None);
        reversed.span.end = 1.0;
        let error = Content::checked(video("v"), vec![reversed]).expect_err("reversed");
        assert!(matches!(error, Error::InvalidSpan { start_seconds: 2.0, end_seconds: 1.0, .. }), "{error}");
    }
}
