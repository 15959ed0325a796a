//! The compressions of a .deb's parts, by the names of the parts (deb(5)).

use std::io::{self, BufReader, Read};

use liblzma::stream::{CONCATENATED, Stream};

use super::DebProblem;

/// `xz -9` needs 65 MB; what needs more is an attack on memory.
const MOST_MEMORY: u64 = 256 << 20;

/// zstd's limit for what it unpacks by default (`--ultra` goes beyond, dpkg does not use it).
const LARGEST_WINDOW: u32 = 27;

/// Unpacks a part.
pub(super) fn reader<'a>(
    name: &str,
    packed: impl Read + 'a,
) -> Result<Box<dyn Read + 'a>, DebProblem> {
    let suffix = name.rsplit_once(".tar").map_or("", |(_, suffix)| suffix);
    Ok(match suffix {
        "" => Box::new(BufReader::with_capacity(128 << 10, packed)),
        ".xz" => {
            let stream =
                Stream::new_stream_decoder(MOST_MEMORY, CONCATENATED).map_err(io::Error::other)?;
            buffered(liblzma::read::XzDecoder::new_stream(packed, stream))
        }
        ".zst" => {
            let mut decoder = zstd::stream::read::Decoder::new(packed)?;
            decoder.window_log_max(LARGEST_WINDOW)?;
            buffered(decoder)
        }
        ".gz" => buffered(flate2::read::MultiGzDecoder::new(packed)),
        other => {
            return Err(DebProblem::Format(format!(
                "its part '{name}' is packed with '{other}', which is not supported (xz, zst, gz)"
            )));
        }
    })
}

/// The tar reader asks for 512 bytes at a time.
fn buffered<'a>(reader: impl Read + 'a) -> Box<dyn Read + 'a> {
    Box::new(BufReader::with_capacity(128 << 10, reader))
}
