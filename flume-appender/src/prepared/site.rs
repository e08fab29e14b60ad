//! [`PreparedSite`]: what is the same for all records of a call site, made once.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use flume_client::HeaderBlock;

use crate::capture::{DEPTH_MAX, Fields, InlineSite, Key, Site, SiteText};
use crate::level::Level;
use crate::text::escape;

use super::headers::HeaderPlan;
use super::redact::Redact;

/// Call sites that are kept prepared. Beyond that all are forgotten and made anew: a program has
/// fewer, unless it makes up targets.
const SITES_MAX: usize = 16 * 1024;

/// A call site, ready to be written.
#[derive(Debug)]
pub(crate) struct PreparedSite {
    pub(crate) text: SiteText,
    pub(crate) fields: Vec<PreparedField>,
    /// Whether two of its fields have one name.
    has_twins: bool,
    /// Fields that have names of their own, in the order in which the first record had them: the
    /// others mostly have the same.
    named: OnceCell<Vec<PreparedField>>,
    /// What a layout made of it, once, with that layout's number.
    pub(crate) layout_text: OnceCell<(u32, Vec<u8>)>,
    /// Those that all its events have.
    pub(crate) headers: HeaderBlock,
}

/// A field of a call site.
#[derive(Debug)]
pub(crate) struct PreparedField {
    pub(crate) name: String,
    /// `,"name":`.
    pub(crate) json: Vec<u8>,
    pub(crate) role: Role,
    /// Its place among those that become headers.
    pub(crate) promoted: Option<usize>,
}

/// What a field is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is the record's message.
    Message,
    /// It is written among the others.
    Plain,
    /// It is written without its value.
    Hidden,
}

impl PreparedSite {
    pub(crate) fn new(text: SiteText, redact: &Redact, headers: &HeaderPlan) -> Self {
        let fields = text.fields.iter();
        let mut fields: Vec<_> = fields
            .map(|name| PreparedField::new(name, redact, headers))
            .collect();
        let named = fields.iter_mut().filter(|it| it.role == Role::Message);
        // The text of a call comes first; a field of that name is the user's.
        named.skip(1).for_each(|it| it.role = Role::Plain);
        let mut names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        names.sort_unstable();
        let has_twins = names.windows(2).any(|pair| pair.first() == pair.last());
        Self {
            fields,
            has_twins,
            named: OnceCell::new(),
            layout_text: OnceCell::new(),
            headers: headers.of_site(&text),
            text,
        }
    }

    /// The field with this name if it is the one that is expected in this place among those with
    /// names of their own. `fields` are those of the first record that asks.
    #[inline]
    pub(crate) fn named(
        &self,
        place: usize,
        name: &str,
        fields: &Fields<'_>,
        sites: &Sites,
    ) -> Option<&PreparedField> {
        let named = self.named.get_or_init(|| self.learn(fields.clone(), sites));
        named.get(place).filter(|known| known.name == name)
    }

    fn learn(&self, fields: Fields<'_>, sites: &Sites) -> Vec<PreparedField> {
        let mut named: Vec<PreparedField> = Vec::new();
        for field in fields.take_while(|field| !field.is_context) {
            if let Key::Name(name) = field.key {
                let field = PreparedField::new(name, &sites.redact, &sites.headers);
                // Those with names as they are written, each of them once.
                let mut known = self.fields.iter().chain(&named);
                if field.name == name && known.all(|known| known.name != name) {
                    named.push(field);
                } else {
                    return Vec::new();
                }
            }
        }
        named
    }

    /// The place of one of its fields among those that become headers.
    #[inline]
    pub(crate) fn promoted(&self, index: usize) -> Option<usize> {
        self.fields.get(index)?.promoted
    }

    /// Whether two of its fields have one name.
    #[inline]
    pub(crate) fn has_twins(&self) -> bool {
        self.has_twins
    }
}

impl PreparedField {
    fn new(name: &str, redact: &Redact, headers: &HeaderPlan) -> Self {
        let name = plain_name(name);
        let role = role_of(name, redact);
        let mut json = vec![b','];
        escape::put_string(&mut json, name);
        json.push(b':');
        Self {
            name: name.into(),
            json,
            role,
            promoted: headers.promoted(name),
        }
    }
}

/// `r#type` is written by who wants `type`.
pub(crate) fn plain_name(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}

fn role_of(name: &str, redact: &Redact) -> Role {
    match name {
        "message" => Role::Message,
        _ if redact.hides(name) => Role::Hidden,
        _ => Role::Plain,
    }
}

/// The call sites that were seen.
#[derive(Debug)]
pub(crate) struct Sites {
    redact: Redact,
    headers: HeaderPlan,
    list: Vec<PreparedSite>,
    /// Where each one is in the list: by its address, or by the hash of its texts.
    known: HashMap<u64, u32>,
    /// Those that were looked up last, by the hash of the key: saves most look-ups.
    recent: Box<[Recent; RECENT]>,
}

/// Entries of the table of sites that were looked up last.
const RECENT: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Recent {
    key: u64,
    place: u32,
}

/// No site's key: addresses are even, and hashes have the highest bit set.
const NO_KEY: u64 = 1;

impl Recent {
    const NONE: Self = Self {
        key: NO_KEY,
        place: 0,
    };
}

impl Sites {
    pub(crate) fn new(redact: Redact, headers: HeaderPlan) -> Self {
        Self {
            redact,
            headers,
            list: Vec::new(),
            known: HashMap::new(),
            recent: Box::new([Recent::NONE; RECENT]),
        }
    }

    pub(crate) fn headers(&self) -> &HeaderPlan {
        &self.headers
    }

