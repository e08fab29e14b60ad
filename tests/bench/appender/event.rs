//! The calls that are measured: the same four fields for all, in a span where there are spans.

use std::fmt;
use std::sync::OnceLock;

/// Shown by `Display`.
#[derive(Clone, Copy)]
struct Amount(u64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} EUR", self.0 / 100, self.0 % 100)
    }
}

/// Shown by `Debug`.
#[derive(Debug)]
#[expect(dead_code, reason = "read by Debug")]
struct Payment {
    method: Method,
    attempt: u8,
}

#[derive(Debug)]
enum Method {
    Card,
}

const PAYMENT: Payment = Payment {
    method: Method::Card,
    attempt: 1,
};
const CUSTOMER: &str = "c-5f2a9b";
const PATH: &str = "/orders";
const FIRST_ORDER: i64 = 1_000_000;

/// A call of its number.
pub(crate) type Call = fn(u64);

/// What stands around the calls of a thread.
pub(crate) type Around = fn(&mut dyn FnMut());

/// Nothing stands around them.
pub(crate) fn bare(calls: &mut dyn FnMut()) {
    calls();
}

/// A span for all of them.
pub(crate) fn in_span(calls: &mut dyn FnMut()) {
    let span = tracing::info_span!("request", id = 77, path = PATH);
    span.in_scope(calls);
}

pub(crate) fn by_tracing(number: u64) {
    tracing::info!(
        amount = %Amount(number),
        payment = ?PAYMENT,
        order = FIRST_ORDER + number as i64,
        customer = CUSTOMER,
        "order placed"
    );
}

/// The same in a span of its own.
pub(crate) fn by_tracing_in_new_span(number: u64) {
    let span = tracing::info_span!("request", id = number, path = PATH);
    span.in_scope(|| by_tracing(number));
}

pub(crate) fn by_log(number: u64) {
    log::info!(
        amount:% = Amount(number),
        payment:? = PAYMENT,
        order = FIRST_ORDER + number as i64,
        customer = CUSTOMER;
        "order placed"
    );
}

/// For loggers that drop key-values: all in the message.
pub(crate) fn by_log_as_text(number: u64) {
    log::info!(
        "order placed amount={} payment={PAYMENT:?} order={} customer={CUSTOMER}",
        Amount(number),
        FIRST_ORDER + number as i64,
    );
}

pub(crate) fn by_inqjet(number: u64) {
    inqjet::info!(
        "order placed amount={} payment={:?} order={} customer={}",
        Amount(number),
        PAYMENT,
        FIRST_ORDER + number as i64,
        CUSTOMER
    );
}

/// The logger of [`by_slog`].
pub(crate) static SLOG: OnceLock<slog::Logger> = OnceLock::new();

pub(crate) fn by_slog(number: u64) {
    let Some(logger) = SLOG.get() else {
        return;
    };
    slog::info!(
        logger,
        "order placed";
        "amount" => %Amount(number),
        "payment" => ?PAYMENT,
        "order" => FIRST_ORDER + number as i64,
        "customer" => CUSTOMER
    );
}

/// The pairs of the logger, in the place of a span.
pub(crate) fn slog_pairs() -> slog::OwnedKV<impl slog::SendSyncRefUnwindSafeKV> {
    slog::o!("id" => 77, "path" => PATH)
}
