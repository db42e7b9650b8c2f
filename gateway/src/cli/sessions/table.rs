//! Sessions as a person reads them.

use std::fmt::Write;

use serde_json::Value;

/// Key of the answer, and what stands above it.
const COLUMNS: [(&str, &str); 8] = [
    ("sid", "SID"),
    ("app", "APP"),
    ("appid", "APPID"),
    ("openid", "OPENID"),
    ("unionid", "UNIONID"),
    ("logged_in_at", "LOGGED IN"),
    ("expires_at", "EXPIRES"),
    ("session_key_readable", "SESSION KEY"),
];

/// One line each, below a head.
pub(super) fn rows(sessions: &[Value]) -> String {
    let head: Vec<_> = COLUMNS.iter().map(|(_, title)| (*title).to_owned()).collect();
    let rows: Vec<Vec<_>> = sessions
        .iter()
        .map(|session| COLUMNS.iter().map(|(key, _)| cell(key, &session[*key])).collect())
        .collect();
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..COLUMNS.len()).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// One session, a line for each of its properties.
pub(super) fn one(session: &Value) -> String {
    let lines = COLUMNS
        .iter()
        .map(|(key, title)| format!("{:12} {}\n", title.to_lowercase(), cell(key, &session[*key])));
    lines.collect()
}

fn cell(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(readable) if key == "session_key_readable" => {
            if *readable { "readable" } else { "not readable" }.to_owned()
        }
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let session = |sid: &str| json!({ "sid": sid, "app": null, "openid": "oGZU****VJJE", "session_key_readable": false });
        let shown = rows(&[session("AAAA"), session("B")]);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines.len(), 3, "{shown}");
        let at = |line: &str, word: &str| line.find(word).unwrap();
        assert_eq!(at(lines[0], "OPENID"), at(lines[1], "oGZU"), "{shown}");
        assert_eq!(at(lines[1], "not readable"), at(lines[2], "not readable"), "{shown}");
        assert!(one(&session("AAAA")).starts_with("sid          AAAA\napp          -\n"));
    }
}
