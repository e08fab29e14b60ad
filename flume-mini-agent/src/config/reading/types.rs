//! The component types Flume knows, by alias and by class, and which of them the mini-agent has.
//!
//! Flume takes aliases in any case and class names as they are. Sources: Flume's `SourceType`,
//! `ChannelType`, `SinkType`, `SinkProcessorType`, `ChannelSelectorType`, `InterceptorType`.

use crate::config::nearest::nearest;
use crate::config::problem::ProblemKind;

/// The types of one kind of component.
#[derive(Debug)]
pub(super) struct Types {
    /// As in messages: "source type".
    what: &'static str,
    /// Alias and class.
    here: &'static [(&'static str, &'static str)],
    left_out: &'static [(&'static str, &'static str)],
}

pub(super) const SOURCES: Types = Types {
    what: "source type",
    here: &[
        ("avro", "org.apache.flume.source.AvroSource"),
        ("http", "org.apache.flume.source.http.HTTPSource"),
        ("netcat", "org.apache.flume.source.NetcatSource"),
        ("thrift", "org.apache.flume.source.ThriftSource"),
    ],
    left_out: &[
        ("exec", "org.apache.flume.source.ExecSource"),
        ("jms", "org.apache.flume.source.jms.JMSSource"),
        (
            "multiport_syslogtcp",
            "org.apache.flume.source.MultiportSyslogTCPSource",
        ),
        ("netcatudp", "org.apache.flume.source.NetcatUdpSource"),
        ("seq", "org.apache.flume.source.SequenceGeneratorSource"),
        ("spooldir", "org.apache.flume.source.SpoolDirectorySource"),
        ("syslogtcp", "org.apache.flume.source.SyslogTcpSource"),
        ("syslogudp", "org.apache.flume.source.SyslogUDPSource"),
        ("taildir", "org.apache.flume.source.taildir.TaildirSource"),
    ],
};

pub(super) const CHANNELS: Types = Types {
    what: "channel type",
    here: &[
        ("file", "org.apache.flume.channel.file.FileChannel"),
        ("memory", "org.apache.flume.channel.MemoryChannel"),
    ],
    left_out: &[
        ("jdbc", "org.apache.flume.channel.jdbc.JdbcChannel"),
        (
            "spillablememory",
            "org.apache.flume.channel.SpillableMemoryChannel",
        ),
    ],
};

pub(super) const SINKS: Types = Types {
    what: "sink type",
    here: &[
        ("avro", "org.apache.flume.sink.AvroSink"),
        // Ours: no Flume has it.
        ("collect", "collect"),
        ("file_roll", "org.apache.flume.sink.RollingFileSink"),
        ("logger", "org.apache.flume.sink.LoggerSink"),
        ("null", "org.apache.flume.sink.NullSink"),
    ],
    left_out: &[
        ("asynchbase", "org.apache.flume.sink.hbase.AsyncHBaseSink"),
        (
            "elasticsearch",
            "org.apache.flume.sink.elasticsearch.ElasticSearchSink",
        ),
        ("hbase", "org.apache.flume.sink.hbase.HBaseSink"),
        ("hbase2", "org.apache.flume.sink.hbase2.HBase2Sink"),
        ("hdfs", "org.apache.flume.sink.hdfs.HDFSEventSink"),
        ("hive", "org.apache.flume.sink.hive.HiveSink"),
        ("http", "org.apache.flume.sink.http.HttpSink"),
        ("irc", "org.apache.flume.sink.irc.IRCSink"),
        (
            "morphline_solr",
            "org.apache.flume.sink.solr.morphline.MorphlineSolrSink",
        ),
        ("thrift", "org.apache.flume.sink.ThriftSink"),
    ],
};

pub(super) const PROCESSORS: Types = Types {
    what: "sink processor type",
    here: &[
        ("default", "org.apache.flume.sink.DefaultSinkProcessor"),
        ("failover", "org.apache.flume.sink.FailoverSinkProcessor"),
        (
            "load_balance",
            "org.apache.flume.sink.LoadBalancingSinkProcessor",
        ),
    ],
    left_out: &[],
};

