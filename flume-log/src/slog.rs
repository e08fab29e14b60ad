//! [`Drain`]: turns records of the crate [`slog`](https://docs.rs/slog) into ours, and nothing else.
//!
//! ```no_run
//! use slog::{Drain as _, info, o};
//!
//! # fn main() -> Result<(), flume_appender::BuildError> {
//! let (drain, guard) = flume_log::slog::drain().agent("avro://collector-1:4141").build()?;
//! let log = slog::Logger::root(drain.fuse(), o!("request" => "a1"));
//! info!(log, "placed"; "order" => 17);
//! drop(guard); // delivers what is left, for two seconds at the most
//! # Ok(()) }
//! ```
//!
//! | in slog | in a record |
//! |---|---|
//! | pairs of the call | its fields |
//! | pairs of the logger and of those it was made from | what it stands in: `span` in JSON |
//! | two pairs with one key | the innermost one stands: a call's before its logger's, and that before the logger's it was made from |
//! | the tag, if there is one | its target; else the module |
//! | `Critical` | `ERROR` |
//! | `None` and `()` | left out |
//!
//! slog itself takes calls out of a program before any drain sees them: those of the level `TRACE`, and
//! in release builds those of `DEBUG` as well. Its features `max_level_trace` and
//! `release_max_level_trace` leave them in.
//!
//! `slog-async` is not needed: a call costs a copy, and delivers nothing itself.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use flume_appender::capture::{Capture, FieldWriter, InlineSite, Key};
use flume_appender::{Appender, Builder, FrontEnd, Level};
use slog::{BytesKind, FlushError, KV, Never, OwnedKVList, Record, Serializer};

use crate::shapes::Cursor;

/// The longest that [`slog::Drain::flush`] waits, which has no time of its own.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Keys that are remembered without an allocation, to find those that come twice.
const KEYS_FEW: usize = 24;

/// What stands for pairs that could not be had.
const UNKNOWN: &str = "kv";

/// Starts to set up a drain.
pub fn drain() -> Builder<Drain> {
    Builder::new()
}

/// A drain that delivers to Flume. Set one up with [`drain`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Drain {
    capture: Capture,
}

impl Drain {
    /// A drain of an appender that other front ends may use as well.
    #[must_use]
    pub fn new(appender: &Appender) -> Self {
        Self {
            capture: appender.capture(),
        }
    }
}

impl FrontEnd for Drain {
    type Options = ();

    fn new(appender: &Appender, (): ()) -> Self {
        Self::new(appender)
    }
}

impl slog::Drain for Drain {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, logger: &OwnedKVList) -> Result<(), Never> {
        let level = level_of(record.level());
        let target = match record.tag() {
            "" => record.module(),
            tag => tag,
        };
        if !self.capture.wants(level, target) {
            return Ok(());
        }
        let Some(mut recorder) = self.capture.begin(level) else {
            return Ok(());
        };
        let site = InlineSite {
            target,
            module: Some(record.module()),
            file: Some(record.file()),
            line: Some(record.line()),
        };
        let mut cursor = Cursor::begin(&mut recorder, level, &site);
        let mut fields = recorder.fields();
        match record.msg().as_str() {
            Some(text) => fields.text(cursor.message(), text),
            None => fields.display(cursor.message(), record.msg()),
        }
        let mut pairs = Pairs {
            cursor: &mut cursor,
            fields: &mut fields,
            seen: Seen::default(),
            is_before_context: false,
        };
        pairs.write(&record.kv(), record);
        pairs.is_before_context = true;
        pairs.write(logger, record);
        cursor.finish(recorder);
        Ok(())
    }

    fn is_enabled(&self, level: slog::Level) -> bool {
        let least = self.capture.least();
        least.is_some_and(|least| level_of(level) >= least)
    }

    /// Waits until everything logged so far is stored, for 2 s at the most.
    fn flush(&self) -> Result<(), FlushError> {
        if self.capture.flush_stored(FLUSH_MAX) {
            return Ok(());
        }
        Err(FlushError::Custom(Box::new(NotStored)))
    }
}

/// Not everything was stored in time.
#[derive(Debug, thiserror::Error)]
#[error("what was logged is not stored after {} s; it goes on being delivered", FLUSH_MAX.as_secs())]
struct NotStored;

fn level_of(level: slog::Level) -> Level {
    match level {
        slog::Level::Critical | slog::Level::Error => Level::Error,
        slog::Level::Warning => Level::Warn,
        slog::Level::Info => Level::Info,
        slog::Level::Debug => Level::Debug,
        slog::Level::Trace => Level::Trace,
    }
}

/// Writes pairs. slog hands out the innermost and latest ones first, so of one key the first stands.
struct Pairs<'a, 'b> {
    cursor: &'a mut Cursor,
    fields: &'a mut FieldWriter<'b>,
    seen: Seen,
    /// What follows are the first ones that the record stands in. A record without any does not say
    /// so: it is written faster.
    is_before_context: bool,
}

impl Pairs<'_, '_> {
    /// Values may be made by user code. What came before it failed or panicked stays.
    fn write(&mut self, pairs: &dyn KV, record: &Record<'_>) {
        let written = catch_unwind(AssertUnwindSafe(|| pairs.serialize(record, self)));
        if !matches!(written, Ok(Ok(()))) {
            self.fields.broken(self.cursor.key(UNKNOWN));
        }
    }

