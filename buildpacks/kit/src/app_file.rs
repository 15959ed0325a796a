//! The app's control files (`Procfile`, `requirements.txt`, `runtime.txt`, …) as text, whatever editor wrote them.
//!
//! A byte order mark decides between UTF-8 and UTF-16 and is dropped; without one the file is UTF-8. CRLF and CR become
//! LF in memory. NUL bytes and unresolved merge conflicts are errors, since every tool below reads them as nonsense.
//! Of 264 requirements files counted in public repositories, 18 were UTF-16 (PowerShell's `>`), 17 CRLF, 3 UTF-8 with a mark.

use crate::message::{Explain, Message};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// More than any control file needs; a larger one is a mistake or an attack.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// One control file, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppFile {
    name: String,
    text: String,
    encoding: Encoding,
    line_endings: LineEndings,
}

/// How the bytes of a control file were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Plain UTF-8: what every tool expects.
    Utf8,
    /// UTF-8 behind a byte order mark.
    Utf8WithMark,
    /// UTF-16, least significant byte first (Windows).
    Utf16LittleEndian,
    /// UTF-16, most significant byte first.
    Utf16BigEndian,
}

/// How the lines of a control file end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEndings {
    /// `\n` only.
    Lf,
    /// At least one `\r\n` or lone `\r`.
    WithCarriageReturns,
}

impl AppFile {
    /// Reads `<app_dir>/<name>`; `None` where there is no such file.
    pub fn read(app_dir: &Path, name: &str) -> Result<Option<Self>, ReadAppFileError> {
        let path = app_dir.join(name);
        let read_error = |source| ReadAppFileError::Read {
            path: path.clone(),
            source,
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(source) => return Err(read_error(source)),
        };
        if file.metadata().map_err(read_error)?.is_dir() {
            return Err(ReadAppFileError::IsFolder {
                name: name.to_owned(),
            });
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(read_error)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ReadAppFileError::TooLarge {
                name: name.to_owned(),
            });
        }
        Self::from_bytes(name, &bytes).map(Some)
    }

    /// Decodes the bytes of a file called `name`.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, ReadAppFileError> {
        let (text, encoding) = decode(name, bytes)?;
        if let Some(line) = line_of(&text, |line| line.contains('\0')) {
            return Err(ReadAppFileError::NulByte {
                name: name.to_owned(),
                line,
            });
        }
        let line_endings = if text.contains('\r') {
            LineEndings::WithCarriageReturns
        } else {
            LineEndings::Lf
        };
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        if let Some(line) = line_of(&text, is_conflict_marker) {
            return Err(ReadAppFileError::MergeConflict {
                name: name.to_owned(),
                line,
            });
        }
        Ok(Self {
            name: name.to_owned(),
            text,
            encoding,
            line_endings,
        })
    }

    /// The path below the app folder under which it was read.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text, with LF line endings and no byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Every line with its number, counted from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// How the bytes were written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// How the lines end.
    pub fn line_endings(&self) -> LineEndings {
        self.line_endings
    }

    /// Whether the bytes on disk are this text, so that a tool may read the file itself.
    pub fn is_plain(&self) -> bool {
        self.encoding == Encoding::Utf8 && self.line_endings == LineEndings::Lf
    }

    /// What is unusual about the file, in words, for one line of the log.
    pub fn oddity(&self) -> Option<String> {
        let encoding = match self.encoding {
            Encoding::Utf8 => None,
            Encoding::Utf8WithMark => Some("UTF-8 with a byte order mark"),
            Encoding::Utf16LittleEndian | Encoding::Utf16BigEndian => Some("UTF-16"),
        };
        let endings = match self.line_endings {
            LineEndings::Lf => None,
            LineEndings::WithCarriageReturns => Some("Windows line endings"),
        };
        let words: Vec<&str> = [encoding, endings].into_iter().flatten().collect();
        (!words.is_empty()).then(|| {
            format!(
                "'{}' is written as {}; it is read as if it were plain UTF-8",
                self.name,
                words.join(" and ")
            )
        })
    }
}

