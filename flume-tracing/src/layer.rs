//! [`FlumeLayer`]: turns events and spans into records, and nothing else.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use flume_appender::capture::{
    Capture, InlineSite, Key, LogPath, Site, SiteData, SiteText, SpanNode, note_log_path,
};
use flume_appender::{Appender, Builder, FrontEnd, Level};

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::bridge::{self, is_bridged};
use crate::current;
use crate::times::Times;
use crate::visit::Visitor;

/// A layer that delivers to Flume. Set one up with [`layer`](crate::layer).
#[derive(Clone, Debug)]
pub struct FlumeLayer {
    capture: Capture,
    /// What tells its spans from those of another one in the same registry.
    number: usize,
    options: LayerOptions,
    /// Whether a call may wait, so that it must not hold the registry's locks meanwhile.
    may_wait: bool,
}

/// The layer's own settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerOptions {
    /// Whether the end of each span is a record of its own. Default `false`.
    pub span_close_events: bool,
    /// Whether there is no other layer in its subscriber. Default `false`.
    pub is_alone: bool,
}

impl FlumeLayer {
    /// A layer of an appender that other front ends may use as well.
    #[must_use]
    pub fn new(appender: &Appender) -> Self {
        Self::with_options(appender, LayerOptions::default())
    }

    /// The same, with settings of its own.
    #[must_use]
    pub fn with_options(appender: &Appender, options: LayerOptions) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // The macros ask for the greatest level once, and keep the answer.
        appender.on_filter(|_| tracing_core::callsite::rebuild_interest_cache());
        let capture = appender.capture();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        appender.on_span_asked(move || current::find(move |span| node_of(span, number)));
        Self {
            may_wait: capture.may_wait(),
            capture,
            number,
            options,
        }
    }
}

/// What a [`Builder`] of a [`FlumeLayer`] can do besides.
pub trait LayerBuilder: Sized {
    /// The end of each span is a record of its own: message `close`, with the time that the span was
    /// entered as `busy_ns` and the rest as `idle_ns`, numbers of nanoseconds. Default off. Costs two
    /// readings of the clock for each time a span is entered, and an allocation per span.
    #[must_use]
    fn span_close_events(self, on: bool) -> Self;

    /// The layer is the only one of its subscriber. Then levels that its filter does not want are
    /// switched off before a call comes to any layer: it costs 1 ns instead of 10. With other layers
    /// beside it this would take their events away. Default off.
    #[must_use]
    fn alone(self, is_alone: bool) -> Self;
}

impl LayerBuilder for Builder<FlumeLayer> {
    fn span_close_events(self, on: bool) -> Self {
        self.options(|options| options.span_close_events = on)
    }

    fn alone(self, is_alone: bool) -> Self {
        self.options(|options| options.is_alone = is_alone)
    }
}

impl FrontEnd for FlumeLayer {
    type Options = LayerOptions;

    fn new(appender: &Appender, options: LayerOptions) -> Self {
        Self::with_options(appender, options)
    }
}

