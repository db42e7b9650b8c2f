//! Where Redis is, as the config writes it: one URL, with one or several servers in it.
//!
//! | form | is |
//! |---|---|
//! | `redis://[user:password@]host[:6379][/db]` | one server, or a proxy or service address that leads to the master |
//! | `redis+unix:///path/to.sock[?db=1]`, with `user:password@` before the path | one server of this machine |
//! | `redis-sentinel://[user:password@]host[:26379],…/master-name[?db=1]` | the master of that name, as the Sentinels know it |
//! | `redis-cluster://[user:password@]host[:6379],…` | a cluster, found by any of these of its nodes |
//!
//! `rediss…` is the same over TLS (Sentinel and Cluster: `rediss-sentinel`, `rediss-cluster`), and `valkey…` is another name
//! for `redis…`. User and password are percent-encoded; the user may be left out (`:password@`). They are Redis's; Sentinels
//! with a password of their own have it in `?sentinel_password=…` (and `&sentinel_user=…`).
//!
//! A password is a secret: nothing here shows it, and no error repeats any part of the text.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

/// Where Redis is and who the gateway is there. `Debug` and `Display` leave user and password out.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress {
    pub(super) servers: Servers,
    pub(super) tls: bool,
    pub(super) db: i64,
    pub(super) login: Login,
    /// For Sentinels.
    pub(super) sentinel_login: Login,
}

/// Which servers, and how they belong together.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Servers {
    One(Host),
    Unix(PathBuf),
    Sentinels { hosts: Vec<Host>, master: String },
    Cluster(Vec<Host>),
}

/// A name or address (IPv6 without its brackets) and a port.
pub(super) type Host = (String, u16);

/// A user, if it is not the default one, and a password, if there is one.
#[derive(Clone, Default)]
pub(super) struct Login {
    user: Option<String>,
    password: Option<SecretString>,
}

impl PartialEq for Login {
    /// For a config that is read again: nobody learns from how long it takes.
    fn eq(&self, other: &Self) -> bool {
        self.user == other.user && self.password() == other.password()
    }
}

impl Eq for Login {}

impl Login {
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub(super) fn password(&self) -> Option<&str> {
        self.password.as_ref().map(ExposeSecret::expose_secret)
    }
}

/// A text that is not the address of a Redis. Never repeats the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedisAddressError {
    /// What stands before `://`.
    #[error(
        "starts with none of redis://, redis+unix://, redis-sentinel://, redis-cluster:// (rediss… for TLS)"
    )]
    Scheme,
    /// What stands before the `@`.
    #[error("what stands before the @ is not user:password or :password, percent-encoded")]
    Login,
    /// Neither a name nor an address, or a port that is none.
    #[error("a server is not host or host:port")]
    Host,
    /// More than one server where there can only be one.
    #[error("several servers need redis-sentinel:// or redis-cluster://")]
    Several,
    /// No master to ask the Sentinels for.
    #[error("after the Sentinels comes /master-name")]
    Master,
    /// No path to a socket.
    #[error("redis+unix:// needs an absolute path")]
    Path,
    /// Not a number, or a number where there is one database only.
    #[error("the database is not a number from 0 to 65535 (a cluster has only 0)")]
    Database,
    /// Something in `?…` or `#…` that is not known here.
    #[error("knows only ?db= and, with Sentinels, ?sentinel_user= and ?sentinel_password=")]
    Option,
}

impl RedisAddress {
    /// Whether it is reached over TLS.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }
}

impl FromStr for RedisAddress {
    type Err = RedisAddressError;

