//! Reads filters as the API writes them.
//!
//! A filter is an object. Each of its keys is a condition, and all of them must hold:
//! - `duration`: `{"min": 300, "max": 1800}`, seconds, both ends included
//! - `created`: `{"after": "2023-01-01", "before": "2024-01-01"}`, RFC 3339; `after` is included, `before` is not
//! - `quality`, `creator` (its id), `id`: a string, or a list of which one must match
//! - `tags`: a string or a list of which one must match, `{"any": […]}` the same, `{"all": […]}` for all of them
//! - `metadata`: by key (of nested objects the path, with dots) a value, a list of values, `{"min", "max"}` for numbers,
//!   or `{"exists": true}`
//! - `and`, `or`: lists of filters; `not`: a filter
//!
//! A key with the value null counts as absent. Depth, conditions and values are limited.

use serde_json::{Map, Value};

use super::columns::whole;
use super::filter::{Bound, Column, Filter, Scalar};
use super::timestamp::Timestamp;
use crate::error::{Error, Result};

/// How deep `and`, `or` and `not` may be nested.
const MAX_DEPTH: usize = 16;
/// The most conditions in one filter.
const MAX_CONDITIONS: usize = 1024;
/// From this number on, one float stands for several whole numbers.
const LEAST_INEXACT: u128 = 1 << 53;
/// The most values in all lists of a filter together.
const MAX_VALUES: usize = 65_536;

impl Filter {
    /// Reads a filter in the API's form; null is no filter.
    ///
    /// # Errors
    /// `invalid_filter` naming the key that is unknown or has a value of the wrong kind, or the limit that is passed.
    pub fn parse(value: &Value) -> Result<Self> {
        if value.is_null() {
            return Ok(Self::All);
        }
        Reader { conditions: 0, values: 0 }.filter(value, "filters", 0)
    }
}

/// Reads one filter, and counts what is limited.
struct Reader {
    conditions: usize,
    values: usize,
}

fn invalid(path: &str, detail: impl std::fmt::Display) -> Error {
    Error::InvalidFilter { detail: format!("{path}: {detail}") }
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| invalid(path, "expected an object"))
}

impl Reader {
    fn filter(&mut self, value: &Value, path: &str, depth: usize) -> Result<Filter> {
        if depth > MAX_DEPTH {
            return Err(invalid(path, format!("nested deeper than {MAX_DEPTH}")));
        }
        let mut all = Vec::new();
        for (key, value) in object(value, path)? {
            let path = format!("{path}.{key}");
            if value.is_null() {
                continue;
            }
            self.count_condition(&path)?;
            all.push(match key.as_str() {
                "duration" => range(Column::Duration, value, &path)?,
                "created" => created(value, &path)?,
                "quality" => self.one_of(Column::Quality, value, &path)?,
                "creator" => self.one_of(Column::Creator, value, &path)?,
                "id" => self.one_of(Column::Id, value, &path)?,
                "tags" => self.tags(value, &path)?,
                "metadata" => self.metadata(value, &path)?,
                "and" => Filter::And(self.list(value, &path, depth)?),
                "or" => Filter::Or(self.list(value, &path, depth)?),
                "not" => Filter::Not(Box::new(self.filter(value, &path, depth + 1)?)),
                _ => {
                    let known = "duration, created, quality, tags, creator, id, metadata, and, or, not";
                    return Err(invalid(&path, format!("unknown; known are {known}")));
                }
            });
        }
        Ok(together(all))
    }

