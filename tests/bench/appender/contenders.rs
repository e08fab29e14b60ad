//! Who is measured, and how each is set up so that it loses nothing.

use std::path::PathBuf;
use std::time::Duration;

use flume_appender::{Builder, FrontEnd, Overflow, test};
use opentelemetry_appender_tracing::layer::{OpenTelemetryTracingBridge, TracingSpanAttributes};
use tracing_subscriber::prelude::*;

use crate::event::{self, Around, Call};
use crate::ours::{Delivered, Discarded};
use crate::running::{Result, Running, Through};
use crate::sinks::{CountedFile, CountingExporter, FormattedAway};

/// Slots of the queues that are bounded by a number: more than any run has calls.
const SLOTS: usize = 1 << 20;

/// What is set up around a contender.
pub(crate) struct Place {
    /// An agent in another process.
    pub(crate) agent: String,
    /// A directory of its own.
    pub(crate) spool: PathBuf,
}

/// Nothing is behind the call.
struct AtOnce;

impl Through for AtOnce {
    fn wait(&mut self, _: u64) -> Result<()> {
        Ok(())
    }
}

/// Makes one the logger of this process.
pub(crate) fn start(name: &str, new_spans: bool, place: &Place) -> Result<Running> {
    let (front_end, _) = name.split_once('/').unwrap_or_default();
    match front_end {
        "tracing" => of_tracing(name, new_spans, place),
        "log" => of_log(name, place),
        _ => of_slog(name, place),
    }
}

fn of_tracing(name: &str, new_spans: bool, place: &Place) -> Result<Running> {
    let registry = tracing_subscriber::registry();
    let through: Box<dyn Through> = match name {
        "tracing/empty" => {
            registry.with(Empty).try_init()?;
            Box::new(AtOnce)
        }
        "tracing/fmt-json" => {
            let (file, count) = CountedFile::null()?;
            let (writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
                .lossy(false)
                .finish(file);
            let layer = tracing_subscriber::fmt::layer().json().with_writer(writer);
            registry.with(layer).try_init()?;
            Box::new(count.with(guard))
        }
        "tracing/otel" => {
            let (provider, count) = CountingExporter::provider(SLOTS);
            let layer = OpenTelemetryTracingBridge::builder(&provider)
                .with_tracing_span_attributes(TracingSpanAttributes::all())
                .build();
            registry.with(layer).try_init()?;
            Box::new(count)
        }
        _ => {
            let (layer, through) = ours(name, flume_tracing::layer(), place)?;
            registry.with(layer).try_init()?;
            through
        }
    };
    let (call, around): (Call, Around) = if new_spans {
        (event::by_tracing_in_new_span, event::bare)
    } else {
        (event::by_tracing, event::in_span)
    };
    Ok(Running {
        call,
        around,
        through,
    })
}

fn of_log(name: &str, place: &Place) -> Result<Running> {
    log::set_max_level(log::LevelFilter::Trace);
    let mut call: Call = event::by_log;
    let through: Box<dyn Through> = match name {
        "log/log4rs-json" => {
            let encoder = Box::new(log4rs::encode::json::JsonEncoder::new());
            let file = log4rs::append::file::FileAppender::builder().encoder(encoder);
            let file = Box::new(file.build("/dev/null")?);
            let appender = log4rs::config::Appender::builder().build("file", file);
            let root = log4rs::config::Root::builder()
                .appender("file")
                .build(log::LevelFilter::Trace);
            let config = log4rs::Config::builder().appender(appender).build(root)?;
            log4rs::init_config(config)?;
            Box::new(AtOnce)
        }
        "log/logforth-json" => {
            let (away, count) = FormattedAway::null()?;
            let queue = logforth::append::asynchronous::AsyncBuilder::new("logforth").append(away);
            let queue = queue.overflow_block().buffered_lines_limit(Some(SLOTS));
            let logger = logforth::core::builder().dispatch(|it| it.append(queue.build()));
            let bridge = logforth::bridge::log::LogBridge::new(logger.build());
            log::set_boxed_logger(Box::new(bridge))?;
            Box::new(count)
        }
        "log/otel" => {
            let (provider, count) = CountingExporter::provider(SLOTS);
            let bridge = opentelemetry_appender_log::OpenTelemetryLogBridge::new(&provider);
            log::set_boxed_logger(Box::new(bridge))?;
            Box::new(count)
        }
        "log/inqjet" | "log/inqjet-own" => {
            call = event::by_log_as_text;
            if name == "log/inqjet-own" {
                call = event::by_inqjet;
            }
            let (file, count) = CountedFile::null_of_lines()?;
            let guard = inqjet::InqJetBuilder::default()
                .with_writer(file)
                .with_log_level(inqjet::LevelFilter::Info)
                .with_color_mode(inqjet::ColorMode::Never)
                .with_buffer_size(1 << 22)
                .with_backpressure(inqjet::BackpressureMode::Backoff)
                .build()?;
            Box::new(count.with(guard))
        }
        _ => {
            let (logger, through) = ours(name, flume_log::logger(), place)?;
            log::set_boxed_logger(Box::new(logger))?;
            through
        }
    };
    Ok(Running {
        call,
        around: event::bare,
        through,
    })
}

fn of_slog(name: &str, place: &Place) -> Result<Running> {
    use slog::Drain as _;
    let (logger, through): (_, Box<dyn Through>) = match name {
        "slog/async-json" => {
            let (file, count) = CountedFile::buffered_null()?;
            let json = slog_json::Json::default(file).fuse();
            let (queue, guard) = slog_async::Async::new(json)
                .chan_size(SLOTS)
                .overflow_strategy(slog_async::OverflowStrategy::Block)
                .build_with_guard();
            let logger = slog::Logger::root(queue.fuse(), event::slog_pairs());
            (logger, Box::new(count.with(guard)))
        }
        _ => {
            let (drain, through) = ours(name, flume_log::slog::drain(), place)?;
            (
                slog::Logger::root(drain.fuse(), event::slog_pairs()),
                through,
            )
        }
    };
    event::SLOG.get_or_init(|| logger);
    Ok(Running {
        call: event::by_slog,
        around: event::bare,
        through,
    })
}

/// Ours, by how far the events go. The callers wait for room instead of losing events, and the client
/// has room for all.
fn ours<F: FrontEnd>(
    name: &str,
    builder: Builder<F>,
    place: &Place,
) -> Result<(F, Box<dyn Through>)> {
    let builder = builder
        .overflow(Overflow::Block(Duration::from_secs(60)))
        .client(|client| client.buffer_bytes(512 << 20));
    let (_, way) = name.split_once('/').unwrap_or_default();
    match way {
        "ours-rendered" => {
            let (front_end, captured) = test::discard(builder)?;
            Ok((front_end, Box::new(Discarded(captured))))
        }
        "ours-delivered" => {
            let (front_end, guard) = builder.agent(&place.agent).build()?;
            Ok((front_end, Box::new(Delivered(guard))))
        }
        "ours-durable" => {
            let builder = builder.agent(&place.agent).spool(&place.spool);
            let (front_end, guard) = builder.build()?;
            Ok((front_end, Box::new(Delivered(guard))))
        }
        _ => Err(format!("there is no contender {name}").into()),
    }
}

/// Takes every event and does nothing.
struct Empty;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Empty {}
