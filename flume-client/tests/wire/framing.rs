//! Damaged, endless and absurd frames: refused at once, and never kept beyond the limits.

use flume_client::wire::avro::frame::{FrameDecoder, FrameError, FrameLimits};
use proptest::prelude::*;

use crate::allocations::counted;
use crate::hostile::{messages, read};
use crate::messages::{Kind, frame, hex};

#[test]
fn a_frame_with_any_bit_flipped_is_an_error_or_another_frame_or_incomplete() {
    for (kind, message) in messages() {
        let payload = message.bytes();
        let (front, back) = payload.split_at(payload.len() / 2);
        let mut stream = frame(1, &[front, back]);
        for at in 0..stream.len() {
            for bit in 0..8 {
                stream[at] ^= 1 << bit;
                let mut decoder = FrameDecoder::new(FrameLimits::REPLY);
                decoder.push(&stream);
                while let Ok(Some(frame)) = decoder.next_frame() {
                    assert!(frame.payload.len() <= stream.len());
                    let _ = read(kind, frame.payload);
                }
                stream[at] ^= 1 << bit;
            }
        }
    }
}

fn first_frame(limits: FrameLimits, stream: &[u8]) -> Result<Option<usize>, FrameError> {
    let mut decoder = FrameDecoder::new(limits);
    decoder.push(stream);
    let frame = decoder.next_frame()?;
    Ok(frame.map(|frame| frame.payload.len()))
}

#[test]
fn a_reply_may_have_sixteen_buffers_and_64_kib() {
    let limits = FrameLimits::REPLY;
    assert_eq!(
        first_frame(limits, &frame(1, &[b"a".as_slice(); 16])),
        Ok(Some(16))
    );
    let many = FrameError::TooManyBuffers {
        announced: 17,
        limit: 16,
    };
    assert_eq!(
        first_frame(limits, &frame(1, &[b"a".as_slice(); 17])),
        Err(many)
    );

    let half = [0; 32 * 1024];
    assert_eq!(
        first_frame(limits, &frame(1, &[&half, &half])),
        Ok(Some(64 * 1024))
    );
    let large = FrameError::TooLarge {
        announced: 64 * 1024 + 1,
        limit: 64 * 1024,
    };
    assert_eq!(
        first_frame(limits, &frame(1, &[&half, &half, b"a"])),
        Err(large)
    );
}

#[test]
fn two_gibibytes_are_refused_at_once_and_cost_no_memory() {
    for limits in [FrameLimits::REPLY, FrameLimits::REQUEST] {
        let announced = hex("00000001 00000001 7fffffff");
        let (found, allocated) = counted(|| first_frame(limits, &announced));
        let refused = matches!(
            found,
            Err(FrameError::TooLarge {
                announced: 0x7fff_ffff,
                ..
            })
        );
        assert!(refused, "{found:?}");
        assert!(allocated.bytes_max < 1024, "{allocated:?}");
    }
}

const NARROW: FrameLimits = FrameLimits {
    payload_bytes_max: 300,
    buffers_max: 5,
};

/// Bytes of the largest frame within the limits.
const FRAME_BYTES_MAX: usize = 8 + 5 * 4 + 300;

/// Feeds the stream in chunks of these sizes, over and over, up to the first error.
fn payloads(stream: &[u8], sizes: &[usize]) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let mut decoder = FrameDecoder::new(NARROW);
    let mut payloads = Vec::new();
    let chunk_max = sizes.iter().max().copied().unwrap_or(1);
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, behind) = rest.split_at((*size).min(rest.len()));
        rest = behind;
        decoder.push(chunk);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => payloads.push(frame.payload.to_vec()),
                Ok(None) => break,
                Err(error) => return (payloads, Some(error)),
            }
        }
        assert!(decoder.buffer_mut().len() < FRAME_BYTES_MAX);
        assert!(decoder.buffer_mut().capacity() <= 2 * (FRAME_BYTES_MAX + chunk_max));
    }
    (payloads, None)
}

/// Buffers of one frame, most often within the limits.
fn buffers() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let buffer = prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(any::<u8>(), 0..400),
    ];
    prop::collection::vec(buffer, 0..7)
}

/// What a stream of frames must come to: payloads, and whether one of them breaks a limit.
fn expected(frames: &[Vec<Vec<u8>>]) -> (Vec<Vec<u8>>, bool) {
    let fits = |buffers: &Vec<Vec<u8>>| {
        (1..=5).contains(&buffers.len()) && buffers.iter().map(Vec::len).sum::<usize>() <= 300
    };
    let payloads: Vec<_> = frames
        .iter()
        .take_while(|frame| fits(frame))
        .map(|frame| frame.concat())
        .collect();
    let broken = payloads.len() < frames.len();
    (payloads, broken)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn frames_survive_any_cut_up_to_the_first_over_a_limit(
        frames in prop::collection::vec(buffers(), 0..8),
        sizes in prop::collection::vec(1_usize..500, 1..6),
    ) {
        let stream: Vec<u8> = frames
            .iter()
            .flat_map(|buffers| frame(9, &buffers.iter().map(Vec::as_slice).collect::<Vec<_>>()))
            .collect();
        let (found, error) = payloads(&stream, &sizes);
        prop_assert_eq!((found, error.is_some()), expected(&frames));
    }

    #[test]
    fn garbage_is_held_within_the_limits_and_never_panics(
        stream in prop::collection::vec(prop_oneof![3 => Just(0_u8), 2 => 0_u8..6, 1 => any::<u8>()], 0..600),
        sizes in prop::collection::vec(1_usize..100, 1..6),
    ) {
        for payload in payloads(&stream, &sizes).0 {
            for kind in [Kind::FirstCall, Kind::LaterCall, Kind::FirstReply, Kind::LaterReply] {
                let _ = read(kind, &payload);
            }
        }
    }
}
