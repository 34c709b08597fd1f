//! Libraries made of small random videos.

use half::f16;
use pixr::catalog::channel::Channel;
use pixr::catalog::video::{Evidence, Segment, Space, Span, Video, VideoId};
use pixr::library::Library;
use pixr::search::calibrate::{Calibration, CosineCurve, Logistic, Reported, Saturation};
use pixr::search::query::{Clause, Query};
use proptest::prelude::*;

pub const DIMENSION: usize = 6;

/// Start, end, picture vector, words said.
pub type Plain = (f64, f64, Option<Vec<f32>>, Option<String>);

/// A video as plain values: what a library is given, and what a model of the library keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Film {
    pub id: String,
    pub title: String,
    pub tags: Vec<String>,
    pub duration: f64,
    pub segments: Vec<Plain>,
}

pub fn id(name: &str) -> VideoId {
    VideoId::new(name).unwrap()
}

pub fn space() -> Space {
    Space { name: "test".to_owned(), version: "1".to_owned(), dimension: DIMENSION as u32 }
}

pub fn unit(values: &[f32]) -> Vec<f16> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| f16::from_f32(value / length)).collect()
}

impl Film {
    pub fn video(&self) -> Video {
        Video {
            title: self.title.clone(),
            tags: self.tags.clone(),
            duration: self.duration,
            quality: Some(if self.duration > 50.0 { "hd" } else { "sd" }.to_owned()),
            ..Video::named(id(&self.id))
        }
    }

    pub fn segments(&self) -> Vec<Segment> {
        let segment = |(start, end, vector, text): &Plain| {
            let frame = vector.as_ref().map(|vector| Evidence {
                channel: Channel::Frame,
                vector: Some(unit(vector)),
                text: None,
                description: Some("closest concepts: test".to_owned()),
            });
            let speech = text.as_ref().map(|text| Evidence {
                channel: Channel::Speech,
                vector: None,
                text: Some(text.clone()),
                description: None,
            });
            Segment { span: Span { start: *start, end: *end }, evidence: frame.into_iter().chain(speech).collect() }
        };
        self.segments.iter().map(segment).collect()
    }
}

/// A library in memory with its space set, with or without fitted calibrations.
pub fn empty(fitted: bool) -> Library {
    let library = Library::in_memory().unwrap();
    prepare(&library, fitted);
    library
}

pub fn prepare(library: &Library, fitted: bool) {
    library.set_space(Channel::Frame, space()).unwrap();
    if fitted {
        let lexical = Some(Saturation { half: 0.5, power: 2.0, top: 0.95 });
        let vector = Some(CosineCurve::Logistic(Logistic { center: 0.5, slope: 8.0, top: 1.0 }));
        let reported = Some(Reported { low: 2.0, high: 3.0, shift: -1.0 });
        let enough = Calibration { floor: 0.02, sufficient: 0.1, reported, ..Calibration::default() };
        let alike = Some(CosineCurve::Saturation(Saturation { half: 0.6, power: 4.0, top: 0.9 }));
        library.set_calibration(Channel::Frame, Calibration { vector, alike, ..enough }).unwrap();
        for channel in [Channel::Speech, Channel::Metadata] {
            let calibration = Calibration { lexical, ..enough };
            library.set_calibration(channel, calibration).unwrap();
        }
    }
}

pub fn put(library: &Library, films: &[Film]) {
    library.put(films.iter().map(|film| (film.video(), film.segments())).collect()).unwrap();
}

fn vector() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-4_i8..=4, DIMENSION).prop_map(|values| {
        let mut values: Vec<f32> = values.into_iter().map(f32::from).collect();
        if values.iter().all(|value| *value == 0.0) {
            values[0] = 1.0;
        }
        values
    })
}

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["roof", "solar", "panel", "ladder", "dog", "the", "waltz"]), 1..6)
        .prop_map(|words| words.join(" "))
}

pub fn film() -> impl Strategy<Value = Film> {
    let segment = (0_u32..90, 1_u32..12, prop::option::of(vector()), prop::option::of(words()))
        .prop_map(|(start, length, vector, text)| (f64::from(start), f64::from(start + length), vector, text));
    (
        words(),
        prop::collection::vec(prop::sample::select(vec!["diy", "pets", "music"]), 0..3),
        10_u32..120,
        prop::collection::vec(segment, 0..6),
    )
        .prop_map(|(title, tags, duration, segments)| Film {
            id: String::new(),
            title,
            tags: tags.into_iter().map(str::to_owned).collect(),
            duration: f64::from(duration),
            segments,
        })
}

/// Up to `most` films with ids of their own.
pub fn films(most: usize) -> impl Strategy<Value = Vec<Film>> {
    prop::collection::vec(film(), 0..most).prop_map(|mut films| {
        for (number, film) in films.iter_mut().enumerate() {
            film.id = format!("film-{:03}", (number * 37) % 101);
        }
        films
    })
}

pub fn query() -> impl Strategy<Value = Query> {
    let fusion = prop::sample::select(vec!["probabilistic", "weighted_sum", "max", "rrf"]);
    let clauses = prop::collection::vec((words(), vector()), 0..3);
    let (heavy, weightless) = (any::<bool>(), any::<bool>());
    let asked = (prop::option::of(vector()), prop::option::of(words()), clauses);
    (asked, fusion, prop::option::of(0_u8..10), heavy, weightless).prop_map(
        |((vector, words, clauses), fusion, tenths, heavy, weightless)| {
            let mut query = Query { limit: 1000, ..Query::default() };
            query.fusion = serde_json::from_value(serde_json::json!(fusion)).unwrap();
            if let Some(words) = &words {
                query.text.insert(Channel::Speech, words.clone());
                query.text.insert(Channel::Metadata, words.clone());
                if weightless {
                    query.weights.insert(Channel::Speech, 0.0);
                }
            }
            if let Some(vector) = vector.or_else(|| words.is_none().then(|| vec![1.0; DIMENSION])) {
                query.vectors.insert(Channel::Frame, vector);
                if heavy {
                    query.alike.insert(Channel::Frame);
                    query.weights.insert(Channel::Frame, 0.5);
                }
            }
            if heavy && query.vectors.len() + query.text.len() == 1 {
                query.weights.clear();
            }
            query.min_score = tenths.map(|tenths| f32::from(tenths) / 10.0);
            let clause = |(words, vector): (String, Vec<f32>)| Clause {
                text: query.text.keys().map(|channel| (*channel, words.clone())).collect(),
                vectors: query.vectors.keys().map(|channel| (*channel, vector.clone())).collect(),
            };
            query.clauses = clauses.into_iter().map(clause).collect();
            query
        },
    )
}
