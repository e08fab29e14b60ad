//! [`SourcePart`]: a source and its way to the channels, made from its configuration.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use super::assembly::{Plan, find, no_deflate};
use super::error::StartError;
use super::heritage::Heritage;
use super::host;
use super::log::Watch;
use super::port::Port;
use super::tally::Tally;
use crate::channel::Channel;
use crate::config::{InterceptorConfig, SelectorConfig, SourceConfig, SourceKind};
use crate::counters::SourceCounters;
use crate::interceptor::{HeaderRule, Interceptor, Pattern};
use crate::processor::ChannelProcessor;
use crate::selector::{Multiplexing, Selector};
use crate::source::Source;
use crate::source::avro::{self, AvroSource, ReplyMode};
use crate::source::http::{self, HttpSource};
use crate::source::intake::Intake;
use crate::source::netcat::{self, NetcatSource};

/// A source while it does not run.
#[derive(Debug)]
pub(super) struct SourcePart {
    pub(super) name: String,
    kind: SourceKind,
    pub(super) port: Port,
    /// As it was asked for, which may be port 0.
    pub(super) address: String,
    /// Of the first start, which has bound it already.
    listener: Mutex<Option<TcpListener>>,
    processor: Arc<ChannelProcessor>,
    counters: Arc<SourceCounters>,
}

impl SourcePart {
    /// Binds the port last, if it is not inherited.
    pub(super) fn assemble(
        config: &SourceConfig,
        channels: &[Arc<Channel>],
        plan: &Plan,
        (heritage, tally): (&Heritage, &Arc<Tally>),
    ) -> Result<Self, StartError> {
        let name = &config.name;
        if let SourceKind::Avro(avro) = &config.kind {
            no_deflate("source", name, avro.compression)?;
        }
        let own: Result<Vec<_>, _> = config.channels.iter().map(|c| find(channels, c)).collect();
        let processor = ChannelProcessor::new(own?, selector(config), Arc::clone(tally))
            .with_interceptors(interceptors(config)?);
        let address = plan.address_of(config);
        let (port, listener) = match heritage.port(name, &address) {
            Some(port) => (port, None),
            None => {
                let (port, listener) = Port::listen_first(&address).map_err(bind(&address))?;
                (port, Some(listener))
            }
        };
        Ok(Self {
            name: name.clone(),
            kind: config.kind.clone(),
            port,
            address,
            listener: Mutex::new(listener),
            processor: Arc::new(processor),
            counters: Arc::default(),
        })
    }

    pub(super) fn listen(&self) -> Result<TcpListener, StartError> {
        let mut first = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        match first.take() {
            Some(bound) => Ok(bound),
            None => {
                let address = self.port.address().to_string();
                self.port.listen().map_err(bind(&address))
            }
        }
    }

    /// The source, for one run.
    pub(super) fn source(
        &self,
        (tally, watch): (&Arc<Tally>, &Arc<Watch>),
        mode: ReplyMode,
        max_request_bytes: usize,
    ) -> Source {
        let processor = Arc::clone(&self.processor);
        let counters = Arc::clone(&self.counters);
        let (tally, watch) = (Arc::clone(tally), Arc::clone(watch));
        let intake = Intake {
            name: self.type_name(),
            processor,
            counters,
            tally,
            watch,
        };
        match &self.kind {
            SourceKind::Avro(_) => Source::Avro(AvroSource::new(intake, mode, max_request_bytes)),
            SourceKind::Http(_) => Source::Http(HttpSource::new(intake, max_request_bytes)),
            SourceKind::Netcat(settings) => {
                Source::Netcat(NetcatSource::new(intake, settings.clone()))
            }
        }
    }

    /// Its type in a Flume configuration.
    pub(super) fn type_name(&self) -> &'static str {
        type_name(&self.kind)
    }

    /// Its address as clients take it.
    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.type_name(), self.port.address())
    }

    /// Its name and counters. Flume publishes none of its netcat source.
    pub(super) fn counted(&self) -> Option<(String, Arc<SourceCounters>)> {
        let published = !matches!(self.kind, SourceKind::Netcat(_));
        published.then(|| (self.name.clone(), Arc::clone(&self.counters)))
    }
}

/// A source's type in a Flume configuration.
pub(crate) fn type_name(kind: &SourceKind) -> &'static str {
    match kind {
        SourceKind::Avro(_) => avro::NAME,
        SourceKind::Http(_) => http::NAME,
        SourceKind::Netcat(_) => netcat::NAME,
    }
}

pub(crate) fn bind(address: &str) -> impl FnOnce(io::Error) -> StartError {
    let address = address.to_owned();
    move |source| StartError::Bind { address, source }
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
