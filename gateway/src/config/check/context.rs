//! What every check needs: where things stand, and where to note what is wrong.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::config::Mode;
use crate::config::mistake::{Mistake, listed, nearest};
use crate::config::places::{self, Places};
use crate::config::secrets::Secrets;
use crate::config::source::{SourceMap, Span};

/// The checks' common ground.
pub(crate) struct Context<'a> {
    pub(crate) mode: Mode,
    pub(crate) secrets: &'a dyn Secrets,
    pub(crate) places: &'a Places,
    /// Paths about which nothing can be said any more, because a mistake was noted there before.
    pub(crate) unsure: &'a [String],
    /// Whether a file could not be read.
    pub(crate) unread: bool,
    /// Whether some text is not TOML, so that a table may be lost which is written there.
    pub(crate) broken: bool,
    pub(crate) sources: &'a SourceMap,
    /// The folder of the main file.
    pub(crate) folder: &'a Path,
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) warnings: Vec<Mistake>,
}

impl Context<'_> {
    /// Notes that the value at `path` is wrong.
    pub(crate) fn wrong(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        let mistake = self.at(path, message).help(help);
        self.mistakes.push(mistake);
    }

    /// Notes that two places do not go together.
    pub(crate) fn clash(
        &mut self,
        path: &str,
        message: impl Into<String>,
        (other, what): (&str, &str),
        help: impl Into<String>,
    ) {
        let (span, _) = self.locate(other);
        let mistake = self.at(path, message).also(span, what).help(help);
        self.mistakes.push(mistake);
    }

    /// Notes that something is not there, unless an earlier mistake explains that.
    pub(crate) fn missing(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        let table = path.rsplit_once('.').map(|(table, _)| table);
        let given = path == "version" || table.is_some_and(|table| self.is_given(table));
        let lost = !given && self.may_be_lost(table.unwrap_or(path));
        if !lost && !self.is_unsure(path) {
            self.wrong(path, message, help);
        }
    }

    /// Notes what is allowed but looks wrong.
    pub(crate) fn warn(&mut self, path: &str, message: impl Into<String>) {
        let warning = self.at(path, message);
        self.warnings.push(warning);
    }

    /// `value`, if it is within `range`, and else a mistake and the nearest end of the range.
    pub(crate) fn within<T: PartialOrd + Copy + Display>(
        &mut self,
        path: &str,
        value: T,
        range: RangeInclusive<T>,
    ) -> T {
        let (least, most) = (*range.start(), *range.end());
        if range.contains(&value) {
            return value;
        }
        let (nearest, why) = if value < least { (least, "little") } else { (most, "much") };
        self.wrong(path, format!("must be from {least} to {most}"), format!("{value} is too {why}"));
        nearest
    }

    /// The number of `name` among `names`, which are tables under `kind`; else a mistake.
    pub(crate) fn resolve(&mut self, path: &str, kind: &str, name: &str, names: &[String]) -> Option<usize> {
        let found = names.iter().position(|known| known == name);
        let path_of_it = places::join(kind, name);
        if found.is_none() && !self.may_be_lost(&path_of_it) && !self.is_unsure(&path_of_it) {
            let known = || names.iter().map(String::as_str);
            let help = match nearest(name, known()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None if names.is_empty() => format!("add a table `[{kind}.NAME]`"),
                None => format!("known are {}", listed(known())),
            };
            self.wrong(path, format!("there is no `[{kind}.{name}]`"), help);
        }
        found
    }

    /// A path of the file system: a relative one counts from the folder of the main file.
    pub(crate) fn resolve_file(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Whether `path` is in the file.
    pub(crate) fn is_given(&self, path: &str) -> bool {
        self.places.get(path).is_some()
    }

    /// Where `path` stands, for the order of the file.
    pub(crate) fn position(&self, path: &str) -> usize {
        self.places.get(path).map_or(usize::MAX, |place| place.key.start)
    }

    pub(crate) fn is_unsure(&self, path: &str) -> bool {
        let (_, path) = self.places.around(path);
        self.unsure.iter().any(|unsure| places::holds(unsure, &path) || places::holds(&path, unsure))
    }

    /// Whether a table that is not there may have been written all the same.
    fn may_be_lost(&self, table: &str) -> bool {
        let header = format!("[{table}");
        self.unread || (self.broken && self.sources.texts().any(|(text, _)| text.contains(&header)))
    }

    fn at(&self, path: &str, message: impl Into<String>) -> Mistake {
        let (span, path) = self.locate(path);
        Mistake::new(span, path, message)
    }

    fn locate(&self, path: &str) -> (Span, String) {
        let (place, path) = self.places.around(path);
        (place.map_or(0..0, |place| place.value.clone()), path)
    }
}
