//! [`Unread`]: received bytes that no frame was cut from yet.

/// Received bytes that no frame was cut from yet, back to back in one buffer.
#[derive(Debug, Default)]
pub(super) struct Unread {
    buffer: Vec<u8>,
    /// Where the unread part of `buffer` begins.
    start: usize,
}

impl Unread {
    /// The buffer after the last unread byte, for reads straight into it. Only append to it.
    pub(super) fn buffer_mut(&mut self) -> &mut Vec<u8> {
        if self.start == self.buffer.len() {
            self.buffer.clear();
        } else if self.start > 0 {
            self.buffer.drain(..self.start);
        }
        self.start = 0;
        &mut self.buffer
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Cuts off the first `length` bytes, of which all must be there.
    pub(super) fn cut(&mut self, length: usize) -> &mut [u8] {
        let start = self.start;
        self.start += length;
        self.buffer.get_mut(start..self.start).unwrap_or_default()
    }
}
