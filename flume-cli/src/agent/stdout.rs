//! Standard output, for logger sinks.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Standard output that remembers that its reader went away.
#[derive(Clone, Debug, Default)]
pub(super) struct Stdout {
    gone: Arc<AtomicBool>,
}

impl Stdout {
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn noting<T>(&self, work: impl FnOnce(&mut io::Stdout) -> io::Result<T>) -> io::Result<T> {
        let result = work(&mut io::stdout());
        if result
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        {
            self.gone.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.noting(|stdout| stdout.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.noting(Write::flush)
    }
}
