//! Layers: what goes in, in which form, and the one pass that writes them.
//!
//! The rules are the reference lifecycle's (its `layers` package): absolute names, parents first, sorted, numbers for owners and no
//! names, the time 1980-01-01T00:00:01Z, sockets left out, hard links written as files. Layers of a stack keep their packages' times
//! (up to a limit), owners and hard links.
//!
//! ```text
//! walk + read ─> 1 MiB pieces ─┬─> SHA-256 of the tar: the diffID
//!                              └─> compressed, one member a piece, on all cores ─> in order ─> SHA-256 of the blob ─> sink
//! ```
//!
//! A piece is a gzip member, or a Zstandard frame, of its own, so the bytes do not depend on how many cores there are.

mod contents;
mod pieces;
mod rules;
mod tar_out;
mod walk;
mod write;

pub use contents::LayerContents;
pub use rules::{
    FileKind, Hardlinks, LAYER_TIME, Modes, OwnerRule, Selection, Times, TreeRules, TreeWhiteouts,
};
pub use write::{Compression, WriteLayerError, diff_id, write_layer};
