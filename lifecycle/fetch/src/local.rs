//! `file:` addresses: mirrors in air-gapped networks are often a mounted folder.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use url::Url;

use crate::{error::FetchError, redact::redacted, sink::Sink};

/// Reads a file of at most `cap` bytes.
pub(crate) fn read(url: &Url, cap: u64) -> Result<Vec<u8>, FetchError> {
    let mut sink = crate::sink::MemorySink {
        bytes: Vec::new(),
        cap,
    };
    copy(url, &mut sink, &mut |_| {})?;
    Ok(sink.bytes)
}

/// Copies a file into a sink, within the sink's limit.
pub(crate) fn copy<S: Sink>(
    url: &Url,
    sink: &mut S,
    received: &mut dyn FnMut(u64),
) -> Result<(), FetchError> {
    let failed = |source| FetchError::LocalFile {
        url: redacted(url),
        source,
    };
    let path: PathBuf = url.to_file_path().map_err(|()| {
        failed(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a local path; write file:///PATH",
        ))
    })?;
    let mut file = File::open(&path).map_err(failed)?;
    // A pipe or a device has no end that could be relied on.
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        )));
    }
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        let length = sink.len() + count as u64;
        if length > sink.limit() {
            return Err(match sink.expected_size() {
                Some(expected) => FetchError::WrongSize {
                    url: redacted(url),
                    expected,
                    found: length,
                },
                None => FetchError::TooLarge {
                    url: redacted(url),
                    cap: sink.limit(),
                },
            });
        }
        sink.write(buffer.get(..count).unwrap_or_default())
            .map_err(|source| FetchError::Save {
                url: redacted(url),
                path: PathBuf::new(),
                source,
            })?;
        received(sink.len());
    }
    match sink.expected_size() {
        Some(expected) if expected != sink.len() => Err(FetchError::WrongSize {
            url: redacted(url),
            expected,
            found: sink.len(),
        }),
        _ => Ok(()),
    }
}
