//! Encoding a batch: our codec, apache-avro's serde path, and a plain copy of the same bytes.

use std::alloc::System;
use std::hint::black_box;
use std::time::Instant;

use apache_avro::Schema;
use apache_avro::writer::datum::GenericDatumWriter;
use flume_client::wire::avro::{datum, rpc};
use flume_tests::median;
use serde::{Serialize, Serializer};
use stats_alloc::{Region, StatsAlloc};

const EVENTS: usize = 100;
const PASSES: usize = 2_000;
const RUNS: usize = 9;

#[derive(Serialize)]
#[serde(rename = "AvroFlumeEvent")]
struct Record {
    headers: Headers,
    #[serde(with = "apache_avro::serde::bytes")]
    body: Vec<u8>,
}

/// Headers in order, a map to serde: both encoders walk the same list.
struct Headers(Vec<(&'static str, String)>);

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

const SCHEMA: &str = r#"{"type": "array", "items": {"type": "record", "name": "AvroFlumeEvent",
    "fields": [{"name": "headers", "type": {"type": "map", "values": "string"}},
               {"name": "body", "type": "bytes"}]}}"#;

type Work<'a> = Box<dyn Fn(&mut Vec<u8>) + 'a>;

struct Contender<'a> {
    name: &'static str,
    work: Work<'a>,
    ns_per_event: Vec<f64>,
    allocations_per_event: f64,
}

/// Measures all in turn and prints the table.
pub(crate) fn run(allocator: &'static StatsAlloc<System>) {
    let records = records();
    let schema = Schema::parse_str(SCHEMA).expect("the schema is valid");
    let writer = GenericDatumWriter::builder(&schema)
        .build()
        .expect("the schema is resolved");
    let mut encoded = Vec::new();
    encode(&records, &mut encoded);
    let mut oracle = Vec::new();
    writer
        .write_ser(&mut oracle, &records)
        .expect("the records fit the schema");
    assert_eq!(encoded, oracle, "both encoders must do the same work");

    let serde = |out: &mut Vec<u8>| {
        writer.write_ser(out, &records).expect("it did before");
    };
    let mut contenders = [
        Contender::new("ours", |out| encode(&records, out)),
        Contender::new("apache-avro 0.22, write_ser", serde),
        Contender::new("copy of the encoded bytes", |out| {
            out.extend_from_slice(&encoded);
        }),
    ];
    let mut out = Vec::with_capacity(64 * 1024);
    for run in 0..=RUNS {
        for contender in &mut contenders {
            contender.measure(&mut out, run > 0, allocator);
        }
    }
    print(&mut contenders);
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, work: impl Fn(&mut Vec<u8>) + 'a) -> Self {
        Self {
            name,
            work: Box::new(work),
            ns_per_event: Vec::new(),
            allocations_per_event: 0.0,
        }
    }

    fn measure(&mut self, out: &mut Vec<u8>, counts: bool, allocator: &StatsAlloc<System>) {
        let region = Region::new(allocator);
        let started = Instant::now();
        for _ in 0..PASSES {
            out.clear();
            (self.work)(black_box(out));
        }
        let nanoseconds = started.elapsed().as_nanos() as f64;
        let change = region.change();
        if counts {
            let events = (PASSES * EVENTS) as f64;
            let allocations = change.allocations + change.reallocations;
            self.ns_per_event.push(nanoseconds / events);
            self.allocations_per_event += allocations as f64 / events;
        }
    }
}

fn print(contenders: &mut [Contender<'_>]) {
    println!(
        "\nEncoding a batch of {EVENTS} events with 4 headers and a 200 byte body into a reused \
         buffer,\nmedian of {RUNS} runs in turn"
    );
    println!(
        "{:<30} {:>12} {:>14} {:>14}",
        "", "ns/event", "allocs/event", "time / ours"
    );
    let mut ours = f64::NAN;
    for contender in contenders {
        let time = median(&mut contender.ns_per_event);
        ours = if ours.is_nan() { time } else { ours };
        println!(
            "{:<30} {time:>12.1} {:>14.2} {:>13.2}x",
            contender.name,
            contender.allocations_per_event,
            time / ours
        );
    }
}

/// The array of all records: count, datums, end.
fn encode(records: &[Record], out: &mut Vec<u8>) {
    datum::put_long(out, records.len() as i64);
    for record in records {
        let headers = record.headers.0.iter();
        let headers = headers.map(|(key, value)| (*key, value.as_str()));
        datum::put_event(out, headers, &record.body);
    }
    out.extend_from_slice(&rpc::APPEND_BATCH_END);
}

fn records() -> Vec<Record> {
    let record = |n: usize| Record {
        headers: Headers(vec![
            ("host", "web-1.example.net".to_owned()),
            ("level", "INFO".to_owned()),
            ("service", "orders".to_owned()),
            ("timestamp", (1_700_000_000_000_u64 + n as u64).to_string()),
        ]),
        body: vec![b'x'; 200],
    };
    (0..EVENTS).map(record).collect()
}
