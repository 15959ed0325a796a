//! Input from outside never makes us panic: noise, and good input with noise in it.

use std::{io::Write, path::Path, sync::OnceLock, time::SystemTime};

use debian::{
    deb::Deb,
    dpkg::installed_packages,
    index::{Compression, read_packages},
    keyring::Keyring,
    mirror::{read_one_line, read_stanzas},
    name::Architecture,
    relation::Relations,
    release::Release,
    solve::{Recommends, Request},
    universe::{Suite, Universe},
    version::Version,
};
use proptest::prelude::*;

const KEYRING: &[u8] = include_bytes!("../../trixie/debian-archive-keyring.pgp");

static DEBIAN: OnceLock<Keyring> = OnceLock::new();

const SIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\n-----BEGIN PGP SIGNATURE-----\n\n\
iHUEARYIAB0WIQRBWH99uMd0vM8TFBZ2L2egssOd5AUCaqUF+wAKCRB2L2egssOd\n5GfOAPwIImz+XNfRe/IjfqZLSOp1S0XZeEllnraYtaC0BEcBMcQEAsnxIjCYbOwJh\n=iG/U\n-----END PGP SIGNATURE-----\n";

const INDEX: &str = "Package: hello\nVersion: 1:1.0-2\nArchitecture: amd64\nDepends: libc6 (>= 2.38) | x1, y1:any\nProvides: z1 (= 2)\n\
Conflicts: q1\nFilename: pool/h.deb\nSize: 7\nSHA256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n\n\
Package: libc6\nVersion: 2.41\nArchitecture: amd64\nFilename: pool/l.deb\nSize: 7\n\
SHA256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";

/// Good bytes with a few replaced, cut out or put in.
fn damaged(good: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let edit = (
        0..good.len(),
        0..3_u8,
        prop_oneof![any::<u8>(), prop::sample::select(&b" \n:,|()=<>-~.0"[..])],
    );
    prop::collection::vec(edit, 0..6).prop_map(move |edits| {
        let mut bytes = good.to_vec();
        for (place, kind, byte) in edits {
            let place = place.min(bytes.len().saturating_sub(1));
            match kind {
                0 if !bytes.is_empty() => bytes[place] = byte,
                1 if !bytes.is_empty() => drop(bytes.drain(place..(place + 9).min(bytes.len()))),
                _ => bytes.insert(place, byte),
            }
        }
        bytes
    })
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn hostile_text(text in "\\PC{0,60}") {
        drop((text.parse::<Version>(), text.parse::<Relations>(), text.parse::<Request>(), installed_packages(&text)));
        drop((read_one_line(&format!("deb {text}"), Path::new("x")), read_stanzas(&text, Path::new("x"))));
    }

    #[test]
    fn hostile_signatures(bytes in prop_oneof![noise(), damaged(SIGNED.as_bytes())]) {
        let keyring = DEBIAN.get_or_init(|| Keyring::from_bytes(KEYRING).expect("a keyring"));
        prop_assert!(Release::verify(&bytes, keyring, SystemTime::now()).is_err());
    }

    #[test]
    fn hostile_keyrings(bytes in prop_oneof![noise(), damaged(KEYRING.get(..3000).expect("it is longer"))]) {
        drop(Keyring::from_bytes(&bytes));
    }

    #[test]
    fn hostile_indexes(bytes in prop_oneof![noise(), damaged(INDEX.as_bytes())]) {
        for compression in [Compression::None, Compression::Gzip, Compression::Xz] {
            let Ok(packages) = read_packages(&bytes[..], compression, &Architecture::amd64(), 1 << 16) else { continue };
            let suite = Suite { name: "x".to_owned(), automatic: true, packages };
            let universe = Universe::new(Architecture::amd64(), vec![suite], Vec::new());
            drop(universe.resolve(&["hello".parse().expect("a name")], Recommends::Install));
        }
    }

    #[test]
    fn hostile_packages(bytes in prop_oneof![
        noise(),
        noise().prop_map(|noise| [b"!<arch>\n".to_vec(), noise].concat()),
    ]) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(&bytes).expect("written");
        prop_assert!(Deb::open(file.path()).is_err());
    }
}
