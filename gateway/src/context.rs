//! What is known of one request on its way.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use http::HeaderValue;

use crate::connection::UnderWay;
use crate::denied::Denied;
use crate::in_flight::Flying;
use crate::snapshot::Snapshot;
use crate::steps::policy::Permit;
use crate::steps::route::Destination;
use crate::steps::upstream::Peer;

/// Filled in step by step; the log reads it at the end.
#[derive(Debug)]
pub(crate) struct Context {
    /// The config that this request began under.
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) started: Instant,
    pub(crate) request_id: RequestId,
    /// Who connected to us.
    pub(crate) peer: IpAddr,
    /// Who is behind that, if a believed proxy told.
    pub(crate) client: IpAddr,
    pub(crate) proto: &'static str,
    pub(crate) destination: Option<Destination>,
    pub(crate) permit: Option<Permit>,
    pub(crate) denied: Option<Denied>,
    pub(crate) websocket: bool,
    /// Which server is being asked, and how many were before it.
    pub(crate) upstream: Option<Arc<Peer>>,
    pub(crate) tries: usize,
    /// Whether it was sent once more after a kept-alive connection failed.
    pub(crate) asked_again: bool,
    pub(crate) upstream_started: Option<Instant>,
    pub(crate) upstream_took: Option<Duration>,
    pub(crate) body_bytes: u64,
    /// While it is here, its connection is busy.
    pub(crate) under_way: Option<UnderWay>,
    _flying: Flying,
}

impl Context {
    pub(crate) fn new(snapshot: Arc<Snapshot>, request_id: RequestId, flying: Flying) -> Self {
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self {
            snapshot,
            started: Instant::now(),
            request_id,
            peer: nobody,
            client: nobody,
            proto: "http",
            destination: None,
            permit: None,
            denied: None,
            websocket: false,
            upstream: None,
            tries: 0,
            asked_again: false,
            upstream_started: None,
            upstream_took: None,
            body_bytes: 0,
            under_way: None,
            _flying: flying,
        }
    }
}

/// Names one request in its answer, in the log and to the service: 22 characters of `a-z 0-9 -`, or a believed proxy's.
#[derive(Clone, Copy)]
pub(crate) struct RequestId {
    bytes: [u8; Self::BYTES_MAX],
    len: u8,
}

impl RequestId {
    const BYTES_MAX: usize = 64;

    /// Takes over an id of 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let fits = (1..=Self::BYTES_MAX).contains(&text.len());
        let plain = text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        (fits && plain).then(|| {
            let mut bytes = [0; Self::BYTES_MAX];
            bytes[..text.len()].copy_from_slice(text);
            Self { bytes, len: text.len() as u8 }
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or("-")
    }

    pub(crate) fn header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(self.as_bytes()).unwrap_or(HeaderValue::from_static("-"))
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes request ids: unique, not secret. Eight characters tell the process, thirteen the request.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: [u8; 8],
    next: AtomicU64,
}

impl RequestIds {
    /// # Panics
    /// If the system's random generator fails.
    pub(crate) fn new() -> Self {
        let mut random = [0; 16];
        SystemRandom::new().fill(&mut random).expect("the system's random generator works");
        let mut process = [0; 8];
        write_base32(u64::from_le_bytes(random[..8].try_into().expect("eight bytes")), &mut process);
        let start = u64::from_le_bytes(random[8..].try_into().expect("eight bytes"));
        Self { process, next: AtomicU64::new(start >> 16) }
    }

    pub(crate) fn next(&self) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; RequestId::BYTES_MAX];
        bytes[..8].copy_from_slice(&self.process);
        bytes[8] = b'-';
        write_base32(number, &mut bytes[9..22]);
        RequestId { bytes, len: 22 }
    }
}

/// The low digits of `number`, most significant first, five bits each.
fn write_base32(mut number: u64, out: &mut [u8]) {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    for digit in out.iter_mut().rev() {
        *digit = DIGITS[(number & 31) as usize];
        number >>= 5;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_differ_and_read_back() {
        let ids = RequestIds::new();
        let (one, two) = (ids.next(), ids.next());
        assert_ne!(one.as_str(), two.as_str());
        assert_eq!(RequestId::parse(one.as_str().as_bytes()).unwrap().as_str(), one.as_str());
        assert_eq!(one.as_str().len(), 22);
    }

    #[test]
    fn an_id_from_outside_is_short_and_plain() {
        assert!(RequestId::parse(b"0af7651916cd43dd8448eb211c80319c").is_some());
        for wrong in [&b""[..], b"a b", b"a\"b", b"a\r\nb", b"\xff", &[b'a'; 65]] {
            assert!(RequestId::parse(wrong).is_none(), "{wrong:?}");
        }
    }
}
