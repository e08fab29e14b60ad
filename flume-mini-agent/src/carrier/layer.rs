//! [`Layer`]: what changes bytes on their way. No IO here.

use std::io;

use flume_client::wire::deflate::Deflate;

/// A layer's state of one connection.
#[derive(Debug)]
pub(super) enum Layer {
    Deflate(Box<Deflate>),
}

impl Layer {
    /// Takes all of `plain`, and appends what is ready of it to `coded`.
    pub(super) fn encode(&mut self, plain: &[u8], coded: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Deflate(deflate) => deflate.encode(plain, coded).map_err(invalid),
        }
    }

    /// Appends all that it keeps back.
    pub(super) fn flush(&mut self, coded: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Deflate(deflate) => deflate.flush(coded).map_err(invalid),
        }
    }

    /// Appends some of what `coded` means to `plain`, and says how many bytes it took. To be called
    /// again with the rest until it takes none and adds none.
    pub(super) fn decode(&mut self, coded: &[u8], plain: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Deflate(deflate) => deflate.decode(coded, plain).map_err(invalid),
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