pub(super) const SELECTORS: Types = Types {
    what: "channel selector type",
    here: &[
        (
            "multiplexing",
            "org.apache.flume.channel.MultiplexingChannelSelector",
        ),
        (
            "replicating",
            "org.apache.flume.channel.ReplicatingChannelSelector",
        ),
    ],
    left_out: &[(
        "load_balancing",
        "org.apache.flume.channel.LoadBalancingChannelSelector",
    )],
};

pub(super) const INTERCEPTORS: Types = Types {
    what: "interceptor type",
    here: &[
        (
            "host",
            "org.apache.flume.interceptor.HostInterceptor$Builder",
        ),
        (
            "regex_filter",
            "org.apache.flume.interceptor.RegexFilteringInterceptor$Builder",
        ),
        (
            "static",
            "org.apache.flume.interceptor.StaticInterceptor$Builder",
        ),
        (
            "timestamp",
            "org.apache.flume.interceptor.TimestampInterceptor$Builder",
        ),
        (UUID_INTERCEPTOR, UUID_INTERCEPTOR),
    ],
    left_out: &[
        (
            "regex_extractor",
            "org.apache.flume.interceptor.RegexExtractorInterceptor$Builder",
        ),
        (
            "remove_header",
            "org.apache.flume.interceptor.RemoveHeaderInterceptor$Builder",
        ),
        (
            "search_replace",
            "org.apache.flume.interceptor.SearchAndReplaceInterceptor$Builder",
        ),
    ],
};

/// Flume has no alias for it.
pub(super) const UUID_INTERCEPTOR: &str =
    "org.apache.flume.sink.solr.morphline.UUIDInterceptor$Builder";

pub(super) const SERIALIZERS: Types = Types {
    what: "event serializer",
    here: &[(
        "text",
        "org.apache.flume.serialization.BodyTextEventSerializer$Builder",
    )],
    left_out: &[
        (
            "avro_event",
            "org.apache.flume.serialization.FlumeEventAvroEventSerializer$Builder",
        ),
        (
            "header_and_text",
            "org.apache.flume.serialization.HeaderAndBodyTextEventSerializer$Builder",
        ),
    ],
};

pub(super) const PATH_MANAGERS: Types = Types {
    what: "path manager",
    here: &[(
        "default",
        "org.apache.flume.formatter.output.DefaultPathManager$Builder",
    )],
    left_out: &[(
        "rolltime",
        "org.apache.flume.formatter.output.RollTimePathManager$Builder",
    )],
};

pub(super) const SINK_SELECTORS: Types = Types {
    what: "sink selector",
    here: &[("random", "RANDOM"), ("round_robin", "ROUND_ROBIN")],
    left_out: &[],
};

pub(super) const HANDLERS: Types = Types {
    what: "HTTP source handler",
    here: &[(JSON_HANDLER, JSON_HANDLER)],
    left_out: &[(BLOB_HANDLER, BLOB_HANDLER)],
};

pub(super) const JSON_HANDLER: &str = "org.apache.flume.source.http.JSONHandler";
const BLOB_HANDLER: &str = "org.apache.flume.sink.solr.morphline.BlobHandler";

/// Classes of Flume itself have this prefix, with or without an alias.
const FLUME_PACKAGE: &str = "org.apache.flume.";

impl Types {
    /// The alias of the type that `text` names.
    pub(super) fn resolve(&self, text: &str) -> Result<&'static str, ProblemKind> {
        let named =
            |(alias, class): &&(&str, &str)| alias.eq_ignore_ascii_case(text) || *class == text;
        if let Some((alias, _)) = self.here.iter().find(named) {
            return Ok(alias);
        }
        let (what, name) = (self.what, text.to_owned());
        if self.left_out.iter().any(|entry| named(&entry)) {
            return Err(ProblemKind::LeftOut { what, name });
        }
        let nearest = nearest(text, self.here.iter().map(|(alias, _)| *alias));
        Err(if nearest.is_some() || !text.contains('.') {
            ProblemKind::UnknownType {
                what,
                name,
                nearest,
            }
        } else if text.starts_with(FLUME_PACKAGE) {
            ProblemKind::LeftOut { what, name }
        } else {
            ProblemKind::JavaClass { what, name }
        })
    }
}
