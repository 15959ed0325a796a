//! Messages between caller, helper and init: a length, JSON, and open files beside them (`SCM_RIGHTS`).
//!
//! Paths and environments are bytes on Linux and JSON is not, so [`raw`] writes them as serde writes an `OsString`.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::child::Status;
use crate::error::Failure;
use crate::here::{Cleanup, Program};
use crate::owners::Owner;
use crate::probe::Allowed;
use crate::spec::Sandbox;

/// No message carries more open files than the three standard streams.
const MOST_FILES: usize = 3;

/// Largest message: a trust store of a few megabytes, written as JSON numbers, and a long list of owners.
const MOST_BYTES: u32 = 256 << 20;

/// From the caller to the helper, and (signals only) from the helper to init.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Start a program. The three standard streams come with it.
    Run(Box<Request>),
    /// Say what the kernel allows, trying overlays below this folder.
    Probe(#[serde(with = "raw::path")] PathBuf),
    /// Stay, run programs without a sandbox, and clean up. A lock to be kept comes with it.
    Keep(Cleanup),
    /// Start a program without a sandbox. The three standard streams come with it.
    Start(Box<Program>),
    /// Send a signal to the program, or to its whole process group.
    Signal { signal: i32, group: bool },
}

/// A program and its world.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) sandbox: Sandbox,
    pub(crate) argv: Vec<std::ffi::OsString>,
}

/// From init to the helper, and from the helper to the caller.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The filter is in place; its listener and the sandbox's root come with this.
    Listening,
    /// The program runs; these mount points had to be made.
    Started(#[serde(with = "raw::paths")] Vec<PathBuf>),
    /// It did not come to that.
    Failed(Failure),
    /// The program ended, and with it everything in the sandbox.
    Ended {
        status: Status,
        #[serde(with = "raw::owners")]
        owners: BTreeMap<PathBuf, Owner>,
    },
    /// The answer to [`Order::Probe`].
    Probed(Allowed),
}

/// Sends one message with open files.
pub(crate) fn send<T: Serialize>(
    mut socket: &UnixStream,
    message: &T,
    files: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|length| *length <= MOST_BYTES)
        .ok_or_else(|| io::Error::other("the message to the sandbox is too large"))?
        .to_le_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(files));
    }
    let sent = sendmsg(
        socket,
        &[IoSlice::new(&length)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    socket.write_all(&length[sent..])?;
    socket.write_all(&body)
}

/// Receives one message, or nothing if the other side is gone.
pub(crate) fn receive<T: DeserializeOwned>(
    mut socket: &UnixStream,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut length)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            other => break other?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let files = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        })
        .flatten()
        .collect();
    socket.read_exact(&mut length[received.bytes..])?;
    let length = u32::from_le_bytes(length);
    if length > MOST_BYTES {
        return Err(io::Error::other(
            "the message from the sandbox is too large",
        ));
    }
    let mut body = vec![0; length as usize];
    socket.read_exact(&mut body)?;
    Ok(Some((serde_json::from_slice(&body)?, files)))
}

/// Bytes that need not be UTF-8, in JSON.
pub(crate) mod raw {
    use std::collections::BTreeMap;
    use std::ffi::{OsStr, OsString};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serializer};

    /// One path.
    pub(crate) mod path {
        use super::{Deserialize, Deserializer, OsString, Path, PathBuf, Serializer};
        use serde::Serialize as _;

        pub(crate) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
            path.as_os_str().serialize(to)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
            OsString::deserialize(from).map(PathBuf::from)
        }
    }

    /// Several paths.
    pub(crate) mod paths {
        use super::{Deserialize, Deserializer, OsString, PathBuf, Serializer};

        pub(crate) fn serialize<S: Serializer>(
            paths: &[PathBuf],
            to: S,
        ) -> Result<S::Ok, S::Error> {
            to.collect_seq(paths.iter().map(|path| path.as_os_str()))
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Vec<PathBuf>, D::Error> {
            let paths = Vec::<OsString>::deserialize(from)?;
            Ok(paths.into_iter().map(PathBuf::from).collect())
        }
    }

    /// An environment, as pairs.
    pub(crate) mod map {
        use super::{BTreeMap, Deserialize, Deserializer, OsString, Serializer};

        pub(crate) fn serialize<S: Serializer>(
            map: &BTreeMap<OsString, OsString>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            to.collect_seq(map)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<BTreeMap<OsString, OsString>, D::Error> {
            Ok(Vec::<(OsString, OsString)>::deserialize(from)?
                .into_iter()
                .collect())
        }
    }

    /// Owners by path, as pairs.
    pub(crate) mod owners {
        use super::{BTreeMap, Deserialize, Deserializer, OsStr, OsString, PathBuf, Serializer};
        use crate::owners::Owner;

        pub(crate) fn serialize<S: Serializer>(
            owners: &BTreeMap<PathBuf, Owner>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            to.collect_seq(
                owners
                    .iter()
                    .map(|(path, owner)| -> (&OsStr, &Owner) { (path.as_os_str(), owner) }),
            )
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<BTreeMap<PathBuf, Owner>, D::Error> {
            Ok(Vec::<(OsString, Owner)>::deserialize(from)?
                .into_iter()
                .map(|(path, owner)| (PathBuf::from(path), owner))
                .collect())
        }
    }
}
