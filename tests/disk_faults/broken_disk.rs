//! A disk that takes writes into memory and cannot put them anywhere: ext4 on a loop device, whose
//! file is on a tmpfs that is smaller than it says.
//!
//! All of it lives in a mount namespace: the kernel takes down the mounts and frees the loop device
//! when its last process ends, however it ends.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use crate::aftermath;
use crate::service::{Result, listen_to};

const TMPFS_MIB: u32 = 12;
const DISK_MIB: u64 = 64;
/// Four segments of 5 MiB, of which the disk takes two.
const QUOTA: u64 = 20 * 1024 * 1024 + 8192;
/// Of 3 KB each: more than four segments take.
const EVENTS: u64 = 8_000;

pub(crate) fn run() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut command = Command::new("unshare");
    command.arg("--mount").arg(env::current_exe()?);
    let status = command.arg("loop-inside").arg(home.path()).status()?;
    if status.success() {
        Ok(())
    } else {
        Err("it failed; without root and loop devices it cannot run".into())
    }
}

/// The same in a mount namespace of its own.
pub(crate) fn run_inside(home: &Path) -> Result<()> {
    let (small, disk) = (home.join("small"), home.join("disk"));
    fs::create_dir(&small)?;
    fs::create_dir(&disk)?;
    let (small, disk) = (small.as_path(), disk.as_path());
    let image = small.join("image");
    let image = image.as_path();

    let size = format!("size={TMPFS_MIB}m");
    call(
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(small),
    )?;
    File::create(image)?.set_len(DISK_MIB * 1024 * 1024)?;
    let lazily = "lazy_itable_init=0,lazy_journal_init=0";
    let mut format = Command::new("mkfs.ext4");
    format.args(["-q", "-F", "-N", "64", "-J", "size=1", "-E", lazily]);
    call(format.arg(image))?;
    mount(image, disk)?;

    let spool = disk.join("spool");
    let service = Command::new(env::current_exe()?);
    let told = listen_to(service, home, &spool, QUOTA, EVENTS)?;
    println!(
        "taken {}, stored {}, given up {}",
        told.accepted,
        told.stored.len(),
        told.lost
    );
    told.troubles.iter().for_each(|it| println!("told: {it}"));

    // What is not on the device is gone with its caches; from here on the device works.
    call(Command::new("umount").arg(disk))?;
    call(
        Command::new("mount")
            .args(["-o", "remount,size=128m"])
            .arg(small),
    )?;
    let mut repair = Command::new("e2fsck");
    let repaired = repair.args(["-fy"]).arg(image).output()?;
    if repaired.status.code().is_none_or(|code| code > 2) {
        return Err(format!("e2fsck: {}", String::from_utf8_lossy(&repaired.stdout)).into());
    }
    mount(image, disk)?;
    let checked = aftermath::check(&told, &spool, QUOTA);
    call(Command::new("umount").arg(disk))?;
    call(Command::new("umount").arg(small))?;
    checked?;
    if told.stored.is_empty() || told.lost == 0 || told.troubles.is_empty() {
        return Err("the disk did not break while events were stored".into());
    }
    println!("everything that was told to be stored was there, and was delivered once");
    Ok(())
}

fn call(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {status}").into())
    }
}

fn mount(image: &Path, disk: &Path) -> Result<()> {
    let mut mount = Command::new("mount");
    call(mount.args(["-o", "loop"]).arg(image).arg(disk))
}
