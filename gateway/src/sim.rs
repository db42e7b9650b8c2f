//! The WeChat simulator.
