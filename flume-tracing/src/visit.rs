//! [`Visitor`]: writes the fields of an event or a span as they are handed out.

use std::error::Error;
use std::fmt;

use flume_appender::capture::{FieldWriter, Key};
use tracing_core::Field;
use tracing_core::field::Visit;

pub(crate) struct Visitor<'a, 'b>(pub(crate) &'a mut FieldWriter<'b>);

fn key(field: &Field) -> Key<'static> {
    Key::Index(field.index())
}

impl Visit for Visitor<'_, '_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.f64(key(field), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.i64(key(field), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.u64(key(field), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.0.i128(key(field), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.0.u128(key(field), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.bool(key(field), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.text(key(field), value);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.0.bytes(key(field), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.0.error(key(field), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.debug(key(field), value);
    }
}
