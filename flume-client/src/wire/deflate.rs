//! Compression as Flume's Avro source has it (`compression-type = deflate`): one zlib stream (RFC 1950)
//! in each direction for as long as the connection lasts, never finished. What is ready is flushed so
//! that the peer can read all of it (a sync flush, as Netty's `ZlibEncoder` does).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Most bytes that one call of [`Deflate::decode`] adds.
pub const DECODED_BYTES_MAX: usize = 16 * 1024;

/// Room that is made at once.
const ROOM_BYTES: usize = 4 * 1024;

/// Why what came is no such stream. The connection must be closed.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeflateError {
    /// The bytes are no zlib stream, or a damaged one.
    #[error(
        "what the peer sent is not compressed, or damaged: its source may be without \
         compression-type = deflate, or have TLS (ssl = true) that the address does not say"
    )]
    Foreign,
    /// The stream was finished, which nobody does while a connection is used.
    #[error("the peer ended its compressed stream and sent more after it")]
    Ended,
    /// This side's own stream.
    #[error("the compressor failed")]
    Compressor,
}

/// Both streams of a connection. Some 300 KiB of tables.
#[derive(Debug)]
pub struct Deflate {
    compress: Compress,
    decompress: Decompress,
    /// Something was taken and not flushed.
    is_unflushed: bool,
}

impl Deflate {
    /// A new pair. `level` is from 0, which only wraps, to 9; 6 is Flume's default.
    #[must_use]
    pub fn new(level: u32) -> Self {
        Self {
            compress: Compress::new(Compression::new(level.min(9)), true),
            decompress: Decompress::new(true),
            is_unflushed: false,
        }
    }

    /// Takes all of `plain`, and appends what is ready of it to `coded`.
    ///
    /// # Errors
    ///
    /// If the compressor fails, which it does not.
    pub fn encode(&mut self, mut plain: &[u8], coded: &mut Vec<u8>) -> Result<(), DeflateError> {
        while !plain.is_empty() {
            let taken = self.compress(plain, coded, FlushCompress::None)?;
            plain = plain.get(taken..).unwrap_or_default();
            self.is_unflushed = true;
        }
        Ok(())
    }

    /// Appends what is left of all that was taken, so that the peer can read it. Nothing, if nothing was.
    ///
    /// # Errors
    ///
    /// If the compressor fails, which it does not.
    pub fn flush(&mut self, coded: &mut Vec<u8>) -> Result<(), DeflateError> {
        if !std::mem::take(&mut self.is_unflushed) {
            return Ok(());
        }
        loop {
            self.compress(&[], coded, FlushCompress::Sync)?;
            // With room left there is nothing more (zlib's manual, `deflate`).
            if coded.len() < coded.capacity() {
                return Ok(());
            }
        }
    }

    /// Reads what came: appends what it means to `plain`, at most [`DECODED_BYTES_MAX`], and says how many
    /// bytes it took. To be called again with the rest until it takes none and adds none.
    ///
    /// # Errors
    ///
    /// If what came is no zlib stream.
    pub fn decode(&mut self, coded: &[u8], plain: &mut Vec<u8>) -> Result<usize, DeflateError> {
        let start = plain.len();
        plain.resize(start + DECODED_BYTES_MAX, 0);
        let before = (self.decompress.total_in(), self.decompress.total_out());
        let room = plain.get_mut(start..).unwrap_or_default();
        let status = self
            .decompress
            .decompress(coded, room, FlushDecompress::Sync);
        let taken = (self.decompress.total_in() - before.0) as usize;
        let added = (self.decompress.total_out() - before.1) as usize;
        plain.truncate(start + added);
        match status {
            Ok(Status::StreamEnd) if taken == 0 && !coded.is_empty() => Err(DeflateError::Ended),
            Ok(_) => Ok(taken),
            Err(_) => Err(DeflateError::Foreign),
        }
    }

