//! [`Way`]: a kind of source, and who delivers into it.

use flume_tests::Version;

use crate::agents::{Agent, Source};
use crate::contender::{Contender, Kind};
use crate::contest::table::{self, Row};
use crate::contest::{Plan, Result};
use crate::event::BODY_BYTES;

/// Batch sizes, and how many threads Java's client has for each.
const SIZES: [(usize, usize); 2] = [(100, 1), (1_000, 4)];

/// What is measured together.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    contenders: &'static [(&'static str, Source, Sender)],
}

#[derive(Clone, Copy)]
enum Sender {
    Ours,
    /// With more threads for larger batches, each with a client of its own.
    Java,
    /// With one thread.
    JavaAlone,
    Replay(usize),
}

pub(crate) const WAYS: &[Way] = &[
    Way {
        name: "deflate",
        contenders: &[
            ("deflate", Source::Deflate, Sender::Ours),
            ("Java SDK, deflate", Source::Deflate, Sender::Java),
            ("the same, 1 thread", Source::Deflate, Sender::JavaAlone),
            ("replay, window 4", Source::Deflate, Sender::Replay(4)),
            ("replay, window 16", Source::Deflate, Sender::Replay(16)),
        ],
    },
    Way {
        name: "thrift",
        contenders: &[
            ("thrift, compact", Source::Thrift, Sender::Ours),
            ("Java SDK, thrift", Source::Thrift, Sender::Java),
            ("replay, window 1", Source::Thrift, Sender::Replay(1)),
            ("replay, window 4", Source::Thrift, Sender::Replay(4)),
        ],
    },
    Way {
        name: "tls",
        contenders: &[
            ("plain", Source::Avro, Sender::Ours),
            ("TLS", Source::Tls, Sender::Ours),
            ("Java SDK, TLS", Source::Tls, Sender::Java),
        ],
    },
    Way {
        name: "http",
        contenders: &[
            ("http", Source::Http, Sender::Ours),
            ("replay, 1 connection", Source::Http, Sender::Replay(1)),
            ("replay, 4 connections", Source::Http, Sender::Replay(4)),
            ("replay, 16 connections", Source::Http, Sender::Replay(16)),
        ],
    },
];

impl Way {
    fn contenders(&self) -> Vec<Contender> {
        let of_size = |(batch, threads)| {
            let is_twice = move |who| threads == 1 && matches!(who, Sender::JavaAlone);
            let contenders = self.contenders.iter();
            let contenders = contenders.filter(move |(.., who)| !is_twice(*who));
            contenders.map(move |(name, source, who)| {
                let kind = match *who {
                    Sender::Ours => Kind::Ours,
                    Sender::Java => Kind::Java { threads },
                    Sender::JavaAlone => Kind::Java { threads: 1 },
                    Sender::Replay(window) => Kind::Replay { window },
                };
                Contender::new(name, *source, batch, kind)
            })
        };
        SIZES.into_iter().flat_map(of_size).collect()
    }
}

/// Runs all who deliver in turn, as often as planned, against each version, and prints the tables.
pub(crate) fn run(way: &Way, plan: Plan) -> Result<()> {
    let events = plan.events;
    for version in Version::ALL {
        let mut contenders = way.contenders();
        let mut agents: Vec<(Source, Agent)> = Vec::new();
        for contender in &contenders {
            let source = contender.source;
            if !agents.iter().any(|(known, _)| *known == source) {
                agents.push((source, Agent::start(version, source, plan)?));
            }
        }
        let agent_of = |contender: &Contender| {
            let found = agents
                .iter()
                .find(|(source, _)| *source == contender.source);
            found.map(|(_, agent)| agent).ok_or("each has an agent")
        };
        // The agent's own compiler needs some load before its rate is steady. Java's client warms
        // itself up.
        for contender in &mut contenders {
            if !matches!(contender.kind, Kind::Java { .. }) {
                contender.warm_up(agent_of(contender)?, events)?;
            }
        }
        for _ in 0..plan.rounds {
            for contender in &mut contenders {
                contender.measure(agent_of(contender)?, events)?;
            }
        }
        println!(
            "\n{}: {events} events of {BODY_BYTES} bytes with two headers into one real Flume {version}\n\
             (memory channel), {plan}",
            way.name
        );
        let rows: Vec<Row> = contenders.into_iter().map(Contender::into_row).collect();
        table::print(&rows);
        print_beside_plain(&rows);
    }
    Ok(())
}

/// What encryption leaves of the rate, and what it costs.
fn print_beside_plain(rows: &[Row]) {
    for plain in rows.iter().filter(|row| row.name == "plain") {
        let other = |row: &&Row| row.name == "TLS" && row.batch == plain.batch;
        if let Some(tls) = rows.iter().find(other) {
            println!(
                "TLS / plain, batches of {}: rate {:.2}x, CPU {:.2}x",
                plain.batch,
                tls.rate / plain.rate,
                tls.cpu_micros / plain.cpu_micros
            );
        }
    }
}
