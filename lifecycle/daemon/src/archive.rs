//! The archive that a load sends, in the form that the daemon's store asks for.
//!
//! Where layers are kept unpacked, it is `manifest.json` with plain tars, and the files of layers that the daemon has may be missing. Where
//! manifests and blobs are kept as they come, it is an OCI layout with the image's own manifest, and the blobs that the daemon has may be missing.

use std::{collections::BTreeSet, io};

use oci_image::{
    ArchiveKind, BlobDigest, DiffId, Image, Layer, LayerBlob, WriteArchiveError,
    write_archive_without, write_docker_archive,
};

use crate::{body::Sink, contents::unpacked, engine::Store, error::DaemonError};

/// An archive that is ready to be written.
pub(crate) struct Archive {
    form: Form,
    image: Image,
    /// The digests that the archive's layers have where they are not in it.
    left_out: BTreeSet<BlobDigest>,
    sent_layers: Vec<DiffId>,
    total: u64,
}

#[derive(Clone, Copy)]
enum Form {
    /// `manifest.json` alone.
    Docker,
    /// An OCI layout, and `manifest.json`.
    Layout,
}

/// What a daemon has already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Present {
    /// Nothing that could be left out.
    Nothing,
    /// So many layers from the lowest on, unpacked.
    Lowest(usize),
    /// These blobs.
    Blobs(BTreeSet<BlobDigest>),
}

impl Archive {
    /// The archive without what is there.
    pub(crate) fn of(
        image: &Image,
        present: &Present,
        store: Store,
        known: &[LayerBlob],
    ) -> Result<Self, DaemonError> {
        let form = match store {
            Store::GraphDriver | Store::Podman => Form::Docker,
            Store::Containerd => Form::Layout,
        };
        let is_there = |place: usize, layer: &Layer| match present {
            Present::Nothing => false,
            Present::Lowest(count) => place < *count,
            Present::Blobs(blobs) => blobs.contains(&layer.digest),
        };
        let (mut layers, mut left_out, mut files) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let (mut sent_layers, mut total) = (Vec::new(), 0);
        for (place, layer) in image.layers().iter().enumerate() {
            let is_there = is_there(place, layer);
            let layer = match form {
                Form::Layout => layer.clone(),
                // Its file is not in the archive, but it has to have a name.
                Form::Docker if is_there => Layer {
                    digest: BlobDigest::new(layer.diff_id.digest()),
                    ..layer.clone()
                },
                Form::Docker => {
                    unpacked(layer, known).map_err(|source| source_error(layer.digest, source))?
                }
            };
            if is_there {
                left_out.insert(layer.digest);
            } else {
                sent_layers.push(layer.diff_id);
                if files.insert(layer.digest) {
                    total += layer.size;
                }
            }
            layers.push(layer);
        }
        Ok(Self {
            form,
            image: Image::from_parts(image.config().clone(), layers, image.annotations().clone())
                .expect("each of the image's layers was mapped to one"),
            // The same layer may also lie further up, on others; there the daemon may lack it.
            left_out: &left_out - &files,
            sent_layers,
            total,
        })
    }

    /// The layers that are in it, the lowest first.
    pub(crate) fn sent_layers(&self) -> &Vec<DiffId> {
        &self.sent_layers
    }

    /// Their size.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Writes it; gives back the layer that could not be read. A sink that takes no more is no error here: who reads it knows why.
    pub(crate) fn write_to(&self, sink: &mut Sink<'_>) -> Option<(BlobDigest, io::Error)> {
        let written = match self.form {
            Form::Docker => write_docker_archive(sink, &self.image, &self.left_out),
            Form::Layout => {
                let kind = ArchiveKind::Docker;
                write_archive_without(sink, kind, &self.image, None, &self.left_out).map(drop)
            }
        };
        match written {
            Err(WriteArchiveError::Layer { layer, source }) => Some((layer, source)),
            Ok(()) | Err(WriteArchiveError::Sink(_)) => None,
        }
    }
}

/// A layer that the same daemon or another one should have exported fails with its error.
pub(crate) fn source_error(layer: BlobDigest, source: io::Error) -> DaemonError {
    match source.downcast::<DaemonError>() {
        Ok(error) => error,
        Err(source) => DaemonError::Source { layer, source },
    }
}
