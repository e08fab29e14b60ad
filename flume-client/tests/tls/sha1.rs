//! SHA-1, which a library does elsewhere.

/// The SHA-1 of the pieces one after the other (FIPS 180-4, 6.1).
pub(crate) fn sha1(pieces: &[&[u8]]) -> [u8; 20] {
    let mut message = pieces.concat();
    let bits = 8 * message.len() as u64;
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend(bits.to_be_bytes());
    let mut hash: [u32; 5] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
    for block in message.as_chunks::<64>().0 {
        add_block(&mut hash, block);
    }
    let mut bytes = [0; 20];
    for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(hash) {
        *to = word.to_be_bytes();
    }
    bytes
}

fn add_block(hash: &mut [u32; 5], block: &[u8; 64]) {
    let mut words = [0; 80];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for at in 16..80 {
        let mixed = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
        words[at] = u32::rotate_left(mixed, 1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *hash;
    for (round, word) in words.into_iter().enumerate() {
        let (mixed, constant) = match round {
            0..20 => (b & c | !b & d, 0x5a827999),
            20..40 => (b ^ c ^ d, 0x6ed9eba1),
            40..60 => (b & c | b & d | c & d, 0x8f1bbcdc),
            _ => (b ^ c ^ d, 0xca62c1d6),
        };
        let sum = [mixed, e, word, constant].into_iter();
        let next = sum.fold(a.rotate_left(5), u32::wrapping_add);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    for (sum, word) in hash.iter_mut().zip([a, b, c, d, e]) {
        *sum = sum.wrapping_add(word);
    }
}

fn check(pieces: &[&str], expected: &str) {
    let pieces: Vec<&[u8]> = pieces.iter().map(|it| it.as_bytes()).collect();
    let hex: String = sha1(&pieces).iter().map(|it| format!("{it:02x}")).collect();
    assert_eq!(hex, expected);
}

#[test]
fn the_digests_of_the_standards_examples_come_out() {
    check(&[], "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    check(&["a", "", "bc"], "a9993e364706816aba3e25717850c26c9cd0d89d");
    let long = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    check(&[long], "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
}
