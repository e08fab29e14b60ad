//! What the directory asks of the operating system and std has no word for.
#![expect(
    clippy::disallowed_types,
    reason = "part of the directory, which knows a file system"
)]

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

#[cfg(not(unix))]
use std::io::{Read, Seek, SeekFrom, Write};

#[cfg(unix)]
pub(super) fn owner_only(options: &mut OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
}

#[cfg(unix)]
pub(super) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match std::os::unix::fs::FileExt::read_at(file, rest, offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Sets space aside that reads as zeros. `false`: the file system cannot do that.
#[cfg(target_os = "linux")]
pub(super) fn reserve(file: &File, bytes: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn reserve(_: &File, _: u64) -> io::Result<bool> {
    Ok(false)
}

/// Has the disk begin with what was written there. The sync that follows tells of its errors.
#[cfg(target_os = "linux")]
pub(super) fn begin_write_back(file: &File, offset: u64, bytes: usize) {
    use rustix::fs::{Advice, fadvise};
    // The kernel's word for it is that the pages are not needed: it writes back those that were
    // changed. Those that are on the disk already it lets go of, so only new bytes are named.
    let bytes = std::num::NonZeroU64::new(bytes as u64);
    let _ = bytes.map(|bytes| fadvise(file, offset, Some(bytes), Advice::DontNeed));
}

#[cfg(not(target_os = "linux"))]
pub(super) fn begin_write_back(_: &File, _: u64, _: usize) {}

#[cfg(unix)]
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(unix)]
pub(super) fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The network file system a path is on, if it is one that the kernel's `magic.h` knows.
#[cfg(target_os = "linux")]
pub(super) fn network_kind(path: &Path) -> io::Result<Option<&'static str>> {
    // Kernels of 32 bits give the number with a sign.
    let magic = rustix::fs::statfs(path)?.f_type as u32;
    Ok(match magic {
        0x6969 => Some("NFS"),
        0xff53_4d42 => Some("CIFS"),
        0xfe53_4d42 => Some("SMB2"),
        0x517b => Some("SMB"),
        0x5346_414f => Some("AFS"),
        0x00c3_6400 => Some("Ceph"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x4750_4653 => Some("GPFS"),
        _ => None,
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn network_kind(_: &Path) -> io::Result<Option<&'static str>> {
    Ok(None)
}

#[cfg(not(unix))]
pub(super) fn owner_only(_: &mut OpenOptions) {}

#[cfg(not(unix))]
pub(super) fn write_at(mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

#[cfg(not(unix))]
pub(super) fn read_at(mut file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(offset))?;
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

/// There is no sync of a directory here; the file system keeps names in its own order.
#[cfg(not(unix))]
pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Not known here: the floor of free space is not held.
#[cfg(not(unix))]
pub(super) fn free_bytes(_: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}
