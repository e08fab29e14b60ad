//! What a process that was forked from another must know: that it was, and what it lets go of.
//!
//! `fork` copies a process with one of its threads. The copy has this crate's memory without the
//! threads that work on it, possibly in the middle of a change and with locks held that nobody
//! releases, and it has descriptors of the same open files and sockets.
//!
//! | here | is for |
//! |---|---|
//! | [`Generation`] | whatever has a lock: who finds that it was made before a fork leaves it alone |
//! | `NotInherited` | descriptors that must end with the process that opened them: a spool's lock, an agent's connection |
//!
//! The C library calls us in the child before `fork` returns there, so nothing is asked of the
//! system later: to compare generations is to read one word. It does not for `posix_spawn`,
//! `vfork`, and [`std::process::Command`] as a rule, whose children do not come to run this
//! code. A process made by a bare system call behind the C library's back cannot be told from
//! its parent.
//!
//! Where there is no `fork`, every generation is present.
#![cfg_attr(
    unix,
    expect(
        unsafe_code,
        reason = "the C library has no safe way to be called after a fork, and what it calls may \
                  not allocate, so it works with bare descriptors; no other module needs it"
    )
)]

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};

/// A process between two forks: the one in which something was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    number: u32,
    process: u32,
}

/// How often a process was forked on the way here, while we were told of it.
static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Generation {
    /// That of the calling process. Forks count from the first [`watch`] on.
    #[must_use]
    pub fn now() -> Self {
        Self {
            number: NUMBER.load(Ordering::Relaxed),
            process: std::process::id(),
        }
    }

    /// Whether the calling process is that one no longer, but was forked from it since. This reads
    /// one word of memory.
    #[inline]
    #[must_use]
    pub fn is_past(self) -> bool {
        // No other thread is there when it changes.
        self.number != NUMBER.load(Ordering::Relaxed)
    }

    /// The process's id.
    #[must_use]
    pub fn process(self) -> u32 {
        self.process
    }

    /// One that is past, for tests.
    #[cfg(test)]
    pub(crate) fn past() -> Self {
        let now = Self::now();
        Self {
            number: now.number.wrapping_sub(1),
            ..now
        }
    }
}

/// Has forks counted from now on. Each process needs it once, and may ask often. Fails if the
/// system has no memory for it.
pub fn watch() -> io::Result<()> {
    system::watch()
}

pub(crate) use system::NotInherited;

impl<T> Deref for NotInherited<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.open
    }
}

impl<T> DerefMut for NotInherited<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.open
    }
}

#[cfg(unix)]
mod system {
    use std::fmt;
    use std::io;
    use std::mem::ManuallyDrop;
    use std::os::fd::{AsFd, AsRawFd, RawFd};
    use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

    use super::{Generation, NUMBER};

    pub(super) fn watch() -> io::Result<()> {
        // Not a lock, which a child could inherit. To be called twice does no harm.
        static IS_WATCHED: AtomicBool = AtomicBool::new(false);
        if IS_WATCHED.load(Ordering::Relaxed) {
            return Ok(());
        }
        // SAFETY: the function has the signature that is asked for and lasts as long as this code.
        // If that is unloaded, the C library forgets it.
        match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
            0 => IS_WATCHED.store(true, Ordering::Relaxed),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
        Ok(())
    }

    /// Called in a child, on its only thread, before `fork` returns there. Another thread of the
    /// parent may have been anywhere, so this takes no lock, allocates nothing, and calls nothing
    /// but what is safe in the handler of a signal.
    extern "C" fn in_child() {
        NUMBER.fetch_add(1, Ordering::Relaxed);
        for kept in &DESCRIPTORS {
            let descriptor = kept.swap(NONE, Ordering::Relaxed);
            if descriptor != NONE {
                let_go(descriptor);
            }
        }
    }

    /// Closes the descriptor and puts an empty one in its place, so that its number does not become
    /// another file's while something in memory still names it.
    fn let_go(descriptor: RawFd) {
        // SAFETY: these three are safe to call after a fork, with numbers of any meaning. The
        // descriptor is that of a `NotInherited`, whose owner never uses or closes it here.
        unsafe {
            libc::close(descriptor);
            // Not before: there may be no other number left. If there is no such file, the number
            // stays free, and only its owner, who is not here, knew it.
            let empty = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            if empty >= 0 && empty != descriptor {
                libc::dup2(empty, descriptor);
                libc::close(empty);
            }
        }
    }