    fn from_str(text: &str) -> Result<Self, RedisAddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(RedisAddressError::Scheme)?;
        let scheme = scheme.strip_prefix("valkey").or_else(|| scheme.strip_prefix("redis"));
        let kind = scheme.ok_or(RedisAddressError::Scheme)?;
        let (tls, kind) = kind.strip_prefix('s').map_or((false, kind), |kind| (true, kind));
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        // A password that has one of these in clear would be cut there: the rest of it must not pass for a host.
        if rest.contains('#') || options.contains('#') {
            return Err(RedisAddressError::Option);
        }
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (read_login(login)?, rest),
            None => (Login::default(), rest),
        };
        let (hosts, path) = rest.split_once('/').map_or((rest, None), |(hosts, path)| (hosts, Some(path)));
        let options = Options::read(options, kind == "-sentinel")?;
        let path = path.filter(|path| !path.is_empty());
        let (servers, db) = match kind {
            "" => {
                let in_path = path.map(read_database).transpose()?;
                if in_path.is_some() && options.db.is_some() {
                    return Err(RedisAddressError::Database);
                }
                (Servers::One(read_host(only(hosts)?, 6379)?), in_path.or(options.db))
            }
            "+unix" if !tls => {
                let path = path.filter(|_| hosts.is_empty()).ok_or(RedisAddressError::Path)?;
                let path = decoded(path).ok_or(RedisAddressError::Path)?;
                (Servers::Unix(format!("/{path}").into()), options.db)
            }
            "-sentinel" => {
                let master = path.and_then(decoded).filter(|name| !name.contains(['/', '\0']));
                let master = master.ok_or(RedisAddressError::Master)?;
                (Servers::Sentinels { hosts: read_hosts(hosts, 26379)?, master }, options.db)
            }
            "-cluster" => {
                let none = path.map(read_database).transpose()?.or(options.db).unwrap_or(0) == 0;
                if !none {
                    return Err(RedisAddressError::Database);
                }
                (Servers::Cluster(read_hosts(hosts, 6379)?), None)
            }
            _ => return Err(RedisAddressError::Scheme),
        };
        Ok(Self { servers, tls, db: db.unwrap_or(0), login, sentinel_login: options.sentinel_login })
    }
}

/// What stands after the `?`.
#[derive(Default)]
struct Options {
    db: Option<i64>,
    sentinel_login: Login,
}

impl Options {
    fn read(text: &str, sentinels: bool) -> Result<Self, RedisAddressError> {
        let mut options = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(RedisAddressError::Option)?;
            match name {
                "db" if options.db.is_none() => options.db = Some(read_database(value)?),
                "sentinel_user" if sentinels => {
                    options.sentinel_login.user = Some(decoded(value).ok_or(RedisAddressError::Login)?);
                }
                "sentinel_password" if sentinels => {
                    let password = decoded(value).ok_or(RedisAddressError::Login)?;
                    options.sentinel_login.password = Some(password.into());
                }
                _ => return Err(RedisAddressError::Option),
            }
        }
        let alone = options.sentinel_login.user.is_some() && options.sentinel_login.password.is_none();
        if alone { Err(RedisAddressError::Login) } else { Ok(options) }
    }
}

/// `user:password` or `:password`. A user alone is refused: it is most often a password that lost its colon.
fn read_login(text: &str) -> Result<Login, RedisAddressError> {
    let (user, password) = text.split_once(':').ok_or(RedisAddressError::Login)?;
    let password = decoded(password).ok_or(RedisAddressError::Login)?;
    let user = if user.is_empty() { None } else { Some(decoded(user).ok_or(RedisAddressError::Login)?) };
    Ok(Login { user, password: Some(password.into()) })
}

/// The text without its percent-encoding; None if it is empty or not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}

fn only(hosts: &str) -> Result<&str, RedisAddressError> {
    if hosts.contains(',') { Err(RedisAddressError::Several) } else { Ok(hosts) }
}

fn read_hosts(hosts: &str, port: u16) -> Result<Vec<Host>, RedisAddressError> {
    hosts.split(',').map(|host| read_host(host, port)).collect()
}

fn read_host(text: &str, default_port: u16) -> Result<Host, RedisAddressError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(RedisAddressError::Host)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let ipv6 = text.starts_with('[') && host.parse::<std::net::Ipv6Addr>().is_ok();
    let name = !text.starts_with('[')
        && !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(RedisAddressError::Host)?,
        None if port.is_empty() => default_port,
        None => return Err(RedisAddressError::Host),
    };
    if ipv6 || name { Ok((host.to_owned(), port)) } else { Err(RedisAddressError::Host) }
}

