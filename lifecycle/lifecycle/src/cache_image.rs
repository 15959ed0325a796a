//! A cache of layers as an image: an ordinary one, whose label `io.buildpacks.lifecycle.cache.metadata` says which layer is whose (the
//! reference lifecycle's form). Where it is kept is its user's matter.

use cnb_spec::labels::{CACHE_METADATA, CacheMetadata};
use oci_image::layer::{Compression, LayerContents, WriteLayerError, write_layer};
use oci_image::{BlobSource, History, Image, ImageConfig, Layer, Platform};

/// The time of all that the lifecycle makes.
const CREATED: &str = "1980-01-01T00:00:01Z";

/// What the last build left; `None` where the label is not there, or cannot be understood: then nothing is cached.
pub fn cached_metadata(image: &Image) -> Option<CacheMetadata> {
    let label = image.config().config.labels.get(CACHE_METADATA)?;
    serde_json::from_str(label).ok()
}

/// The image of these layers.
pub fn cache_image(
    mut layers: Vec<Layer>,
    metadata: &CacheMetadata,
) -> Result<Image, WriteLayerError> {
    // Some registries and daemons take no image without layers.
    if layers.is_empty() {
        layers.push(empty_layer()?);
    }
    let Platform {
        os, architecture, ..
    } = Platform::LINUX_AMD64;
    let label = serde_json::to_string(metadata).expect("the metadata's keys are texts");
    let created = Some(CREATED.to_owned());
    let mut config = ImageConfig::new(os, architecture);
    config.created.clone_from(&created);
    let labels = &mut config.config.labels;
    labels.insert(CACHE_METADATA.to_owned(), label);
    let image = layers.into_iter().fold(Image::new(config), |image, layer| {
        let history = History {
            created: created.clone(),
            ..History::default()
        };
        image.with_layer(layer, history)
    });
    Ok(image)
}

/// A tar with nothing in it.
fn empty_layer() -> Result<Layer, WriteLayerError> {
    let mut bytes = Vec::new();
    let blob = write_layer(&LayerContents::new(), &mut bytes, Compression::None)?;
    Ok(Layer::new(blob, BlobSource::Bytes(bytes.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_image_is_an_ordinary_image() {
        let metadata = CacheMetadata::default();
        let image = cache_image(Vec::new(), &metadata).unwrap();
        assert_eq!(image.layers().len(), 1, "docker pull wants a layer");
        assert_eq!(image.layers()[0].size, 1024, "two blocks of zeros");
        assert_eq!(cached_metadata(&image), Some(metadata));
        let other = Image::new(ImageConfig::new("linux", "amd64"));
        assert_eq!(cached_metadata(&other), None);
    }
}