    fn put(
        &mut self,
        key: slog::Key,
        put: impl FnOnce(&mut FieldWriter<'_>, Key<'_>),
    ) -> slog::Result {
        let name = text_of(&key);
        if !self.seen.has(name) {
            if std::mem::take(&mut self.is_before_context) {
                self.fields.begin_context();
            }
            put(self.fields, self.cursor.key(name));
            self.seen.add(key);
        }
        Ok(())
    }
}

impl Serializer for Pairs<'_, '_> {
    fn emit_arguments(&mut self, key: slog::Key, value: &fmt::Arguments<'_>) -> slog::Result {
        self.put(key, |fields, key| match value.as_str() {
            Some(text) => fields.text(key, text),
            None => fields.display(key, value),
        })
    }

    fn emit_str(&mut self, key: slog::Key, value: &str) -> slog::Result {
        self.put(key, |fields, key| fields.text(key, value))
    }

    fn emit_bool(&mut self, key: slog::Key, value: bool) -> slog::Result {
        self.put(key, |fields, key| fields.bool(key, value))
    }

    fn emit_char(&mut self, key: slog::Key, value: char) -> slog::Result {
        self.emit_str(key, value.encode_utf8(&mut [0; 4]))
    }

    fn emit_u8(&mut self, key: slog::Key, value: u8) -> slog::Result {
        self.emit_u64(key, value.into())
    }

    fn emit_u16(&mut self, key: slog::Key, value: u16) -> slog::Result {
        self.emit_u64(key, value.into())
    }

    fn emit_u32(&mut self, key: slog::Key, value: u32) -> slog::Result {
        self.emit_u64(key, value.into())
    }

    fn emit_u64(&mut self, key: slog::Key, value: u64) -> slog::Result {
        self.put(key, |fields, key| fields.u64(key, value))
    }

    fn emit_usize(&mut self, key: slog::Key, value: usize) -> slog::Result {
        self.emit_u64(key, value as u64)
    }

    fn emit_i8(&mut self, key: slog::Key, value: i8) -> slog::Result {
        self.emit_i64(key, value.into())
    }

    fn emit_i16(&mut self, key: slog::Key, value: i16) -> slog::Result {
        self.emit_i64(key, value.into())
    }

    fn emit_i32(&mut self, key: slog::Key, value: i32) -> slog::Result {
        self.emit_i64(key, value.into())
    }

    fn emit_i64(&mut self, key: slog::Key, value: i64) -> slog::Result {
        self.put(key, |fields, key| fields.i64(key, value))
    }

    fn emit_isize(&mut self, key: slog::Key, value: isize) -> slog::Result {
        self.emit_i64(key, value as i64)
    }

    fn emit_u128(&mut self, key: slog::Key, value: u128) -> slog::Result {
        self.put(key, |fields, key| fields.u128(key, value))
    }

    fn emit_i128(&mut self, key: slog::Key, value: i128) -> slog::Result {
        self.put(key, |fields, key| fields.i128(key, value))
    }

    fn emit_f32(&mut self, key: slog::Key, value: f32) -> slog::Result {
        self.emit_f64(key, value.into())
    }

    fn emit_f64(&mut self, key: slog::Key, value: f64) -> slog::Result {
        self.put(key, |fields, key| fields.f64(key, value))
    }

    fn emit_bytes(&mut self, key: slog::Key, value: &[u8], _: BytesKind) -> slog::Result {
        self.put(key, |fields, key| fields.bytes(key, value))
    }

    fn emit_unit(&mut self, key: slog::Key) -> slog::Result {
        self.emit_none(key)
    }

    fn emit_none(&mut self, key: slog::Key) -> slog::Result {
        // It hides one of the same key that comes from further out.
        self.seen.add(key);
        Ok(())
    }

    fn emit_error(&mut self, key: slog::Key, error: &(dyn Error + 'static)) -> slog::Result {
        self.put(key, |fields, key| fields.error(key, error))
    }
}

/// A key is a `&'static str`, or a type of slog's own with its feature `dynamic-keys`.
fn text_of<K: AsRef<str>>(key: &K) -> &str {
    key.as_ref()
}

/// Keys that were written.
#[derive(Default)]
struct Seen {
    few: [Option<slog::Key>; KEYS_FEW],
    more: Vec<slog::Key>,
}

impl Seen {
    fn has(&self, name: &str) -> bool {
        let is_same = |key: &slog::Key| text_of(key) == name;
        let few = self.few.iter().map_while(Option::as_ref);
        few.chain(&self.more).any(is_same)
    }

    fn add(&mut self, key: slog::Key) {
        match self.few.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(key),
            None => self.more.push(key),
        }
    }
}

/// For tests of services: what they log through `slog`, as the events that would be sent.
#[cfg(feature = "test")]
pub mod test {
    use flume_appender::BuildError;
    use flume_appender::test::{self, Captured};

    use super::{Drain, drain};

    /// A drain that keeps events in memory, and where they are found. No socket is opened.
    ///
    /// ```
    /// use slog::{Drain, info, o};
    ///
    /// let (drain, captured) = flume_log::slog::test::capture()?;
    /// let log = slog::Logger::root(drain.fuse(), o!("request" => "a1"));
    /// info!(log, "placed"; "order" => 17);
    /// assert!(captured.take_bodies()[0].contains(r#""fields":{"order":17},"span":{"request":"a1"}"#));
    /// # Ok::<(), flume_appender::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the appender cannot be set up.
    pub fn capture() -> Result<(Drain, Captured), BuildError> {
        test::capture(drain())
    }
}
