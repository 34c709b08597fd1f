//! temporary
use super::row_set::RowSet; use super::table::VideoTable; use crate::error::Result;
#[derive(Debug, Default, Clone, PartialEq, serde::Serialize)] #[serde(transparent)] pub struct FacetCounts(std::collections::BTreeMap<String, std::collections::BTreeMap<String, u64>>);
impl FacetCounts { pub fn all() -> Self { Self::default() } pub fn named(_: &[String]) -> Result<Self> { Ok(Self::default()) } pub fn count(&mut self, _: &VideoTable, _: &RowSet) -> Result<()> { Ok(()) } }
