//! The strict reader: from blocks to entries, one after the other.

use super::entry::{Entry, Kind, Mtime};
use super::header::Header;
use super::pax::PaxRecords;
use crate::owners::Owner;
use crate::tree_path::{ParseTreePathError, TreePath};
use std::io::{self, Read, Seek, SeekFrom};

const BLOCK: u64 = 512;

/// How much an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// The most entries.
    pub entries: u64,
    /// The most bytes of all files together.
    pub bytes: u64,
    /// The most bytes of one entry's pax records or long names.
    pub metadata_bytes: u64,
    /// The most parts of a path.
    pub depth: usize,
}

impl Default for ReadLimits {
    /// 2 million entries, 64 GiB, 1 MiB of metadata an entry (as Go and GNU tar have it), 512 folders deep.
    fn default() -> Self {
        Self {
            entries: 2_000_000,
            bytes: 64 << 30,
            metadata_bytes: 1 << 20,
            depth: 512,
        }
    }
}

/// Reads a tar stream entry by entry. After [`Reader::next_entry`], the reader gives the entry's content.
#[derive(Debug)]
pub struct Reader<R> {
    inner: R,
    limits: ReadLimits,
    /// How many bytes of the archive have been read.
    position: u64,
    /// How many bytes of the current entry's content are left.
    content_left: u64,
    /// How many zeros follow the content.
    padding: u64,
    entries: u64,
    bytes: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads from `inner`, which should be buffered.
    pub fn new(inner: R, limits: ReadLimits) -> Self {
        Self {
            inner,
            limits,
            position: 0,
            content_left: 0,
            padding: 0,
            entries: 0,
            bytes: 0,
            ended: false,
        }
    }

    /// The next entry; `None` once the archive has ended as it should: two blocks of zeros and nothing but zeros after them.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ReadArchiveError> {
        if self.ended {
            return Ok(None);
        }
        self.skip_content()?;
        let mut before = Before::default();
        loop {
            let mut block = [0; BLOCK as usize];
            self.fill(&mut block)?;
            if block == [0; BLOCK as usize] {
                self.end(&before)?;
                return Ok(None);
            }
            let offset = self.position - BLOCK;
            let malformed = |problem| ReadArchiveError::Malformed { offset, problem };
            let header = Header::parse(&block).map_err(malformed)?;
            if let flag @ (b'x' | b'g' | b'L' | b'K') = header.type_flag() {
                let size = header.size().map_err(malformed)?;
                let content = self.metadata(size)?;
                before.add(flag, content).map_err(malformed)?;
                continue;
            }
            let entry = before.entry(&header).map_err(malformed)?;
            self.start(&entry).map_err(malformed)?;
            return Ok(Some(entry));
        }
    }

    /// How many bytes of the archive have been read; right after [`Reader::next_entry`], where the entry's content starts.
    pub fn position(&self) -> u64 {
        self.position
    }

    fn start(&mut self, entry: &Entry) -> Result<(), ArchiveProblem> {
        let size = if let Kind::File { size } = entry.kind {
            size
        } else {
            0
        };
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.entries > self.limits.entries {
            return Err(ArchiveProblem::TooManyEntries {
                limit: self.limits.entries,
            });
        }
        if self.bytes > self.limits.bytes {
            return Err(ArchiveProblem::TooManyBytes {
                limit: self.limits.bytes,
            });
        }
        if entry.path.depth() > self.limits.depth {
            return Err(ArchiveProblem::TooDeep {
                limit: self.limits.depth,
            });
        }
        self.content_left = size;
        self.padding = size.next_multiple_of(BLOCK) - size;
        Ok(())
    }

    fn metadata(&mut self, size: u64) -> Result<Vec<u8>, ReadArchiveError> {
        if size > self.limits.metadata_bytes {
            let problem = ArchiveProblem::MetadataTooLong {
                limit: self.limits.metadata_bytes,
            };
            return Err(ReadArchiveError::Malformed {
                offset: self.position,
                problem,
            });
        }
        let mut content = vec![0; size.next_multiple_of(BLOCK) as usize];
        self.fill(&mut content)?;
        content.truncate(size as usize);
        Ok(content)
    }

    fn skip_content(&mut self) -> Result<(), ReadArchiveError> {
        let skipped = self.content_left + self.padding;
        let read = io::copy(&mut (&mut self.inner).take(skipped), &mut io::sink())
            .map_err(ReadArchiveError::Read)?;
        self.position += read;
        if read < skipped {
            return Err(ReadArchiveError::Truncated {
                offset: self.position,
            });
        }
        (self.content_left, self.padding) = (0, 0);
        Ok(())
    }

    /// Reads the second block of zeros and whatever follows, so that who hashes the stream sees all of it.
    fn end(&mut self, before: &Before) -> Result<(), ReadArchiveError> {
        let offset = self.position;
        let malformed = |problem| ReadArchiveError::Malformed { offset, problem };
        if before.pax.is_some() || before.name.is_some() || before.link.is_some() {
            return Err(malformed(ArchiveProblem::NothingFollows));
        }
        let mut block = [0; BLOCK as usize];
        self.fill(&mut block)?;
        let mut buffer = [0; 16 << 10];
        let mut read = block.len();
        buffer[..read].copy_from_slice(&block);
        while read > 0 {
            if buffer[..read].iter().any(|byte| *byte != 0) {
                return Err(malformed(ArchiveProblem::AfterTheEnd));
            }
            read = self
                .inner
                .read(&mut buffer)
                .map_err(ReadArchiveError::Read)?;
            self.position += read as u64;
        }
        self.ended = true;
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ReadArchiveError> {
        match self.inner.read_exact(buffer) {
            Ok(()) => {
                self.position += buffer.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ReadArchiveError::Truncated {
                    offset: self.position,
                })
            }
            Err(source) => Err(ReadArchiveError::Read(source)),
        }
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Goes to the end of the current entry's content without reading it: for who looks for one entry in a large file.
    pub fn skip_by_seeking(&mut self) -> io::Result<()> {
        let skipped = self.content_left + self.padding;
        let offset = i64::try_from(skipped).map_err(|_| io::ErrorKind::InvalidData)?;
        self.inner.seek(SeekFrom::Current(offset))?;
        self.position += skipped;
        (self.content_left, self.padding) = (0, 0);
        Ok(())
    }
}

