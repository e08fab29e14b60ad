//! `flume send` at doors that cannot take what it sends: what is said, how it ends, that it ends in
//! time, and that nothing is sent or lost.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use flume_mini_agent::MiniAgent;
use flume_mini_agent::config::{Pem, ThriftProtocol, TlsConfig};
use flume_tests::{Version, flume_command};
use serde_json::Value;

use crate::for_both_versions;
use crate::keys::{Keys, PASSWORD, PemKeys};
use crate::suite::{AgentFactory, RealFactory};

/// How long the command waits for an acknowledgement.
const PATIENCE: &str = "3s";
/// The same, a second for the agent that is tried then, and what a busy machine takes to start so many
/// processes.
const END_MAX: Duration = Duration::from_secs(3 + 1 + 26);

/// Nothing was delivered.
const UNDELIVERED: i32 = 4;
/// TLS is the reason.
const UNTRUSTED: i32 = 8;
/// Likewise, and an agent still owes an answer.
const SILENT: i32 = 124;
/// What was not delivered is in the spool.
const STORED: i32 = 3;

const OTHER_KIND: &str = "another kind of source (Avro, Thrift, netcat, syslog)";
const NOT_HTTP: &str = "does not answer in HTTP";

/// The scheme of the address, the source that is there, whose certificate is trusted, how the command
/// ends without a spool, and what it says.
type Bad = (&'static str, &'static str, &'static str, i32, &'static str);

const BAD: [Bad; 36] = [
    // Without TLS where it is wanted, and with it where it is not.
    ("avro", "avro_tls", "agent", UNDELIVERED, "TLS"),
    ("avro+deflate", "avro_tls", "agent", UNDELIVERED, "TLS"),
    ("thrift", "thrift_tls", "agent", UNDELIVERED, "TLS"),
    ("avro+tls", "avro", "agent", UNDELIVERED, "TLS"),
    // See [`is_deadly`].
    ("thrift+tls", "thrift", "agent", UNDELIVERED, "TLS"),
    // Compression on one side. A plain source waits for the rest of what it takes for a frame.
    ("avro+deflate", "avro", "agent", SILENT, "avro://"),
    ("avro", "packed", "agent", UNDELIVERED, "avro+deflate://"),
    (
        "avro+tls+deflate",
        "avro_tls",
        "agent",
        UNDELIVERED,
        "deflate",
    ),
    // Another protocol.
    ("avro", "thrift", "agent", UNDELIVERED, "Thrift"),
    ("thrift", "avro", "agent", UNDELIVERED, "Avro"),
    ("avro+tls", "thrift_tls", "agent", UNDELIVERED, "Thrift"),
    ("thrift+tls", "avro_tls", "agent", UNDELIVERED, "Avro"),
    ("avro", "http", "agent", UNDELIVERED, "HTTP"),
    ("thrift", "http", "agent", UNDELIVERED, "HTTP"),
    ("http", "avro", "agent", UNDELIVERED, OTHER_KIND),
    ("http", "packed", "agent", UNDELIVERED, NOT_HTTP),
    // See [`is_deadly`].
    ("http", "thrift", "agent", UNDELIVERED, OTHER_KIND),
    ("http", "avro_tls", "agent", UNDELIVERED, "needs https://"),
    ("http", "thrift_tls", "agent", UNDELIVERED, NOT_HTTP),
    ("http", "https", "agent", UNDELIVERED, "https://"),
    ("https", "http", "agent", UNTRUSTED, "http://"),
    ("https", "avro", "agent", UNDELIVERED, "TLS"),
    // Certificates.
    ("avro+tls", "avro_tls", "other", UNTRUSTED, "CN=agent"),
    ("thrift+tls", "thrift_tls", "other", UNTRUSTED, "CN=agent"),
    ("avro+tls+deflate", "both", "other", UNTRUSTED, "CN=agent"),
    ("https", "https", "other", UNTRUSTED, "CN=agent"),
    ("https", "https_other", "other", UNTRUSTED, "other.example"),
    ("https", "https_expired", "expired", UNTRUSTED, "expired"),
    ("https", "https_later", "later", UNTRUSTED, "clock"),
    (
        "avro+tls",
        "avro_other",
        "other",
        UNTRUSTED,
        "other.example",
    ),
    (
        "thrift+tls",
        "thrift_other",
        "other",
        UNTRUSTED,
        "other.example",
    ),
    ("avro+tls", "avro_expired", "expired", UNTRUSTED, "expired"),
    (
        "thrift+tls",
        "thrift_expired",
        "expired",
        UNTRUSTED,
        "expired",
    ),
    ("avro+tls", "avro_later", "later", UNTRUSTED, "clock"),
    ("thrift+tls", "thrift_later", "later", UNTRUSTED, "clock"),
    (
        "avro+tls+deflate",
        "both_expired",
        "expired",
        UNTRUSTED,
        "expired",
    ),
];

/// A Thrift source of 1.9 takes the first bytes of TLS and of HTTP for the length of a frame, has no room
/// for it, and ends: nothing that a client could help.
fn is_deadly(version: Version, (scheme, source, ..): Bad) -> bool {
    version == Version::V1_9 && source == "thrift" && ["thrift+tls", "http"].contains(&scheme)
}