    fn count_condition(&mut self, path: &str) -> Result<()> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(invalid(path, format!("more than {MAX_CONDITIONS} conditions")));
        }
        Ok(())
    }

    fn list(&mut self, value: &Value, path: &str, depth: usize) -> Result<Vec<Filter>> {
        let items = value.as_array().ok_or_else(|| invalid(path, "expected a list of filters"))?;
        let mut filters = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            self.count_condition(&path)?;
            filters.push(self.filter(item, &path, depth + 1)?);
        }
        Ok(filters)
    }

    /// A string or a list of strings.
    fn one_of(&mut self, column: Column, value: &Value, path: &str) -> Result<Filter> {
        let values = self.scalars(value, path)?;
        if values.iter().any(|value| !matches!(value, Scalar::Text(_))) {
            return Err(invalid(path, "expected a string or a list of strings"));
        }
        Ok(Filter::In { column, values })
    }

    fn tags(&mut self, value: &Value, path: &str) -> Result<Filter> {
        let Some(fields) = value.as_object() else { return self.one_of(Column::Tags, value, path) };
        let mut all = Vec::new();
        for (key, value) in fields {
            let path = format!("{path}.{key}");
            match (key.as_str(), self.one_of(Column::Tags, value, &path)?) {
                ("any", filter) => all.push(filter),
                ("all", Filter::In { column, values }) => {
                    let each = |value| Filter::In { column: column.clone(), values: vec![value] };
                    all.push(Filter::And(values.into_iter().map(each).collect()));
                }
                _ => return Err(invalid(&path, "unknown; known are any, all")),
            }
        }
        Ok(together(all))
    }

    fn metadata(&mut self, value: &Value, path: &str) -> Result<Filter> {
        let mut all = Vec::new();
        for (key, value) in object(value, path)? {
            let path = format!("{path}.{key}");
            self.count_condition(&path)?;
            let column = Column::Metadata(key.clone());
            all.push(match value.as_object() {
                None => Filter::In { column, values: self.scalars(value, &path)? },
                Some(fields) if fields.contains_key("exists") => {
                    let only = fields.len() == 1;
                    let exists = fields.get("exists").and_then(Value::as_bool).filter(|_| only);
                    match exists.ok_or_else(|| invalid(&path, "expected {\"exists\": true or false}"))? {
                        true => Filter::Exists { column },
                        false => Filter::Not(Box::new(Filter::Exists { column })),
                    }
                }
                Some(_) => range(column, value, &path)?,
            });
        }
        Ok(together(all))
    }

    fn scalars(&mut self, value: &Value, path: &str) -> Result<Vec<Scalar>> {
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        self.values += items.len();
        if self.values > MAX_VALUES {
            return Err(invalid(path, format!("more than {MAX_VALUES} values")));
        }
        items.iter().map(|item| scalar(item, path)).collect()
    }
}

fn scalar(value: &Value, path: &str) -> Result<Scalar> {
    match value {
        Value::Bool(flag) => Some(Scalar::Boolean(*flag)),
        Value::Number(number) => whole(number)
            .filter(|whole| whole.unsigned_abs() >= LEAST_INEXACT)
            .map(Scalar::Whole)
            .or_else(|| number.as_f64().map(Scalar::Number)),
        Value::String(text) => Some(Scalar::Text(text.clone())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
    .ok_or_else(|| invalid(path, "expected a string, a number, a boolean, or a list of them"))
}

/// One condition as itself, several as "and".
fn together(mut all: Vec<Filter>) -> Filter {
    match all.len() {
        0 => Filter::All,
        1 => all.swap_remove(0),
        _ => Filter::And(all),
    }
}

fn range(column: Column, value: &Value, path: &str) -> Result<Filter> {
    let (mut min, mut max) = (None, None);
    for (key, value) in object(value, path)? {
        let path = format!("{path}.{key}");
        let side = match key.as_str() {
            "min" => &mut min,
            "max" => &mut max,
            _ => return Err(invalid(&path, "unknown; known are min, max")),
        };
        if !value.is_null() {
            *side = Some(value.as_f64().ok_or_else(|| invalid(&path, "expected a number"))?);
        }
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        return Err(invalid(path, format!("min {min} is above max {max}")));
    }
    if (min, max) == (None, None) {
        return Err(invalid(path, "expected min, max or both"));
    }
    Ok(Filter::Range { column, min: min.map(Bound::Inclusive), max: max.map(Bound::Inclusive) })
}

fn created(value: &Value, path: &str) -> Result<Filter> {
    let (mut after, mut before) = (None, None);
    for (key, value) in object(value, path)? {
        let path = format!("{path}.{key}");
        let side = match key.as_str() {
            "after" => &mut after,
            "before" => &mut before,
            _ => return Err(invalid(&path, "unknown; known are after, before")),
        };
        if !value.is_null() {
            let text = value.as_str().ok_or_else(|| invalid(&path, "expected a date as a string"))?;
            *side = Some(Timestamp::parse(text).map_err(|detail| invalid(&path, detail))?.0 as f64);
        }
    }
    if let (Some(after), Some(before)) = (after, before)
        && after > before
    {
        return Err(invalid(path, "after is later than before"));
    }
    if (after, before) == (None, None) {
        return Err(invalid(path, "expected after, before or both"));
    }
    let (min, max) = (after.map(Bound::Inclusive), before.map(Bound::Exclusive));
    Ok(Filter::Range { column: Column::Created, min, max })
}
