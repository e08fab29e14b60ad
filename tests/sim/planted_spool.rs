//! The bugs of the spool, each one replacement in one of its files.

use crate::planted::Bug;

const fn bug(
    name: &'static str,
    file: &'static str,
    find: &'static str,
    replace: &'static str,
) -> Bug {
    Bug {
        name,
        folder: "spool",
        file,
        find,
        replace,
        words: &[],
    }
}

pub(crate) const BUGS: &[Bug] = &[
    // Names.
    bug(
        "events named by the spool, not by the run",
        "log.rs",
        "            run_id: random.u64(1..),",
        "            run_id: found.client,",
    ),
    // Durability.
    bug(
        "no sync of a commit",
        "log.rs",
        "written.and_then(|()| self.storage.0.sync(FileName::Segment(active.id)))",
        "written",
    ),
    bug(
        "no sync of the directory",
        "segments.rs",
        "        storage.rename(spare, segment)?;\n        storage.sync_directory()",
        "        storage.rename(spare, segment)",
    ),
    bug(
        "no sync of a header",
        "segments.rs",
        "        storage.sync(spare)?;\n",
        "",
    ),
    bug(
        "retry after a failed sync believed",
        "log.rs",
        "written.and_then(|()| self.storage.0.sync(FileName::Segment(active.id)))",
        "written.and_then(|()| { let again = || self.storage.0.sync(FileName::Segment(active.id)); again().or_else(|_| again()) })",
    ),
    bug(
        "segment written on after a failed sync",
        "log.rs",
        "        self.active = None;\n        self.pending.unwrite();\n        self.segments.give_up",
        "        self.pending.unwrite();\n        self.segments.give_up",
    ),
    bug(
        "frames of a segment that was given up not written again",
        "log.rs",
        "        self.pending.unwrite();\n        self.segments.give_up",
        "        self.segments.give_up",
    ),
    bug(
        "numbers of events delivered unstored told as lost",
        "log.rs",
        "        let skipped_from = self.stored_end();\n",
        "        let skipped_from = if first == self.run.first { self.run.skipped_from } else { first };\n",
    ),
    bug(
        "a frame not written though some of its events are not delivered",
        "log.rs",
        "            && self.retired.covers(front)\n",
        "            && self.retired.run(front.first).0\n",
    ),
    bug(
        "frames written ahead lie where they were to be alone",
        "pending.rs",
        "place.offset + (frame.start - start) as u64",
        "place.offset + frame.start as u64",
    ),
    bug(
        "early receipt",
        "log.rs",
        "        let mut flushed = self.write_and_sync(now_ms);\n",
        "        let mut flushed = self.write_and_sync(now_ms);\n        self.durable_upto = self.next;\n        if flushed.is_err() { return Ok(()); }\n",
    ),
    bug(
        "failed frames forgotten",
        "log.rs",
        "        flushed\n",
        "        if flushed.is_err() { self.pending = Pending::default(); }\n        flushed\n",
    ),
    bug(
        "durable events given up with their segment",
        "segments.rs",
        "is_some_and(|entry| !entry.used)",
        "is_some()",
    ),
    // Bytes.
    bug(
        "payload not checked",
        "frame.rs",
        "payload.len() != self.payload_bytes as usize || crc(&[payload]) != self.payload_crc",
        "payload.len() != self.payload_bytes as usize",
    ),
    bug(
        "segment used again without a new salt",
        "log.rs",
        "let salt = self.random.u64(..);",
        "let salt = 7;",
    ),
    bug(
        "frames not bound to their place",
        "frame.rs",
        "        &place.salt.to_le_bytes(),\n        &place.offset.to_le_bytes(),\n",
        "",
    ),
    bug(
        "frames said to be durable too early",
        "log.rs",
        "place, self.durable_upto, time_ms)",
        "place, self.next, time_ms)",
    ),
    // The cursor.
    bug(
        "stale cursor slot chosen",
        "cursor.rs",
        "if other.is_newer(&one)",
        "if one.is_newer(&other)",
    ),
    bug(
        "one cursor slot only",
        "cursor.rs",
        "self.generation % 2 * SLOT_BYTES as u64",
        "0",
    ),
    bug(
        "cursor not synced",
        "log.rs",
        "        self.storage.0.sync(FileName::Cursor)\n",
        "        Ok(())\n",
    ),
    bug(
        "both cursor slots written without a sync",
        "log.rs",
        "        let step = if self.is_synced { 1 } else { 2 };",
        "        let step = 1;",
    ),
    bug(
        "segments reused before the cursor is synced",
        "log.rs",
        "            written => Ok(written?),\n        }\n    }\n\n    /// Makes durable which",
        "            written => {\n                written?;\n                let (drained, last_end) = (self.noted(), self.last_end());\n                self.segments.recycle(&self.storage, &self.settings, &drained, last_end)\n            }\n        }\n    }\n\n    /// Makes durable which",
    ),
    bug(
        "segments reused before the cursor is saved",
        "log.rs",
        "        // The slot that was found is written",
        "        let drained = self.noted();\n        let _ = self.segments.recycle(&self.storage, &self.settings, &drained, None);\n        // The slot that was found is written",
    ),
    bug(
        "cursor says durable what is not",
        "log.rs",
        "            durable_upto: self.durable_upto,\n            run:",
        "            durable_upto: self.next,\n            run:",
    ),
    bug(
        "segment recycled past a gap",
        "log.rs",
        "        let retired = &drained;",
        "        let mut retired = drained.clone();\n        retired.add_below(retired.run(retired.watermark()).1);\n        let retired = &retired;",
    ),
    // Recovery.
    bug(
        "torn tail appended to",
        "log.rs",
        "        let mut opened = found.opened;\n",
        "        let mut opened = found.opened;\n        log.active = log.segments.readable().next_back().map(|last| Active { id: last.header.id, salt: last.header.salt, offset: last.bytes });\n",
    ),
    bug(
        "cut into whole frames",
        "open.rs",
        "let cut = bytes.next_multiple_of(SEGMENT_HEADER_BYTES as u64);",
        "let cut = bytes / SEGMENT_HEADER_BYTES as u64 * SEGMENT_HEADER_BYTES as u64;",
    ),
    bug(
        "numbers of a torn write given again",
        "open.rs",
        "given.later_run(runs)",
        "given.plus(0 * runs)",
    ),
    bug(
        "last segment not read to its end",
        "open.rs",
        "    let skipped_from = end.map_or(first, |end| end.max(known));\n",
        "    let skipped_from = known.min(end.unwrap_or(known));\n",
    ),
    bug(
        "holes of a torn write told as losses",
        "open.rs",
        "retired.add(hole.not_below(opened.known_durable_upto));",
        "let _ = hole;",
    ),
    bug(
        "damage taken for an unfinished write",
        "reader.rs",
        "        } else if place.is_removed || first < durable_upto {",
        "        } else if place.is_removed {",
    ),
    // What cannot be read.
    bug(
        "what cannot be read is a hole",
        "reader.rs",
        "if !place.is_read {",
        "if false {",
    ),
    bug(
        "a file of another version is damage",
        "candidate.rs",
        "                return self.unread(Unreadable::OtherVersion(*major));",
        "                let _ = major;\n                return Kind::Damaged;",
    ),
    bug(
        "a file without permission is damage",
        "candidate.rs",
        "            Err(error) => return self.unread(Unreadable::system(error)),",
        "            Err(_) => return Kind::Damaged,",
    ),
    bug(
        "a renamed segment with events is a spare",
        "candidate.rs",
        "            Ok(false) => Kind::Spare,",
        "            Ok(_) if header.id != self.id => Kind::Spare,\n            Ok(false) => Kind::Spare,",
    ),
    bug(
        "missing events are as many as the numbers to the next run",
        "missing.rs",
        "let can_be = range.len().min(room);",
        "let can_be = range.len() + 0 * room;",
    ),
    bug(
        "what a file can hold is told for each gap that it may be in",
        "missing.rs",
        "let here = most.saturating_sub(*told).min(events);",
        "let here = most.min(events);",
    ),
    bug(
        "what a file can hold is told for one gap and forgotten",
        "missing.rs",
        "            self.0.push((id, 0));",
        "            self.0.push((id, most));",
    ),
    // Room.
    bug(
        "quota ignored",
        "segments.rs",
        "it.disk_bytes() + spares * bytes > settings.bytes_max",
        "it.cursor_bytes + spares * bytes > settings.bytes_max",
    ),
    bug(
        "reserve used",
        "segments.rs",
        "usize::from(self.wrote)",
        "0",
    ),
    bug(
        "more room promised than there is",
        "log.rs",
        ".saturating_sub(self.pending.unwritten_bytes())",
        "+ self.settings.segment_bytes",
    ),
    bug(
        "drained segments kept for ever",
        "segments.rs",
        "ends.chain([last_end])",
        "ends.chain([last_end.and(None)])",
    ),
];
