//! A panic as a record, stored before the process may end by it.

use std::panic::{Location, PanicHookInfo, set_hook, take_hook};
use std::sync::{Arc, Weak};
use std::time::Duration;

use flume_client::own_thread;

use crate::appender::{Appender, Shared};
use crate::capture::{InlineSite, Key};
use crate::flush::Goal;
use crate::level::Level;

/// How long a panic may be held up.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// The target of such records.
const TARGET: &str = "panic";

pub(crate) fn install(appender: &Appender) {
    let shared = Arc::downgrade(&appender.shared);
    let before = take_hook();
    set_hook(Box::new(move |info| {
        log(&shared, info);
        before(info);
    }));
}

fn log(shared: &Weak<Shared>, info: &PanicHookInfo<'_>) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let appender = Appender { shared };
    if !appender.capture().wants(Level::Error, TARGET) {
        return;
    }
    let capture = appender.capture();
    let Some(mut recorder) = capture.begin(Level::Error) else {
        return;
    };
    let place = info.location();
    recorder.inline_site(&InlineSite {
        target: TARGET,
        file: place.map(Location::file),
        line: place.map(Location::line),
        ..InlineSite::default()
    });
    let mut fields = recorder.fields();
    let payload = info.payload();
    let text = payload.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| Some(payload.downcast_ref::<String>()?.as_str()));
    fields.text(
        Key::Name("message"),
        text.unwrap_or("a payload that is no text"),
    );
    // Asked for by name only: a thread may panic after its locals are gone.
    fields.text(
        Key::Name("thread"),
        std::thread::current().name().unwrap_or("unnamed"),
    );
    if let Some(place) = place {
        fields.display(Key::Name("location"), place);
    }
    let span = appender.shared.current_span();
    recorder.finish_inline(span.as_ref());
    if appender.has_spool() && own_thread::may_wait() {
        // If it takes longer there is no more to be done about it here.
        let _ = appender.begin_flush(Goal::Stored, WAIT_MAX).wait();
    }
}
