//! Loading suites: from a server and from a folder, with everything that can be wrong with them.

use std::{fs, time::Duration};

use debian::{
    cache::DownloadCache,
    release::{Freshness, ReleaseError},
    repository::{Loaded, Presence, RepositoryError, SuiteSource, Trust, load},
    solve::Recommends,
    universe::Universe,
};
use fetch::FetchError;

use crate::{
    mini::{Mini, amd64, client, key, keyring, made, sign, source, trust},
    server::Server,
};

fn load_from(mini: &Mini, sources: &[SuiteSource]) -> Result<Loaded, RepositoryError> {
    let cache = DownloadCache::new(mini.path().join("cache"));
    let keyring = keyring(&mini.key);
    load(&client(), sources, &trust(&keyring), &amd64(), &cache)
}

fn two_suites() -> Mini {
    let mini = Mini::new();
    let app = mini.package("app", "1", "Depends: lib\n");
    let lib = mini.package("lib", "1", "");
    mini.suite("trixie", &format!("{app}{lib}"), "");
    let newer = mini.package("lib", "1+deb13u1", "");
    mini.suite(
        "trixie-security",
        &newer,
        "Valid-Until: Thu, 28 Nov 2126 10:00:00 UTC\n",
    );
    mini
}

#[test]
fn load_resolve_download() {
    let mini = two_suites();
    let server = Server::serve(mini.path());
    for mirror in [server.url.clone(), mini.url()] {
        let cache_folder = tempfile::tempdir().expect("a folder");
        let cache = DownloadCache::new(cache_folder.path());
        let keyring = keyring(&mini.key);
        let sources = [
            source(&mirror, "trixie"),
            source(&mirror, "trixie-security"),
        ];
        let mut loaded =
            load(&client(), &sources, &trust(&keyring), &amd64(), &cache).expect("loaded");
        let universe = Universe::new(amd64(), std::mem::take(&mut loaded.suites), Vec::new());
        let resolution = universe
            .resolve(&["app".parse().expect("a name")], Recommends::Leave)
            .expect("solved");
        let wanted: Vec<_> = resolution
            .packages
            .iter()
            .map(|planned| loaded.wanted(planned).expect("its suite"))
            .collect();

        let mut last = None;
        cache
            .fetch(&client(), &wanted, &mut |state| last = Some(state))
            .expect("downloaded");
        let last = last.expect("progress");
        assert_eq!(
            (last.files, last.total_files, last.bytes),
            (2, 2, last.total_bytes)
        );
        let body = fs::read(cache.path(wanted[0].sha256)).expect("there");
        assert_eq!(body, b"the .deb of lib 1+deb13u1");

        // a second time nothing is asked for, unless a file was damaged
        let asked = server.asked().len();
        cache.fetch(&client(), &wanted, &mut |_| {}).expect("there");
        assert_eq!(server.asked().len(), asked);
        fs::write(cache.path(wanted[0].sha256), "the .deb of lib 1+deb13uX").expect("written");
        cache
            .fetch(&client(), &wanted, &mut |_| {})
            .expect("downloaded again");
        assert_eq!(fs::read(cache.path(wanted[0].sha256)).expect("there"), body);
    }
}

#[test]
fn load_keeps_indexes() {
    let mini = two_suites();
    let server = Server::serve(mini.path());
    let sources = [source(&server.url, "trixie")];
    load_from(&mini, &sources).expect("loaded");
    load_from(&mini, &sources).expect("loaded");
    let asked = server.asked();
    assert_eq!(
        asked,
        [
            "/dists/trixie/InRelease",
            "/dists/trixie/main/binary-amd64/Packages.gz",
            "/dists/trixie/InRelease"
        ]
    );
}

#[test]
fn load_by_hash_survives_an_update_in_between() {
    let mini = two_suites();
    mini.suite(
        "trixie",
        &mini.package("app", "2", ""),
        "Acquire-By-Hash: yes\n",
    );
    let index = fs::read(
        mini.path()
            .join("dists/trixie/main/binary-amd64/Packages.gz"),
    )
    .expect("there");
    let by_hash = format!(
        "dists/trixie/main/binary-amd64/by-hash/SHA256/{}",
        fetch::Sha256::of(&index)
    );
    mini.write(&by_hash, &index);
    mini.write(
        "dists/trixie/main/binary-amd64/Packages.gz",
        b"of the next Release file",
    );
    let server = Server::serve(mini.path());
    assert_eq!(
        load_from(&mini, &[source(&server.url, "trixie")])
            .expect("loaded")
            .suites[0]
            .packages
            .len(),
        1
    );
    assert_eq!(server.asked()[1], format!("/{by_hash}"));
}

#[test]
fn load_falls_back_where_by_hash_is_not_copied() {
    let mini = Mini::new();
    mini.suite(
        "trixie",
        &mini.package("app", "1", ""),
        "Acquire-By-Hash: yes\n",
    );
    let server = Server::serve(mini.path());
    assert_eq!(
        load_from(&mini, &[source(&server.url, "trixie")])
            .expect("loaded")
            .suites[0]
            .packages
            .len(),
        1
    );
}

