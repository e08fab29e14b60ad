//! [`SpanNode`]: what a record stands in, shared by all records in it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::site::Site;
use super::value::Fields;

/// Deepest nesting of spans. A deeper one stands in the place of the one at this depth.
pub const DEPTH_MAX: u32 = 64;

/// Fields that were recorded later are kept up to this many records of a span; later ones replace
/// the last one.
const LATE_MAX: usize = 64;

/// Fields up to this many bytes lie in the node itself.
const INLINE: usize = 87;

/// A span: its place, its fields, and the span around it.
///
/// Front ends make one when a span begins and keep it as long as the span lives. A record holds it
/// until it is rendered.
pub struct SpanNode {
    parent: Option<Arc<Self>>,
    depth: u32,
    site: Site,
    fields: Bytes,
    has_late: AtomicBool,
    late: Mutex<Vec<Late>>,
    /// How many of its records were rendered.
    pub(crate) uses: AtomicU32,
    /// A layout's text of all fields of this span and those around it, if none came late, after that
    /// layout's number.
    pub(crate) rendered: OnceLock<Box<[u8]>>,
}

/// Fields that were recorded after a span began, and when.
#[derive(Debug)]
struct Late {
    stamp: u64,
    fields: Box<[u8]>,
}

impl SpanNode {
    /// A span within another one. `fields` are what a [`FieldWriter`](super::FieldWriter) wrote.
    pub(crate) fn new(site: Site, parent: Option<&Arc<Self>>, fields: &[u8]) -> Self {
        let parent = parent.map(|parent| match parent.depth {
            DEPTH_MAX.. => parent.parent.as_ref().unwrap_or(parent),
            _ => parent,
        });
        Self {
            depth: parent.map_or(1, |parent| parent.depth + 1),
            parent: parent.cloned(),
            site,
            fields: Bytes::of(fields),
            has_late: AtomicBool::new(false),
            late: Mutex::default(),
            uses: AtomicU32::new(0),
            rendered: OnceLock::new(),
        }
    }

    /// Adds fields that were recorded now. Returns whether others had to give way.
    pub(crate) fn add(&self, stamp: u64, fields: &[u8]) -> bool {
        let fields = fields.into();
        let mut late = self.lock_late();
        let replaced = if late.len() < LATE_MAX {
            None
        } else {
            late.pop()
        };
        late.push(Late { stamp, fields });
        self.has_late.store(true, Ordering::Release);
        drop(late);
        replaced.is_some()
    }

    /// The span around it.
    #[must_use]
    pub fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// Its place in the code.
    #[must_use]
    pub fn site(&self) -> Site {
        self.site
    }

    /// It and those around it, the innermost first.
    pub(crate) fn with_parents(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |node| node.parent.as_deref())
    }

    /// Whether fields were recorded after it, or one around it, began.
    pub(crate) fn any_late(&self) -> bool {
        let is_late = |node: &Self| node.has_late.load(Ordering::Acquire);
        self.with_parents().any(is_late)
    }

    /// Hands on the fields that it had at `stamp`, in the order in which they were recorded.
    pub(crate) fn each_field(&self, stamp: u64, mut hand_on: impl FnMut(Fields<'_>)) {
        hand_on(Fields::new(self.fields.as_slice()));
        if self.has_late.load(Ordering::Acquire) {
            let late = self.lock_late();
            let known = late.iter().filter(|late| late.stamp <= stamp);
            known.for_each(|late| hand_on(Fields::new(&late.fields)));
        }
    }

    fn lock_late(&self) -> MutexGuard<'_, Vec<Late>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SpanNode {
    /// Where it stands, never its fields: they may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanNode")
            .field("site", &self.site)
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}

/// Bytes that lie in the node if they are few: one allocation less for each span.
enum Bytes {
    Few(u8, [u8; INLINE]),
    Many(Box<[u8]>),
}

impl Bytes {
    fn of(bytes: &[u8]) -> Self {
        let mut few = [0; INLINE];
        match few.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Self::Few(bytes.len() as u8, few)
            }
            None => Self::Many(bytes.into()),
        }
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Few(length, few) => few.get(..usize::from(*length)).unwrap_or_default(),
            Self::Many(many) => many,
        }
    }
}
