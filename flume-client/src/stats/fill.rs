//! [`Fill`]: how full a client is.

/// How full a client's buffer and spool are. See [`Client::fill`](crate::Client::fill).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fill {
    /// Bytes of events in the buffer.
    pub buffer_bytes: u64,
    /// Most that it holds.
    pub buffer_bytes_max: u64,
    /// Most bytes of one event, headers included.
    pub event_bytes_max: u64,
    /// Bytes that the spool takes, and the most that it may.
    pub spool: Option<(u64, u64)>,
}

impl Fill {
    /// How much of the fuller one is used, from 0 to 100.
    #[must_use]
    pub fn percent(&self) -> u64 {
        let percent = |used: u64, most: u64| (used.saturating_mul(100)) / most.max(1);
        let spool = self.spool.map_or(0, |(used, most)| percent(used, most));
        percent(self.buffer_bytes, self.buffer_bytes_max)
            .max(spool)
            .min(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_one_counts() {
        let mut fill = Fill {
            buffer_bytes: 30,
            buffer_bytes_max: 100,
            event_bytes_max: 10,
            spool: None,
        };
        assert_eq!(fill.percent(), 30);
        fill.spool = Some((u64::MAX / 200, u64::MAX / 100));
        assert_eq!(fill.percent(), 50);
        assert_eq!(Fill::default().percent(), 0);
    }
}
