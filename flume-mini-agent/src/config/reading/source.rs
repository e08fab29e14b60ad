//! A source from its keys, with its selector and its interceptors.

use super::section::{Bad, Number, Section};
use super::tls::{self, Asks};
use super::{interceptor, selector, types};
use crate::config::problem::bad_value;
use crate::config::source::{
    AvroSourceConfig, Compression, Encoding, HttpSourceConfig, NetcatSourceConfig, SourceConfig,
    SourceKind, ThriftProtocol, ThriftSourceConfig,
};

/// `channels` are those that the source's list comes to.
pub(super) fn read(
    name: &str,
    section: &mut Section<'_>,
    channels: Vec<String>,
) -> Option<SourceConfig> {
    let kind = read_kind(section);
    let mut selector_section = section.sub("selector.");
    let selector = selector::read(&mut selector_section, &channels);
    section.absorb(selector_section, "this selector");
    let interceptors = interceptor::read_all(section);
    if kind.is_none() {
        section.ignore_rest();
    }
    Some(SourceConfig {
        name: name.to_owned(),
        kind: kind?,
        channels,
        selector,
        interceptors,
    })
}

pub(super) fn type_name(source: &SourceConfig) -> &'static str {
    match &source.kind {
        SourceKind::Avro(_) => "avro sources",
        SourceKind::Http(_) => "http sources",
        SourceKind::Netcat(_) => "netcat sources",
        SourceKind::Thrift(_) => "thrift sources",
    }
}

fn read_kind(section: &mut Section<'_>) -> Option<SourceKind> {
    let type_name = section.required("type");
    if type_name.is_empty() {
        return None;
    }
    match types::SOURCES.resolve(&type_name) {
        Ok("avro") => Some(SourceKind::Avro(read_avro(section))),
        Ok("http") => Some(SourceKind::Http(read_http(section))),
        Ok("thrift") => Some(SourceKind::Thrift(read_thrift(section))),
        Ok(_) => Some(SourceKind::Netcat(read_netcat(section))),
        Err(problem) => {
            section.error("type", problem);
            None
        }
    }
}

fn read_avro(section: &mut Section<'_>) -> AvroSourceConfig {
    let config = AvroSourceConfig {
        bind: section.host("bind"),
        port: section.port("port"),
        compression: read_compression(section),
        tls: tls::read(section, Asks::OurKey),
        nesting: tls::read_nesting(section),
    };
    section.no_effect(&["threads"], "Flume 1.11 does not use it either");
    section.left_out_if_true("ipFilter", "avro source setting");
    section.no_effect(&["ipFilterRules"], "ipFilter is not on");
    config
}

fn read_http(section: &mut Section<'_>) -> HttpSourceConfig {
    let handler = section.text_or("handler", types::JSON_HANDLER);
    if let Err(problem) = types::HANDLERS.resolve(&handler) {
        section.error("handler", problem);
    }
    section.no_effect_under("handler.", "the JSON handler has no settings");
    let tls = tls::read(section, Asks::Jettys);
    let jetty = [
        "QueuedThreadPool.",
        "HttpConfiguration.",
        "ServerConnector.",
        "SslContextFactory.",
    ];
    for prefix in jetty {
        section.no_effect_under(prefix, "it is a setting of Jetty, which is not in here");
    }
    let bind = section.text_or("bind", "0.0.0.0");
    section.check_host("bind", &bind);
    HttpSourceConfig {
        bind,
        port: section.port("port"),
        tls,
    }
}

fn read_netcat(section: &mut Section<'_>) -> NetcatSourceConfig {
    NetcatSourceConfig {
        bind: section.host("bind"),
        port: section.port("port"),
        ack_every_event: section.flag("ack-every-event", true),
        max_line_length: section.count("max-line-length", Number::int(512, 1)),
        encoding: read_encoding(section),
    }
}

fn read_thrift(section: &mut Section<'_>) -> ThriftSourceConfig {
    let config = ThriftSourceConfig {
        bind: section.host("bind"),
        port: section.port("port"),
        threads: section.count("threads", THREADS),
        protocol: read_protocol(section),
        tls: tls::read(section, Asks::OurKey),
    };
    section.left_out_if_true("kerberos", "thrift source setting");
    section.no_effect(&["agent-principal", "agent-keytab"], "kerberos is not on");
    config
}

/// None or less is no bound.
const THREADS: Number = Number::int(0, 0).bad(Bad::Default, Bad::ClampQuietly);

/// Flume accepts either name in any case, and then speaks binary only where it is in small letters.
fn read_protocol(section: &mut Section<'_>) -> ThriftProtocol {
    let value = section.text_or("protocol", "compact");
    if value == "binary" {
        return ThriftProtocol::Binary;
    }
    if value.eq_ignore_ascii_case("binary") {
        let expected = "\"binary\" in small letters; Flume speaks compact";
        section.warning("protocol", bad_value(&value, expected));
    } else if !value.eq_ignore_ascii_case("compact") {
        section.error("protocol", bad_value(&value, "compact or binary"));
    }
    ThriftProtocol::Compact
}

/// Whatever is not "deflate" is none, in Flume.
pub(super) fn read_compression(section: &mut Section<'_>) -> Compression {
    let value = section.text_or("compression-type", "none");
    if value.eq_ignore_ascii_case("deflate") {
        return Compression::Deflate;
    }
    if !value.eq_ignore_ascii_case("none") {
        let problem = bad_value(&value, "none or deflate; Flume takes none");
        section.warning("compression-type", problem);
    }
    Compression::None
}

fn read_encoding(section: &mut Section<'_>) -> Encoding {
    let value = section.text_or("encoding", "utf-8");
    match value.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" => Encoding::Utf8,
        "iso-8859-1" | "iso8859_1" | "iso8859-1" | "latin1" => Encoding::Latin1,
        "us-ascii" | "ascii" => Encoding::Ascii,
        _ => {
            let problem = bad_value(&value, "utf-8, iso-8859-1 or us-ascii in the mini-agent");
            section.error("encoding", problem);
            Encoding::Utf8
        }
    }
}
