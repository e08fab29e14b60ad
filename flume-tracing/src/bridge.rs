//! Records of the crate `log` that `tracing-log` bridges: their target, file and line come as fields,
//! and are told as what they are.

use std::fmt;

use flume_appender::capture::{FieldWriter, InlineSite, Key};
use tracing_core::field::Visit;
use tracing_core::{Event, Field, Metadata};

/// Whether an event is such a record. tracing-log has no call sites of its own for them but five, one
/// for each level, which it names so.
pub(crate) fn is_bridged(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "log" && metadata.name() == "log event"
}

/// Where it was logged.
#[derive(Debug, Default)]
pub(crate) struct Place {
    target: String,
    module: Option<String>,
    file: Option<String>,
    line: Option<u32>,
}

impl Place {
    pub(crate) fn of(event: &Event<'_>) -> Self {
        let mut place = Self::default();
        event.record(&mut place);
        place
    }

    pub(crate) fn as_site(&self) -> InlineSite<'_> {
        InlineSite {
            target: &self.target,
            module: self.module.as_deref(),
            file: self.file.as_deref(),
            line: self.line,
        }
    }
}

impl Visit for Place {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.target = value.into(),
            "log.module_path" => self.module = Some(value.into()),
            "log.file" => self.file = Some(value.into()),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "log.line" {
            self.line = u32::try_from(value).ok();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// Writes the message, and nothing else.
pub(crate) struct Message<'a, 'b>(pub(crate) &'a mut FieldWriter<'b>);

impl Visit for Message<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0.debug(Key::Name("message"), value);
        }
    }
}
