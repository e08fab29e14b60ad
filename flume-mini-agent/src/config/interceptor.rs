//! [`InterceptorConfig`]: what a source does with each event before a channel sees it.
//!
//! Sources: the `Builder`s and `Constants` in Flume's interceptor classes, and
//! `ChannelProcessor.configureInterceptors`.

/// One interceptor of a source, by its type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InterceptorConfig {
    /// `timestamp`: the time in milliseconds.
    Timestamp {
        /// `headerName`: `timestamp`.
        header: String,
        /// `preserveExisting`: false.
        preserve_existing: bool,
    },
    /// `host`: this host's address or name.
    Host {
        /// `hostHeader`: `host`.
        header: String,
        /// `useIP`: true; else the name.
        use_ip: bool,
        /// `preserveExisting`: false.
        preserve_existing: bool,
    },
    /// `static`: a fixed header.
    Static {
        /// `key`: `key`.
        key: String,
        /// `value`: `value`.
        value: String,
        /// `preserveExisting`: true.
        preserve_existing: bool,
    },
    /// `regex_filter`: keeps or drops events by their body.
    RegexFilter {
        /// `regex`: `.*`, in Java's syntax; it is not checked here.
        regex: String,
        /// `excludeEvents`: false; if true, matching events are dropped, not kept.
        exclude_events: bool,
    },
    /// The morphline sink's `UUIDInterceptor$Builder`: a random UUID.
    Uuid {
        /// `headerName`: `id`.
        header: String,
        /// `preserveExisting`: true.
        preserve_existing: bool,
        /// `prefix`: empty.
        prefix: String,
    },
}
