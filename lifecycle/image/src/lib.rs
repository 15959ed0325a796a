//! Digests, layer tars, compression, image configurations, OCI layouts and archives.
//!
//! The way in: [`archive::Reader`] reads tar streams strictly, [`unpack()`] puts them below an open folder and records the
//! true owners in [`Owners`], [`layer::write_layer`] makes a layer in one pass.

pub mod archive;
mod blobs;
mod config;
mod digest;
mod expand;
mod hashing;
mod image;
mod image_archive;
mod image_name;
mod json;
pub mod layer;
mod layer_blob;
mod layout;
mod manifest;
mod owners;
mod read_ahead;
mod reference;
mod remote;
mod tree_path;
pub mod unpack;

pub use blobs::{ReadImageError, read_image};
pub use config::{ContainerConfig, Extra, History, ImageConfig, RootFs};
pub use digest::{BlobDigest, DiffId, Digest, ParseDigestError};
pub use expand::{ExpansionLimits, LayerReader, RatioGuard};
pub use hashing::{HashingReader, HashingWriter, Sha256, VerifyingReader};
pub use image::{BlobSource, Document, Documents, Image, ImagePartsError, Layer, LayerFormat};
pub use image_archive::{
    ArchiveKind, WriteArchiveError, read_archive, write_archive, write_archive_file,
    write_archive_without, write_docker_archive,
};
pub use image_name::{ImageName, ParseImageNameError};
pub use layer_blob::LayerBlob;
pub use layout::{WriteLayoutError, layout_source, read_layout, write_layout};
pub use manifest::{
    BlobRef, ImageDocument, Index, LONGEST_CONFIG, LONGEST_MANIFEST, Manifest, Platform,
};
pub use owners::{Facts, ModeDifference, Owner, Owners};
pub use read_ahead::ReadAhead;
pub use reference::{ParseReferenceError, Reference};
pub use remote::{OpenBlob, RemoteBlob};
pub use tree_path::{ParseTreePathError, TreePath};
pub use unpack::unpack;
