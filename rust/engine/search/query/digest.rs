//! What tells questions apart: a cursor goes on with the question that it came from, and no other.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Compound, Except, Operand, Query, Total};
use crate::error::Result;
use crate::search::fuse::{Fusion, Weights};

impl Query {
    /// A SHA-256 of everything that decides which hits come, with which scores and moments, in which order.
    ///
    /// Left out are `limit` and `cursor`, and `facets`, which only adds to a page: a query that counts on its first page
    /// and not on the others is the same query. Equal questions written differently, such as channels in another order,
    /// weights of the same ratio or a filter with its keys in another order, have one digest.
    pub fn digest(&self) -> Result<[u8; 32]> {
        let mut written = Written(Sha256::new());
        written.bytes(b"pixr query 1");
        self.digest_question(&mut written)?;
        written.bytes(b"filter");
        written.value(&self.filter);
        written.option(self.min_score.as_ref(), |written, &score| written.float(score));
        written.bytes(match self.fusion {
            Fusion::Probabilistic => b"probabilistic",
            Fusion::WeightedSum => b"weighted_sum",
            Fusion::Max => b"max",
            Fusion::ReciprocalRank => b"rrf",
        });
        written.count(self.moments_per_hit as usize);
        self.digest_scope(&mut written);
        written.option(self.effort.as_ref(), |written, &effort| written.count(effort as usize));
        if self.effort.is_some() && self.total == Total::Found {
            written.bytes(b"found");
        }
        Ok(written.0.finalize().into())
    }

    /// Writes what is asked, and of which channels.
    fn digest_question(&self, written: &mut Written) -> Result<()> {
        if let Some(compound) = &self.compound {
            written.bytes(b"compound");
            compound.digest(written)?;
        }
        let requested = self.requested();
        let weights = if requested.is_empty() { None } else { Some(Weights::new(&requested, &self.weights)?) };
        for channel in requested {
            written.bytes(channel.name().as_bytes());
            written.float(weights.map_or(0.0, |weights| weights.get(channel)));
            written.option(self.text.get(&channel), |written, text| written.bytes(text.as_bytes()));
            written.option(self.vectors.get(&channel), |written, vector| written.vector(vector));
        }
        for channel in self.alike.iter().filter(|channel| self.vectors.contains_key(channel)) {
            written.bytes(b"alike");
            written.bytes(channel.name().as_bytes());
        }
        for clause in &self.clauses {
            written.bytes(b"clause");
            written.count(clause.text.len());
            for (channel, text) in &clause.text {
                written.bytes(channel.name().as_bytes());
                written.bytes(text.as_bytes());
            }
            written.count(clause.vectors.len());
            for (channel, vector) in &clause.vectors {
                written.bytes(channel.name().as_bytes());
                written.vector(vector);
            }
        }
        Ok(())
    }

    /// Writes which evidence and which moments count.
    fn digest_scope(&self, written: &mut Written) {
        if let Some([from, to]) = self.between {
            written.bytes(b"between");
            written.bytes(&from.to_le_bytes());
            written.bytes(&to.to_le_bytes());
        }
        if let Some(Except { video, start, end }) = &self.except {
            written.bytes(b"except");
            written.bytes(video.as_bytes());
            written.bytes(&start.to_le_bytes());
            written.bytes(&end.to_le_bytes());
        }
        if let Some(diversity) = self.diversity {
            written.bytes(b"diversity");
            written.float(diversity);
        }
    }
}

impl Operand {
    fn digest(&self, written: &mut Written) -> Result<()> {
        match self {
            Self::Ask(query) => written.bytes(&query.digest()?),
            Self::Compound(compound) => compound.digest(written)?,
        }
        Ok(())
    }
}

impl Compound {
    /// Writes what tells compounds apart.
    fn digest(&self, written: &mut Written) -> Result<()> {
        written.bytes(match self {
            Self::Then { .. } => b"then",
            Self::While { .. } => b"while",
            Self::Without { .. } => b"without",
            Self::Blend { .. } => b"blend",
        });
        match self {
            Self::Then { within_seconds, .. } => written.bytes(&within_seconds.to_le_bytes()),
            Self::Blend { parts } => parts.iter().for_each(|(_, weight)| written.float(*weight)),
            Self::While { .. } | Self::Without { .. } => {}
        }
        written.count(self.parts().len());
        self.parts().into_iter().try_for_each(|part| part.digest(written))
    }
}

/// What a digest is taken of: pieces, each after its length or kind, so that different lists of pieces give different bytes.
struct Written(Sha256);

impl Written {
    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    /// Zero is the same with either sign.
    fn float(&mut self, number: f32) {
        self.0.update((number + 0.0).to_le_bytes());
    }

    fn vector(&mut self, vector: &[f32]) {
        self.count(vector.len());
        let bytes: Vec<u8> = vector.iter().flat_map(|&component| (component + 0.0).to_le_bytes()).collect();
        self.0.update(bytes);
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.count(usize::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.bytes(b"null"),
            Value::Bool(value) => self.bytes(if *value { b"true" } else { b"false" }),
            Value::Number(number) => {
                self.bytes(b"number");
                self.bytes(number.to_string().as_bytes());
            }
            Value::String(text) => {
                self.bytes(b"string");
                self.bytes(text.as_bytes());
            }
            Value::Array(items) => {
                self.bytes(b"array");
                self.count(items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(fields) => {
                self.bytes(b"object");
                self.count(fields.len());
                let sorted: BTreeMap<_, _> = fields.iter().collect();
                for (name, value) in sorted {
                    self.bytes(name.as_bytes());
                    self.value(value);
                }
            }
        }
    }
}
