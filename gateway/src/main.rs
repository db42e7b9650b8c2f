//! `wxgate`: stands in front of HTTP services and turns WeChat Mini Program traffic into authenticated traffic.

mod config;
mod sim;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {}