/// The content of the current entry.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.content_left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                ReadArchiveError::Truncated {
                    offset: self.position,
                },
            ));
        }
        self.content_left -= count as u64;
        self.position += count as u64;
        Ok(count)
    }
}

/// What the entries before the real one say of it.
#[derive(Default)]
struct Before {
    pax: Option<PaxRecords>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Before {
    fn add(&mut self, flag: u8, content: Vec<u8>) -> Result<(), ArchiveProblem> {
        if flag == b'g' {
            return PaxRecords::check_global(&content);
        }
        let taken = match flag {
            b'x' => self.pax.is_some() || self.name.is_some() || self.link.is_some(),
            b'L' => self.pax.is_some() || self.name.is_some(),
            _ => self.pax.is_some() || self.link.is_some(),
        };
        if taken {
            return Err(ArchiveProblem::Stacked);
        }
        match flag {
            b'x' => self.pax = Some(PaxRecords::parse(&content)?),
            b'L' => self.name = Some(long_name(content)?),
            _ => self.link = Some(long_name(content)?),
        }
        Ok(())
    }

    fn entry(self, header: &Header<'_>) -> Result<Entry, ArchiveProblem> {
        let Self { pax, name, link } = self;
        let pax = pax.unwrap_or_default();
        let name = pax.path.or(name).unwrap_or_else(|| header.name());
        if name.is_empty() {
            return Err(ArchiveProblem::NoName);
        }
        let size = size(pax.size, header.size()?)?;
        let link = pax.link_path.or(link);
        let has_long_link = link.is_some();
        let link = link.unwrap_or_else(|| header.link_name().to_vec());
        let kind = kind(header, &name, size, link)?;
        if has_long_link && !matches!(kind, Kind::Symlink { .. } | Kind::Hardlink { .. }) {
            return Err(ArchiveProblem::Stacked);
        }
        let mtime = match pax.mtime {
            Some(mtime) => mtime,
            None => Mtime {
                seconds: header.mtime()?,
                nanoseconds: 0,
            },
        };
        let owner = Owner {
            uid: id(pax.uid, header.uid(), "uid")?,
            gid: id(pax.gid, header.gid(), "gid")?,
        };
        Ok(Entry {
            path: TreePath::from_bytes(&name)?,
            kind,
            mode: header.mode()?,
            owner,
            mtime,
            xattrs: pax.xattrs,
        })
    }
}

fn kind(
    header: &Header<'_>,
    name: &[u8],
    size: u64,
    link: Vec<u8>,
) -> Result<Kind, ArchiveProblem> {
    let slash = name.ends_with(b"/");
    let flag = header.type_flag();
    let kind = match flag {
        b'0' | b'7' if slash => return Err(ArchiveProblem::FileWithSlash),
        // Before POSIX a folder was a file whose name ends with a slash.
        0 if slash => Kind::Directory,
        0 | b'0' | b'7' => Kind::File { size },
        b'1' => Kind::Hardlink {
            target: TreePath::from_bytes(&link)?,
        },
        b'2' if link.is_empty() || link.contains(&0) => return Err(ArchiveProblem::NoTarget),
        b'2' => Kind::Symlink { target: link },
        b'3' | b'4' => {
            let (major, minor) = header.device()?;
            if flag == b'3' {
                Kind::CharDevice { major, minor }
            } else {
                Kind::BlockDevice { major, minor }
            }
        }
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        b'S' => return Err(ArchiveProblem::Sparse),
        _ => {
            return Err(ArchiveProblem::UnknownType {
                flag: char::from(flag),
            });
        }
    };
    match kind {
        Kind::File { .. } => Ok(kind),
        Kind::Hardlink { ref target } if target.is_root() => Err(ArchiveProblem::NoTarget),
        // Some readers skip this content, others take it for headers.
        _ if size > 0 => Err(ArchiveProblem::UnexpectedContent),
        _ => Ok(kind),
    }
}

/// The pax size holds; the header's then has to be the same, or 0 where it has no room for it.
fn size(pax: Option<u64>, header: u64) -> Result<u64, ArchiveProblem> {
    const FITS_OCTAL: u64 = 1 << 33;
    match pax {
        None => Ok(header),
        Some(size) if size == header || (size >= FITS_OCTAL && header == 0) => Ok(size),
        Some(_) => Err(ArchiveProblem::TwoSizes),
    }
}

/// A number that fits and is not the all-ones "nobody" of chown: larger ones would wrap around to other users (CVE-2024-40635).
fn id(
    pax: Option<u64>,
    header: Result<u64, ArchiveProblem>,
    name: &'static str,
) -> Result<u32, ArchiveProblem> {
    let id = match pax {
        Some(id) => id,
        None => header?,
    };
    u32::try_from(id)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or(ArchiveProblem::Number(name))
}

/// GNU ends long names with a NUL.
fn long_name(mut content: Vec<u8>) -> Result<Vec<u8>, ArchiveProblem> {
    if content.last() == Some(&0) {
        content.pop();
    }
    if content.is_empty() || content.contains(&0) {
        Err(ArchiveProblem::LongName)
    } else {
        Ok(content)
    }
}

/// Why an archive could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadArchiveError {
    /// Its source failed.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// It ends before its end.
    #[error("the archive is cut off after {offset} bytes")]
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// A header is wrong, ambiguous, or asks for too much.
    #[error("the archive's entry at byte {offset} is refused: {problem}")]
    Malformed {
        /// Where the header starts.
        offset: u64,
        /// What is wrong.
        problem: ArchiveProblem,
    },
}

