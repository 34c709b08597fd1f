//! What is wrong with a question, as far as that can be told without a library.

use std::collections::BTreeMap;

use super::{
    Compound, Except, Facets, MAX_CLAUSES, MAX_DEPTH, MAX_EFFORT, MAX_FACETS, MAX_LIMIT, MAX_MOMENTS, MAX_PARTS,
    MAX_TEXT_BYTES, MAX_WITHIN_SECONDS, Operand, Query,
};
use crate::catalog::channel::Channel;
use crate::error::{Error, Result};
use crate::search::fuse::Weights;

impl Query {
    /// Checks everything that doesn't need a library: dimensions, filter and the names of facets do.
    ///
    /// # Errors
    /// `invalid_query` naming the field; `invalid_vector` for a vector without a direction.
    pub fn validate(&self) -> Result<()> {
        let requested = self.requested();
        self.check_question(&requested)?;
        self.check_scope()?;
        self.check_page()
    }

    /// Checks what is asked, and of which channels.
    fn check_question(&self, requested: &[Channel]) -> Result<()> {
        if let Some(compound) = &self.compound {
            if !self.text.is_empty()
                || !self.vectors.is_empty()
                || !self.clauses.is_empty()
                || !self.channels.is_empty()
            {
                return wrong("compound: its parts say what is asked, the query may not as well".to_owned());
            }
            compound.validate(1)?;
        } else if self.text.is_empty() && self.vectors.is_empty() {
            return wrong("text, vectors: the query asks for nothing".to_owned());
        }
        for channel in requested {
            if !self.text.contains_key(channel) && !self.vectors.contains_key(channel) {
                return wrong(format!("channels: {} has neither text nor a vector", channel.name()));
            }
        }
        check_asked(&self.text, &self.vectors, requested)?;
        if self.clauses.len() > MAX_CLAUSES {
            return wrong(format!("clauses: {} are given, at most {MAX_CLAUSES} are allowed", self.clauses.len()));
        }
        for clause in &self.clauses {
            check_asked(&clause.text, &clause.vectors, requested)?;
        }
        if self.compound.is_none() {
            Weights::new(requested, &self.weights)?;
        }
        Ok(())
    }

    /// Checks which evidence and which moments count.
    fn check_scope(&self) -> Result<()> {
        if let Some([from, to]) = self.between
            && !(from.is_finite() && to.is_finite() && from >= 0.0 && to > from)
        {
            return wrong(format!("between is {from} to {to}, expected seconds, the second after the first"));
        }
        if let Some(Except { start, end, .. }) = &self.except
            && !(start.is_finite() && end.is_finite() && end >= start)
        {
            return wrong(format!("except is {start} to {end}, expected seconds, the second not before the first"));
        }
        for (name, value) in [("diversity", self.diversity), ("min_score", self.min_score)] {
            if let Some(value) = value
                && !(0.0..=1.0).contains(&value)
            {
                return wrong(format!("{name} is {value}, expected 0 to 1"));
            }
        }
        Ok(())
    }

    /// Checks how much is returned, and how hard it is looked for.
    fn check_page(&self) -> Result<()> {
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return wrong(format!("limit is {}, expected 1 to {MAX_LIMIT}", self.limit));
        }
        if self.moments_per_hit > MAX_MOMENTS {
            return wrong(format!("moments_per_hit is {}, expected 0 to {MAX_MOMENTS}", self.moments_per_hit));
        }
        if let Some(effort) = self.effort
            && !(1..=MAX_EFFORT).contains(&effort)
        {
            return wrong(format!("effort is {effort}, expected 1 to {MAX_EFFORT}"));
        }
        if let Facets::Named(names) = &self.facets {
            if names.len() > MAX_FACETS {
                return wrong(format!("facets: {} columns, at most {MAX_FACETS} are allowed", names.len()));
            }
            if names.iter().any(String::is_empty) {
                return wrong("facets: a column has no name".to_owned());
            }
        }
        Ok(())
    }
}

fn wrong(detail: String) -> Result<()> {
    Err(Error::InvalidQuery { detail })
}

impl Operand {
    fn validate(&self, depth: usize) -> Result<()> {
        match self {
            Self::Compound(compound) => compound.validate(depth + 1),
            Self::Ask(query) => {
                let own = Query { text: query.text.clone(), vectors: query.vectors.clone(), ..Query::default() };
                let known = Query {
                    clauses: query.clauses.clone(),
                    alike: query.alike.clone(),
                    channels: query.channels.clone(),
                    weights: query.weights.clone(),
                    ..own
                };
                if **query != known {
                    return wrong(
                        "a part says what it asks, of which channels with which weights, and no more".to_owned(),
                    );
                }
                query.validate()
            }
        }
    }
}

impl Compound {
    /// Checks the parts, the weights and how deep they go; `depth` is 1 for the outermost.
    fn validate(&self, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return wrong("a compound's part may be a compound once, not twice".to_owned());
        }
        match self {
            Self::Then { within_seconds, .. } if !(0.0..=MAX_WITHIN_SECONDS).contains(within_seconds) => {
                return wrong(format!("within_seconds is {within_seconds}, expected 0 to {MAX_WITHIN_SECONDS}"));
            }
            Self::Blend { parts } => {
                if !(1..=MAX_PARTS).contains(&parts.len()) {
                    return wrong(format!("a blend has {} parts, expected 1 to {MAX_PARTS}", parts.len()));
                }
                if let Some((_, weight)) = parts.iter().find(|(_, weight)| !weight.is_finite() || *weight == 0.0) {
                    return wrong(format!("a blend has the weight {weight}, expected a number other than 0"));
                }
                if parts.iter().all(|(_, weight)| *weight < 0.0) {
                    return wrong("a blend needs a weight above 0".to_owned());
                }
                if parts.iter().any(|(_, weight)| *weight < -1.0) {
                    return wrong("a weight below zero is -1 at least, which takes out what is sure".to_owned());
                }
            }
            _ => {}
        }
        self.parts().into_iter().try_for_each(|part| part.validate(depth))
    }
}

/// Checks what is asked of the requested channels, by the whole question or by a clause.
fn check_asked(
    text: &BTreeMap<Channel, String>,
    vectors: &BTreeMap<Channel, Vec<f32>>,
    requested: &[Channel],
) -> Result<()> {
    for (channel, text) in text {
        if !requested.contains(channel) {
            return wrong(format!("text: channel {} is not among the requested channels", channel.name()));
        }
        if text.trim().is_empty() {
            return wrong(format!("text: {} is empty", channel.name()));
        }
        if text.len() > MAX_TEXT_BYTES {
            let (name, length) = (channel.name(), text.len());
            return wrong(format!("text: {name} has {length} bytes, at most {MAX_TEXT_BYTES} are allowed"));
        }
    }
    for (channel, vector) in vectors {
        if !requested.contains(channel) {
            return wrong(format!("vectors: channel {} is not among the requested channels", channel.name()));
        }
        let odd = vector.iter().position(|component| !component.is_finite());
        let detail = if let Some(index) = odd {
            format!("component {index} is {}", vector[index])
        } else if vector.iter().all(|&component| component == 0.0) {
            "it has no length".to_owned()
        } else {
            continue;
        };
        return Err(Error::InvalidVector { what: format!("the query's vector for {}", channel.name()), detail });
    }
    Ok(())
}
