//! Who may use which directory for a spool: its owner, its mode, its file system.

use super::directory_error::DirectoryError;
use super::folder::Folder;
use super::system::network_kind;

/// Which directories a spool may be in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// On a network file system?
    pub network: NetworkFileSystem,
    /// Of another user?
    pub owner: ForeignOwner,
}

/// Whether a directory may be on a network file system.
///
/// Known are NFS, SMB, AFS, Ceph, Lustre, GPFS, 9p, virtiofs, OCFS2, GFS2, BeeGFS, Coda, NCP and
/// VxFS (which does not tell whether it is a cluster's), on Linux. A file system in user space
/// (FUSE) can be anything: those that are known to keep files on this machine (`fuseblk` for NTFS
/// and exFAT, fuse-overlayfs, mergerfs, bindfs, gocryptfs, EncFS and the like) are taken for local
/// ones, all others for network file systems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkFileSystem {
    /// No, [`DirectoryError::Network`].
    #[default]
    Refused,
    /// Yes. What its server and client do to locks and syncs is not known.
    Allowed,
}

/// Whether a directory may belong to a user who is neither this process's nor root. Its owner can
/// read, change and replace all that is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignOwner {
    /// No, [`DirectoryError::ForeignOwner`].
    #[default]
    Refused,
    /// If this process is root's: who looks after another one's spool. Files that are made there
    /// get the directory's owner.
    AllowedToRoot,
}

impl From<NetworkFileSystem> for Access {
    fn from(network: NetworkFileSystem) -> Self {
        Self {
            network,
            ..Self::default()
        }
    }
}

/// Whether a spool may be in this directory. What is allowed and should be known is returned.
pub(super) fn judge(folder: &Folder, access: Access) -> Result<Vec<String>, DirectoryError> {
    if access.network == NetworkFileSystem::Refused {
        let kind = network_kind(folder).map_err(DirectoryError::io("look at", folder.path()))?;
        if let Some(kind) = kind {
            let directory = folder.path().to_owned();
            return Err(DirectoryError::Network { directory, kind });
        }
    }
    judge_owner(folder, access.owner)
}

#[cfg(unix)]
fn judge_owner(folder: &Folder, owner: ForeignOwner) -> Result<Vec<String>, DirectoryError> {
    use super::directory_error::User;
    use std::os::unix::fs::MetadataExt;
    let Some(file) = folder.file() else {
        return Ok(Vec::new());
    };
    let metadata = file
        .metadata()
        .map_err(DirectoryError::io("look at", folder.path()))?;
    let user = rustix::process::geteuid();
    let (belongs_to, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let is_allowed = user.is_root() && owner == ForeignOwner::AllowedToRoot;
    if belongs_to != user.as_raw() && belongs_to != 0 && !is_allowed {
        return Err(DirectoryError::ForeignOwner {
            directory: folder.path().to_owned(),
            owner: User(belongs_to),
            user: User(user.as_raw()),
        });
    }
    if mode & 0o002 != 0 {
        let directory = folder.path().to_owned();
        return Err(DirectoryError::WritableByAll { directory, mode });
    }
    let group = metadata.gid();
    let told = (mode & 0o020 != 0).then(|| {
        format!(
            "{} may be written to by group {group} (mode {mode:04o}), whose members can read, \
             change and remove what is in it: take that away with `chmod g-w` if it is not wanted",
            folder.path().display()
        )
    });
    Ok(told.into_iter().collect())
}

#[cfg(not(unix))]
fn judge_owner(_: &Folder, _: ForeignOwner) -> Result<Vec<String>, DirectoryError> {
    Ok(Vec::new())
}
