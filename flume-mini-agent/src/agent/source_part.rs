//! [`SourcePart`]: a source and its way to the channels, made from its configuration.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;

use super::carried;
use super::channel_part::find;
use super::error::{StartError, bind};
use super::host;
use super::kept::{Kept, KeptPort};
use super::plan::{Options, Plan, Shared};
use crate::channel::Channel;
use crate::config::{
    AvroSourceConfig, Compression, InterceptorConfig, SelectorConfig, SourceConfig, SourceKind,
};
use crate::counters::SourceCounters;
#[cfg(feature = "regex")]
use crate::interceptor::Pattern;
use crate::interceptor::{HeaderRule, Interceptor};
use crate::port::Port;
use crate::processor::ChannelProcessor;
use crate::selector::{Multiplexing, Selector};
use crate::source::Source;
use crate::source::avro::{self, AvroSource};
#[cfg(feature = "http")]
use crate::source::http::HttpSource;
use crate::source::intake::{Answers, Intake};
use crate::source::netcat::{self, NetcatSource};
use crate::source::thrift::{self, ThriftSource};

/// What there is to see of a source.
#[derive(Debug)]
pub(super) struct SourcePart {
    pub(super) name: String,
    scheme: &'static str,
    pub(super) port: Port,
    /// As it was asked for, which may be port 0.
    address: String,
    /// Flume publishes none of its netcat source.
    published: Option<Arc<SourceCounters>>,
}

/// A source that is ready to run.
pub(super) struct Serving {
    source: Source,
    port: Port,
    /// Of a first start, which has bound it already.
    listener: Option<TcpListener>,
}

impl SourcePart {
    /// Binds the port last, if no former source of that address has kept it.
    pub(super) fn make(
        config: &SourceConfig,
        channels: &[Arc<Channel>],
        plan: &Plan,
        (kept, shared): (&Kept, &Shared),
    ) -> Result<(Self, Serving), StartError> {
        let own: Result<Vec<_>, _> = config.channels.iter().map(|c| find(channels, c)).collect();
        let processor = ChannelProcessor::new(own?, selector(config), Arc::clone(&shared.observed))
            .with_interceptors(interceptors(config)?);
        let counters = Arc::<SourceCounters>::default();
        let kind = type_name(&config.kind);
        let intake = Intake {
            name: kind,
            answers: match config.kind {
                SourceKind::Avro(_) | SourceKind::Thrift(_) => Answers::Framed,
                SourceKind::Http(_) | SourceKind::Netcat(_) => Answers::Plain,
            },
            processor: Arc::new(processor),
            counters: Arc::clone(&counters),
            observed: Arc::clone(&shared.observed),
            recorder: Arc::clone(&shared.recorder),
        };
        let source = source(config, intake, &shared.options)?;
        let address = plan.address_of(config);
        let (port, listener) = match kept.port(&config.name, &address) {
            Some(port) => (port, None),
            None => {
                let (port, listener) = Port::listen_first(&address).map_err(bind(&address))?;
                (port, Some(listener))
            }
        };
        let serving = Serving {
            source,
            port: port.clone(),
            listener,
        };
        let published = !matches!(config.kind, SourceKind::Netcat(_));
        let part = Self {
            name: config.name.clone(),
            scheme: scheme(&config.kind),
            port,
            address,
            published: published.then_some(counters),
        };
        Ok((part, serving))
    }

    /// Its port, for the parts that come after it.
    pub(super) fn kept_port(&self) -> KeptPort {
        KeptPort {
            source: self.name.clone(),
            address: self.address.clone(),
            port: self.port.clone(),
        }
    }

    /// Its address as clients take it.
    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.port.address())
    }

    /// Its name and counters, if they are published.
    pub(super) fn counted(&self) -> Option<(String, Arc<SourceCounters>)> {
        let counters = self.published.clone()?;
        Some((self.name.clone(), counters))
    }
}

impl Serving {
    pub(super) fn listen(self) -> Result<(Source, TcpListener), StartError> {
        let listener = match self.listener {
            Some(bound) => bound,
            None => {
                let address = self.port.address().to_string();
                self.port.listen().map_err(bind(&address))?
            }
        };
        Ok((self.source, listener))
    }
}

