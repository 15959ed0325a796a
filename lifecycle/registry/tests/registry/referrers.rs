//! Attaching to an image, with the referrers API and without.

use std::collections::BTreeMap;

use oci_image::BlobRef;
use registry::{Artifact, Push};
use test_registry::{Options, TestRegistry};

use crate::fixture::{client, image, reference};

#[test]
fn attached_is_listed_with_and_without_the_api() {
    for referrers in [true, false] {
        let server = TestRegistry::with(Options {
            referrers,
            ..Options::default()
        });
        let registry = client(&server);
        let tag = reference(&server, "app:1");
        let app = image(1, &[10]);
        let push = Push {
            tags: std::slice::from_ref(&tag),
            mount_from: &[],
            previous: None,
        };
        registry.push_image(&app, &push).expect("pushed");
        let manifest = app.documents().manifest;
        let subject = BlobRef {
            digest: manifest.digest,
            size: manifest.bytes.len() as u64,
        };
        let listed = |kind| {
            registry
                .referrers(&tag, &subject.digest, kind)
                .expect("listed")
        };
        assert_eq!(listed(None), []);

        let artifact = |kind: &str, text: &str| Artifact {
            artifact_type: kind.to_owned(),
            content: vec![("application/json".to_owned(), text.as_bytes().to_vec())],
            annotations: BTreeMap::new(),
        };
        let sbom = registry
            .attach(
                &tag,
                subject,
                &artifact("application/vnd.cyclonedx+json", "{}"),
            )
            .expect("attached");
        let proof = registry
            .attach(
                &tag,
                subject,
                &artifact("application/vnd.in-toto+json", "[]"),
            )
            .expect("attached");
        // Attached again, it is still one.
        let again = registry.attach(
            &tag,
            subject,
            &artifact("application/vnd.in-toto+json", "[]"),
        );
        assert_eq!(again.expect("attached"), proof);

        let mut all: Vec<_> = listed(None)
            .into_iter()
            .map(|referrer| referrer.digest)
            .collect();
        let mut expected = vec![sbom, proof];
        all.sort();
        expected.sort();
        assert_eq!(all, expected, "with the API: {referrers}");
        let [only] = &listed(Some("application/vnd.in-toto+json"))[..] else {
            panic!("one of that type");
        };
        assert_eq!(only.digest, proof);
        let fallback = format!("sha256-{}", subject.digest.hex());
        assert_eq!(server.tag("app", &fallback).is_some(), !referrers);
    }
}