fn read_database(text: &str) -> Result<i64, RedisAddressError> {
    text.parse::<u16>().map(i64::from).map_err(|_| RedisAddressError::Database)
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.tls { "s" } else { "" };
        match &self.servers {
            Servers::One(host) => write!(f, "redis{s}://{}/{}", Shown(std::slice::from_ref(host)), self.db),
            Servers::Unix(path) => write!(f, "redis+unix://{}?db={}", path.display(), self.db),
            Servers::Sentinels { hosts, master } => {
                write!(f, "redis{s}-sentinel://{}/{master}?db={}", Shown(hosts), self.db)
            }
            Servers::Cluster(hosts) => write!(f, "redis{s}-cluster://{}", Shown(hosts)),
        }
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisAddress({self})")
    }
}

struct Shown<'a>(&'a [Host]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (host, port)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            if host.contains(':') {
                write!(f, "{comma}[{host}]:{port}")?;
            } else {
                write!(f, "{comma}{host}:{port}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> RedisAddress {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn each_form_is_read_and_shown_without_its_secrets() {
        for (text, shown) in [
            ("redis://localhost", "redis://localhost:6379/0"),
            ("redis://user:hunter2@10.0.0.1:6380/3", "redis://10.0.0.1:6380/3"),
            ("rediss://:hunter2@cache.example:6379/?db=2", "rediss://cache.example:6379/2"),
            ("valkeys://[::1]:7000", "rediss://[::1]:7000/0"),
            ("redis+unix:///run/redis.sock?db=1", "redis+unix:///run/redis.sock?db=1"),
            ("redis+unix://:hunter2@/run/redis.sock", "redis+unix:///run/redis.sock?db=0"),
            (
                "redis-sentinel://:hunter2@a,b:26380/mymaster?db=1&sentinel_password=hunter2",
                "redis-sentinel://a:26379,b:26380/mymaster?db=1",
            ),
            ("valkeys-sentinel://a/m", "rediss-sentinel://a:26379/m?db=0"),
            ("rediss-cluster://u:hunter2@a:7000,b", "rediss-cluster://a:7000,b:6379"),
        ] {
            let address = read(text);
            assert_eq!(address.to_string(), shown, "{text}");
            let debug = format!("{address:?} {address:#?}");
            assert!(!debug.contains("hunter2") && !debug.contains("user"), "{debug}");
        }
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        let address =
            read("redis-sentinel://us%3Aer:p%40ss%2Fw%23rd@a/m?sentinel_user=s%26&sentinel_password=%25");
        assert_eq!((address.login.user(), address.login.password()), (Some("us:er"), Some("p@ss/w#rd")));
        let sentinel = &address.sentinel_login;
        assert_eq!((sentinel.user(), sentinel.password()), (Some("s&"), Some("%")));
        // Clients differ on an @ that was not encoded; here the last one counts, as in most of them.
        assert_eq!(read("redis://:p@ss@host").login.password(), Some("p@ss"));
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        use RedisAddressError::{Database, Host, Login, Master, Option, Path, Scheme, Several};
        for (text, error) in [
            ("", Scheme),
            ("localhost:6379", Scheme),
            ("http://localhost", Scheme),
            ("redis-ring://localhost", Scheme),
            ("rediss+unix:///x", Scheme),
            ("redis://", Host),
            ("redis://host:port", Host),
            ("redis://host:0", Host),
            ("redis://ho st", Host),
            ("redis://[::1", Host),
            ("redis://[host]:1", Host),
            ("redis://a,b", Several),
            ("redis-cluster://a,,b", Host),
            ("redis://hunter2@host", Login),
            ("redis://user:@host", Login),
            ("redis://:%ff@host", Login),
            ("redis://host/one", Database),
            ("redis://host/1?db=1", Database),
            ("redis://host/-1", Database),
            ("redis-cluster://host/1", Database),
            ("redis-cluster://host?db=1", Database),
            ("redis-sentinel://host", Master),
            ("redis-sentinel://host/", Master),
            ("redis-sentinel://host/m?sentinel_user=x", Login),
            ("redis+unix://host/x", Path),
            ("redis+unix://", Path),
            ("redis://host?protocol=resp3", Option),
            ("redis://host?sentinel_password=hunter2", Option),
            ("rediss://host#insecure", Option),
            ("redis://:hunter2#x@host", Option),
            ("redis://host?db", Option),
        ] {
            let found = text.parse::<RedisAddress>().err();
            assert_eq!(found, Some(error), "{text}");
        }
    }
}
