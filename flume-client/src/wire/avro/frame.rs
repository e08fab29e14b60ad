//! Netty framing of Avro RPC (Avro's `NettyTransportCodec`).
//!
//! | bytes | meaning |
//! |---|---|
//! | 4 | serial number, big-endian; the peer echoes it in the reply |
//! | 4 | number of buffers N |
//! | N x (4 + length) | length of a buffer, its bytes |
//!
//! The buffers of a frame are one message cut anywhere; [`FrameDecoder`] joins them. Flume never
//! answers again on a connection that sent N = 0, so it is an error in both directions here.

use std::fmt;

use crate::wire::unread::Unread;

/// Bytes in front of the payload of a frame with one buffer.
pub const HEAD_BYTES: usize = 12;

/// The head of a frame whose whole payload is one buffer of `payload_bytes`.
///
/// `None` if the payload does not fit the length field (2 GiB less one byte).
#[must_use]
pub fn head(serial: i32, payload_bytes: usize) -> Option<[u8; HEAD_BYTES]> {
    let length = i32::try_from(payload_bytes).ok()?;
    let mut head = [0; HEAD_BYTES];
    let (serial_part, rest) = head.split_at_mut(4);
    let (count_part, length_part) = rest.split_at_mut(4);
    serial_part.copy_from_slice(&serial.to_be_bytes());
    count_part.copy_from_slice(&1_i32.to_be_bytes());
    length_part.copy_from_slice(&length.to_be_bytes());
    Some(head)
}

/// What a peer may send in one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Most payload bytes, all buffers together.
    pub payload_bytes_max: usize,
    /// Most buffers.
    pub buffers_max: usize,
}

impl FrameLimits {
    /// For replies, which hold a handshake (1.4 KiB with the protocol's text) and a status or an
    /// error text.
    pub const REPLY: Self = Self {
        payload_bytes_max: 64 * 1024,
        buffers_max: 16,
    };

    /// For requests: Java's client cuts its payload into buffers of 8 KiB.
    pub const REQUEST: Self = Self {
        payload_bytes_max: 64 * 1024 * 1024,
        buffers_max: 16 * 1024,
    };
}

/// Why a frame was refused. The connection cannot go on after any of them.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame has no buffers.
    #[error("the peer sent a frame without buffers")]
    NoBuffers,
    /// The peer speaks another protocol, as its first bytes tell.
    #[error("{0}")]
    Foreign(Foreign),
    /// The number of buffers is negative or over the limit.
    #[error("the peer announced a frame of {announced} buffers, more than the {limit} allowed")]
    TooManyBuffers {
        /// The number announced, read as unsigned; the least it can be if bytes of it are missing.
        announced: u32,
        /// The limit.
        limit: usize,
    },
    /// The payload would pass the limit; `announced` counts the buffers up to the one that does.
    #[error("the peer announced a frame of {announced} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Bytes announced.
        announced: u64,
        /// The limit.
        limit: usize,
    },
}

/// Another protocol, recognised by the first four bytes where the head of a frame makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Foreign {
    /// A web server, or Flume's HTTP source.
    Http,
    /// An SSH server.
    Ssh,
    /// TLS: an alert, or a handshake.
    Tls,
    /// A zlib stream (RFC 1950), from 32 KiB of window on.
    Zlib,
    /// Text that begins with these printable letters.
    Text([u8; 4]),
}

impl Foreign {
    /// What begins with these bytes, if it is known.
    pub(crate) fn of(first: [u8; 4]) -> Option<Self> {
        match &first {
            b"HTTP" => Some(Self::Http),
            b"SSH-" => Some(Self::Ssh),
            [0x15 | 0x16, 3, ..] => Some(Self::Tls),
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some(Self::Zlib),
            text if text.iter().all(|byte| matches!(byte, b' '..=b'~')) => Some(Self::Text(first)),
            _ => None,
        }
    }

    /// What to tell of it where `source` was looked for, a noun with its article.
    pub(crate) fn instead_of(self, source: &str) -> String {
        match self {
            Self::Http => format!(
                "the peer speaks HTTP: this is the port of a web server or of Flume's HTTP source, \
                 not of {source}"
            ),
            Self::Ssh => format!("the peer is an SSH server: this is not the port of {source}"),
            Self::Tls => format!(
                "the peer speaks TLS, which this client does not: use the port of {source} without \
                 it (ssl = false)"
            ),
            Self::Zlib => format!(
                "the peer sends compressed bytes: this is the port of an Avro source with \
                 compression-type = deflate (avro+deflate://), not of {source} without"
            ),
            Self::Text(text) => format!(
                "the peer sent text that begins with {:?}: this is not the port of {source}",
                String::from_utf8_lossy(&text)
            ),
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.instead_of("an Avro source"))
    }
}