    fn compress(
        &mut self,
        plain: &[u8],
        coded: &mut Vec<u8>,
        flush: FlushCompress,
    ) -> Result<usize, DeflateError> {
        coded.reserve(ROOM_BYTES);
        let before = self.compress.total_in();
        let status = self.compress.compress_vec(plain, coded, flush);
        status.map_err(|_| DeflateError::Compressor)?;
        Ok((self.compress.total_in() - before) as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// Reads all of it in pieces of so many bytes.
    fn decoded(deflate: &mut Deflate, coded: &[u8], piece: usize) -> Result<Vec<u8>, DeflateError> {
        let mut plain = Vec::new();
        for mut piece in coded.chunks(piece) {
            loop {
                let before = plain.len();
                let taken = deflate.decode(piece, &mut plain)?;
                assert!(plain.len() - before <= DECODED_BYTES_MAX);
                piece = &piece[taken..];
                if taken == 0 && plain.len() == before {
                    break;
                }
            }
            assert!(piece.is_empty());
        }
        Ok(plain)
    }

    /// What compresses, and what does not.
    fn text() -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(1);
        let noise = std::iter::repeat_with(|| random.u8(..)).take(8_000);
        b"a line of a log\n"
            .repeat(500)
            .into_iter()
            .chain(noise)
            .collect()
    }

    #[test]
    fn all_that_was_taken_can_be_read_after_a_flush_however_it_is_cut() {
        for level in [0, 1, 6, 9] {
            for (given, read) in [(usize::MAX, 1), (700, 4096), (10_000, 7_000)] {
                let (mut ours, mut theirs) = (Deflate::new(level), Deflate::new(6));
                for part in text().chunks(given.min(text().len())).take(30) {
                    let mut coded = Vec::new();
                    ours.encode(part, &mut coded).unwrap();
                    ours.flush(&mut coded).unwrap();
                    assert!(decoded(&mut theirs, &coded, read).unwrap() == part);
                }
            }
        }
    }

    #[test]
    fn the_stream_is_one_that_others_read_and_write() {
        let mut coded = Vec::new();
        let mut ours = Deflate::new(6);
        for part in [&b"one"[..], b"two"] {
            ours.encode(part, &mut coded).unwrap();
            ours.flush(&mut coded).unwrap();
        }
        // RFC 1950, 2.2: method 8, a window of 32 KiB. And the end of a sync flush (RFC 1951, 3.2.4).
        assert_eq!(coded[0], 0x78);
        assert!(coded.ends_with(&[0, 0, 0xff, 0xff]));
        let mut read = [0; 6];
        let mut reader = flate2::read::ZlibDecoder::new(coded.as_slice());
        reader.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"onetwo");

        let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
        writer.write_all(b"three").unwrap();
        writer.flush().unwrap();
        assert_eq!(decoded(&mut ours, writer.get_ref(), 1).unwrap(), b"three");
    }

    #[test]
    fn nothing_is_flushed_twice() {
        let (mut ours, mut coded) = (Deflate::new(6), Vec::new());
        ours.flush(&mut coded).unwrap();
        assert!(coded.is_empty());
        ours.encode(b"a", &mut coded).unwrap();
        ours.flush(&mut coded).unwrap();
        let length = coded.len();
        ours.flush(&mut coded).unwrap();
        assert_eq!(coded.len(), length);
    }

    #[test]
    fn what_is_not_compressed_is_told_at_once_and_so_is_what_comes_after_the_end() {
        for foreign in [
            &b"HTTP/1.1 400 Bad Request"[..],
            &[0; 8],
            &[0x15, 3, 3, 0, 2, 2, 10],
        ] {
            let told = Deflate::new(6).decode(foreign, &mut Vec::new());
            assert_eq!(told, Err(DeflateError::Foreign));
        }
        let mut whole = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
        whole.write_all(b"all").unwrap();
        let whole = whole.finish().unwrap();
        let mut ours = Deflate::new(6);
        assert_eq!(decoded(&mut ours, &whole, 100).unwrap(), b"all");
        assert_eq!(ours.decode(b"x", &mut Vec::new()), Err(DeflateError::Ended));
    }

    #[test]
    fn a_stream_that_swells_is_read_in_pieces() {
        let mut bomb = flate2::write::ZlibEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![0; 1_000_000]).unwrap();
        bomb.flush().unwrap();
        let mut ours = Deflate::new(6);
        let mut plain = Vec::new();
        ours.decode(bomb.get_ref(), &mut plain).unwrap();
        assert_eq!(plain.len(), DECODED_BYTES_MAX);
        assert!(plain.capacity() <= 2 * DECODED_BYTES_MAX);
    }
}
