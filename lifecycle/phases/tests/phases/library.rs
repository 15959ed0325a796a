//! The exporter as a library: with a view that knows what did not change, of which nothing is opened, and with a cache that cannot be written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use cnb_spec::id::{BuildpackId, LayerName};
use cnb_spec::labels::{CacheMetadata, LauncherMetadata};
use lifecycle::cache::{CachedLayer, LayerCache};
use lifecycle::contents::{AppSource, LayerSource, LayersFolder, LayersView};
use lifecycle::export::{
    CacheTime, ExportInputs, ExportPorts, FoldersAbove, LauncherProgram, Role, export,
};
use lifecycle::images::ImageError;
use lifecycle::layouts::OciLayouts;
use lifecycle::output::{Level, Output};
use lifecycle::volume_cache::VolumeCache;
use oci_image::layer::LayerContents;
use oci_image::{DiffId, Owner};

use crate::fixture::Fixture;
use crate::images::{entries, read};

/// All layers are as they were.
struct Unchanged(DiffId);

impl LayersView for Unchanged {
    fn layer(&self, _: &BuildpackId, _: &LayerName) -> io::Result<LayerSource> {
        Ok(LayerSource::Unchanged {
            diff_id: self.0,
            path: PathBuf::from("/nothing/is/here"),
        })
    }
}

fn folder(path: &Path) -> LayersFolder<'_> {
    LayersFolder {
        path,
        left_behind: BTreeMap::new(),
    }
}

/// A full disk, say.
struct BrokenCache;

impl LayerCache for BrokenCache {
    fn metadata(&self) -> Result<CacheMetadata, ImageError> {
        Ok(CacheMetadata::default())
    }

    fn has(&self, _: &DiffId) -> Result<bool, ImageError> {
        Ok(false)
    }

    fn restore(&self, _: &CachedLayer<'_>, _: &Path) -> Result<(), ImageError> {
        Err(ImageError::new("no restore"))
    }

    fn leave(&self, _: &CachedLayer<'_>, _: &Path) -> Result<(), ImageError> {
        Err(ImageError::new("nothing is left"))
    }

    fn keep(&self, _: &CachedLayer<'_>, _: &LayerContents<'_>) -> Result<(), ImageError> {
        Err(ImageError::new("no space left"))
    }

    fn reuse(&self, _: &CachedLayer<'_>) -> Result<(), ImageError> {
        Err(ImageError::new("no reuse"))
    }

    fn commit(&self, metadata: &CacheMetadata) -> Result<(), ImageError> {
        let kept = metadata.buildpacks.iter().flat_map(|layers| &layers.layers);
        // What was not kept is not promised.
        let count = kept.count();
        Err(ImageError::new(format!("no commit of {count} layers")))
    }
}

#[test]
fn cache_that_cannot_be_written_is_a_warning() {
    let fixture = Fixture::with_run_image("0.15");
    let build = r#"mkdir "$1/l"; printf '[types]\ncache = true\n' >"$1/l.toml""#;
    fixture.buildpack("x/y", "0.10", "", "", build);
    fixture.order(&["x/y"]);
    fixture.build();
    let layouts = fixture.layouts();
    let name = "test/app".parse().unwrap();
    let images = OciLayouts::new(&layouts, &name, NonZeroUsize::MIN);
    for cache_time in [CacheTime::After, CacheTime::Alongside] {
        let app = AppSource::folder(fixture.path("app"));
        let layers = fixture.path("layers");
        let ports = ExportPorts {
            images: &images,
            view: &folder(&layers),
            cache: Some(&BrokenCache),
        };
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&warnings);
        let output = Output::new(Level::Warn, move |_, line| {
            heard.lock().unwrap().push(line.to_owned());
        });
        let inputs = ExportInputs {
            cache_time,
            ..inputs(&fixture, app)
        };
        export(&inputs, ports, &output).unwrap();
        assert_eq!(
            *warnings.lock().unwrap(),
            [
                "Failed to cache layer 'x/y:l': no space left",
                "Failed to export cache: no commit of 0 layers"
            ]
        );
    }
}

fn inputs(fixture: &Fixture, app: AppSource) -> ExportInputs {
    let analyzed = toml::from_str(&fixture.read("layers/analyzed.toml")).unwrap();
    ExportInputs {
        platform_api: "0.15".parse().unwrap(),
        names: vec!["test/app".into()],
        layers_dir: fixture.path("layers"),
        layers_dir_in_image: "/layers".into(),
        folders_above: FoldersAbove::AsFound,
        app,
        app_dir_in_image: "/workspace".into(),
        group_path: fixture.path("layers/group.toml"),
        analyzed,
        project_metadata_path: fixture.path("none"),
        launcher_program: LauncherProgram::File(fixture.path("launcher")),
        launcher: LauncherMetadata::default(),
        launcher_sbom: None,
        report_path: fixture.path("layers/report.toml"),
        run_image: cnb_spec::run_image::RunImage::default(),
        default_process_type: None,
        owner: Owner::new(1000, 1000),
        created: None,
        labels: BTreeMap::new(),
        exec_env: "production".into(),
        cache_time: CacheTime::After,
    }
}

