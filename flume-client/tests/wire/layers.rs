//! How layers are put around each other, with one that is simple enough to see through.

use flume_client::wire::layers::{Layer, Layers};

/// Writes each byte as two with its sign before it, and keeps the last one back until it is flushed.
/// Reads its own pairs; its sign twice means nothing. After an error it takes nothing more, and has a
/// last word about it.
struct Pairs {
    sign: u8,
    kept: Option<u8>,
    is_ending: bool,
    error: Option<Foreign>,
}

/// What is no pair of this layer.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Foreign(u8);

/// Nothing more comes.
const LAST: u8 = b'!';

impl Pairs {
    fn new(sign: u8) -> Self {
        Self {
            sign,
            kept: None,
            is_ending: false,
            error: None,
        }
    }
}

impl Layer for Pairs {
    type Error = Foreign;

    fn encode(&mut self, plain: &[u8], coded: &mut Vec<u8>) -> Result<(), Foreign> {
        self.error.map_or(Ok(()), Err)?;
        for byte in plain {
            if let Some(kept) = self.kept.replace(*byte) {
                coded.extend([self.sign, kept]);
            }
        }
        Ok(())
    }

    fn flush(&mut self, coded: &mut Vec<u8>) -> Result<(), Foreign> {
        let last = std::mem::take(&mut self.is_ending).then_some(LAST);
        for byte in self.kept.take().into_iter().chain(last) {
            coded.extend([self.sign, byte]);
        }
        Ok(())
    }

    fn decode(&mut self, coded: &[u8], plain: &mut Vec<u8>) -> Result<usize, Foreign> {
        self.error.map_or(Ok(()), Err)?;
        let (pairs, _) = coded.as_chunks();
        for [sign, byte] in pairs {
            if *sign != self.sign {
                self.is_ending = true;
                return Err(*self.error.insert(Foreign(*sign)));
            }
            if byte != sign {
                plain.push(*byte);
            }
        }
        Ok(2 * pairs.len())
    }

    fn close(&mut self) {
        self.is_ending = true;
    }
}

/// The first one is next to the socket.
fn two() -> Layers<Pairs> {
    Layers::new([Pairs::new(b'o'), Pairs::new(b'i')])
}

/// All that comes of what was received.
fn decoded(layers: &mut Layers<Pairs>) -> Result<Vec<u8>, Foreign> {
    let mut plain = Vec::new();
    while layers.decode(&mut plain)? {}
    Ok(plain)
}

#[test]
fn the_last_layer_is_next_to_the_plain_bytes_and_the_first_to_the_socket() {
    let (mut layers, mut coded) = (two(), Vec::new());
    layers.encode(b"a", &mut coded).unwrap();
    assert_eq!(coded, b"");
    layers.flush(&mut coded).unwrap();
    assert_eq!(coded, b"oioa");
    layers.flush(&mut coded).unwrap();
    assert_eq!(coded, b"oioa");
}

#[test]
fn what_was_flushed_is_read_however_it_is_cut() {
    let (mut layers, mut coded) = (two(), Vec::new());
    for part in [&b"ten"[..], b"", b"tea"] {
        layers.encode(part, &mut coded).unwrap();
    }
    layers.flush(&mut coded).unwrap();
    for piece in 1..=coded.len() {
        let (mut layers, mut plain) = (two(), Vec::new());
        for piece in coded.chunks(piece) {
            layers.receive(piece);
            plain.extend(decoded(&mut layers).unwrap());
        }
        assert_eq!(plain, b"tentea", "pieces of {piece}");
    }
}

#[test]
fn the_inner_layer_says_its_last_before_the_outer_one() {
    let (mut layers, mut coded) = (two(), Vec::new());
    layers.encode(b"a", &mut coded).unwrap();
    layers.close(&mut coded).unwrap();
    assert_eq!(coded, b"oioaoio!o!");
}

#[test]
fn what_came_before_an_error_is_read_and_the_error_is_told_again_and_again() {
    let mut layers = two();
    layers.receive(b"oioaoiob??");
    let mut plain = Vec::new();
    assert_eq!(layers.decode(&mut plain), Ok(true));
    assert_eq!(plain, b"ab");
    for _ in 0..2 {
        assert_eq!(layers.decode(&mut plain), Err(Foreign(b'?')));
    }
    assert_eq!(plain, b"ab");
}

#[test]
fn the_peer_is_told_of_an_error_by_the_layer_that_met_it() {
    // A flush that gave the outer layer anything, and be it nothing, would end there.
    for (received, said) in [(&b"??"[..], "o!"), (b"o?o?", "oio!")] {
        let (mut layers, mut coded) = (two(), Vec::new());
        layers.receive(received);
        layers.decode(&mut Vec::new()).unwrap_err();
        layers.flush(&mut coded).unwrap();
        assert_eq!(coded, said.as_bytes());
    }
}

#[test]
fn bytes_that_nothing_comes_of_are_counted_for_each_layer_until_something_does() {
    let mut layers = two();
    assert_eq!(layers.fruitless(), 0);
    // Nothing to the outer layer.
    layers.receive(b"oooooo");
    assert_eq!(decoded(&mut layers).unwrap(), b"");
    assert_eq!(layers.fruitless(), 6);
    // Something to the outer layer, and nothing to the inner one.
    layers.receive(b"oioioioi");
    assert_eq!(decoded(&mut layers).unwrap(), b"");
    assert_eq!(layers.fruitless(), 4);
    layers.receive(b"oioa");
    assert_eq!(decoded(&mut layers).unwrap(), b"a");
    assert_eq!(layers.fruitless(), 0);
}

#[test]
fn without_layers_nothing_is_read_and_all_is_written_as_it_is() {
    let (mut layers, mut coded) = (Layers::<Pairs>::new([]), Vec::new());
    layers.encode(b"a", &mut coded).unwrap();
    layers.close(&mut coded).unwrap();
    assert_eq!(coded, b"a");
    layers.receive(b"b");
    assert_eq!(decoded(&mut layers).unwrap(), b"");
}
