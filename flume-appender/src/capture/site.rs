//! [`Site`]: where in the code a record comes from.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;

use crate::level::Level;

/// Data of a front end that lasts as long as the process: tracing's metadata, for example.
pub type SiteData = &'static (dyn Any + Send + Sync);

/// A place in the code that logs, known by its address. The renderer asks for its texts once.
///
/// ```
/// use flume_appender::capture::{Site, SiteText};
/// use flume_appender::Level;
///
/// struct Place {
///     target: &'static str,
/// }
/// static PLACE: Place = Place { target: "orders" };
///
/// let site = Site::new(&PLACE, |data| {
///     let place = data.downcast_ref::<Place>();
///     SiteText::new(Level::Info, place.map_or("", |place| place.target))
/// });
/// assert_eq!(site.text().target, "orders");
/// ```
#[derive(Clone, Copy)]
pub struct Site {
    data: SiteData,
    describe: fn(SiteData) -> SiteText,
}

impl Site {
    /// The site with this data. `describe` reads the texts out of it.
    #[must_use]
    pub fn new(data: SiteData, describe: fn(SiteData) -> SiteText) -> Self {
        Self { data, describe }
    }

    /// Its texts.
    #[must_use]
    pub fn text(&self) -> SiteText {
        (self.describe)(self.data)
    }

    /// What tells it from all others.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self.data).cast::<()>().addr()
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}

/// What a [`Site`] says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SiteText {
    /// The level of its records.
    pub level: Level,
    /// What filters look at; the module as a rule.
    pub target: Cow<'static, str>,
    /// The name of a span; empty for events.
    pub name: Cow<'static, str>,
    /// The module.
    pub module: Option<Cow<'static, str>>,
    /// The file.
    pub file: Option<Cow<'static, str>>,
    /// The line in it.
    pub line: Option<u32>,
    /// The names of its fields, as many as [`Key::Index`](super::Key::Index) may name.
    pub fields: Vec<Cow<'static, str>>,
}

impl SiteText {
    /// A site without a place and without fields.
    #[must_use]
    pub fn new(level: Level, target: impl Into<Cow<'static, str>>) -> Self {
        Self {
            level,
            target: target.into(),
            name: Cow::Borrowed(""),
            module: None,
            file: None,
            line: None,
            fields: Vec::new(),
        }
    }

    /// Whether it says the same as one whose texts came with a record.
    pub(crate) fn is(&self, level: Level, site: &InlineSite<'_>) -> bool {
        self.level == level
            && self.target == site.target
            && self.module.as_deref() == site.module
            && self.file.as_deref() == site.file
            && self.line == site.line
    }
}

/// A call site whose texts come with each record, because they may not last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct InlineSite<'a> {
    /// What filters look at.
    pub target: &'a str,
    /// The module.
    pub module: Option<&'a str>,
    /// The file.
    pub file: Option<&'a str>,
    /// The line in it.
    pub line: Option<u32>,
}
