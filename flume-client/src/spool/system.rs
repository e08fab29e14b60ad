//! What the directory asks of the operating system and std has no word for.
#![expect(
    clippy::disallowed_types,
    reason = "part of the directory, which knows a file system"
)]

use std::fs::File;
use std::io;

use super::folder::Folder;

#[cfg(not(unix))]
use std::io::{Read, Seek, SeekFrom, Write};

/// Bytes that a file may have at the most. Beyond that the system ends the process, unless it has
/// asked for an error.
#[cfg(unix)]
pub(super) fn file_bytes_max() -> u64 {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX)
}

/// Writes all of `bytes`, or nothing if the file would be larger than this process may make one.
pub(super) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    check_file_bytes(offset.saturating_add(bytes.len() as u64))?;
    write_all_at(file, offset, bytes)
}

/// The limit can be lowered at any time, also from outside.
fn check_file_bytes(bytes: u64) -> io::Result<()> {
    if bytes > file_bytes_max() {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(())
}

#[cfg(unix)]
fn write_all_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
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
    check_file_bytes(bytes)?;
    match rustix::io::retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, bytes)) {
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

/// How much there is on a disk, as far as it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DiskSpace {
    /// All of it. Some that live in memory or in a process have no size: `None`.
    pub(super) bytes: Option<u64>,
    /// `u64::MAX` if it has no size.
    pub(super) free_bytes: u64,
    /// Files that can still be made. `None`: as many as there is room for.
    pub(super) free_files: Option<u64>,
}

#[cfg(unix)]
pub(super) fn disk_space(folder: &Folder) -> io::Result<DiskSpace> {
    let Some(file) = folder.file() else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let disk = rustix::fs::fstatvfs(file)?;
    let has_size = disk.f_blocks > 0;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Ok(DiskSpace {
        bytes: has_size.then(|| bytes(disk.f_blocks)),
        free_bytes: if has_size {
            bytes(disk.f_bavail)
        } else {
            u64::MAX
        },
        free_files: (disk.f_files > 0).then_some(disk.f_favail),
    })
}

/// The network file system a directory is on, if it is known as one.
#[cfg(target_os = "linux")]
pub(super) fn network_kind(folder: &Folder) -> io::Result<Option<&'static str>> {
    use std::os::unix::fs::MetadataExt;
    let Some(file) = folder.file() else {
        return Ok(None);
    };
    // Kernels of 32 bits give the number with a sign.
    let magic = rustix::fs::fstatfs(file)?.f_type as u32;
    if magic != FUSE {
        return Ok(kind_of(magic));
    }
    // What cannot be told is not known to be local.
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let device = file.metadata()?.dev();
    let device = (rustix::fs::major(device), rustix::fs::minor(device));
    Ok(kind_of_fuse(mount_type(&mounts, device)))
}

/// A process of the user answers for the file system.
#[cfg(target_os = "linux")]
const FUSE: u32 = 0x6573_5546;

/// Those of FUSE that keep their files on this machine.
#[cfg(target_os = "linux")]
const LOCAL_FUSE: [&str; 13] = [
    "fuseblk",
    "fuse.bindfs",
    "fuse.cryfs",
    "fuse.encfs",
    "fuse.exfat",
    "fuse.fuse-ext2",
    "fuse.fuse-overlayfs",
    "fuse.gocryptfs",
    "fuse.mergerfs",
    "fuse.ntfs-3g",
    "fuse.unionfs",
    "fuse.unionfs-fuse",
    "fuse.zfs",
];

/// By the numbers of the kernel's `magic.h`, and of those that are not in it.
#[cfg(target_os = "linux")]
fn kind_of(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0xff53_4d42 => "CIFS",
        0xfe53_4d42 => "SMB2",
        0x517b => "SMB",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x00c3_6400 => "Ceph",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x0102_1997 => "9p",
        0x7461_636f => "OCFS2",
        0x0116_1970 => "GFS2",
        0x1983_0326 => "BeeGFS",
        0x7375_7245 => "Coda",
        0x564c => "NCP",
        0xa501_fcf5 => "VxFS",
        0x6165_676f => "PVFS2",
        0xaad7_aaea => "PanFS",
        _ => return None,
    })
}

