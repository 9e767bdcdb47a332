//! The image formats: digests, descriptors, manifests, layers, and layouts on disk.
//!
//! Takes bytes and paths, gives content-addressed blobs, as the OCI image spec 1.1 defines them. Starts no process
//! and opens no socket.

pub mod digest;
pub mod layer;
pub mod layout;
pub mod platform;
pub mod reference;
pub mod rootfs;
pub mod spec;
pub mod store;

pub use digest::Digest;
pub use platform::Platform;
pub use reference::Reference;
