//! The paths of one host, as a tree of segments.

use std::collections::HashMap;

use http::{HeaderValue, Method};

use super::Destination;
use crate::config::{PathPattern, Segment};
use crate::denied::Denied;

/// One place in the tree: what a path that ends here, or goes on below, leads to.
#[derive(Debug, Default)]
pub(super) struct Paths {
    literals: HashMap<String, Self>,
    param: Option<Box<Self>>,
    /// For the path that ends here.
    exact: Methods,
    /// For `/*`: the path that ends here, and everything below that nothing else covers.
    prefix: Methods,
}

/// What one path pattern leads to, by method.
#[derive(Debug, Default)]
struct Methods {
    any: Option<Destination>,
    named: Vec<(Method, Destination)>,
}

/// What a path was found to lead to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'p>(&'p Methods);

impl Paths {
    pub(super) fn add(&mut self, path: &PathPattern, methods: &[Method], destination: Destination) {
        let mut place = self;
        for segment in &path.segments {
            place = match segment {
                Segment::Literal(literal) => place.literals.entry(literal.clone()).or_default(),
                Segment::Param(_) => place.param.get_or_insert_default(),
            };
        }
        let end = if path.prefix { &mut place.prefix } else { &mut place.exact };
        end.add(methods, destination);
    }

    /// Adds a path that stands for itself.
    pub(super) fn add_literal(&mut self, path: &str, methods: &[Method], destination: Destination) {
        let mut place = self;
        for literal in path.split('/').skip(1) {
            place = place.literals.entry(literal.to_owned()).or_default();
        }
        place.exact.add(methods, destination);
    }

    /// What a canonical path leads to. At each segment a literal goes before `{param}`, and that before `/*`; a way that
    /// turns out to lead nowhere is given up for the next.
    pub(super) fn find(&self, path: &str) -> Option<Found<'_>> {
        self.find_below(path.strip_prefix('/'))
    }

    /// `rest` is what is left of the path behind this place's slash; none when the path ends here.
    fn find_below(&self, rest: Option<&str>) -> Option<Found<'_>> {
        let Some(rest) = rest else {
            return self.exact.found().or_else(|| self.prefix.found());
        };
        let (segment, rest) = match rest.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (rest, None),
        };
        let literal = self.literals.get(segment).and_then(|below| below.find_below(rest));
        let param = || self.param.as_ref().filter(|_| !segment.is_empty())?.find_below(rest);
        literal.or_else(param).or_else(|| self.prefix.found())
    }
}

impl Found<'_> {
    /// The destination for this method.
    pub(super) fn find(self, method: &Method) -> Result<Destination, Denied> {
        self.0.find(method)
    }
}

impl Methods {
    fn found(&self) -> Option<Found<'_>> {
        (self.any.is_some() || !self.named.is_empty()).then_some(Found(self))
    }

    fn add(&mut self, methods: &[Method], destination: Destination) {
        if methods.is_empty() {
            self.any = Some(destination);
        }
        self.named.extend(methods.iter().map(|method| (method.clone(), destination)));
    }

    /// A route for this very method before one for any.
    fn find(&self, method: &Method) -> Result<Destination, Denied> {
        let named = self.named.iter().find(|(named, _)| named == method).map(|(_, destination)| *destination);
        named.or(self.any).ok_or_else(|| Denied::MethodNotAllowed { allow: self.allow() })
    }

    fn allow(&self) -> HeaderValue {
        let mut names: Vec<_> = self.named.iter().map(|(method, _)| method.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}
