//! What goes wrong next: a queue of scripted faults.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::answer::{Answer, Trailer};
use super::errcode::BUSY;

/// Entries in the queue; an entry may stand for many calls.
pub(super) const FAULTS_MAX: usize = 1000;

/// One scripted fault.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// Only for calls of this path; `None`: of any.
    pub(super) path: Option<String>,
    pub(super) kind: Kind,
    /// Whether the call has its effect all the same: its code is spent, its token issued.
    pub(super) consume: bool,
    /// Waits this long before it answers.
    pub(super) after: Duration,
}

/// What is done to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Errcode -1.
    Busy,
    Errcode {
        code: i64,
        text: String,
    },
    /// The right answer, late.
    Slow,
    /// A TCP reset instead of an answer.
    Reset,
    /// Half of the right body, then the connection closes.
    HalfBody,
    /// The right body, byte by byte.
    Drip {
        gap: Duration,
    },
    Html502,
    /// The right body with so many bytes of padding in it.
    HugeBody {
        padding_bytes: u64,
    },
    /// The same, compressed to a thousandth, for clients that unpack what they did not ask for.
    GzipBomb {
        padding_bytes: u64,
    },
    Empty,
    /// The right body after a byte order mark.
    Bom,
    NotJson,
    Redirect {
        location: String,
    },
    /// A success as in 2016: with `errcode` 0 and `expires_in`.
    Legacy,
    /// The errcode as a text; a success carries `"0"`.
    StringErrcode,
    /// The right answer with fields that nobody knows.
    ExtraFields,
    /// An error text that ends in `hints: [ req_id: … ]` instead of a rid.
    OldHints,
}

impl Kind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Errcode { .. } => "errcode",
            Self::Slow => "slow",
            Self::Reset => "reset",
            Self::HalfBody => "half_body",
            Self::Drip { .. } => "drip",
            Self::Html502 => "html_502",
            Self::HugeBody { .. } => "huge_body",
            Self::GzipBomb { .. } => "gzip_bomb",
            Self::Empty => "empty",
            Self::Bom => "bom",
            Self::NotJson => "not_json",
            Self::Redirect { .. } => "redirect",
            Self::Legacy => "legacy",
            Self::StringErrcode => "string_errcode",
            Self::ExtraFields => "extra_fields",
            Self::OldHints => "old_hints",
        }
    }

    /// Whether the fault is a way of writing the right answer, which therefore has to come about.
    pub(super) fn needs_answer(&self) -> bool {
        match self {
            Self::Busy | Self::Errcode { .. } | Self::Reset | Self::Html502 => false,
            Self::Empty | Self::NotJson | Self::Redirect { .. } => false,
            Self::Slow | Self::HalfBody | Self::Drip { .. } | Self::Bom => true,
            Self::HugeBody { .. } | Self::GzipBomb { .. } => true,
            Self::Legacy | Self::StringErrcode | Self::ExtraFields | Self::OldHints => true,
        }
    }

    /// Whether a call has its effect unless the script says otherwise. An error code or a 502 comes from a front that
    /// did not get far; a lost answer was a real one.
    pub(super) fn consumes_by_default(&self) -> bool {
        self.needs_answer() || matches!(self, Self::Reset | Self::Empty)
    }

    pub(super) fn trailer(&self) -> Trailer {
        if *self == Self::OldHints { Trailer::Hints } else { Trailer::Rid }
    }

    /// The answer as this fault has it; most leave it alone.
    pub(super) fn rewrite(&self, answer: Option<Answer>) -> Option<Answer> {
        match self {
            Self::Busy => Some(Answer::refused(BUSY)),
            Self::Errcode { code, text } => Some(Answer::refused_with(*code, text)),
            Self::Legacy => answer.map(legacy),
            Self::StringErrcode => answer.map(string_errcode),
            Self::ExtraFields => answer.map(extra_fields),
            Self::Slow | Self::Reset | Self::HalfBody | Self::Drip { .. } | Self::Html502 => answer,
            Self::HugeBody { .. } | Self::GzipBomb { .. } => answer,
            Self::Empty | Self::Bom | Self::NotJson => answer,
            Self::Redirect { .. } | Self::OldHints => answer,
        }
    }
}

fn legacy(mut answer: Answer) -> Answer {
    if answer.errcode.is_none() {
        let has_expiry = answer.fields.iter().any(|(name, _)| *name == "expires_in");
        if !has_expiry {
            answer.fields.insert(1, ("expires_in", 7200.into()));
        }
        answer.fields.extend([("errcode", 0.into()), ("errmsg", "ok".into())]);
    }
    answer
}

fn string_errcode(mut answer: Answer) -> Answer {
    let text = Value::from(answer.errcode.unwrap_or(0).to_string());
    match answer.fields.iter_mut().find(|(name, _)| *name == "errcode") {
        Some((_, value)) => *value = text,
        None => answer.fields.push(("errcode", text)),
    }
    answer
}

fn extra_fields(mut answer: Answer) -> Answer {
    answer.fields.insert(0, ("new_field", json!({ "nested": [1, "two", null] })));
    answer.fields.push(("is_new_user", Value::from(false)));
    answer
}

/// The script: the first fault that fits a call is applied, so many times, then the next one.
#[derive(Debug, Default)]
pub(super) struct Faults(VecDeque<(Fault, u64)>);

impl Faults {
    /// Adds a fault for the next `times` calls that it fits; says no when the queue is full.
    pub(super) fn push(&mut self, fault: Fault, times: u64) -> bool {
        let room = self.0.len() < FAULTS_MAX;
        if room && times > 0 {
            self.0.push_back((fault, times));
        }
        room
    }

    /// The fault for a call of this path, used up by one.
    pub(super) fn next_for(&mut self, path: &str) -> Option<Fault> {
        let fits = |(fault, _): &(Fault, u64)| fault.path.as_deref().is_none_or(|only| only == path);
        let index = self.0.iter().position(fits)?;
        let (fault, times) = &mut self.0[index];
        let fault = fault.clone();
        *times -= 1;
        if *times == 0 {
            self.0.remove(index);
        }
        Some(fault)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What is still to come: each fault and how many times.
    pub(super) fn pending(&self) -> impl Iterator<Item = &(Fault, u64)> {
        self.0.iter()
    }
}
