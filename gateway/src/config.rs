//! The config file: as written, then as used.

mod checked;

#[expect(unused_imports, reason = "consumers land next")]
pub(crate) use checked::*;