    /// What a field of this name is for, which is no field of a site.
    pub(crate) fn role_of(&self, name: &str) -> Role {
        role_of(name, &self.redact)
    }

    /// Its place among those that become headers.
    pub(crate) fn promoted(&self, name: &str) -> Option<usize> {
        self.headers.promoted(name)
    }

    /// Forgets all of them if there may be no room for those of another record.
    #[inline]
    pub(crate) fn make_room(&mut self) {
        if self.list.len() + DEPTH_MAX as usize >= SITES_MAX {
            self.list.clear();
            self.known.clear();
            self.recent.fill(Recent::NONE);
        }
    }

    /// Makes a call site ready, if it is not yet. Returns its place.
    #[inline]
    pub(crate) fn prepare(&mut self, site: Site) -> u32 {
        let key = key_of(site);
        match self.recent_place(key) {
            Some(place) => place,
            None => self.look_up(key, |_| true, || site.text()),
        }
    }

    /// Makes a place in the code ready whose texts came with a record. Returns its place.
    pub(crate) fn prepare_inline(&mut self, level: Level, site: &InlineSite<'_>) -> u32 {
        let key = hash_of(level, site);
        let is_same = |known: &PreparedSite| known.text.is(level, site);
        if let Some(place) = self.recent_place(key)
            && self.at(place).is_some_and(is_same)
        {
            return place;
        }
        self.look_up(key, is_same, || {
            let owned = |text: Option<&str>| text.map(|text| Cow::Owned(text.to_owned()));
            let mut text = SiteText::new(level, site.target.to_owned());
            text.module = owned(site.module);
            text.file = owned(site.file);
            text.line = site.line;
            text
        })
    }

    /// One that was made ready.
    #[inline]
    pub(crate) fn get(&self, site: Site) -> Option<&PreparedSite> {
        let key = key_of(site);
        let place = self.recent_place(key);
        self.at(place.or_else(|| self.known.get(&key).copied())?)
    }

    /// The one at a place.
    #[inline]
    pub(crate) fn at(&self, place: u32) -> Option<&PreparedSite> {
        self.list.get(place as usize)
    }

    #[inline]
    fn recent_place(&self, key: u64) -> Option<u32> {
        let recent = self.recent.get(slot_of(key))?;
        (recent.key == key).then_some(recent.place)
    }

    fn look_up(
        &mut self,
        key: u64,
        is_same: impl Fn(&PreparedSite) -> bool,
        text: impl FnOnce() -> SiteText,
    ) -> u32 {
        let known = self.known.get(&key).copied();
        let place = match known.filter(|place| self.at(*place).is_some_and(is_same)) {
            Some(place) => place,
            None => {
                let prepared = PreparedSite::new(text(), &self.redact, &self.headers);
                let place = self.list.len() as u32;
                self.list.push(prepared);
                self.known.insert(key, place);
                place
            }
        };
        if let Some(recent) = self.recent.get_mut(slot_of(key)) {
            *recent = Recent { key, place };
        }
        place
    }
}

/// 2^64 divided by the golden ratio: spreads what is close together.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
fn slot_of(key: u64) -> usize {
    (key.wrapping_mul(SPREAD) >> 56) as usize % RECENT
}

#[inline]
fn key_of(site: Site) -> u64 {
    site.address() as u64 & !HASHED
}

/// Tells a hash from an address, which no system gives to a process so high.
const HASHED: u64 = 1 << 63;

/// Of the texts of a site, eight bytes at a time. Who finds two of one hash makes each of them push
/// the other one out, and no more: texts are compared.
fn hash_of(level: Level, site: &InlineSite<'_>) -> u64 {
    let mut hash = level.index() as u64 ^ (u64::from(site.line.unwrap_or_default()) << 8);
    let texts = [Some(site.target), site.module, site.file];
    for text in texts.into_iter().flatten() {
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        let mut last = [0; 8];
        if let Some(place) = last.get_mut(..rest.len()) {
            place.copy_from_slice(rest);
        }
        for word in words.iter().chain(std::iter::once(&last)) {
            hash = (hash.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(SPREAD);
        }
        hash ^= text.len() as u64;
    }
    hash | HASHED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepared::headers::HeaderSettings;

    fn place(target: &str) -> InlineSite<'_> {
        InlineSite {
            target,
            ..InlineSite::default()
        }
    }

    /// Another text of sixteen letters with the hash of `first`.
    fn with_same_hash(first: &str) -> String {
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        let state = |word: u64| {
            let begin = Level::Info.index() as u64;
            (begin.rotate_left(23) ^ word)
                .wrapping_mul(SPREAD)
                .rotate_left(23)
        };
        let (begin, end) = first.as_bytes().split_at(8);
        let found = (0..1_000_000).find_map(|number| {
            let other = format!("{number:08}");
            let other_end = state(word(other.as_bytes())) ^ state(word(begin)) ^ word(end);
            let other_end = String::from_utf8(other_end.to_le_bytes().to_vec()).ok()?;
            Some(other + &other_end)
        });
        found.unwrap()
    }

    #[test]
    fn two_places_of_one_hash_are_told_apart() {
        let plan = HeaderSettings::default().plan(&[], true).unwrap();
        let mut sites = Sites::new(Redact::default(), plan);
        let first = "orders::placing!";
        let second = with_same_hash(first);
        let [one, other] = [first, &second].map(|target| hash_of(Level::Info, &place(target)));
        assert!(one == other && first != second);
        for target in [first, &second, first, &second] {
            let found = sites.prepare_inline(Level::Info, &place(target));
            assert_eq!(sites.at(found).unwrap().text.target, target);
        }
    }
}
