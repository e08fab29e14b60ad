//! [`AvroFile`]: an Avro object container file of events.
//!
//! Events lie in a spool as the Avro datums that a container file wants, so they are copied into
//! its blocks as they are.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};

use flume_client::wire::avro::datum::{put_bytes, put_long};

/// The record that Flume's Avro source takes.
const SCHEMA: &str = r#"{"type":"record","name":"AvroFlumeEvent","namespace":"org.apache.flume.source.avro","fields":[{"name":"headers","type":{"type":"map","values":"string"}},{"name":"body","type":"bytes"}]}"#;

/// A block is written when it has so many bytes.
const BLOCK_BYTES: usize = 64 * 1024;

/// Writes a container file. Memory: a block and an event.
#[derive(Debug)]
pub(super) struct AvroFile<W> {
    out: W,
    /// Behind every block, so that readers find the next one.
    sync: [u8; 16],
    block: Vec<u8>,
    events: i64,
}

impl<W: Write> AvroFile<W> {
    /// Begins the file.
    pub(super) fn new(mut out: W) -> io::Result<Self> {
        let mut sync = [0; 16];
        for half in sync.chunks_mut(8) {
            // The standard library's only random numbers.
            half.copy_from_slice(&RandomState::new().hash_one(0_u64).to_le_bytes());
        }
        let mut head = b"Obj\x01".to_vec();
        put_long(&mut head, 2);
        for (key, value) in [("avro.schema", SCHEMA), ("avro.codec", "null")] {
            put_bytes(&mut head, key.as_bytes());
            put_bytes(&mut head, value.as_bytes());
        }
        put_long(&mut head, 0);
        head.extend_from_slice(&sync);
        out.write_all(&head)?;
        Ok(Self {
            out,
            sync,
            block: Vec::new(),
            events: 0,
        })
    }

    /// Takes an event that was found to be one.
    pub(super) fn push(&mut self, datum: &[u8]) -> io::Result<()> {
        self.block.extend_from_slice(datum);
        self.events += 1;
        if self.block.len() >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if self.events > 0 {
            self.end_block()?;
        }
        Ok(self.out)
    }

    fn end_block(&mut self) -> io::Result<()> {
        let mut head = Vec::new();
        put_long(&mut head, self.events);
        put_long(&mut head, self.block.len() as i64);
        self.out.write_all(&head)?;
        self.out.write_all(&self.block)?;
        self.out.write_all(&self.sync)?;
        self.block.clear();
        self.block.shrink_to(2 * BLOCK_BYTES);
        self.events = 0;
        Ok(())
    }
}
