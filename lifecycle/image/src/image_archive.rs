//! Images in one file: `oci-archive` (an OCI layout in a tar) and `docker-archive` (what `docker load` takes).
//!
//! Our docker-archive is what Docker itself writes since version 25: an OCI layout with a `manifest.json` beside it. Docker before
//! 25 and podman go by `manifest.json`, newer ones by the index, and both find the same blobs. Archives are reproducible: names sorted, owner 0,
//! the time of layers.

mod read;
mod write;

pub use read::read_archive;
pub use write::{
    ArchiveKind, WriteArchiveError, write_archive, write_archive_file, write_archive_without,
    write_docker_archive,
};
