//! The spool: events on the local disk, from `append` to the agent's acknowledgement.
//!
//! A directory of segments, written one after the other, and a cursor that says which events are
//! retired. A segment whose events are all retired is used again.
//!
//! | file | holds |
//! |---|---|
//! | [`storage`](Storage) | all that is done to a disk, as a trait |
//! | [`directory`](Directory) | the real one |
//! | [`access`](Access) | which directories may hold a spool: owner, mode, file system |
//! | `folder` | an open directory, and its files by their names |
//! | `lock` | that of a directory |
//! | [`holder`](Holder) | which process has it |
//! | `handle` | a file that it has open for writing |
//! | `system` | what it asks of the system |
//! | [`frame`](FrameHeader) | events of one commit, as bytes. Pure |
//! | [`header`](SegmentHeader) | a segment's first block, as bytes. Pure |
//! | [`cursor`](Cursor) | which events are retired, as bytes. Pure |
//! | [`segments`](self) | which files there are, and what becomes of them |
//! | `candidate` | what a segment's file is, by its first block |
//! | `open` | what is made of the files that are found |
//! | [`opened`](Opened) | what is told of that |
//! | [`log`](Log) | the writing side |
//! | `look` | another look at segments that could not be read |
//! | `pending` | frames that are not durable |
//! | [`reader`](Reader) | the reading side |
//! | `segment_end` | where the events in a segment end |
//! | [`missing`](Missing) | what is not there or cannot be read, and how much it can be |
//! | [`watched`](Watched) | a storage beside which a test or a measurement stands |
//! | `window` | the part of a segment that is read |
//! | [`places`] | one directory for several processes |
//! | [`settings`](Settings) | sizes and limits |
//! | [`error`](SpoolError) | why something could not be written |
//! | [`survey`](Survey) | what a spool holds, without changing it |
//!
//! Nothing but the directory, what it is made of and [`places`] knows files, threads or clocks, so a
//! simulator can be the disk and end the world between any two of its operations. This module is
//! public with the feature `internals`, for drivers, tools and simulators; it may change in any
//! release. The format of the files is versioned and stays readable.
//!
//! # What can be relied on
//!
//! - An event is reported durable after the sync that covers it returned `Ok`, never before.
//! - A durable event is read again after any crash until it is retired, once per start, in order.
//! - Whatever bytes a directory holds, it opens.
//! - Only bytes that were read and fail their check are damage. What cannot be read, or is of another
//!   version, is neither passed as retired nor deleted: its events come when it can be read.
//! - Nothing is deleted but what is retired. Damage is told, and the first four damaged segments
//!   are set aside; further ones that are retired are used again.
//! - The files never take more than the quota. What was cut off at a start can come back with a
//!   power loss, if the sync after the cut had failed.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod access;
mod candidate;
mod cursor;
mod directory;
mod directory_error;
mod error;
mod fields;
mod folder;
mod frame;
mod handle;
mod header;
mod holder;
mod location;
mod lock;
mod log;
mod look;
mod missing;
mod open;
mod opened;
mod pending;
mod places;
mod reader;
mod segment_end;
mod segments;
mod settings;
mod storage;
mod survey;
mod system;
#[cfg(any(test, feature = "internals"))]
mod watched;
mod window;

pub use access::{Access, ForeignOwner, NetworkFileSystem};
pub use cursor::{CURSOR_BYTES, Cursor};
pub(crate) use directory::Limits;
pub use directory::{Directory, Flushing, Recovered, open_first_free};
pub use directory_error::{DeniedBy, DirectoryError, FileSizeLimit, User};
pub use error::SpoolError;
pub use frame::{ALIGNMENT, FRAME_HEADER_BYTES, FrameHeader, Level, Payload, Place, frame_bytes};
pub use header::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader};
pub use holder::Holder;
pub(crate) use location::Shared;
pub use location::{Location, Neighbours};
pub use log::Log;
pub(crate) use look::Looked;
pub(crate) use missing::Told;
pub use missing::{Gap, Missing, ReadFailure, Readable, SegmentList, Unread, Unreadable};
pub use opened::{CursorState, Opened};
pub(crate) use places::not_taken_over;
pub use places::places;
pub use reader::{Frame, Reader, Step};
pub(crate) use settings::SEGMENT_BYTES;
pub use settings::{SEGMENTS_MIN, Settings};
pub use storage::{FileName, NoMoreFiles, Removed, Storage};
pub use survey::{SegmentTrouble, StoredEvent, Survey, SurveyedSegment};
pub(crate) use system::is_short_of_descriptors;
#[cfg(any(test, feature = "internals"))]
pub use watched::{Operation, Watched};
