//! temporary
use super::video::{Span, Video, VideoId};
use crate::error::{Error, Result};
use crate::storage::section::{SectionBytes, Sections};
use std::ops::Range;
#[derive(Debug)]
pub struct VideoTable { videos: Vec<(Video, Range<u32>)>, spans: Vec<Span> }
impl VideoTable {
    pub fn build(videos: &[(&Video, &[Span])], out: &mut SectionBytes) -> Result<()> {
        out.push(("videos.json".into(), serde_json::to_vec(videos).map_err(|e| Error::Internal { detail: e.to_string() })?));
        Ok(())
    }
    pub fn open(sections: &dyn Sections) -> Result<Self> {
        let s = sections.get("videos.json").ok_or(Error::Internal { detail: "x".into() })?;
        let all: Vec<(Video, Vec<Span>)> = serde_json::from_slice(s.all()?).map_err(|e| Error::Internal { detail: e.to_string() })?;
        let mut t = Self { videos: vec![], spans: vec![] };
        for (v, s) in all { let a = t.spans.len() as u32; t.spans.extend(s); t.videos.push((v, a..t.spans.len() as u32)); }
        Ok(t)
    }
    pub fn video_count(&self) -> u32 { self.videos.len() as u32 }
    pub fn row_count(&self) -> u32 { self.spans.len() as u32 }
    pub fn video(&self, i: u32) -> Result<Video> { Ok(self.videos[i as usize].0.clone()) }
    pub fn id(&self, i: u32) -> Result<VideoId> { Ok(self.videos[i as usize].0.id.clone()) }
    pub fn duration(&self, i: u32) -> Result<f64> { Ok(self.videos[i as usize].0.duration) }
    pub fn rows(&self, i: u32) -> Result<Range<u32>> { Ok(self.videos[i as usize].1.clone()) }
    pub fn video_of(&self, row: u32) -> Result<u32> { Ok(self.videos.partition_point(|v| v.1.end <= row) as u32) }
    pub fn span(&self, row: u32) -> Result<Span> { Ok(self.spans[row as usize]) }
    pub fn find(&self, id: &VideoId) -> Result<Option<u32>> { Ok(self.videos.iter().position(|v| v.0.id == *id).map(|i| i as u32)) }
}