/// By the type of the mount.
#[cfg(target_os = "linux")]
fn kind_of_fuse(mount: Option<&str>) -> Option<&'static str> {
    match mount {
        Some("virtiofs") => Some("virtiofs, a directory of the host"),
        Some(local) if LOCAL_FUSE.contains(&local) => None,
        _ => Some("FUSE, and not known to be local"),
    }
}

/// The type of the file system of this device, in what `/proc/self/mountinfo` holds.
#[cfg(target_os = "linux")]
fn mount_type(mounts: &str, (major, minor): (u32, u32)) -> Option<&str> {
    let device = format!("{major}:{minor}");
    mounts.lines().find_map(|line| {
        let (place, system) = line.split_once(" - ")?;
        let is_it = place.split(' ').nth(2) == Some(&device);
        is_it.then(|| system.split(' ').next()).flatten()
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn network_kind(_: &Folder) -> io::Result<Option<&'static str>> {
    Ok(None)
}

#[cfg(not(unix))]
pub(super) fn file_bytes_max() -> u64 {
    u64::MAX
}

#[cfg(not(unix))]
fn write_all_at(mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
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

/// Not known here: the floor of free space is not held.
#[cfg(not(unix))]
pub(super) fn disk_space(_: &Folder) -> io::Result<DiskSpace> {
    Ok(DiskSpace {
        bytes: None,
        free_bytes: u64::MAX,
        free_files: None,
    })
}

/// Whether the process or the system has no descriptor left for another file or socket: there is no
/// [`io::ErrorKind`] for it.
pub(crate) fn is_short_of_descriptors(error: &io::Error) -> bool {
    #[cfg(unix)]
    let codes = {
        use rustix::io::Errno;
        [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error)
    };
    // ERROR_TOO_MANY_OPEN_FILES and WSAEMFILE
    #[cfg(not(unix))]
    let codes = [4, 10_024];
    let code = error.raw_os_error();
    code.is_some_and(|code| codes.contains(&code))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
28 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
40 28 0:35 / /mnt/a rw,nosuid - fuse.sshfs host: rw,user_id=0
41 28 0:36 / /mnt/b rw shared:7 - virtiofs share rw
42 28 8:17 / /mnt/c\\040- rw shared:7 master:1 - fuseblk /dev/sdb1 rw
43 28 0:37 / /mnt/d rw - fuse /dev/fuse rw
";

    #[test]
    fn a_file_system_in_user_space_counts_as_local_only_if_it_is_known_to_be() {
        let kind = |device| kind_of_fuse(mount_type(MOUNTS, device));
        assert_eq!(mount_type(MOUNTS, (8, 1)), Some("ext4"));
        assert_eq!(mount_type(MOUNTS, (8, 17)), Some("fuseblk"));
        assert_eq!(kind((8, 17)), None);
        assert_eq!(kind((0, 36)), Some("virtiofs, a directory of the host"));
        for other in [(0, 35), (0, 37), (0, 99)] {
            assert_eq!(kind(other), Some("FUSE, and not known to be local"));
        }
    }

    #[test]
    fn file_systems_of_other_machines_are_known_by_their_numbers() {
        // As `statfs` gives them, from the manual page statfs(2) and the file systems' own headers.
        for (magic, kind) in [
            (0x6969, "NFS"),
            (0x0102_1997, "9p"),
            (0x7461_636f, "OCFS2"),
            (0x0116_1970, "GFS2"),
            (0x1983_0326, "BeeGFS"),
            (0x7375_7245, "Coda"),
            (0x564c, "NCP"),
            (0xa501_fcf5, "VxFS"),
        ] {
            assert_eq!(kind_of(magic), Some(kind));
        }
        // ext4, XFS, btrfs, tmpfs, overlayfs, ramfs.
        for local in [
            0xef53,
            0x5846_5342,
            0x9123_683e,
            0x0102_1994,
            0x794c_7630,
            0x8584_58f6,
        ] {
            assert_eq!(kind_of(local), None);
        }
    }
}
