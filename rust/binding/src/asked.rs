//! A query as Python gives it: JSON, and its vectors beside it as bytes.

use std::collections::BTreeMap;

use pixr::Error;
use pixr::catalog::channel::Channel;
use pixr::search::query::{Clause, Query};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Little-endian float32 bytes by channel.
pub(crate) type ByChannel<'py> = BTreeMap<String, Bound<'py, PyBytes>>;

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

/// The vectors of each question of a compound and of its clauses.
pub(crate) type PartVectors<'py> = Vec<(ByChannel<'py>, Vec<ByChannel<'py>>)>;

/// The vectors of a question and of its clauses, by the names of channels.
struct Vectors {
    whole: Vec<(String, Vec<f32>)>,
    clauses: Vec<Vec<(String, Vec<f32>)>>,
}

impl Vectors {
    fn read(whole: ByChannel<'_>, clauses: Vec<ByChannel<'_>>) -> Self {
        let read = |given: ByChannel<'_>| -> Vec<(String, Vec<f32>)> {
            given.into_iter().map(|(channel, bytes)| (channel, floats(bytes.as_bytes()))).collect()
        };
        Self { whole: read(whole), clauses: clauses.into_iter().map(read).collect() }
    }

    fn fill(self, query: &mut Query) -> Result<(), Error> {
        for (channel, vector) in self.whole {
            query.vectors.insert(Channel::parse(&channel)?, vector);
        }
        if self.clauses.len() > query.clauses.len() {
            query.clauses.resize_with(self.clauses.len(), Clause::default);
        }
        for (clause, vectors) in query.clauses.iter_mut().zip(self.clauses) {
            for (channel, vector) in vectors {
                clause.vectors.insert(Channel::parse(&channel)?, vector);
            }
        }
        Ok(())
    }
}

/// A query as Python gives it, copied out so that the GIL can go.
pub(crate) struct Asked<'a> {
    json: &'a str,
    own: Vectors,
    of_parts: Vec<Vectors>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(
        json: &'a str,
        vectors: ByChannel<'_>,
        clause_vectors: Vec<ByChannel<'_>>,
        part_vectors: PartVectors<'_>,
    ) -> Self {
        let of_parts = part_vectors.into_iter().map(|(whole, clauses)| Vectors::read(whole, clauses)).collect();
        Self { json, own: Vectors::read(vectors, clause_vectors), of_parts }
    }

    pub(crate) fn query(self) -> Result<Query, Error> {
        let mut query: Query =
            serde_json::from_str(self.json).map_err(|error| Error::InvalidQuery { detail: error.to_string() })?;
        if let Some(compound) = &mut query.compound {
            for (question, vectors) in compound.questions_mut().into_iter().zip(self.of_parts) {
                vectors.fill(question)?;
            }
        }
        self.own.fill(&mut query)?;
        Ok(query)
    }
}
