//! A company's own certificates serve every download and `longshore run`, and stay out of the image.

use std::path::Path;
use std::process::Command;

use e2e::app::App;
use e2e::image::Image;
use e2e::index::Index;
use e2e::program::Longshore;
use tempfile::TempDir;

#[test]
fn private_index_behind_a_private_authority() {
    let index = Index::start_tls();
    let Some(()) = index.publish("quayside", "1.0") else {
        return;
    };
    let server = &index.server;
    let folder = TempDir::new().unwrap();
    let authority = folder.path().join("authority.pem");
    let pem = server.authority.clone().unwrap();
    std::fs::write(&authority, &pem).unwrap();
    let trust = ["--ca-cert", authority.to_str().unwrap()];

    let app = App::copy_of("flask-plain");
    app.append("requirements.txt", "quayside==1.0\n");
    let longshore = Longshore::copied().with("PIP_EXTRA_INDEX_URL", index.url());

    let refused = longshore.run(&["build", app.path().to_str().unwrap(), "-t", "trust"]);
    assert_ne!(refused.code, 0);
    refused.assert_says(&["ertificate", "--ca-cert"]);

    let layout = folder.path().join("layout");
    let place = format!("oci:{}", layout.display());
    longshore.build(
        app.path(),
        &[&["-t", "trust", "--output", &place][..], &trust].concat(),
    );
    let secret = pem.lines().nth(2).expect("a certificate has lines");
    // Where the sandbox has them; gunicorn itself has an option `--ca-certs`.
    assert_nowhere(&layout, &[secret, "/run/longshore", &server.url()]);

    let ask = format!(
        "import quayside, urllib.request; print(quayside.VERSION, urllib.request.urlopen('{}quayside/').status)",
        index.url()
    );
    let words = ["run", "trust", "--", "python", "-c", &ask];
    let said = longshore.run(&[&trust[..], &words].concat());
    said.assert_code(0);
    assert_eq!(said.stdout, "1.0 200\n");
    assert_ne!(
        longshore.run(&words).code,
        0,
        "an authority that nobody named is trusted"
    );
}

/// Looks for texts in the configuration and in every file of every layer that our build made.
fn assert_nowhere(layout: &Path, texts: &[&str]) {
    let image = Image::open(layout);
    let own: Vec<String> = image.named_layers().into_values().collect();
    for (diff_id, blob) in image.diff_ids().iter().zip(image.layer_digests()) {
        // The run image below has Debian's own certificates and documentation.
        if !own.contains(diff_id) {
            continue;
        }
        let path = layout.join("blobs").join(blob.replace(':', "/"));
        for text in texts {
            let search = "gzip -dc -- \"$0\" | grep -aqF -e \"$1\"";
            let found = Command::new("sh")
                .args(["-c", search])
                .arg(&path)
                .arg(text)
                .status()
                .unwrap();
            assert!(!found.success(), "{text:?} is in the layer {diff_id}");
        }
    }
    for text in texts {
        assert!(
            !image.config.to_string().contains(text),
            "{text:?} is in the configuration"
        );
    }
}