/// What is wrong with an archive's entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveProblem {
    /// The block's sum is not the one it says.
    #[error("the header's checksum is wrong")]
    Checksum,
    /// Neither ustar nor GNU nor without magic.
    #[error("the header is of an unknown kind of tar")]
    Dialect,
    /// A numeric field has no number, or one out of range.
    #[error("the field `{0}` has no usable number")]
    Number(&'static str),
    /// A path leads out or is too long.
    #[error(transparent)]
    Path(#[from] ParseTreePathError),
    /// The name is empty.
    #[error("it has no name")]
    NoName,
    /// A link has no target.
    #[error("the link has no target")]
    NoTarget,
    /// A regular file whose name ends with a slash.
    #[error("a regular file's name ends with a slash")]
    FileWithSlash,
    /// A folder, link or device with content.
    #[error("only files have content, this is something else")]
    UnexpectedContent,
    /// A type that is not known.
    #[error("the type `{flag}` is unknown")]
    UnknownType {
        /// The type flag.
        flag: char,
    },
    /// A sparse file.
    #[error("sparse files are not supported")]
    Sparse,
    /// Pax size and header size differ.
    #[error("it has two different sizes")]
    TwoSizes,
    /// Several headers give the same thing.
    #[error("several headers give its name or link target")]
    Stacked,
    /// Headers for an entry that does not come.
    #[error("a name or pax header stands at the end, with no entry behind it")]
    NothingFollows,
    /// A pax record without length, key or newline.
    #[error("a pax record is malformed")]
    PaxRecord,
    /// A pax key that comes twice.
    #[error("the pax key `{key}` comes twice")]
    PaxTwice {
        /// The key.
        key: String,
    },
    /// A pax value that cannot be used.
    #[error("the pax value of `{key}` cannot be used")]
    PaxValue {
        /// The key.
        key: String,
    },
    /// A global pax key that would change all entries.
    #[error("the global pax key `{key}` is not supported")]
    PaxGlobal {
        /// The key.
        key: String,
    },
    /// A GNU long name that is empty or has a NUL inside.
    #[error("a long name is empty or has a NUL byte")]
    LongName,
    /// One block of zeros followed by something else, or something after two.
    #[error("there is something after the archive's end")]
    AfterTheEnd,
    /// More entries than allowed.
    #[error("there are more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// More content than allowed.
    #[error("the files have more than {limit} bytes")]
    TooManyBytes {
        /// The limit.
        limit: u64,
    },
    /// Longer metadata than allowed.
    #[error("its metadata has more than {limit} bytes")]
    MetadataTooLong {
        /// The limit.
        limit: u64,
    },
    /// A deeper path than allowed.
    #[error("its path has more than {limit} parts")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
}
