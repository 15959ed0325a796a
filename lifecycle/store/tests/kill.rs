//! kill -9 at any moment: the store opens again, holds the old or the new state whole, and nothing unfinished stays.
//!
//! The test program starts itself as the child: `child_of_the_tests` does the work that is interrupted.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oci_image::layer::{Compression, LayerContents, TreeRules, write_layer};
use oci_image::{
    BlobDigest, BlobSource, Digest, History, Image, ImageConfig, Layer, Owner, Owners, read_image,
};
use std::num::NonZeroUsize;
use store::apps::AppState;
use store::{Durability, FAILPOINTS, NamedImage, StagedTree, Store};
use tempfile::TempDir;

const FOLDER: &str = "STORE_TEST_FOLDER";
const CONTENT: &str = "STORE_TEST_CONTENT";
const FAILPOINT: &str = "STORE_TEST_FAILPOINT";

/// Layers and image are made of this: one of two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Content(u8);

const OLD: Content = Content(1);
const NEW: Content = Content(2);

fn open(folder: &Path) -> Store {
    Store::open(&folder.join("data"), &folder.join("cache")).unwrap()
}

/// What a build does: a layer into a blob and a tree, an image of it, its name, the app's state.
fn work(store: &Store, content: Content) {
    let _hold = store.hold().unwrap();
    let mut app = store.app("app").unwrap();
    let scratch = store.temporary("build").unwrap();
    let staged = scratch.folder("staged").unwrap();
    fs::create_dir(staged.join("layers")).unwrap();
    for file in 0..40_u8 {
        let bytes = vec![content.0 ^ file; 40_000];
        fs::write(staged.join("layers").join(file.to_string()), bytes).unwrap();
    }
    let owner = Owner::new(1000, 1000);
    let contents = LayerContents::new().tree(
        &staged,
        &oci_image::TreePath::root(),
        TreeRules::buildpack(owner),
    );
    let compression = Compression::Gzip {
        threads: NonZeroUsize::MIN,
    };
    let mut writer = store.blob_writer(Durability::Lasting).unwrap();
    let layer = write_layer(&contents, &mut writer, compression).unwrap();
    let blob = writer.commit(&layer.digest).unwrap();
    store.note_layer(&layer).unwrap();
    let owners = Owners::new(owner);
    let tree = StagedTree {
        path: &staged,
        diff_id: layer.diff_id,
        owners: &owners,
        durability: Durability::Lasting,
    };
    store.adopt_tree(&tree).unwrap();
    let image = Image::new(ImageConfig::new("linux", "amd64")).with_layer(
        Layer::new(layer, BlobSource::File(blob)),
        History::default(),
    );
    let documents = image.documents();
    store.write_blob(&documents.config.bytes).unwrap();
    let manifest = store.write_blob(&documents.manifest.bytes).unwrap();
    let name = "app:latest".to_owned();
    store.name_image(&NamedImage { name, manifest }).unwrap();
    store.write_note("kind", "key", &content.0).unwrap();
    let built = u64::from(content.0);
    app.save(AppState {
        built,
        layers: vec![layer.diff_id],
        ..AppState::default()
    })
    .unwrap();
}

/// Not a test of its own: the work of a child that is killed. Without its variables there is nothing to do.
#[test]
fn child_of_the_tests() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    if let Some(name) = std::env::var_os(FAILPOINT) {
        assert!(failpoint::arm(name.to_str().unwrap(), store::FAILPOINTS));
    }
    let content = std::env::var(CONTENT).unwrap().parse().unwrap();
    work(&open(Path::new(&folder)), Content(content));
}

fn child(folder: &Path, content: Content, failpoint: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_of_the_tests"]);
    command
        .env(FOLDER, folder)
        .env(CONTENT, content.0.to_string());
    if let Some(name) = failpoint {
        command.env(FAILPOINT, name);
    }
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What the store holds is whole, whichever state it is; gives the state of the named image.
fn assert_whole(folder: &Path, when: &str) -> Option<Content> {
    let store = open(folder);
    let unfinished: Vec<PathBuf> = all_files(folder)
        .into_iter()
        .filter(|path| {
            let temporary = [folder.join("cache/tmp"), folder.join("data/tmp")];
            path.components()
                .any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
                || temporary
                    .iter()
                    .any(|temporary| path.parent() == Some(temporary))
        })
        .collect();
    assert_eq!(
        unfinished,
        Vec::<PathBuf>::new(),
        "{when}: something unfinished is left"
    );
    let blobs = folder.join("data/blobs/sha256");
    for blob in fs::read_dir(&blobs).unwrap() {
        let blob = blob.unwrap();
        let digest = Digest::of(&fs::read(blob.path()).unwrap());
        assert_eq!(
            digest.hex(),
            blob.file_name().to_str().unwrap(),
            "{when}: a torn blob"
        );
    }
    let app = store.app("app").unwrap();
    if let Some(state) = &app.state {
        assert!([1, 2].contains(&state.built), "{when}");
        for diff_id in &state.layers {
            let layer = store.layer(diff_id).unwrap().unwrap();
            store.unpacked(&layer).unwrap();
        }
    }
    let image = store.image("app:latest").unwrap()?;
    let image = read_image(&blobs, &image.manifest).unwrap();
    let [layer] = image.layers() else {
        panic!("{when}: {image:?}")
    };
    layer.open().unwrap().read_to_end(&mut Vec::new()).unwrap();
    let tree = store
        .unpacked(&store.layer(&layer.diff_id).unwrap().unwrap())
        .unwrap();
    assert_eq!(
        store.owners(&tree).unwrap().default_owner(),
        Owner::new(1000, 1000)
    );
    let states: Vec<u8> = (0..40_u8)
        .map(|file| {
            let bytes = fs::read(tree.path.join("layers").join(file.to_string())).unwrap();
            assert!(
                bytes.len() == 40_000 && bytes.iter().all(|byte| *byte == bytes[0]),
                "{when}: a torn tree"
            );
            bytes[0] ^ file
        })
        .collect();
    assert!(states.iter().all(|state| *state == states[0]), "{when}");
    Some(Content(states[0]))
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_files(&path));
        }
        files.push(
            path.strip_prefix(folder)
                .map(|path| folder.join(path))
                .unwrap(),
        );
    }
    files
}

