//! Publish: a scanned build and its chart become visible, by one protocol for registries and for layouts on disk.
//!
//! Takes `&Packed`, gives [`Published`]. Tags are set only after everything has been read back and verified.

pub mod attached;
pub mod attachments;
pub mod commit;
mod latest;
pub mod moves;
pub mod protocol;
pub mod readback;
pub mod referrer;
pub mod tags;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
pub(crate) mod meddled;
#[cfg(test)]
mod tests;

pub use crate::remote::{Destination, Remote};
pub use commit::{commit, fetch};
pub use latest::latest;
pub use moves::{Action, TagMove, TagMoves, moves};
pub use protocol::{Prepared, Published, PublishedImage, Uploaded, Verified, Whole, prepare, publish};
