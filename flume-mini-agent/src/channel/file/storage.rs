//! [`Storage`]: all that the channel does to a disk, so that a test can be the disk.

use std::io;

/// Tells the bytes that are free on the disk.
pub(super) type SpaceProbe = Box<dyn Fn() -> io::Result<u64> + Send + Sync>;

/// A directory of segments. Nothing is durable before a sync that returned `Ok`.
pub(super) trait Storage: Send + 'static {
    /// The numbers of all published segments, ascending.
    fn list(&mut self) -> io::Result<Vec<u64>>;

    /// The whole content of a segment.
    fn read(&mut self, segment: u64) -> io::Result<Vec<u8>>;

    /// Makes an empty segment that [`list`](Self::list) does not show before it is published. What
    /// an earlier try left behind is overwritten.
    fn create(&mut self, segment: u64) -> io::Result<()>;

    /// Gives a created segment its name. Durable after [`sync_directory`](Self::sync_directory).
    fn publish(&mut self, segment: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`; after an error any part of them may be there.
    fn write(&mut self, segment: u64, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the segment to `length` bytes.
    fn truncate(&mut self, segment: u64, length: u64) -> io::Result<()>;

    /// Makes the segment's content and length durable.
    fn sync(&mut self, segment: u64) -> io::Result<()>;

    /// Makes publications and removals durable.
    fn sync_directory(&mut self) -> io::Result<()>;

    /// Deletes a segment.
    fn remove(&mut self, segment: u64) -> io::Result<()>;

    /// The segment's file, for messages.
    fn name(&self, segment: u64) -> String;

    /// Looks at the free space, at any time and from any thread.
    fn space_probe(&self) -> SpaceProbe;
}