impl<S> Layer<S> for FlumeLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else {
            return;
        };
        let site = site_of(attributes.metadata());
        let parent = span
            .parent()
            .and_then(|parent| node_of(&parent, self.number));
        // Formatted first: a value that logs or panics must not do so under the registry's lock.
        let node = self.capture.span(site, parent.as_ref(), |fields| {
            attributes.record(&mut Visitor(fields));
        });
        if let Some(node) = node {
            self.put_node(&span, node);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if self.options.span_close_events {
            self.with_times(id, &context, Times::enter);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if self.options.span_close_events {
            self.with_times(id, &context, Times::exit);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if self.options.span_close_events {
            self.on_end(&id, &context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id);
        let node = span.and_then(|span| node_of(&span, self.number));
        if let Some(node) = node {
            self.capture.record_later(&node, |fields| {
                values.record(&mut Visitor(fields));
            });
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        if is_bridged(metadata) {
            self.on_bridged(event, &context);
            return;
        }
        let level = level_of(metadata);
        if !self.capture.wants(level, metadata.target()) {
            return;
        }
        let Some(mut recorder) = self.capture.begin(level) else {
            return;
        };
        event.record(&mut Visitor(&mut recorder.fields()));
        let site = site_of(metadata);
        self.with_node(event, &context, |node| recorder.finish(site, node));
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        if !self.options.is_alone {
            // A hint holds for all layers of a subscriber that give none, as `fmt`'s.
            return None;
        }
        Some(match self.capture.least() {
            None => LevelFilter::OFF,
            Some(Level::Error) => LevelFilter::ERROR,
            Some(Level::Warn) => LevelFilter::WARN,
            Some(Level::Info) => LevelFilter::INFO,
            Some(Level::Debug) => LevelFilter::DEBUG,
            Some(Level::Trace) => LevelFilter::TRACE,
        })
    }
}

/// What each layer has of a span. All share one extension: another one of the same type would panic.
struct Nodes {
    first: Own,
    more: Vec<Own>,
}

/// What one layer has of a span.
struct Own {
    layer: usize,
    node: Arc<SpanNode>,
    /// How long it was entered, if that is told at its end.
    times: Option<Box<Times>>,
}

impl Nodes {
    fn of(&self, layer: usize) -> Option<&Own> {
        let mut all = std::iter::once(&self.first).chain(&self.more);
        all.find(|own| own.layer == layer)
    }

    fn of_mut(&mut self, layer: usize) -> Option<&mut Own> {
        let mut all = std::iter::once(&mut self.first).chain(&mut self.more);
        all.find(|own| own.layer == layer)
    }
}

impl FlumeLayer {
    fn on_bridged<S>(&self, event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let level = level_of(event.metadata());
        let place = bridge::Place::of(event);
        let site = place.as_site();
        if !self.capture.wants(level, site.target) {
            return;
        }
        let Some(mut recorder) = self.capture.begin(level) else {
            return;
        };
        note_log_path(LogPath::Bridge);
        recorder.inline_site(&site);
        event.record(&mut bridge::Message(&mut recorder.fields()));
        self.with_node(event, context, |node| recorder.finish_inline(node));
    }

    fn with_times<S>(&self, id: &Id, context: &Context<'_, S>, change: fn(&mut Times, Instant))
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Some(span) = context.span(id) else {
            return;
        };
        let mut extensions = span.extensions_mut();
        let nodes = extensions.get_mut::<Nodes>();
        let own = nodes.and_then(|nodes| nodes.of_mut(self.number));
        if let Some(times) = own.and_then(|own| own.times.as_mut()) {
            change(times, Instant::now());
        }
    }

    /// The end of a span is a record in it, with its own place and level.
    fn on_end<S>(&self, id: &Id, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Some(span) = context.span(id) else {
            return;
        };
        let metadata = span.metadata();
        let own = {
            let extensions = span.extensions();
            let own = extensions.get::<Nodes>().and_then(|it| it.of(self.number));
            own.map(|own| (own.node.clone(), own.times.as_deref().copied()))
        };
        let Some((node, Some(times))) = own else {
            return;
        };
        drop(span);
        let level = level_of(metadata);
        if !self.capture.wants(level, metadata.target()) {
            return;
        }
        let Some(mut recorder) = self.capture.begin(level) else {
            return;
        };
        recorder.inline_site(&InlineSite {
            target: metadata.target(),
            module: metadata.module_path(),
            file: metadata.file(),
            line: metadata.line(),
        });
        let (busy, idle) = times.end(Instant::now());
        let mut fields = recorder.fields();
        fields.text(Key::Name("message"), "close");
        fields.u64(Key::Name("busy_ns"), busy);
        fields.u64(Key::Name("idle_ns"), idle);
        recorder.finish_inline(Some(&node));
    }

    /// Calls with the node of the span that an event is in.
    fn with_node<S>(
        &self,
        event: &Event<'_>,
        context: &Context<'_, S>,
        call: impl FnOnce(Option<&Arc<SpanNode>>),
    ) where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Some(span) = context.event_span(event) else {
            return call(None);
        };
        if self.may_wait {
            // Others of this span would wait with us. This costs two changes of a shared count.
            let node = node_of(&span, self.number);
            drop(span);
            return call(node.as_ref());
        }
        let extensions = span.extensions();
        let nodes = extensions.get::<Nodes>();
        let own = nodes.and_then(|nodes| nodes.of(self.number));
        call(own.map(|own| &own.node));
    }

    fn put_node<S>(&self, span: &SpanRef<'_, S>, node: Arc<SpanNode>)
    where
        S: for<'a> LookupSpan<'a>,
    {
        let times = self.options.span_close_events.then(Box::default);
        let own = Own {
            layer: self.number,
            node,
            times,
        };
        let mut extensions = span.extensions_mut();
        if let Some(nodes) = extensions.get_mut::<Nodes>() {
            nodes.more.push(own);
        } else {
            extensions.insert(Nodes {
                first: own,
                more: Vec::new(),
            });
        }
    }
}

/// What a layer has of a span.
fn node_of<S>(span: &SpanRef<'_, S>, layer: usize) -> Option<Arc<SpanNode>>
where
    S: for<'a> LookupSpan<'a>,
{
    let extensions = span.extensions();
    let own = extensions.get::<Nodes>()?.of(layer)?;
    Some(own.node.clone())
}

pub(crate) fn level_of(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::TRACE => Level::Trace,
    }
}

fn site_of(metadata: &'static Metadata<'static>) -> Site {
    Site::new(metadata, describe)
}

fn describe(data: SiteData) -> SiteText {
    let Some(metadata) = data.downcast_ref::<Metadata<'static>>() else {
        return SiteText::new(Level::Error, "");
    };
    let mut text = SiteText::new(level_of(metadata), metadata.target().to_owned());
    text.name = Cow::Owned(metadata.name().to_owned());
    let owned = |text: Option<&str>| text.map(|text| Cow::Owned(text.to_owned()));
    text.module = owned(metadata.module_path());
    text.file = owned(metadata.file());
    text.line = metadata.line();
    let names = metadata.fields().iter();
    text.fields = names
        .map(|field| Cow::Owned(field.name().to_owned()))
        .collect();
    text
}
