//! For tests: the way from a log call to events, without threads.

use std::sync::Arc;

use flume_client::{Event, EventBatch};

use super::writer::{BeforeSend, Writer};
use crate::capture::{Capture, CaptureCore, Key, Overflow, Records, Site, SiteText};
use crate::counts::Outcomes;
use crate::filter::Filter;
use crate::layout::{Edits, Json, Layout, Record, Verdict};
use crate::level::Level;
use crate::prepared::headers::HeaderSettings;
use crate::prepared::redact::Redact;

/// 2026-11-27T17:04:05.123456789Z, as jiff has it.
pub(crate) const UNIX_NS: u64 = 1_795_799_045_123_456_789;
pub(crate) const RUN_ID: u64 = 0x00ab_cdef_0123_4567;

/// A place in the code.
pub(crate) struct Place {
    pub(crate) level: Level,
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [&'static str],
}

pub(crate) fn site(place: &'static Place) -> Site {
    Site::new(place, |data| {
        let place: &Place = data.downcast_ref().unwrap();
        let mut text = SiteText::new(place.level, "orders");
        text.name = place.name.into();
        text.file = Some("src/orders.rs".into());
        text.line = Some(17);
        text.fields = place.fields.iter().map(|name| (*name).into()).collect();
        text
    })
}

/// Fields of no site's.
pub(crate) fn bare(level: Level) -> Site {
    const fn place(level: Level) -> Place {
        Place {
            level,
            name: "",
            fields: &[],
        }
    }
    static PLACES: [Place; 5] = [
        place(Level::Trace),
        place(Level::Debug),
        place(Level::Info),
        place(Level::Warn),
        place(Level::Error),
    ];
    site(&PLACES[level.index()])
}

pub(crate) const MESSAGE: Key<'static> = Key::Name("message");

/// What writes events, with what became of them.
pub(crate) struct Stage {
    core: Arc<CaptureCore>,
    pub(crate) capture: Capture,
    pub(crate) writer: Writer,
    pub(crate) batch: EventBatch,
    pub(crate) outcomes: Outcomes,
}

impl Stage {
    pub(crate) fn new(layout: impl Layout + 'static) -> Self {
        Self::with(layout, &HeaderSettings::default(), None)
    }

    pub(crate) fn json() -> Self {
        Self::new(Json::new())
    }

    pub(crate) fn with_headers(headers: &HeaderSettings) -> Self {
        Self::with(Json::new(), headers, None)
    }

    pub(crate) fn looking(
        look: impl FnMut(&Record<'_>, &mut Edits) -> Verdict + Send + 'static,
    ) -> Self {
        let look = BeforeSend(Box::new(look));
        Self::with(Json::new(), &HeaderSettings::default(), Some(look))
    }

    pub(crate) fn with(
        layout: impl Layout + 'static,
        headers: &HeaderSettings,
        look: Option<BeforeSend>,
    ) -> Self {
        let all = Filter::of_level(Level::Trace);
        let core = Arc::new(CaptureCore::new(8 << 20, all, Overflow::Shed, None));
        layout.check().unwrap();
        let plan = headers.plan(&layout.headers(), layout.is_text()).unwrap();
        Self {
            capture: Capture::of(core.clone()),
            core,
            writer: Writer::new(
                Box::new(layout),
                plan,
                Redact::default(),
                look,
                RUN_ID,
                2 * 1024 * 1024,
            ),
            batch: EventBatch::new(),
            outcomes: Outcomes::default(),
        }
    }

    /// Takes what was logged.
    pub(crate) fn taken(&self) -> Vec<Records> {
        let take = |index| {
            let mut records = self.core.shards.spare();
            self.core.shards.swap(index, &mut records);
            records
        };
        (0..self.core.shards.count()).map(take).collect()
    }

    /// Writes records to the batch, all at the same time.
    pub(crate) fn write(&mut self, taken: &[Records]) {
        for record in taken.iter().flat_map(Records::iter) {
            self.writer
                .write(&record, UNIX_NS, &mut self.batch, &mut self.outcomes);
        }
    }

    /// The events of what was logged.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        let taken = self.taken();
        self.batch.clear();
        self.write(&taken);
        let datums = self.batch.datums();
        let event = |datum: &[u8]| Event::from_datum(datum.to_vec()).unwrap();
        datums.map(event).collect()
    }

    /// The only event of what was logged.
    pub(crate) fn event(&mut self) -> Event {
        let mut events = self.events();
        assert_eq!(events.len(), 1);
        events.remove(0)
    }

    pub(crate) fn body(&mut self) -> String {
        String::from_utf8(self.event().body().to_vec()).unwrap()
    }
}
