//! [`Shape`]: a place in the code together with the keys of its records, known once and for all, so
//! that a record carries neither texts nor names.
//!
//! `log` and `slog` have no call sites that last. Of each place that logs we keep one, and of it the
//! lists of keys that were seen, as a tree: a record goes from key to key, and ends at the shape with
//! all of them. Almost all places have one list. All of this is bounded, and what is beyond comes with
//! its texts.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, RwLock};

use flume_appender::Level;
use flume_appender::capture::{InlineSite, Key, Recorder, Site, SiteData, SiteText};

/// Places that are kept, about 300 bytes each.
const PLACES_MAX: usize = 4096;
/// Lists of keys that are kept, of all places together: about 200 bytes each, 1 KiB at the most.
const SHAPES_MAX: usize = 16 * 1024;
/// Lists of keys of one place. One with more makes up its keys.
const SHAPES_OF_PLACE_MAX: usize = 64;
/// Keys of one list.
const KEYS_MAX: usize = 64;
/// Bytes of a target or a key. A longer one is made up.
const TEXT_BYTES_MAX: usize = 256;
/// Places that each thread finds without a lock.
const RECENT: usize = 64;

/// A place in the code.
pub(crate) struct Place {
    level: Level,
    target: String,
    module: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    shapes: AtomicUsize,
    /// Its keys are made up.
    is_irregular: AtomicBool,
    /// Set before the place is known to anybody: nobody ever waits for it.
    root: OnceLock<&'static Shape>,
}

/// A place and a list of keys.
pub(crate) struct Shape {
    place: &'static Place,
    /// The message first.
    keys: Vec<&'static str>,
    /// The first one that was seen to have one key more.
    next: OnceLock<&'static Self>,
    others: Mutex<Vec<&'static Self>>,
}

thread_local! {
    // Without a destructor, so that a thread may log to its very end.
    static RECENTLY: [Cell<Option<&'static Place>>; RECENT] =
        const { [const { Cell::new(None) }; RECENT] };
}

impl Place {
    /// The place, unless there are too many of them. `None` also while another thread adds one: a
    /// forked process might wait for ever.
    fn find(level: Level, site: &InlineSite<'_>) -> Option<&'static Self> {
        let address = site.file.map_or(0, |file| file.as_ptr().addr());
        let line = site.line.unwrap_or_default() as usize;
        let index = (address >> 3).wrapping_add(line.wrapping_mul(31)) % RECENT;
        RECENTLY.with(|recently| {
            let recent = recently.get(index)?;
            match recent.get() {
                Some(place) if place.is(level, site) => Some(place),
                _ => {
                    let place = Self::find_among_all(level, site)?;
                    recent.set(Some(place));
                    Some(place)
                }
            }
        })
    }

    #[cold]
    fn find_among_all(level: Level, site: &InlineSite<'_>) -> Option<&'static Self> {
        type Places = BTreeMap<(Level, Option<u32>, String), Vec<&'static Place>>;
        static ALL: RwLock<(usize, Places)> = RwLock::new((0, BTreeMap::new()));
        let texts = [Some(site.target), site.module, site.file];
        if texts
            .iter()
            .flatten()
            .any(|text| text.len() > TEXT_BYTES_MAX)
        {
            return None;
        }
        let key = (level, site.line, site.target.to_owned());
        let same = |places: &Places| {
            let known = places.get(&key)?;
            known.iter().copied().find(|place| place.is(level, site))
        };
        if let Some(place) = same(&ALL.try_read().ok()?.1) {
            return Some(place);
        }
        let mut all = ALL.try_write().ok()?;
        if let Some(place) = same(&all.1) {
            return Some(place);
        }
        if all.0 >= PLACES_MAX {
            return None;
        }
        let place: &'static Self = Box::leak(Box::new(Self {
            level,
            target: site.target.into(),
            module: site.module.map(String::from),
            file: site.file.map(String::from),
            line: site.line,
            shapes: AtomicUsize::new(0),
            is_irregular: AtomicBool::new(false),
            root: OnceLock::new(),
        }));
        let _ = place.root.set(Shape::new(place, vec!["message"]));
        all.0 += 1;
        all.1.entry(key).or_default().push(place);
        Some(place)
    }

    fn is(&self, level: Level, site: &InlineSite<'_>) -> bool {
        self.line == site.line
            && self.level == level
            && self.file.as_deref() == site.file
            && self.target == site.target
            && self.module.as_deref() == site.module
    }
}