    /// Descriptors that a child lets go of. Those beyond are inherited as any other.
    const DESCRIPTORS_MAX: usize = 512;

    const NONE: RawFd = -1;

    static DESCRIPTORS: [AtomicI32; DESCRIPTORS_MAX] =
        [const { AtomicI32::new(NONE) }; DESCRIPTORS_MAX];

    /// An open file or socket that ends in a forked child, and is never closed there a second time.
    ///
    /// A fork between the opening and [`of`](Self::of), or between the two halves of a drop, leaves
    /// the child a descriptor that it does not know of.
    pub(crate) struct NotInherited<T> {
        pub(super) open: ManuallyDrop<T>,
        kept: Option<&'static AtomicI32>,
        generation: Generation,
    }

    impl<T: AsFd> NotInherited<T> {
        pub(crate) fn of(open: T) -> Self {
            // If it fails, the descriptor is inherited as any other.
            let _ = watch();
            let descriptor = open.as_fd().as_raw_fd();
            let takes = |kept: &&AtomicI32| {
                let taken =
                    kept.compare_exchange(NONE, descriptor, Ordering::Relaxed, Ordering::Relaxed);
                taken.is_ok()
            };
            Self {
                kept: DESCRIPTORS.iter().find(takes),
                open: ManuallyDrop::new(open),
                generation: Generation::now(),
            }
        }
    }

    impl<T> NotInherited<T> {
        /// Whether the calling process is the one that opened it. In another it must not be used.
        pub(crate) fn is_ours(&self) -> bool {
            !self.generation.is_past()
        }
    }

    impl<T> Drop for NotInherited<T> {
        fn drop(&mut self) {
            if !self.is_ours() {
                return;
            }
            // Before it is closed: the number is another's then.
            if let Some(kept) = self.kept {
                kept.store(NONE, Ordering::Release);
            }
            // SAFETY: it is dropped here only, and not used after.
            unsafe { ManuallyDrop::drop(&mut self.open) }
        }
    }

    impl<T: fmt::Debug> fmt::Debug for NotInherited<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (**self).fmt(f)
        }
    }

    #[cfg(test)]
    mod tests {
        use std::fs::File;
        use std::os::fd::OwnedFd;

        use super::*;

        fn is_kept(descriptor: RawFd) -> bool {
            DESCRIPTORS
                .iter()
                .any(|kept| kept.load(Ordering::Relaxed) == descriptor)
        }

        #[test]
        fn a_descriptor_is_known_from_its_opening_to_its_end() {
            let open = NotInherited::of(File::open("/dev/null").unwrap());
            let descriptor = open.as_raw_fd();
            assert!(open.is_ours() && is_kept(descriptor));
            let kept = open.kept.unwrap();
            assert_eq!(kept.load(Ordering::Relaxed), descriptor);
            drop(open);
            assert_ne!(kept.load(Ordering::Relaxed), descriptor);
        }

        #[test]
        fn what_another_process_opened_is_not_closed_here() {
            let file: OwnedFd = File::open("/dev/null").unwrap().into();
            let descriptor = file.as_raw_fd();
            let mut open = NotInherited::of(file);
            open.generation = Generation::past();
            let kept = open.kept.unwrap();
            drop(open);
            let path = format!("/dev/fd/{descriptor}");
            assert!(std::fs::metadata(path).is_ok(), "closed by its drop");
            kept.store(NONE, Ordering::Relaxed);
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    pub(super) fn watch() -> io::Result<()> {
        Ok(())
    }

    /// An open file or socket. There is no `fork` here that could copy it.
    #[derive(Debug)]
    pub(crate) struct NotInherited<T> {
        pub(super) open: T,
    }

    impl<T> NotInherited<T> {
        pub(crate) fn of(open: T) -> Self {
            Self { open }
        }

        pub(crate) fn is_ours(&self) -> bool {
            true
        }
    }
}