/// A whole frame: its serial number and its buffers joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Chosen by the caller of the RPC, echoed in its reply.
    pub serial: i32,
    /// The message.
    pub payload: &'a [u8],
}

/// Cuts a stream of bytes into frames, with any split of the stream into reads.
///
/// Keeps at most one unfinished frame plus what was pushed after it; a frame over the limits is
/// refused as soon as its length is known, before its bytes arrive.
#[derive(Debug)]
pub struct FrameDecoder {
    limits: FrameLimits,
    unread: Unread,
}

impl FrameDecoder {
    /// A decoder for the start of a connection.
    #[must_use]
    pub fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            unread: Unread::default(),
        }
    }

    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer_mut().extend_from_slice(bytes);
    }

    /// The buffer after the last unread byte, for reads straight into it. Only append to it.
    pub fn buffer_mut(&mut self) -> &mut Vec<u8> {
        self.unread.buffer_mut()
    }

    /// Whether bytes of an unfinished frame are held: the stream must not end here.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        !self.unread.bytes().is_empty()
    }

    /// The next whole frame, or `None` until more bytes come.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let Some((serial, extent)) = self.measure()? else {
            return Ok(None);
        };
        let frame = self.unread.cut(extent.bytes);
        let payload_bytes = join_buffers(frame, extent.buffers);
        let payload = frame
            .get(HEAD_BYTES..HEAD_BYTES + payload_bytes)
            .unwrap_or_default();
        Ok(Some(Frame { serial, payload }))
    }

    /// Walks the lengths of the next frame; `None` while it is unfinished.
    fn measure(&self) -> Result<Option<(i32, Extent)>, FrameError> {
        let unread = self.unread.bytes();
        let Some(serial) = int_at(unread, 0) else {
            return Ok(None);
        };
        let limit = self.limits.buffers_max;
        let announced = buffers_at_least(unread);
        if announced > i32::MAX as u32 || announced as usize > limit {
            let foreign = Foreign::of(serial.to_be_bytes()).map(FrameError::Foreign);
            return Err(foreign.unwrap_or(FrameError::TooManyBuffers { announced, limit }));
        }
        let count = match int_at(unread, 4) {
            None => return Ok(None),
            Some(0) => return Err(FrameError::NoBuffers),
            Some(_) => announced as usize,
        };
        let mut at = 8;
        let mut payload_bytes: u64 = 0;
        for _ in 0..count {
            let Some(length) = int_at(unread, at) else {
                return Ok(None);
            };
            payload_bytes += u64::from(length as u32);
            let limit = self.limits.payload_bytes_max;
            if length < 0 || payload_bytes > limit as u64 {
                return Err(FrameError::TooLarge {
                    announced: payload_bytes,
                    limit,
                });
            }
            at += 4 + length as usize;
        }
        Ok((at <= unread.len()).then_some((
            serial,
            Extent {
                buffers: count,
                bytes: at,
            },
        )))
    }
}

/// The number of buffers as far as its bytes have come, the missing ones taken for zeros.
///
/// A TLS alert has seven bytes, and the peer says no more: waiting for the eighth would lose it.
fn buffers_at_least(frame: &[u8]) -> u32 {
    let mut field = [0; 4];
    for (byte, received) in field.iter_mut().zip(frame.iter().skip(4)) {
        *byte = *received;
    }
    u32::from_be_bytes(field)
}

/// A whole frame in the buffer.
struct Extent {
    buffers: usize,
    bytes: usize,
}

/// Moves the buffers of the frame at the start of `frame` together, after the first one's length.
/// Returns the length of the joined payload.
fn join_buffers(frame: &mut [u8], buffers: usize) -> usize {
    let mut joined = HEAD_BYTES;
    let mut at = 8;
    for _ in 0..buffers {
        let length = int_at(frame, at).expect("the frame was measured") as usize;
        at += 4;
        if at != joined {
            frame.copy_within(at..at + length, joined);
        }
        at += length;
        joined += length;
    }
    joined - HEAD_BYTES
}