/// A store that holds the old state.
fn with_old_state() -> TempDir {
    // Its name must not start with a dot, as unfinished files do.
    let folder = tempfile::Builder::new().prefix("store-").tempdir().unwrap();
    work(&open(folder.path()), OLD);
    assert_eq!(assert_whole(folder.path(), "before"), Some(OLD));
    folder
}

fn assert_next_build_works(folder: &Path, when: &str) {
    work(&open(folder), NEW);
    assert_eq!(
        assert_whole(folder, &format!("{when}, and a build")),
        Some(NEW)
    );
}

#[test]
fn killed_at_every_failpoint() {
    for name in FAILPOINTS {
        for folder in [
            with_old_state(),
            tempfile::Builder::new().prefix("store-").tempdir().unwrap(),
        ] {
            let status = child(folder.path(), NEW, Some(name)).wait().unwrap();
            assert_eq!(
                status.signal(),
                Some(9),
                "the failpoint {name} is not reached: {status:?}"
            );
            assert_whole(folder.path(), name);
            assert_next_build_works(folder.path(), name);
        }
    }
}

#[test]
fn killed_at_seeded_random_moments() {
    let folder = with_old_state();
    let started = Instant::now();
    assert!(child(folder.path(), NEW, None).wait().unwrap().success());
    // Later runs find some of their work done and end sooner: a child that ended by itself shortens the time in which the next
    // moments lie.
    let mut whole_run = started.elapsed();
    let mut seed = 20_261_121_u64;
    let (mut killed, mut content) = (0_u32, OLD);
    for round in 0..100 {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_nanos((seed >> 33) % whole_run.as_nanos() as u64);
        let mut child = child(folder.path(), content, None);
        std::thread::sleep(moment);
        child.kill().unwrap();
        if child.wait().unwrap().signal() == Some(9) {
            killed += 1;
        } else {
            whole_run = whole_run.min(moment.max(Duration::from_millis(1)));
        }
        assert_whole(folder.path(), &format!("round {round}, after {moment:?}"));
        // Every few rounds the blobs and trees go, so that there is something to write again.
        content = if content == OLD { NEW } else { OLD };
        if round % 3 == 2 {
            for gone in [
                "data/blobs/sha256",
                "data/images",
                "data/layers",
                "cache/trees/sha256",
                "cache/apps",
            ] {
                fs::remove_dir_all(folder.path().join(gone)).unwrap();
            }
        }
    }
    eprintln!("{killed} of 100 children were killed at work");
    assert!(killed > 30, "only {killed} were killed before they ended");
    assert_next_build_works(folder.path(), "after all");
}

#[test]
fn several_builders_at_once() {
    let folder = tempfile::Builder::new().prefix("store-").tempdir().unwrap();
    let children: Vec<Child> = (0..6)
        .map(|index| {
            let content = if index % 2 == 0 { OLD } else { NEW };
            child(folder.path(), content, None)
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert!(assert_whole(folder.path(), "all are done").is_some());
}

#[test]
fn damaged_blob_is_absent_after_it_was_noticed() {
    let folder = with_old_state();
    let store = open(folder.path());
    let image = store.image("app:latest").unwrap().unwrap();
    let blobs = folder.path().join("data/blobs/sha256");
    let image = read_image(&blobs, &image.manifest).unwrap();
    let layer = store.layer(&image.layers()[0].diff_id).unwrap().unwrap();
    let tree = store.tree(&layer.diff_id).unwrap().unwrap();
    fs::remove_dir_all(&tree.path).unwrap();
    let blob = blobs.join(layer.digest.hex());
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, &bytes).unwrap();
    store.unpacked(&layer).unwrap_err();
    assert_eq!(store.layer(&layer.diff_id).unwrap(), None);
    work(&store, OLD);
    assert_eq!(assert_whole(folder.path(), "mended"), Some(OLD));
}

#[test]
fn tree_without_owners_is_made_again() {
    let folder = with_old_state();
    let store = open(folder.path());
    let manifest: BlobDigest = store.image("app:latest").unwrap().unwrap().manifest;
    let image = read_image(&folder.path().join("data/blobs/sha256"), &manifest).unwrap();
    let layer = store.layer(&image.layers()[0].diff_id).unwrap().unwrap();
    let tree = store.unpacked(&layer).unwrap();
    fs::write(tree.path.with_extension("json"), "{").unwrap();
    store.owners(&tree).unwrap_err();
    assert!(store.tree(&layer.diff_id).unwrap().is_none());
    let tree = store.unpacked(&layer).unwrap();
    assert_eq!(
        store
            .owners(&tree)
            .unwrap()
            .owner(&"layers/1".parse().unwrap()),
        Owner::new(1000, 1000)
    );
}