impl Shape {
    fn new(place: &'static Place, keys: Vec<&'static str>) -> &'static Self {
        Box::leak(Box::new(Self {
            place,
            keys,
            next: OnceLock::new(),
            others: Mutex::default(),
        }))
    }

    fn last(&self) -> &'static str {
        self.keys.last().copied().unwrap_or_default()
    }

    /// The shape with one key more.
    fn with(&'static self, key: &str) -> Option<&'static Self> {
        match self.next.get() {
            Some(next) if next.last() == key => Some(next),
            _ => self.find_with(key),
        }
    }

    #[cold]
    fn find_with(&'static self, key: &str) -> Option<&'static Self> {
        static SHAPES: AtomicUsize = AtomicUsize::new(0);
        let mut others = self.others.try_lock().ok()?;
        // Whoever was first has set it under this lock.
        let mut known = self.next.get().into_iter().chain(others.iter()).copied();
        if let Some(shape) = known.find(|shape| shape.last() == key) {
            return Some(shape);
        }
        let of_place = self.place.shapes.fetch_add(1, Ordering::Relaxed);
        let of_all = SHAPES.fetch_add(1, Ordering::Relaxed);
        let is_long = self.keys.len() >= KEYS_MAX || key.len() > TEXT_BYTES_MAX;
        if is_long || of_place >= SHAPES_OF_PLACE_MAX || of_all >= SHAPES_MAX {
            SHAPES.fetch_sub(1, Ordering::Relaxed);
            self.place.is_irregular.store(true, Ordering::Relaxed);
            return None;
        }
        let mut keys = self.keys.clone();
        keys.push(key.to_owned().leak());
        let shape = Self::new(self.place, keys);
        if self.next.set(shape).is_err() {
            others.push(shape);
        }
        Some(shape)
    }

    fn text(&self) -> SiteText {
        let place = self.place;
        let mut text = SiteText::new(place.level, place.target.as_str());
        text.module = place.module.as_deref().map(Cow::Borrowed);
        text.file = place.file.as_deref().map(Cow::Borrowed);
        text.line = place.line;
        let keys = self.keys.iter().copied();
        text.fields = keys.map(Cow::Borrowed).collect();
        text
    }
}

/// The way of one record through the shapes of its place.
pub(crate) struct Cursor {
    /// None if the record carries its texts.
    shape: Option<&'static Shape>,
    /// There are more keys than are kept: these come with their names.
    is_open: bool,
}

impl Cursor {
    /// Begins a record: with its message as the first field.
    pub(crate) fn begin(recorder: &mut Recorder<'_>, level: Level, site: &InlineSite<'_>) -> Self {
        let place = Place::find(level, site);
        let place = place.filter(|place| !place.is_irregular.load(Ordering::Relaxed));
        let shape = place.and_then(|place| place.root.get().copied());
        if shape.is_none() {
            recorder.inline_site(site);
        }
        Self {
            shape,
            is_open: false,
        }
    }

    /// The message's key.
    pub(crate) fn message(&self) -> Key<'static> {
        match self.shape {
            Some(_) => Key::Index(0),
            None => Key::Name("message"),
        }
    }

    /// The key of the next field.
    pub(crate) fn key<'k>(&mut self, name: &'k str) -> Key<'k> {
        let Some(shape) = self.shape else {
            return Key::Name(name);
        };
        let next = match self.is_open {
            false => shape.with(name),
            true => None,
        };
        match next {
            Some(next) => {
                self.shape = Some(next);
                Key::Index(next.keys.len() - 1)
            }
            None => {
                self.is_open = true;
                Key::Name(name)
            }
        }
    }

    pub(crate) fn finish(self, recorder: Recorder<'_>) {
        match self.shape {
            Some(shape) => recorder.finish(Site::new(shape, describe), None),
            None => recorder.finish_inline(None),
        }
    }
}

fn describe(data: SiteData) -> SiteText {
    match data.downcast_ref::<Shape>() {
        Some(shape) => shape.text(),
        None => SiteText::new(Level::Error, ""),
    }
}