fn int_at(bytes: &[u8], at: usize) -> Option<i32> {
    let field = bytes.get(at..)?.first_chunk::<4>()?;
    Some(i32::from_be_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FrameLimits = FrameLimits {
        payload_bytes_max: 100,
        buffers_max: 4,
    };

    fn frame(serial: i32, buffers: &[&[u8]]) -> Vec<u8> {
        let mut out = serial.to_be_bytes().to_vec();
        out.extend((buffers.len() as i32).to_be_bytes());
        for buffer in buffers {
            out.extend((buffer.len() as i32).to_be_bytes());
            out.extend(*buffer);
        }
        out
    }

    fn all(decoder: &mut FrameDecoder) -> Vec<(i32, Vec<u8>)> {
        let mut frames = Vec::new();
        while let Some(frame) = decoder.next_frame().unwrap() {
            frames.push((frame.serial, frame.payload.to_vec()));
        }
        frames
    }

    #[test]
    fn frames_are_the_same_however_the_stream_is_cut() {
        let mut stream = frame(1, &[b"abc"]);
        stream.extend(frame(-7, &[b"", b"d", b"", b"ef"]));
        stream.extend(frame(3, &[b""]));
        let expected = vec![(1, b"abc".to_vec()), (-7, b"def".to_vec()), (3, Vec::new())];
        for chunk in 1..=stream.len() {
            let mut decoder = FrameDecoder::new(LIMITS);
            let mut frames = Vec::new();
            for part in stream.chunks(chunk) {
                decoder.push(part);
                frames.extend(all(&mut decoder));
            }
            assert_eq!(frames, expected, "in parts of {chunk} bytes");
            assert!(!decoder.is_mid_frame());
        }
    }

    #[test]
    fn a_head_is_read_back_as_written() {
        let mut decoder = FrameDecoder::new(LIMITS);
        decoder.push(&head(77, 2).unwrap());
        assert!(decoder.is_mid_frame());
        decoder.push(b"ok");
        assert_eq!(
            decoder.next_frame(),
            Ok(Some(Frame {
                serial: 77,
                payload: b"ok"
            }))
        );
    }

    #[test]
    fn a_frame_without_buffers_is_refused() {
        let mut decoder = FrameDecoder::new(LIMITS);
        decoder.push(&frame(1, &[]));
        assert_eq!(decoder.next_frame(), Err(FrameError::NoBuffers));
    }

    #[test]
    fn two_gibibytes_are_refused_before_a_byte_of_them_arrives() {
        let mut decoder = FrameDecoder::new(LIMITS);
        decoder.push(&[0, 0, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(
            decoder.next_frame(),
            Err(FrameError::TooLarge {
                announced: 0x7fff_ffff,
                limit: 100
            })
        );
    }

    #[test]
    fn negative_counts_and_lengths_are_refused_as_too_large_under_any_limits() {
        const WIDEST: FrameLimits = FrameLimits {
            payload_bytes_max: usize::MAX,
            buffers_max: usize::MAX,
        };
        for limits in [LIMITS, WIDEST] {
            let mut decoder = FrameDecoder::new(limits);
            decoder.push(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
            assert!(matches!(
                decoder.next_frame(),
                Err(FrameError::TooManyBuffers { .. })
            ));
            let mut decoder = FrameDecoder::new(limits);
            decoder.push(&[0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
            assert!(matches!(
                decoder.next_frame(),
                Err(FrameError::TooLarge { .. })
            ));
        }
    }

    #[test]
    fn the_limit_counts_all_buffers_together() {
        let mut decoder = FrameDecoder::new(LIMITS);
        decoder.push(&frame(1, &[&[1; 60], &[2; 40]]));
        assert_eq!(decoder.next_frame().unwrap().unwrap().payload.len(), 100);
        decoder.push(&frame(2, &[&[1; 60], &[2; 41]]));
        assert_eq!(
            decoder.next_frame(),
            Err(FrameError::TooLarge {
                announced: 101,
                limit: 100
            })
        );
    }

    #[test]
    fn a_tls_alert_is_recognised_although_it_is_shorter_than_a_head() {
        let alert = [0x15, 3, 3, 0, 2, 2, 80];
        let mut decoder = FrameDecoder::new(FrameLimits::REQUEST);
        decoder.push(&alert[..4]);
        assert_eq!(decoder.next_frame(), Ok(None));
        decoder.push(&alert[4..]);
        let error = decoder.next_frame().unwrap_err().to_string();
        assert!(error.starts_with("the peer speaks TLS"), "{error}");
    }

    #[test]
    fn an_http_server_is_recognised_in_the_error() {
        let mut decoder = FrameDecoder::new(LIMITS);
        decoder.push(b"HTTP/1.1 400 Bad Request\r\n");
        let error = decoder.next_frame().unwrap_err().to_string();
        assert!(error.starts_with("the peer speaks HTTP"), "{error}");

        let mut decoder = FrameDecoder::new(LIMITS);
        decoder.push(b"<!DOCTYPE html>");
        let error = decoder.next_frame().unwrap_err().to_string();
        assert!(error.contains("begins with \"<!DO\""), "{error}");
    }
}
