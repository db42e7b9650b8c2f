//! Who the client is: the connection's other end, or whom a believed proxy names.

use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;

/// Longest `X-Forwarded-For` list that is followed, in entries. A longer one is cut from the left, the unbelieved end.
const HOPS_MAX: usize = 32;

/// The right-most address that is not one of the `trusted` proxies. An entry that is no address ends the search at the
/// proxy that passed it on: nobody is believed further.
pub(crate) fn client<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> IpAddr {
    let believed = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let entries = forwarded.rev().flat_map(|line| line.rsplit(|b| *b == b','));
    for entry in entries.take(HOPS_MAX) {
        if !believed(&client) {
            break;
        }
        let Some(address) =
            std::str::from_utf8(entry).ok().and_then(|text| text.trim().parse::<IpAddr>().ok())
        else {
            break;
        };
        client = address.to_canonical();
    }
    client
}

/// Whether `peer` is a proxy that is believed.
pub(crate) fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|network| network.contains(&peer))
}

/// One IPv6 subscriber has a whole /64: its addresses count as one.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
    }
}

/// Writes `address` as its `Display` does, without `core::fmt` where it is IPv4: every request has it in three places.
pub(crate) fn write(out: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            let (mut digits, mut point) = (itoa::Buffer::new(), "");
            for octet in v4.octets() {
                out.extend([point, digits.format(octet)]);
                point = ".";
            }
        }
        IpAddr::V6(v6) => {
            let _ = write!(out, "{v6}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(peer: &str, lines: &[&str]) -> String {
        let trusted = ["10.9.9.0/24".parse().unwrap()];
        client(peer.parse().unwrap(), lines.iter().map(|line| line.as_bytes()), &trusted).to_string()
    }

    #[test]
    fn an_address_is_written_as_it_displays() {
        for address in ["0.0.0.0", "127.0.0.1", "255.10.200.9", "::1", "2001:db8::ff"] {
            let mut out = String::new();
            write(&mut out, address.parse().unwrap());
            assert_eq!(out, address);
        }
    }

    #[test]
    fn nobody_is_believed_but_a_trusted_proxy() {
        assert_eq!(found("192.0.2.1", &["10.0.0.1"]), "192.0.2.1");
        assert_eq!(found("10.9.9.9", &["1.1.1.1"]), "1.1.1.1");
        assert_eq!(found("10.9.9.9", &[]), "10.9.9.9");
    }

    #[test]
    fn the_right_most_untrusted_address_is_the_client() {
        assert_eq!(found("10.9.9.9", &["1.1.1.1, 2.2.2.2, 10.9.9.8"]), "2.2.2.2");
        assert_eq!(found("10.9.9.9", &["1.1.1.1", "2.2.2.2, 10.9.9.8"]), "2.2.2.2");
    }

    #[test]
    fn a_v4_mapped_address_is_the_v4_address() {
        assert_eq!(found("::ffff:10.9.9.9", &["::ffff:1.2.3.4"]), "1.2.3.4");
        assert_eq!(found("::ffff:192.0.2.1", &["1.1.1.1"]), "192.0.2.1");
    }

    #[test]
    fn garbage_ends_the_search_at_the_proxy_that_passed_it_on() {
        for garbage in ["unknown", "1.2.3.4<script>", "1.2.3.4:99", "[::1]", "", "1.1.1.1, "] {
            assert_eq!(found("10.9.9.9", &[garbage]), "10.9.9.9", "{garbage:?}");
        }
    }
}
