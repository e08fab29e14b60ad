//! Encoding a batch: our codec, apache-avro's serde path, and a plain copy of the same bytes.

use std::alloc::System;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use apache_avro::Schema;
use apache_avro::writer::datum::GenericDatumWriter;
use flume_client::wire::avro::{datum, rpc};
use serde::Serialize;
use stats_alloc::{Region, StatsAlloc};

use crate::median;

const EVENTS: usize = 100;
const PASSES: usize = 2_000;
const RUNS: usize = 9;

#[derive(Serialize)]
#[serde(rename = "AvroFlumeEvent")]
struct Record {
    headers: BTreeMap<String, String>,
    #[serde(with = "apache_avro::serde::bytes")]
    body: Vec<u8>,
}

const SCHEMA: &str = r#"{"type": "array", "items": {"type": "record", "name": "AvroFlumeEvent",
    "fields": [{"name": "headers", "type": {"type": "map", "values": "string"}},
               {"name": "body", "type": "bytes"}]}}"#;

struct Measured {
    name: &'static str,
    ns_per_event: f64,
    allocations_per_event: f64,
}

/// Measures all three and prints the table.
pub(crate) fn run(allocator: &'static StatsAlloc<System>) {
    let records = records();
    let schema = Schema::parse_str(SCHEMA).expect("the schema is valid");
    let writer = GenericDatumWriter::builder(&schema)
        .build()
        .expect("the schema is resolved");
    let mut expected = Vec::new();
    encode(&records, &mut expected);
    let mut oracle = Vec::new();
    writer
        .write_ser(&mut oracle, &records)
        .expect("the records fit the schema");
    assert_eq!(expected, oracle, "both encoders must do the same work");

    let ours = measure("ours", allocator, |out| encode(&records, out));
    let theirs = measure("apache-avro 0.22, write_ser", allocator, |out| {
        writer.write_ser(out, &records).expect("it did before");
    });
    let copy = measure("copy of the encoded bytes", allocator, |out| {
        out.extend_from_slice(&expected);
    });
    println!(
        "\nEncoding a batch of {EVENTS} events, 4 headers, 200 byte body, into a reused buffer"
    );
    println!(
        "{:<30} {:>12} {:>14} {:>14}",
        "", "ns/event", "allocs/event", "time / ours"
    );
    for row in [&ours, &theirs, &copy] {
        let Measured {
            name,
            ns_per_event,
            allocations_per_event,
        } = row;
        let ratio = ns_per_event / ours.ns_per_event;
        println!("{name:<30} {ns_per_event:>12.1} {allocations_per_event:>14.2} {ratio:>13.2}x");
    }
}

/// The array of all records: count, datums, end.
fn encode(records: &[Record], out: &mut Vec<u8>) {
    datum::put_long(out, records.len() as i64);
    for record in records {
        let headers = record
            .headers
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        datum::put_event(out, headers, &record.body);
    }
    out.extend_from_slice(&rpc::APPEND_BATCH_END);
}

fn records() -> Vec<Record> {
    let record = |n: usize| Record {
        headers: [
            ("host", "web-1.example.net".to_owned()),
            ("level", "INFO".to_owned()),
            ("service", "orders".to_owned()),
            ("timestamp", (1_700_000_000_000_u64 + n as u64).to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into(),
        body: vec![b'x'; 200],
    };
    (0..EVENTS).map(record).collect()
}

fn measure(
    name: &'static str,
    allocator: &'static StatsAlloc<System>,
    mut work: impl FnMut(&mut Vec<u8>),
) -> Measured {
    let mut out = Vec::with_capacity(64 * 1024);
    let mut times = Vec::new();
    let mut region = Region::new(allocator);
    for _ in 0..=RUNS {
        // The last run's allocations are counted: the buffers have their size by then.
        region.reset();
        let started = Instant::now();
        for _ in 0..PASSES {
            out.clear();
            work(black_box(&mut out));
        }
        times.push(started.elapsed().as_nanos() as f64 / (PASSES * EVENTS) as f64);
    }
    let allocations = region.change().allocations + region.change().reallocations;
    times.remove(0);
    Measured {
        name,
        ns_per_event: median(&mut times),
        allocations_per_event: allocations as f64 / (PASSES * EVENTS) as f64,
    }
}