/// The sources that [`BAD`] names, in the suite's form.
fn sources() -> String {
    let mut template = String::new();
    for (name, settings) in [
        ("avro", "type = avro"),
        ("packed", "type = avro, compression-type = deflate"),
        ("thrift", "type = thrift"),
        ("http", "type = http"),
    ] {
        template += &format!("sources.{name}: {settings}, port = {{{name}_port}}, channels = c\n");
    }
    for (name, settings, key) in [
        ("avro_tls", "type = avro", "agent"),
        ("avro_other", "type = avro", "other"),
        ("avro_expired", "type = avro", "expired"),
        ("avro_later", "type = avro", "later"),
        ("both", "type = avro, compression-type = deflate", "agent"),
        (
            "both_expired",
            "type = avro, compression-type = deflate",
            "expired",
        ),
        ("thrift_tls", "type = thrift", "agent"),
        ("thrift_other", "type = thrift", "other"),
        ("thrift_expired", "type = thrift", "expired"),
        ("thrift_later", "type = thrift", "later"),
        ("https", "type = http", "agent"),
        ("https_other", "type = http", "other"),
        ("https_expired", "type = http", "expired"),
        ("https_later", "type = http", "later"),
    ] {
        let keystore = Keys::get().jks(key);
        template += &format!(
            "sources.{name}: {settings}, port = {{{name}_port}}, channels = c, ssl = true\n  \
             keystore = {keystore}, keystore-password = {PASSWORD}, keystore-type = JKS\n"
        );
    }
    template + "channels.c: type = memory, capacity = 1000\nsinks.k: type = null, channel = c\n"
}

/// What is told, and how it ends, of an event that no agent takes; with a spool it is kept.
fn check(url: &str, options: &[&Path], (exit, word): (i32, &str)) -> Result<(), String> {
    let [ca, client @ ..] = options else {
        return Err("no certificate is trusted".to_owned());
    };
    let command = || {
        let mut send = flume_command().unwrap();
        send.args(["send", "--json", "--timeout", PATIENCE, "--agent", url]);
        if url.contains("+tls") || url.starts_with("https") {
            send.arg("--ca").arg(ca);
        }
        if let [both] = client {
            send.arg("--cert").arg(both).arg("--key").arg(both);
        }
        send
    };
    let spool = tempfile::tempdir().unwrap();
    let mut storing = command();
    storing.arg("--spool").arg(spool.path());
    let [lost, stored] = thread::scope(|scope| {
        let run = |command| scope.spawn(|| send(command));
        [run(command()), run(storing)].map(|running| running.join().unwrap())
    });
    for ((output, took), exit) in [(lost, exit), (stored, STORED)] {
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(exit) || !said.contains(word) || took > END_MAX {
            let code = output.status.code();
            return Err(format!(
                "ended with {code:?} and not with {exit}, after {took:?}, or does not say {word:?}: {said}"
            ));
        }
    }
    let mut ls = flume_command().unwrap();
    let ls = ls
        .args(["spool", "ls", "--json"])
        .arg(spool.path())
        .output();
    let found: Value = serde_json::from_slice(&ls.unwrap().stdout).unwrap();
    match found["spools"][0]["pending"] == 1 {
        true => Ok(()),
        false => Err(format!("the spool does not have the event: {found}")),
    }
}

/// Has a line sent.
fn send(mut command: Command) -> (Output, Duration) {
    let started = Instant::now();
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut send = pipes.stderr(Stdio::piped()).spawn().unwrap();
    send.stdin.take().unwrap().write_all(b"kept\n").unwrap();
    let output = send.wait_with_output().unwrap();
    (output, started.elapsed())
}

#[test]
fn what_a_wrong_door_is_told_by_the_command_which_ends_in_time_and_loses_nothing() {
    for_both_versions(|version| {
        let agent = RealFactory(version).start(&sources());
        let case = |(scheme, source, ca, exit, word): Bad| {
            let url = format!("{scheme}://{}", agent.addr(&format!("{source}_port")));
            let checked = check(&url, &[&Keys::get().pem(ca)], (exit, word));
            checked.map_err(|error| format!("{scheme} at {source} of {version}: {error}"))
        };
        let mut failed = Vec::new();
        // No more at once than a small machine can start in time.
        for some in BAD.chunks(4) {
            thread::scope(|scope| {
                let running: Vec<_> = some
                    .iter()
                    .filter(|bad| !is_deadly(version, **bad))
                    .map(|bad| scope.spawn(|| case(*bad)))
                    .collect();
                let ended = running.into_iter().map(|one| one.join().unwrap());
                failed.extend(ended.filter_map(Result::err));
            });
        }
        assert!(failed.is_empty(), "{}", failed.join("\n\n"));
        let metrics = agent.metrics();
        let sources = metrics.as_object().unwrap().iter();
        for (name, counters) in sources.filter(|(name, _)| name.starts_with("SOURCE.")) {
            assert_eq!(counters["EventReceivedCount"], "0", "{name} of {version}");
        }
    });
}

/// Of Flume's sources none but HTTP asks for them.
#[test]
fn a_client_certificate_that_is_missing_or_unknown_is_told_by_the_command_likewise() {
    let (own, known, unknown) = (PemKeys::new(), PemKeys::new(), PemKeys::new());
    let mut tls = TlsConfig::new(own.both.as_path());
    tls.client_authorities = Some(Pem::from(known.ca.as_path()));
    for builder in [
        MiniAgent::builder(),
        MiniAgent::builder().thrift(ThriftProtocol::Compact),
        MiniAgent::builder().deflate(),
    ] {
        let agent = builder.tls(tls.clone()).start().unwrap();
        for options in [&[&*own.ca][..], &[&*own.ca, &*unknown.both]] {
            let checked = check(&agent.url(), options, (UNTRUSTED, "certificate"));
            assert_eq!(checked, Ok(()));
        }
        assert_eq!(agent.stats().requests, 0);
    }
}
