//! One request as a service may read it.

use std::collections::BTreeMap;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The lines after a chunked body.
    pub(crate) trailers: String,
}

impl Seen {
    pub(crate) fn request_line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    /// The path and query of the request line.
    pub(crate) fn target(&self) -> &str {
        self.request_line().split(' ').nth(1).unwrap()
    }

    /// Every value of a header, by its exact name in any case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// The only value of a header.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in\n{}", self.head);
        all[0]
    }

    /// The headers as PHP and WSGI see them: everything in a name but letters and digits is `_`, upper case, and the
    /// values of names that fall together are joined.
    pub(crate) fn folded(&self) -> BTreeMap<String, String> {
        let mut folded = BTreeMap::<String, String>::new();
        for (name, value) in self.headers() {
            folded
                .entry(fold(name))
                .and_modify(|joined| joined.extend([", ", value]))
                .or_insert_with(|| value.to_owned());
        }
        folded
    }

    /// The names of [`folded`](Self::folded), once for each line.
    pub(crate) fn folded_names(&self) -> Vec<String> {
        self.headers().map(|(name, _)| fold(name)).collect()
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.map(|(name, value)| (name, value.trim()))
    }
}

fn fold(name: &str) -> String {
    let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.chars().map(fold).collect()
}
