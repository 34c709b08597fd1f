//! Segments into a record batch that `decode` reads back into the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float16Builder, Float64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

use crate::catalog::channel::Channel;
use crate::catalog::video::{Evidence, Segment, Space};
use crate::error::{Error, Result};
use crate::operation::Content;

/// The columns of every batch of a library with these spaces: fixed, whatever the rows hold. The schema's metadata has
/// the spaces as JSON under `pixr.spaces`.
pub fn schema(spaces: &BTreeMap<Channel, Space>) -> Result<Schema> {
    let mut fields = vec![
        Field::new("video_id", DataType::Utf8, false),
        Field::new("start", DataType::Float64, true),
        Field::new("end", DataType::Float64, true),
        Field::new("video", DataType::Utf8, true),
    ];
    for channel in Channel::ALL {
        let name = channel.name();
        if let Some(space) = spaces.get(&channel) {
            let item = Arc::new(Field::new("item", DataType::Float16, true));
            let kind = DataType::FixedSizeList(item, dimension(space)?);
            fields.push(Field::new(format!("{name}.vector"), kind, true));
        }
        fields.push(Field::new(format!("{name}.text"), DataType::Utf8, true));
        fields.push(Field::new(format!("{name}.description"), DataType::Utf8, true));
    }
    let spaces = serde_json::to_string(spaces).map_err(|error| Error::Internal { detail: error.to_string() })?;
    Ok(Schema::new(fields).with_metadata(HashMap::from([("pixr.spaces".to_owned(), spaces)])))
}

/// One row for each segment; a video without segments has one row with null start and end.
pub fn encode(contents: &[Content], spaces: &BTreeMap<Channel, Space>) -> Result<RecordBatch> {
    let schema = schema(spaces)?;
    let (mut ids, mut videos) = (StringBuilder::new(), StringBuilder::new());
    let (mut starts, mut ends) = (Float64Builder::new(), Float64Builder::new());
    let mut channels = Channel::ALL
        .into_iter()
        .map(|channel| ChannelBuilders::new(channel, spaces.get(&channel)))
        .collect::<Result<Vec<_>>>()?;
    for content in contents {
        let json =
            serde_json::to_string(&content.video).map_err(|error| Error::Internal { detail: error.to_string() })?;
        let mut rows: Vec<Option<&Segment>> = content.segments.iter().map(Some).collect();
        if rows.is_empty() {
            rows.push(None);
        }
        for (index, segment) in rows.into_iter().enumerate() {
            ids.append_value(content.video.id.as_str());
            videos.append_option((index == 0).then_some(&json));
            starts.append_option(segment.map(|segment| segment.span.start));
            ends.append_option(segment.map(|segment| segment.span.end));
            for builders in &mut channels {
                let evidence = segment
                    .and_then(|segment| segment.evidence.iter().find(|evidence| evidence.channel == builders.channel));
                builders.append(evidence);
            }
        }
    }
    let mut columns: Vec<ArrayRef> =
        vec![Arc::new(ids.finish()), Arc::new(starts.finish()), Arc::new(ends.finish()), Arc::new(videos.finish())];
    for mut builders in channels {
        if let Some((mut vectors, _)) = builders.vectors.take() {
            columns.push(Arc::new(vectors.finish()));
        }
        columns.push(Arc::new(builders.texts.finish()));
        columns.push(Arc::new(builders.descriptions.finish()));
    }
    RecordBatch::try_new(Arc::new(schema), columns)
        .map_err(|error| Error::Internal { detail: format!("building a record batch: {error}") })
}

struct ChannelBuilders {
    channel: Channel,
    vectors: Option<(FixedSizeListBuilder<Float16Builder>, usize)>,
    texts: StringBuilder,
    descriptions: StringBuilder,
}

impl ChannelBuilders {
    fn new(channel: Channel, space: Option<&Space>) -> Result<Self> {
        let vectors = match space {
            Some(space) => {
                let length = dimension(space)?;
                Some((FixedSizeListBuilder::new(Float16Builder::new(), length), length as usize))
            }
            None => None,
        };
        Ok(Self { channel, vectors, texts: StringBuilder::new(), descriptions: StringBuilder::new() })
    }

    fn append(&mut self, evidence: Option<&Evidence>) {
        if let Some((builder, dimension)) = &mut self.vectors {
            match evidence.and_then(|evidence| evidence.vector.as_ref()) {
                Some(vector) => {
                    builder.values().append_slice(vector);
                    builder.append(true);
                }
                None => {
                    builder.values().append_nulls(*dimension);
                    builder.append(false);
                }
            }
        }
        self.texts.append_option(evidence.and_then(|evidence| evidence.text.as_deref()));
        self.descriptions.append_option(evidence.and_then(|evidence| evidence.description.as_deref()));
    }
}

fn dimension(space: &Space) -> Result<i32> {
    i32::try_from(space.dimension)
        .map_err(|_| Error::Internal { detail: format!("space {space} has too many dimensions") })
}