#[test]
fn load_wrong_index() {
    let mini = two_suites();
    mini.write(
        "dists/trixie/main/binary-amd64/Packages.gz",
        b"something else",
    );
    let error = load_from(&mini, &[source(&mini.url(), "trixie")]).expect_err("refused");
    assert!(
        matches!(error, RepositoryError::Fetch(FetchError::WrongSize { .. })),
        "{error}"
    );
    let server = Server::serve(mini.path());
    let right = two_suites();
    let mut index = fs::read(
        right
            .path()
            .join("dists/trixie/main/binary-amd64/Packages.gz"),
    )
    .expect("there");
    *index.last_mut().expect("not empty") ^= 1;
    mini.write("dists/trixie/main/binary-amd64/Packages.gz", &index);
    let error = load_from(&mini, &[source(&server.url, "trixie")]).expect_err("refused");
    assert!(
        matches!(
            error,
            RepositoryError::Fetch(FetchError::WrongDigest { .. })
        ),
        "{error}"
    );
}

#[test]
fn load_wrong_signature() {
    let mini = two_suites();
    let path = "dists/trixie/InRelease";
    let text = fs::read_to_string(mini.path().join(path)).expect("there");
    mini.write(
        path,
        text.replace("Components: main", "Components: evil")
            .as_bytes(),
    );
    let error = load_from(&mini, &[source(&mini.url(), "trixie")])
        .expect_err("refused")
        .to_string();
    assert!(
        error.starts_with(&format!(
            "{}dists/trixie/InRelease is refused: the signature by Test Archive",
            mini.url()
        )),
        "{error}"
    );

    mini.write(
        path,
        sign(&Mini::release("trixie", "", b""), &key()).as_bytes(),
    );
    let error = load_from(&mini, &[source(&mini.url(), "trixie")])
        .expect_err("refused")
        .to_string();
    assert!(error.contains("which is not in the keyring"), "{error}");
}

#[test]
fn load_outdated_mirror() {
    let mini = Mini::new();
    mini.suite(
        "trixie-updates",
        &mini.package("app", "1", ""),
        "Valid-Until: Sat, 28 Nov 2026 10:00:00 UTC\n",
    );
    let keyring = keyring(&mini.key);
    let cache = DownloadCache::new(mini.path().join("cache"));
    let at = |freshness| Trust {
        now: made().max(std::time::SystemTime::now()) + Duration::from_hours(24 * 365),
        ..Trust {
            freshness,
            ..trust(&keyring)
        }
    };
    let sources = [source(&mini.url(), "trixie-updates")];
    let error = load(
        &client(),
        &sources,
        &at(Freshness::Enforced),
        &amd64(),
        &cache,
    )
    .expect_err("refused");
    assert!(
        matches!(
            error,
            RepositoryError::Release {
                source: ReleaseError::Expired { .. },
                ..
            }
        ),
        "{error}"
    );
    let loaded = load(
        &client(),
        &sources,
        &at(Freshness::FrozenMirror),
        &amd64(),
        &cache,
    )
    .expect("accepted");
    assert_eq!(
        loaded.notices,
        [
            "trixie-updates: accepted although it was valid until Sat, 28 Nov 2026 10:00:00 GMT. The mirror is outdated, or this machine's clock is wrong"
        ]
    );
}

#[test]
fn load_missing_suites_and_components() {
    let mini = two_suites();
    let optional = SuiteSource {
        presence: Presence::Optional,
        ..source(&mini.url(), "trixie-updates")
    };
    let loaded = load_from(&mini, &[source(&mini.url(), "trixie"), optional]).expect("loaded");
    assert_eq!(
        loaded.notices,
        [format!(
            "{} has no suite trixie-updates; going on without it",
            mini.url()
        )]
    );
    let error = load_from(&mini, &[source(&mini.url(), "trixie-updates")]).expect_err("refused");
    assert!(
        matches!(&error, RepositoryError::Fetch(error) if error.is_not_found()),
        "{error}"
    );

    let contrib = SuiteSource {
        components: vec!["contrib".to_owned()],
        ..source(&mini.url(), "trixie")
    };
    assert_eq!(
        load_from(&mini, &[contrib])
            .expect_err("refused")
            .to_string(),
        "the suite trixie has no packages of the component 'contrib' for amd64; its components: main"
    );
}

#[test]
fn load_another_suite_under_this_name() {
    let mini = two_suites();
    let other = fs::read(mini.path().join("dists/trixie-security/InRelease")).expect("there");
    mini.write("dists/trixie/InRelease", &other);
    let error = load_from(&mini, &[source(&mini.url(), "trixie")])
        .expect_err("refused")
        .to_string();
    assert!(error.ends_with("it is for the suite 'trixie-security' (codename 'trixie-security'), but 'trixie' was asked for"), "{error}");
}
