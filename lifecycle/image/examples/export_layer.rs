//! Exports a folder as one layer of an image in an OCI layout, and prints what that took: for `tests/bench/export.sh`.
//!
//! `export_layer FOLDER LAYOUT THREADS`

#![expect(clippy::print_stdout, reason = "a program")]

use oci_image::layer::{Compression, LayerContents, TreeRules, write_layer};
use oci_image::{BlobSource, History, Image, ImageConfig, Layer, Owner, TreePath, write_layout};
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, layout, threads] = &arguments[..] else {
        return Err("usage: export_layer FOLDER LAYOUT THREADS".into());
    };
    let started = Instant::now();
    let blobs = PathBuf::from(layout).join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let owner = Owner::new(1000, 1000);
    let at: TreePath = "layers/bench/environment".parse()?;
    let contents =
        LayerContents::new()
            .parents_of(&at, owner)
            .tree(folder, &at, TreeRules::buildpack(owner));

    let mut file = tempfile::NamedTempFile::new_in(layout)?;
    let layer = write_layer(
        &contents,
        &mut file,
        Compression::Gzip {
            threads: threads.parse()?,
        },
    )?;
    file.as_file().sync_all()?;
    let blob = blobs.join(layer.digest.hex());
    file.persist(&blob)?;
    let image = Image::new(ImageConfig::new("linux", "amd64")).with_layer(
        Layer::new(layer, BlobSource::File(blob)),
        History::default(),
    );
    write_layout(layout.as_ref(), &image, None)?;

    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{seconds:.3} {} {} {}",
        layer.uncompressed_size,
        layer.size,
        peak_kib()?
    );
    Ok(())
}

/// The most memory this process has had, from the kernel's own account.
fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
