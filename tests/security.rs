//! The cases of published attacks on gateways of this kind, by the ids of their catalogue: each group is a file, and each
//! case one input or more with one outcome. `catalogue.rs` holds them to be complete.

mod catalogue;

mod framing;
mod limits;
mod sessions;
mod renewal;
mod assertions;
mod private_listener;
mod operators;
mod configuration;
mod fail_closed;
mod secrets;
mod tls;
mod http2;
mod fixture;

mod paths;
mod segments;
mod targets;
mod hosts;
mod random_targets;

mod spoofing;
mod connection_headers;
mod headers;
mod credentials;

mod warm;
mod tokens;
mod token_keys;
mod token_claims;
mod token_places;
mod configured_keys;
mod cache;
mod http2_limits;
mod connections;
mod responses;
mod websocket;
mod forwarded;
mod client_address;
mod login;
mod login_limits;
mod wechat;

pub(crate) use catalogue::case;
