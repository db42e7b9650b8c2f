//! The six steps of a request, in their order. `proxy.rs` calls them; none of them knows another.

pub(crate) mod route;
pub(crate) mod authenticate;
pub(crate) mod policy;
pub(crate) mod upstream;
pub(crate) mod inject;
pub(crate) mod log;
