//! [`Attack`]: what a server does that means no good.

use std::io;
use std::sync::LazyLock;

use flume_client::wire::deflate::Deflate;

use crate::hostile_servers::carrier::{Carrier, Kind};
use crate::hostile_servers::door::Door;

/// What a server does, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attack {
    /// How.
    pub how: How,
    /// When.
    pub at: At,
}

/// When a server begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// With the first byte.
    Handshake,
    /// When the client has greeted.
    Greeting,
    /// When the greeting is answered and a call has come.
    Call,
    /// When a call was answered, and nothing is under way.
    Idle,
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Answers as long as they may be, without sense and without end.
    EndlessAnswer,
    /// An answer of 2 GiB, which is announced and sent.
    TwoGibibytes,
    /// 1 GiB of zeros, in a mebibyte.
    ZipBomb,
    /// Blocks of zlib that hold nothing, without end.
    EmptyBlocks,
    /// Lines of a header, 10 MiB of them.
    Header,
    /// A whole answer, a byte at a time, each of which comes well within the time-outs.
    Trickle,
    /// Nothing, while the connection stays open.
    Silence,
    /// More certificates than a message of the handshake may hold.
    ManyCertificates,
    /// As many as it may hold, each of which could be the one that signed the first.
    LikelyIssuers,
    /// Random bytes instead of a record.
    Garbage,
    /// Demands to begin TLS anew, without end.
    Renegotiations,
    /// One such demand, and then the answer.
    Renegotiation,
    /// TLS's tickets for sessions that could be resumed, without end.
    Tickets,
    /// An answer to a call that was never made.
    OtherCall,
    /// The answer to the first call, together with that to the greeting.
    Hasty,
}

/// All of them.
pub const ATTACKS: &[Attack] = {
    use At::{Call, Greeting, Handshake, Idle};
    &[
        Attack::new(How::EndlessAnswer, Greeting),
        Attack::new(How::EndlessAnswer, Call),
        Attack::new(How::TwoGibibytes, Greeting),
        Attack::new(How::TwoGibibytes, Call),
        Attack::new(How::ZipBomb, Greeting),
        Attack::new(How::ZipBomb, Call),
        Attack::new(How::EmptyBlocks, Greeting),
        Attack::new(How::EmptyBlocks, Call),
        Attack::new(How::EmptyBlocks, Idle),
        Attack::new(How::Header, Greeting),
        Attack::new(How::Header, Call),
        Attack::new(How::Trickle, Handshake),
        Attack::new(How::Trickle, Call),
        Attack::new(How::Silence, Handshake),
        Attack::new(How::Silence, Greeting),
        Attack::new(How::Silence, Call),
        Attack::new(How::ManyCertificates, Handshake),
        Attack::new(How::LikelyIssuers, Handshake),
        Attack::new(How::Garbage, Greeting),
        Attack::new(How::Garbage, Call),
        Attack::new(How::Garbage, Idle),
        Attack::new(How::Renegotiations, Call),
        Attack::new(How::Renegotiations, Idle),
        Attack::new(How::Renegotiation, Call),
        Attack::new(How::Tickets, Call),
        Attack::new(How::Tickets, Idle),
        Attack::new(How::OtherCall, Call),
        Attack::new(How::OtherCall, Idle),
        Attack::new(How::Hasty, Greeting),
    ]
};

/// The header of a zlib stream, which no honest peer sends twice, and random bytes.
const GARBAGE: &[u8] =
    b"\x78\x9c\xed\xb7\x01\x2a\x99\xfe\x10\x84\x33\xd6\xc0\x5b\x77\xaa\x0e\xf1\x62\x28";
/// An empty block that is stored, as a sync flush ends with it (RFC 1951, 3.2.4).
const EMPTY_BLOCK: &[u8] = b"\0\0\0\xff\xff";
/// `HelloRequest` (RFC 5246, 7.4.1.1).
const HELLO_REQUEST: &[u8] = b"\0\0\0\0";
/// `NewSessionTicket` (RFC 8446, 4.6.1): what stands before a ticket of [`TICKET_BYTES`], and what
/// stands after it.
const TICKET: (&[u8], &[u8]) = (
    b"\x04\0\x0f\xae\0\x01\x51\x80\0\0\0\0\x01\x01\x0f\xa0",
    b"\0\0",
);
const TICKET_BYTES: usize = 4_000;
const MEBIBYTE: usize = 1 << 20;
/// Of lines.
const HEADER_BYTES: usize = 10 << 20;
/// Of the bomb.
const MEBIBYTES: usize = 1024;

impl Attack {
    const fn new(how: How, at: At) -> Self {
        Self { how, at }
    }

