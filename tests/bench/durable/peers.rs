//! What a user would take instead, each with the settings its documentation gives for durability.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use flume_client::Event;
use okaywal::{Configuration, LogVoid, WriteAheadLog};
use rusqlite::Connection;

use crate::callers::DurableQueue;
use crate::load::{Result, event_bytes};
use crate::store::Store;

/// A table of events.
pub(crate) struct Sqlite {
    connection: Connection,
}

/// Keys that ascend, as its documentation asks for.
pub(crate) struct Fjall {
    database: Database,
    events: Keyspace,
    next: AtomicU64,
}

/// A log that calls back to have events moved elsewhere. Here they are dropped.
pub(crate) struct OkayWal {
    log: WriteAheadLog,
}

/// Events of one entry of okaywal, whose lock a caller holds meanwhile.
const ENTRY_EVENTS: usize = 1_000;

impl Sqlite {
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let connection = Connection::open(directory.join("sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute(
            "CREATE TABLE events (id INTEGER PRIMARY KEY, datum BLOB NOT NULL)",
            (),
        )?;
        Ok(Self { connection })
    }
}

impl Store for Sqlite {
    fn commit(&mut self, events: &[u8]) -> Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO events (datum) VALUES (?1)")?;
            for event in events.chunks_exact(event_bytes()) {
                insert.execute([event])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

impl Fjall {
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let database = Database::builder(directory.join("fjall")).open()?;
        let options = || KeyspaceCreateOptions::default().manual_journal_persist(true);
        let events = database.keyspace("events", options)?;
        Ok(Self {
            database,
            events,
            next: AtomicU64::new(0),
        })
    }

    fn key(&self) -> [u8; 8] {
        self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes()
    }

    fn flush_memtable(&self) -> Result<()> {
        self.events.rotate_memtable_and_wait()?;
        while self.database.outstanding_flushes() > 0 || self.database.active_compactions() > 0 {
            std::thread::yield_now();
        }
        Ok(())
    }
}

impl Store for Fjall {
    fn commit(&mut self, events: &[u8]) -> Result<()> {
        if events.len() == event_bytes() {
            self.events.insert(self.key(), events)?;
            return Ok(self.database.persist(PersistMode::SyncData)?);
        }
        let batch = self.database.batch();
        let mut batch = batch.durability(Some(PersistMode::SyncData));
        for event in events.chunks_exact(event_bytes()) {
            batch.insert(&self.events, self.key(), event);
        }
        Ok(batch.commit()?)
    }

    fn settle(&mut self) -> Result<()> {
        self.flush_memtable()
    }
}

impl DurableQueue for Fjall {
    fn append_durable(&self, event: &Event) -> Result<()> {
        self.append_all(event, 1)
    }

    fn append_all(&self, event: &Event, count: usize) -> Result<()> {
        for _ in 0..count {
            self.events.insert(self.key(), event.as_datum())?;
        }
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    fn settle(&self) -> Result<()> {
        self.flush_memtable()
    }
}

impl OkayWal {
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let log = Configuration::default_for(directory.join("okaywal"))
            .preallocate_bytes(16 * 1024 * 1024)
            .checkpoint_after_bytes(15 * 1024 * 1024)
            .open(LogVoid)?;
        Ok(Self { log })
    }
}

impl Store for OkayWal {
    fn commit(&mut self, events: &[u8]) -> Result<()> {
        let mut entry = self.log.begin_entry()?;
        for event in events.chunks_exact(event_bytes()) {
            entry.write_chunk(event)?;
        }
        entry.commit()?;
        Ok(())
    }
}

impl DurableQueue for OkayWal {
    fn append_durable(&self, event: &Event) -> Result<()> {
        self.append_all(event, 1)
    }

    fn append_all(&self, event: &Event, count: usize) -> Result<()> {
        // An entry is durable before the next one of this caller begins: there is no call that
        // only appends.
        for begin in (0..count).step_by(ENTRY_EVENTS) {
            let mut entry = self.log.begin_entry()?;
            for _ in begin..count.min(begin + ENTRY_EVENTS) {
                entry.write_chunk(event.as_datum())?;
            }
            entry.commit()?;
        }
        Ok(())
    }
}
