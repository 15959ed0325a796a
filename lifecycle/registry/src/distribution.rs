//! Distribution, the registry that Docker Hub, GitLab's, Harbor and Debian's docker-registry are made of: how it is told from others.
//!
//! It refuses a manifest whose blobs it does not have (`verifyManifest` in its `registry/storage/ocimanifesthandler.go`). So nobody has to
//! look for each blob that it said it stored: it looks itself, when it gets the manifest. Others are free not to (OCI distribution
//! specification 1.1, "Pushing manifests"), and their headers do not tell. What does is an upload's address: only distribution
//! keeps the upload's state there, signed, under the upload's own name (`registry/handlers/hmac.go`):
//!
//! ```text
//! /v2/app/blobs/uploads/4c93…?_state=base64url(HMAC-SHA256, {"Name":"app","UUID":"4c93…","Offset":0,…})
//! ```

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use serde::Deserialize;
use url::Url;

/// The length of the signature.
const SIGNATURE: usize = 32;

#[derive(Deserialize)]
struct UploadState {
    #[serde(rename = "UUID")]
    uuid: String,
}

/// Did distribution give this address to an upload?
pub(crate) fn is_upload(address: &Url) -> bool {
    let mut pairs = address.query_pairs();
    let signed = pairs.find(|(key, _)| key == "_state");
    let signed = signed.and_then(|(_, state)| URL_SAFE.decode(state.as_bytes()).ok());
    let state: Option<UploadState> =
        signed.and_then(|signed| serde_json::from_slice(signed.get(SIGNATURE..)?).ok());
    let name = address
        .path_segments()
        .and_then(|mut names| names.next_back());
    state.is_some_and(|state| Some(state.uuid.as_str()) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_upload_addresses_of_registries() {
        // As Debian's docker-registry 2.8.2 gave it.
        let state = "kVdsYZHyR1W-Uoj49VTH1AfpdN8xgsx5kInn9BdYiW97Ik5hbWUiOiJub3BlIiwiVVVJRCI6IjRjOTNkZjNkLTA4N2MtNDBjOC1h\
                     NWY2LTVkMWFhNjE0NWI0NCIsIk9mZnNldCI6MCwiU3RhcnRlZEF0IjoiMjAyNi0xMS0yNlQyMTo1Nzo0Ny4yMzA1NTgyMjlaIn0%3D";
        let uuid = "4c93df3d-087c-40c8-a5f6-5d1aa6145b44";
        for (path, expected) in [
            (format!("nope/blobs/uploads/{uuid}?_state={state}"), true),
            (
                format!("nope/blobs/uploads/{uuid}?x=1&_state={state}"),
                true,
            ),
            (format!("nope/blobs/uploads/1?_state={state}"), false),
            (format!("nope/blobs/uploads/{uuid}"), false),
            (format!("nope/blobs/uploads/{uuid}?_state=0"), false),
            (format!("nope/blobs/uploads/{uuid}?_state=%FF"), false),
        ] {
            let address: Url = format!("https://r.test/v2/{path}").parse().unwrap();
            assert_eq!(is_upload(&address), expected, "{address}");
        }
    }
}