/// Where the folders stand at the same paths as in the image, but are mounts of somebody else's.
#[test]
fn export_folders_above_owned() {
    let fixture = Fixture::with_run_image("0.15");
    let build =
        "mkdir \"$1/l\"; echo x >\"$1/l/f\"; printf '[types]\\nlaunch = true\\n' >\"$1/l.toml\"";
    fixture.buildpack("x/y", "0.10", "", "", build);
    fixture.order(&["x/y"]);
    fixture.write("app/file", "1");
    fixture.build();
    let mounted = fs::Permissions::from_mode(0o1777);
    for folder in ["layers", "app"] {
        fs::set_permissions(fixture.path(folder), mounted.clone()).unwrap();
    }

    let layouts = fixture.layouts();
    let name = "test/app".parse().unwrap();
    let images = OciLayouts::new(&layouts, &name, NonZeroUsize::MIN);
    let layers = fixture.path("layers");
    let app = AppSource {
        own_mode: Some(0o755),
        ..AppSource::folder(fixture.path("app"))
    };
    let inputs = ExportInputs {
        layers_dir_in_image: layers.clone(),
        folders_above: FoldersAbove::Owned,
        ..inputs(&fixture, app)
    };
    let ports = ExportPorts {
        images: &images,
        view: &folder(&layers),
        cache: None,
    };
    let output = Output::new(Level::Error, |_, line| panic!("{line}"));
    let exported = export(&inputs, ports, &output).unwrap();
    let layer = entries(&exported.layers[0].blob);
    let above: Vec<String> = layers
        .ancestors()
        .filter(|path| path.parent().is_some())
        .map(|path| format!("d 755 1000:1000 {}", path.display()))
        .collect();
    for entry in above {
        assert!(layer.contains(&entry), "no {entry} in {layer:?}");
    }
    let app = exported
        .layers
        .iter()
        .find(|layer| matches!(layer.role, Role::App { .. }))
        .unwrap();
    assert_eq!(entries(&app.blob)[0], "d 755 1000:1000 /workspace");
}

#[test]
fn export_reads_nothing_that_did_not_change() {
    let fixture = Fixture::with_run_image("0.15");
    let build = "mkdir \"$1/l\"; echo x >\"$1/l/f\"; printf '[types]\\nlaunch = true\\ncache = true\\n' >\"$1/l.toml\"";
    fixture.buildpack("x/y", "0.10", "", "", build);
    fixture.order(&["x/y"]);
    fixture.write("app/shown", "1");
    fixture.write("app/hidden/secret", "2");
    fixture.build();

    let layouts = fixture.layouts();
    let name = "test/app".parse().unwrap();
    let images = OciLayouts::new(&layouts, &name, NonZeroUsize::MIN);
    let output = Output::new(Level::Error, |_, line| panic!("{line}"));
    let export_with = |view: &dyn LayersView, app: AppSource| {
        let cache = VolumeCache::open(&fixture.path("cache")).unwrap();
        let ports = ExportPorts {
            images: &images,
            view,
            cache: Some(&cache),
        };
        let exported = export(&inputs(&fixture, app), ports, &output).unwrap();
        exported.layers
    };

    // Elsewhere than in the image, so that the folders above are the user's own.
    let layers = fixture.path("layers");
    let plain = folder(&layers);
    let hidden = BTreeSet::from(["hidden".parse().unwrap()]);
    let app = AppSource {
        hidden,
        ..AppSource::folder(fixture.path("app"))
    };
    let first = export_with(&plain, app);
    let layer = &first[0];
    assert!(matches!(&layer.role, Role::Buildpack { layer, .. } if layer.as_str() == "l"));
    assert!(!layer.reused && layer.read_from.is_some());
    assert_eq!(
        entries(&layer.blob),
        [
            "d 755 1000:1000 /layers",
            "d 755 1000:1000 /layers/x_y",
            "d 755 1000:1000 /layers/x_y/l",
            "f 644 1000:1000 /layers/x_y/l/f 2"
        ]
    );
    let app_layer = first
        .iter()
        .find(|layer| matches!(layer.role, Role::App { .. }))
        .unwrap();
    assert_eq!(
        entries(&app_layer.blob),
        [
            "d 755 1000:1000 /workspace",
            "f 644 1000:1000 /workspace/shown 1"
        ]
    );
    let image = read(&layouts, "app/latest");

    // As after an analysis of that image.
    let label = &image.config().config.labels["io.buildpacks.lifecycle.metadata"];
    let mut analyzed: cnb_spec::analyzed::Analyzed =
        toml::from_str(&fixture.read("layers/analyzed.toml")).unwrap();
    analyzed.metadata = serde_json::from_str(label).unwrap();
    analyzed.previous_image = Some(cnb_spec::analyzed::ImageIdentifier {
        reference: "test/app".into(),
    });
    fixture.write("layers/analyzed.toml", &toml::to_string(&analyzed).unwrap());
    fs::remove_dir_all(fixture.path("layers/x_y/l")).unwrap();
    fs::remove_dir_all(fixture.path("app")).unwrap();
    let app = AppSource {
        unchanged: Some(app_layer.blob.diff_id),
        ..AppSource::folder(PathBuf::from("/nothing/is/here"))
    };
    let second = export_with(&Unchanged(layer.blob.diff_id), app);
    for layer in &second[..1] {
        assert!(layer.reused && layer.read_from.is_none(), "{layer:?}");
    }
    assert!(second.iter().all(|layer| layer.reused), "{second:?}");
    assert_eq!(read(&layouts, "app/latest").documents(), image.documents());
}