    /// Whether it can be made at this door.
    #[must_use]
    pub fn fits(self, door: &Door) -> bool {
        match self.how {
            // An answer of HTTP belongs to a request by its place alone, and what comes when nothing is
            // under way only ends a connection of those that the library keeps.
            _ if door.is_http() && self.at == At::Idle => false,
            How::OtherCall | How::Hasty => !door.is_http(),
            How::Header => door.is_http(),
            How::ZipBomb => door.has_deflate() || door.is_http(),
            How::EmptyBlocks => door.has_deflate(),
            How::ManyCertificates
            | How::LikelyIssuers
            | How::Garbage
            | How::Renegotiations
            | How::Renegotiation
            | How::Tickets => door.has_tls(),
            _ => true,
        }
    }

    /// Does what takes long, before there is a client that waits.
    pub(super) fn prepare(self) {
        if self.how == How::ZipBomb {
            LazyLock::force(&ZEROS);
        }
    }

    /// Whether it is over only when the client has waited for an answer long enough.
    #[must_use]
    pub fn is_slow(self, door: &Door) -> bool {
        match self.how {
            How::Trickle | How::Silence => true,
            // There TLS is inside of a library.
            How::Tickets => door.is_http(),
            _ => false,
        }
    }

    /// Whether it needs TLS of the version before the last.
    #[must_use]
    pub fn wants_tls12(self) -> bool {
        matches!(self.how, How::Renegotiation | How::Renegotiations)
    }

    /// Does it, until the client ends the connection or there is no more to it.
    pub(super) fn make(self, door: &Door, carrier: &mut Carrier<'_>) -> io::Result<()> {
        match self.how {
            How::EndlessAnswer => {
                let junk = door.junk();
                loop {
                    carrier.say(&junk)?;
                }
            }
            How::TwoGibibytes => {
                let piece = door.two_gibibytes();
                (0..(2 << 30) / piece.len()).try_for_each(|_| carrier.say(&piece))
            }
            How::Header => {
                carrier.say(b"HTTP/1.1 200 OK\r\n")?;
                let lines = b"X-Endless: and so on and so on\r\n".repeat(1_000);
                (0..HEADER_BYTES / lines.len()).try_for_each(|_| carrier.say(&lines))
            }
            How::ZipBomb if door.is_http() => {
                let head = b"HTTP/1.1 503 Busy\r\nContent-Encoding: deflate\r\nContent-Length: 10000000\r\n\r\n";
                carrier.say(head)?;
                (0..MEBIBYTES).try_for_each(|_| carrier.say(&ZEROS))
            }
            How::ZipBomb => {
                // What refers back to zeros, for which some have to be there.
                carrier.say(&[0; 1 << 15])?;
                (0..MEBIBYTES).try_for_each(|_| carrier.say_as(Kind::Deflate, &ZEROS))
            }
            How::EmptyBlocks => {
                // A stream has to begin with something else.
                if let (At::Greeting, Some((_, rest))) = (self.at, door.welcome().split_last()) {
                    carrier.say(rest)?;
                }
                let blocks = EMPTY_BLOCK.repeat(3_000);
                loop {
                    carrier.say_as(Kind::Deflate, &blocks)?;
                }
            }
            How::Trickle => carrier.say(&door.junk()),
            How::Silence | How::ManyCertificates | How::LikelyIssuers => Ok(()),
            How::Garbage => carrier.say_as(Kind::Tls, GARBAGE),
            How::Renegotiation => {
                carrier.take_keys();
                carrier.say_in_handshake(HELLO_REQUEST, 1)?;
                carrier.say(&door.ok(1))
            }
            How::Renegotiations => without_end(carrier, HELLO_REQUEST),
            How::Tickets => {
                let (head, extensions) = TICKET;
                let ticket = [head, &[7; TICKET_BYTES], extensions].concat();
                without_end(carrier, &ticket)
            }
            How::OtherCall => carrier.say(&door.ok(1_001)),
            How::Hasty => carrier.say(&[door.welcome(), door.ok(1)].concat()),
        }
    }
}

fn without_end(carrier: &mut Carrier<'_>, message: &[u8]) -> io::Result<()> {
    carrier.take_keys();
    loop {
        carrier.say_in_handshake(message, 10)?;
    }
}

/// A mebibyte of zeros, as what can follow zeros in a zlib stream again and again.
static ZEROS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut deflate = Deflate::new(6);
    let mut mebibyte = || {
        let mut coded = Vec::new();
        let encoded = deflate.encode(&vec![0; MEBIBYTE], &mut coded);
        let flushed = encoded.and_then(|()| deflate.flush(&mut coded));
        flushed.expect("a compressor does not fail");
        coded
    };
    mebibyte();
    mebibyte()
});
