//! [`Records`]: what callers wrote and the renderer has not taken, back to back.

use std::sync::Arc;

use super::site::Site;
use super::span::SpanNode;
use crate::level::Level;

/// What is the same for every record.
#[derive(Debug)]
pub(crate) struct Head {
    /// None if its texts come with the record.
    pub(crate) site: Option<Site>,
    pub(crate) stamp: u64,
    pub(crate) span: SpanRef,
    /// Where its bytes end.
    pub(crate) end: u32,
    pub(crate) level: Level,
    /// Whether a value of it was cut.
    pub(crate) is_cut: bool,
}

/// The span that a record stands in. Runs of records in one span cost no reference count.
#[derive(Debug)]
pub(crate) enum SpanRef {
    None,
    /// That of the record before.
    Same,
    Node(Arc<SpanNode>),
}

/// A record before it lies among others.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) site: Option<Site>,
    pub(crate) stamp: u64,
    pub(crate) span: Option<&'a Arc<SpanNode>>,
    pub(crate) level: Level,
    pub(crate) is_cut: bool,
    pub(crate) bytes: &'a [u8],
}

/// Records in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) heads: Vec<Head>,
    pub(crate) bytes: Vec<u8>,
    last_span: Option<Arc<SpanNode>>,
}

impl Records {
    /// Room for records of `bytes` in all, heads included, and one more. It is taken from the system
    /// when it is used.
    pub(crate) fn with_room(bytes: usize, one_more: usize) -> Self {
        Self {
            heads: Vec::with_capacity(bytes / size_of::<Head>() + 1),
            bytes: Vec::with_capacity(bytes + one_more),
            last_span: None,
        }
    }

    /// Bytes that are used.
    pub(crate) fn used(&self) -> usize {
        size_of_val(self.heads.as_slice()) + self.bytes.len()
    }

    pub(crate) fn push(&mut self, draft: &Draft<'_>) {
        self.bytes.extend_from_slice(draft.bytes);
        let span = match (draft.span, &self.last_span) {
            (None, _) => SpanRef::None,
            (Some(node), Some(last)) if Arc::ptr_eq(node, last) => SpanRef::Same,
            (Some(node), _) => {
                self.last_span = Some(node.clone());
                SpanRef::Node(node.clone())
            }
        };
        self.heads.push(Head {
            site: draft.site,
            stamp: draft.stamp,
            span,
            end: self.bytes.len() as u32,
            level: draft.level,
            is_cut: draft.is_cut,
        });
    }

    /// Lets go of all records, and keeps their room.
    pub(crate) fn clear(&mut self) {
        self.heads.clear();
        self.bytes.clear();
        self.last_span = None;
    }

    /// Each record with its span and its bytes, in order.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let (mut start, mut last) = (0, None);
        self.heads.iter().map(move |head| {
            let span = match &head.span {
                SpanRef::None => None,
                SpanRef::Same => last,
                SpanRef::Node(node) => {
                    last = Some(node);
                    last
                }
            };
            let end = head.end as usize;
            let bytes = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            Record { head, span, bytes }
        })
    }
}

/// A record among others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) head: &'a Head,
    pub(crate) span: Option<&'a Arc<SpanNode>>,
    pub(crate) bytes: &'a [u8],
}

impl Record<'_> {
    /// The same, to be laid among others.
    pub(crate) fn as_draft(&self) -> Draft<'_> {
        Draft {
            site: self.head.site,
            stamp: self.head.stamp,
            span: self.span,
            level: self.head.level,
            is_cut: self.head.is_cut,
            bytes: self.bytes,
        }
    }
}