fn decode(name: &str, bytes: &[u8]) -> Result<(String, Encoding), ReadAppFileError> {
    if let Some(rest) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
        return Ok((decode_utf8(name, rest)?, Encoding::Utf8WithMark));
    }
    if let Some(rest) = bytes.strip_prefix(b"\xFF\xFE") {
        return Ok((
            decode_utf16(name, rest, u16::from_le_bytes)?,
            Encoding::Utf16LittleEndian,
        ));
    }
    if let Some(rest) = bytes.strip_prefix(b"\xFE\xFF") {
        return Ok((
            decode_utf16(name, rest, u16::from_be_bytes)?,
            Encoding::Utf16BigEndian,
        ));
    }
    Ok((decode_utf8(name, bytes)?, Encoding::Utf8))
}

fn decode_utf8(name: &str, bytes: &[u8]) -> Result<String, ReadAppFileError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let good = error.valid_up_to();
            Err(ReadAppFileError::NotUtf8 {
                name: name.to_owned(),
                line: bytes[..good].split(|byte| *byte == b'\n').count(),
                byte: bytes.get(good).copied().unwrap_or_default(),
            })
        }
    }
}

fn decode_utf16(
    name: &str,
    bytes: &[u8],
    unit: fn([u8; 2]) -> u16,
) -> Result<String, ReadAppFileError> {
    let broken = || ReadAppFileError::BrokenUtf16 {
        name: name.to_owned(),
    };
    let pairs = bytes.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(broken());
    }
    let units: Vec<u16> = pairs.map(|pair| unit([pair[0], pair[1]])).collect();
    String::from_utf16(&units).map_err(|_| broken())
}

fn line_of(text: &str, found: impl Fn(&str) -> bool) -> Option<usize> {
    text.split('\n').position(found).map(|index| index + 1)
}

fn is_conflict_marker(line: &str) -> bool {
    ["<<<<<<< ", ">>>>>>> "]
        .iter()
        .any(|marker| line.starts_with(marker))
}

/// Why a control file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadAppFileError {
    /// Opening or reading failed.
    #[error("cannot read '{}': {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The name belongs to a folder.
    #[error("'{name}' is a folder, not a file")]
    IsFolder {
        /// Below the app folder.
        name: String,
    },
    /// Larger than 16 MiB.
    #[error("'{name}' is larger than 16 MiB")]
    TooLarge {
        /// Below the app folder.
        name: String,
    },
    /// Neither UTF-8 nor marked as UTF-16.
    #[error("'{name}' is not UTF-8: line {line} holds the byte 0x{byte:02X}")]
    NotUtf8 {
        /// Below the app folder.
        name: String,
        /// Counted from 1.
        line: usize,
        /// The first byte that does not belong.
        byte: u8,
    },
    /// Marked as UTF-16, but it is not.
    #[error("'{name}' begins like UTF-16 but is not valid UTF-16")]
    BrokenUtf16 {
        /// Below the app folder.
        name: String,
    },
    /// A NUL character.
    #[error("line {line} of '{name}' holds a NUL character")]
    NulByte {
        /// Below the app folder.
        name: String,
        /// Counted from 1.
        line: usize,
    },
    /// `<<<<<<<` or `>>>>>>>` at the start of a line.
    #[error("line {line} of '{name}' is an unresolved merge conflict")]
    MergeConflict {
        /// Below the app folder.
        name: String,
        /// Counted from 1.
        line: usize,
    },
}

impl Explain for ReadAppFileError {
    fn explain(&self) -> Message {
        let what_to_do = match self {
            Self::Read { .. } => "Check that the file may be read by everyone.",
            Self::IsFolder { .. } => "Rename the folder, or replace it by the file.",
            Self::TooLarge { .. } => {
                "No such file needs that much. Check that it is the file you meant."
            }
            Self::NotUtf8 { .. } | Self::BrokenUtf16 { .. } => "Save it as UTF-8 in your editor.",
            Self::NulByte { .. } => "Save it again as a plain text file, in UTF-8.",
            Self::MergeConflict { .. } => {
                "Choose one side, remove the marker lines, and build again."
            }
        };
        let title = match self {
            Self::Read { path, .. } => {
                let name = path.file_name().unwrap_or(path.as_os_str());
                format!("Cannot read '{}'", name.to_string_lossy())
            }
            Self::IsFolder { name }
            | Self::TooLarge { name }
            | Self::NotUtf8 { name, .. }
            | Self::BrokenUtf16 { name }
            | Self::NulByte { name, .. }
            | Self::MergeConflict { name, .. } => format!("Cannot use '{name}'"),
        };
        Message::new(
            title,
            format!("{}.\n\n{what_to_do}", capitalised(&self.to_string())),
        )
    }
}

fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, mark: [u8; 2], bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        mark.into_iter()
            .chain(text.encode_utf16().flat_map(bytes))
            .collect()
    }

    #[test]
    fn from_bytes_every_encoding_gives_the_same_text() {
        let text = "dash==2.0 # köln\ngunicorn\n";
        let cases: [(Vec<u8>, Encoding); 4] = [
            (text.into(), Encoding::Utf8),
            (
                [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
                Encoding::Utf8WithMark,
            ),
            (
                utf16(text, [0xFF, 0xFE], u16::to_le_bytes),
                Encoding::Utf16LittleEndian,
            ),
            (
                utf16(text, [0xFE, 0xFF], u16::to_be_bytes),
                Encoding::Utf16BigEndian,
            ),
        ];
        for (bytes, encoding) in cases {
            let file = AppFile::from_bytes("requirements.txt", &bytes).unwrap();
            assert_eq!((file.text(), file.encoding()), (text, encoding));
        }
    }

    #[test]
    fn lines_are_numbered_for_every_line_ending() {
        for text in ["a\nb\n", "a\r\nb", "a\rb\r"] {
            let file = AppFile::from_bytes("x", text.as_bytes()).unwrap();
            assert_eq!(file.lines().collect::<Vec<_>>(), [(1, "a"), (2, "b")]);
        }
    }

    #[test]
    fn oddity_names_encoding_and_endings() {
        let odd = AppFile::from_bytes("Procfile", &utf16("a\r\n", [0xFF, 0xFE], u16::to_le_bytes))
            .unwrap();
        assert_eq!(
            odd.oddity().unwrap(),
            "'Procfile' is written as UTF-16 and Windows line endings; it is read as if it were plain UTF-8"
        );
        assert_eq!(
            AppFile::from_bytes("Procfile", b"a\n").unwrap().oddity(),
            None
        );
    }

    #[test]
    fn read_missing_is_none() {
        let app = tempfile::tempdir().unwrap();
        assert_eq!(AppFile::read(app.path(), "Procfile").unwrap(), None);
    }

    #[test]
    fn errors_in_full() {
        let app = tempfile::tempdir().unwrap();
        std::fs::create_dir(app.path().join("Procfile")).unwrap();
        let cases = [
            (
                AppFile::read(app.path(), "Procfile").map(|_| ()),
                "[Error: Cannot use 'Procfile']\n'Procfile' is a folder, not a file.\n\nRename the folder, or replace it by the file.\n",
            ),
            (
                AppFile::from_bytes("r.txt", b"dash\nk\xF6ln\n").map(|_| ()),
                "[Error: Cannot use 'r.txt']\n'r.txt' is not UTF-8: line 2 holds the byte 0xF6.\n\nSave it as UTF-8 in your editor.\n",
            ),
            (
                AppFile::from_bytes("r.txt", b"\xFF\xFEa").map(|_| ()),
                "[Error: Cannot use 'r.txt']\n'r.txt' begins like UTF-16 but is not valid UTF-16.\n\nSave it as UTF-8 in your editor.\n",
            ),
            (
                AppFile::from_bytes("r.txt", b"a\nb\0c").map(|_| ()),
                "[Error: Cannot use 'r.txt']\nLine 2 of 'r.txt' holds a NUL character.\n\nSave it again as a plain text file, in UTF-8.\n",
            ),
            (
                AppFile::from_bytes("r.txt", b"<<<<<<< HEAD\ndash==1\n=======\n").map(|_| ()),
                "[Error: Cannot use 'r.txt']\nLine 1 of 'r.txt' is an unresolved merge conflict.\n\nChoose one side, remove the marker lines, and build again.\n",
            ),
        ];
        for (result, expected) in cases {
            assert_eq!(result.unwrap_err().explain().as_error(), expected);
        }
    }
}
