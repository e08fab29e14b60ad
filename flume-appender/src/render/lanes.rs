//! [`Lanes`]: the renderer's ways to the client, one for each reliability that records have.

use flume_client::{BuildError, Client, EventBatch, Reliability};

use crate::capture::ByLevel;
use crate::level::Level;

/// The ways to the client, and which records take which.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    /// By the records' level.
    of_level: [usize; 5],
}

/// The events of one reliability, before they are handed to the client. A batch never mixes them.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) client: Client,
    pub(crate) batch: EventBatch,
    /// Levels of the events in the batch.
    pub(crate) levels: ByLevel,
    /// How full the client was for them when that was asked last.
    pub(crate) percent: u64,
    /// Records are stored by it: it goes to the disk, or nothing does.
    pub(crate) is_stored: bool,
}

/// Which reliability records have: that of the client, unless another was chosen for their level.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LevelReliability([Option<Reliability>; 5]);

impl LevelReliability {
    /// For records of this level and of lesser ones.
    pub(crate) fn set(&mut self, most: Level, reliability: Reliability) {
        for level in Level::ALL.into_iter().filter(|level| *level <= most) {
            if let Some(chosen) = self.0.get_mut(level.index()) {
                *chosen = Some(reliability);
            }
        }
    }
}

impl Lanes {
    /// With handles of a client.
    pub(crate) fn of(client: &Client, chosen: LevelReliability) -> Result<Self, BuildError> {
        let own = client.reliability();
        let wanted = chosen.0.map(|chosen| chosen.unwrap_or(own));
        let has_disk = wanted.iter().any(|it| it.has_spool());
        let (mut lanes, mut of_level) = (Vec::<Lane>::new(), [0; 5]);
        for (reliability, place) in wanted.into_iter().zip(&mut of_level) {
            let known = |lane: &Lane| lane.client.reliability() == reliability;
            *place = lanes.iter().position(known).unwrap_or(lanes.len());
            if *place == lanes.len() {
                lanes.push(Lane {
                    client: client.at(reliability)?,
                    batch: EventBatch::new(),
                    levels: ByLevel::default(),
                    percent: 0,
                    is_stored: !has_disk || reliability.has_spool(),
                });
            }
        }
        Ok(Self { lanes, of_level })
    }

    /// That of records of a level.
    #[inline]
    pub(crate) fn of_level(&mut self, level: Level) -> &mut Lane {
        let place = self.of_level.get(level.index()).copied();
        let lane = self.lanes.get_mut(place.unwrap_or(0));
        lane.expect("each level has a lane")
    }

    /// Asks how full the client is for each. Returns how full it is for the one that gives way first.
    pub(crate) fn look(&mut self) -> u64 {
        for lane in &mut self.lanes {
            lane.percent = lane.client.fill().percent();
        }
        let fullest = self.lanes.iter().map(|lane| lane.percent).max();
        fullest.unwrap_or(0)
    }

    /// Whether some records go to the disk.
    pub(crate) fn has_disk(&self) -> bool {
        let mut lanes = self.lanes.iter();
        lanes.any(|lane| lane.client.reliability().has_spool())
    }
}
