//! [`Layers`]: what changes bytes on their way, compression and encryption, one around the other. No IO
//! here.
//!
//! Layers may keep bytes back. So what is sent is flushed at the end of what is ready, and what comes is
//! decoded again and again until nothing more comes of it.

/// What changes bytes in both directions, with its state of one connection.
pub trait Layer {
    /// Why it could not.
    type Error;

    /// Takes all of `plain`, and appends what is ready of it to `coded`.
    ///
    /// # Errors
    ///
    /// Those of the layer.
    fn encode(&mut self, plain: &[u8], coded: &mut Vec<u8>) -> Result<(), Self::Error>;

    /// Appends all that it keeps back, and what it has to say by itself. Nothing, if there is nothing.
    ///
    /// # Errors
    ///
    /// Those of the layer.
    fn flush(&mut self, coded: &mut Vec<u8>) -> Result<(), Self::Error>;

    /// Appends some of what `coded` means to `plain`, and says how many bytes it took. It is called again
    /// with the rest, also with none left if it added some, until it takes none and adds none.
    ///
    /// # Errors
    ///
    /// Those of the layer. What it added before one is sound. Each further call gives the error again,
    /// whatever it is given, and adds nothing.
    fn decode(&mut self, coded: &[u8], plain: &mut Vec<u8>) -> Result<usize, Self::Error>;

    /// Makes ready that nothing more is sent: what it says of that comes with the next flush.
    fn close(&mut self) {}
}

/// The layers of a connection.
#[derive(Debug)]
pub struct Layers<L>(
    /// The first one is next to the socket.
    Vec<Stage<L>>,
);

/// A layer, and what came that it has not decoded yet.
#[derive(Debug)]
struct Stage<L> {
    layer: L,
    received: Vec<u8>,
    /// It may have more to say about what it took.
    is_unread: bool,
    /// Bytes that came since it last decoded some.
    fruitless: usize,
}

impl<L: Layer> Layers<L> {
    /// The first of `layers` is next to the socket.
    pub fn new(layers: impl IntoIterator<Item = L>) -> Self {
        let stage = |layer| Stage {
            layer,
            received: Vec::new(),
            is_unread: false,
            fruitless: 0,
        };
        Self(layers.into_iter().map(stage).collect())
    }

    /// From the one next to the socket on.
    pub fn iter(&self) -> impl Iterator<Item = &L> {
        self.0.iter().map(|stage| &stage.layer)
    }

    /// Gives `plain` to the innermost layer, and what comes of it to those around it.
    ///
    /// # Errors
    ///
    /// Those of the layers.
    pub fn encode(&mut self, plain: &[u8], coded: &mut Vec<u8>) -> Result<(), L::Error> {
        encode(&mut self.0, plain, coded)
    }

    /// Lets each layer give what it keeps back, from the innermost on.
    ///
    /// # Errors
    ///
    /// Those of the layers.
    pub fn flush(&mut self, coded: &mut Vec<u8>) -> Result<(), L::Error> {
        flush(&mut self.0, coded, |_| {})
    }

    /// Lets each layer say its last, from the innermost on. Nothing is to be encoded afterwards.
    ///
    /// # Errors
    ///
    /// Those of the layers.
    pub fn close(&mut self, coded: &mut Vec<u8>) -> Result<(), L::Error> {
        flush(&mut self.0, coded, L::close)
    }

    /// What came from the socket.
    pub fn receive(&mut self, coded: &[u8]) {
        if let Some(stage) = self.0.first_mut() {
            stage.receive(|received| received.extend_from_slice(coded));
        }
    }

    /// Appends to `plain` what the innermost layer makes next of what came. `false`: more has to come
    /// first.
    ///
    /// # Errors
    ///
    /// Those of the layers.
    pub fn decode(&mut self, plain: &mut Vec<u8>) -> Result<bool, L::Error> {
        decode(&mut self.0, plain)
    }

    /// Most bytes that any of the layers was given since it last made something of them. Peers may send
    /// empty blocks of zlib, or tickets of TLS, without end.
    #[must_use]
    pub fn fruitless(&self) -> usize {
        let of_stages = self.0.iter().map(|stage| stage.fruitless);
        of_stages.max().unwrap_or_default()
    }
}

impl<L> Stage<L> {
    fn receive(&mut self, add: impl FnOnce(&mut Vec<u8>)) {
        let before = self.received.len();
        add(&mut self.received);
        self.fruitless += self.received.len() - before;
        self.is_unread = true;
    }
}

fn encode<L: Layer>(
    stages: &mut [Stage<L>],
    plain: &[u8],
    coded: &mut Vec<u8>,
) -> Result<(), L::Error> {
    match stages.split_last_mut() {
        None => coded.extend_from_slice(plain),
        Some((inner, [])) => inner.layer.encode(plain, coded)?,
        Some((inner, outer)) => {
            let mut between = Vec::new();
            inner.layer.encode(plain, &mut between)?;
            encode(outer, &between, coded)?;
        }
    }
    Ok(())
}

/// Lets each layer give what it keeps back, from the innermost on; `before` is called on it first.
fn flush<L: Layer>(
    stages: &mut [Stage<L>],
    coded: &mut Vec<u8>,
    before: impl Fn(&mut L),
) -> Result<(), L::Error> {
    let Some((inner, outer)) = stages.split_last_mut() else {
        return Ok(());
    };
    before(&mut inner.layer);
    if outer.is_empty() {
        return inner.layer.flush(coded);
    }
    let mut between = Vec::new();
    inner.layer.flush(&mut between)?;
    // After an error a layer takes nothing more, and may still have a word for the peer about it.
    if !between.is_empty() {
        encode(outer, &between, coded)?;
    }
    flush(outer, coded, before)
}

fn decode<L: Layer>(stages: &mut [Stage<L>], plain: &mut Vec<u8>) -> Result<bool, L::Error> {
    let Some((inner, outer)) = stages.split_last_mut() else {
        return Ok(false);
    };
    let before = plain.len();
    loop {
        if !inner.is_unread {
            let mut between = Ok(false);
            inner.receive(|received| between = decode(outer, received));
            inner.is_unread = between?;
            if !inner.is_unread {
                return Ok(false);
            }
        }
        let decoded = inner.layer.decode(&inner.received, plain);
        if plain.len() > before {
            // If there was an error, it is told again.
            inner.received.drain(..decoded.unwrap_or_default());
            inner.fruitless = 0;
            return Ok(true);
        }
        let taken = decoded?;
        inner.received.drain(..taken);
        inner.is_unread = taken > 0 && !inner.received.is_empty();
    }
}
