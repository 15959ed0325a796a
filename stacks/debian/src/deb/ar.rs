//! The outer archive of a .deb.
//!
//! `ar` is a line `!<arch>`, then for each member 60 bytes of text in fixed columns (name, time, owner, mode, size) and its content,
//! padded to an even length.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use super::DebProblem;

/// The members of a .deb, in their order.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) binary: Member,
    pub(super) control: Member,
    pub(super) data: Member,
}

/// Where a member's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Member {
    /// The member's content.
    pub(super) fn reader<'a>(&self, file: &'a mut File) -> io::Result<io::Take<&'a mut File>> {
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.size))
    }
}

/// Finds the three members. Names that begin with `_` are additions that readers may ignore, in front of the data only.
pub(super) fn members(file: &mut File) -> Result<Members, DebProblem> {
    let length = file.metadata()?.len();
    let mut magic = [0; 8];
    read_exactly(file, &mut magic, "it has no beginning")?;
    if &magic != b"!<arch>\n" {
        return Err(DebProblem::Format(
            "it does not begin as a Debian package does".to_owned(),
        ));
    }
    let mut offset = 8;
    let mut next = |wanted: &'static str| loop {
        let member = member(file, offset, length)?;
        offset = (member.offset + member.size).next_multiple_of(2);
        if member.name.starts_with('_') && wanted != "debian-binary" {
            continue;
        }
        if member.name != wanted && !member.name.starts_with(&format!("{wanted}.")) {
            return Err(DebProblem::Format(format!(
                "its part '{}' stands where '{wanted}' should be",
                member.name
            )));
        }
        return Ok(member);
    };
    Ok(Members {
        binary: next("debian-binary")?,
        control: next("control.tar")?,
        data: next("data.tar")?,
    })
}

fn member(file: &mut File, offset: u64, length: u64) -> Result<Member, DebProblem> {
    let mut header = [0; 60];
    file.seek(SeekFrom::Start(offset))?;
    read_exactly(file, &mut header, "a part is missing")?;
    let text = |from: usize, to: usize| {
        header
            .get(from..to)
            .and_then(|field| std::str::from_utf8(field).ok())
            .map(str::trim_end)
    };
    let malformed =
        || DebProblem::Format("a header of its outer archive cannot be read".to_owned());
    if text(58, 59) != Some("`") {
        return Err(malformed());
    }
    // GNU ar ends names with a slash.
    let name = text(0, 16).ok_or_else(malformed)?;
    let name = name.strip_suffix('/').unwrap_or(name).to_owned();
    let size = text(48, 58).filter(|size| size.bytes().all(|byte| byte.is_ascii_digit()));
    let size: u64 = size
        .and_then(|size| size.parse().ok())
        .ok_or_else(malformed)?;
    let start = offset + 60;
    if start + size > length {
        return Err(DebProblem::Truncated("a part is shorter than announced"));
    }
    Ok(Member {
        name,
        offset: start,
        size,
    })
}

fn read_exactly(
    file: &mut File,
    buffer: &mut [u8],
    truncated: &'static str,
) -> Result<(), DebProblem> {
    match file.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(DebProblem::Truncated(truncated))
        }
        other => other.map_err(DebProblem::Read),
    }
}