fn source(config: &SourceConfig, intake: Intake, options: &Options) -> Result<Source, StartError> {
    let bytes_max = options.max_frame_bytes;
    let carrier = carried::of_source(&config.name, &config.kind)?;
    Ok(match &config.kind {
        SourceKind::Avro(_) => {
            let mode = options.reply_mode;
            Source::Avro(AvroSource::new(intake, carrier, mode, bytes_max))
        }
        #[cfg(feature = "http")]
        SourceKind::Http(_) => Source::Http(HttpSource::new(intake, carrier, bytes_max)),
        #[cfg(not(feature = "http"))]
        SourceKind::Http(_) => {
            return Err(StartError::Feature {
                component: format!("source {}", config.name),
                feature: "http",
            });
        }
        SourceKind::Netcat(settings) => Source::Netcat(NetcatSource::new(intake, settings.clone())),
        SourceKind::Thrift(settings) => {
            Source::Thrift(ThriftSource::new(intake, carrier, settings, bytes_max))
        }
    })
}

/// How the source's address begins.
fn scheme(kind: &SourceKind) -> &'static str {
    let is_compressed = |avro: &AvroSourceConfig| avro.compression == Compression::Deflate;
    match kind {
        SourceKind::Avro(avro) => match (&avro.tls, is_compressed(avro)) {
            (None, false) => avro::NAME,
            (None, true) => "avro+deflate",
            (Some(_), false) => "avro+tls",
            (Some(_), true) => "avro+tls+deflate",
        },
        SourceKind::Http(http) if http.tls.is_some() => "https",
        SourceKind::Thrift(thrift) if thrift.tls.is_some() => "thrift+tls",
        kind => type_name(kind),
    }
}

/// A source's type in a Flume configuration.
fn type_name(kind: &SourceKind) -> &'static str {
    match kind {
        SourceKind::Avro(_) => avro::NAME,
        SourceKind::Http(_) => "http",
        SourceKind::Netcat(_) => netcat::NAME,
        SourceKind::Thrift(_) => thrift::NAME,
    }
}

fn selector(config: &SourceConfig) -> Selector {
    let place = |name: &String| config.channels.iter().position(|channel| channel == name);
    let places = |names: &[String]| -> Vec<usize> { names.iter().filter_map(place).collect() };
    match &config.selector {
        SelectorConfig::Replicating { optional } => {
            Selector::replicating(config.channels.len(), &places(optional))
        }
        SelectorConfig::Multiplexing(multiplexing) => {
            let by_value = |lists: &BTreeMap<String, Vec<String>>| {
                let lists = lists.iter();
                lists
                    .map(|(value, names)| (value.clone(), places(names)))
                    .collect()
            };
            Selector::Multiplexing(Multiplexing::new(
                multiplexing.header.clone(),
                &by_value(&multiplexing.mapping),
                &by_value(&multiplexing.optional),
                &places(&multiplexing.default),
            ))
        }
    }
}

fn interceptors(config: &SourceConfig) -> Result<Vec<Interceptor>, StartError> {
    config
        .interceptors
        .iter()
        .map(|interceptor| {
            self::interceptor(interceptor).map_err(|reason| StartError::Interceptor {
                source_name: config.name.clone(),
                reason,
            })
        })
        .collect()
}

fn interceptor(config: &InterceptorConfig) -> Result<Interceptor, String> {
    let rule = |header: &String, preserve_existing: &bool| HeaderRule {
        header: header.clone(),
        preserve_existing: *preserve_existing,
    };
    Ok(match config {
        InterceptorConfig::Timestamp {
            header,
            preserve_existing,
        } => Interceptor::Timestamp(rule(header, preserve_existing)),
        InterceptorConfig::Host {
            header,
            use_ip,
            preserve_existing,
        } => Interceptor::Host {
            rule: rule(header, preserve_existing),
            host: if *use_ip {
                host::address()
            } else {
                host::name()
            },
        },
        InterceptorConfig::Static {
            key,
            value,
            preserve_existing,
        } => Interceptor::Static {
            rule: rule(key, preserve_existing),
            value: value.clone(),
        },
        #[cfg(not(feature = "regex"))]
        InterceptorConfig::RegexFilter { .. } => {
            return Err("a regex_filter needs the feature `regex` of flume-mini-agent".to_owned());
        }
        #[cfg(feature = "regex")]
        InterceptorConfig::RegexFilter {
            regex,
            exclude_events,
        } => Interceptor::RegexFilter {
            pattern: Pattern::new(regex).map_err(|error| error.to_string())?,
            exclude_events: *exclude_events,
        },
        InterceptorConfig::Uuid {
            header,
            preserve_existing,
            prefix,
        } => Interceptor::Uuid {
            rule: rule(header, preserve_existing),
            prefix: prefix.clone(),
        },
    })
}
