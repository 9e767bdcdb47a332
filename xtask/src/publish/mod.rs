//! Publish: a scanned build becomes visible, by one protocol for registries and for layouts on disk.
//!
//! Takes `&Scanned`, gives `Published`. Tags are set only after everything has been read back and verified.

pub use crate::remote::Remote;
