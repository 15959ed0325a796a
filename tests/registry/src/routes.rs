//! The distribution specification's requests (1.1, "Endpoints").

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use serde_json::{Value, json};

use crate::Shared;
use crate::fault::Fault;
use crate::http::{Answer, Request};
use crate::store::{Store, Upload, digest_of};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Answers a request. With [`Fault::NotStored`], nothing is kept.
pub(crate) fn answer(request: &Request, fault: Option<Fault>, shared: &Shared) -> Answer {
    let options = &shared.options;
    let mut state = shared.state();
    let store = &mut state.store;
    let path = request.path();
    if path == "/token" {
        return options.auth.token_answer(request, store);
    }
    let Some(route) = Route::of(path) else {
        let needed = [];
        let refusal = options.auth.refusal(request, &needed, store, &shared.own);
        return refusal.unwrap_or_else(|| Answer::new(if path == "/v2/" { 200 } else { 404 }));
    };
    let needed = needed(request, &route);
    if let Some(refusal) = options.auth.refusal(request, &needed, store, &shared.own) {
        return refusal;
    }
    if request.body.len() > options.largest_body {
        return Answer::error(413, "SIZE_INVALID", "the body is too large");
    }
    let context = Context {
        request,
        shared,
        keeps: fault != Some(Fault::NotStored),
    };
    match (request.method.as_str(), &route.kind) {
        ("GET" | "HEAD", Kind::Blob(digest)) => context.blob(store, &route.repository, digest),
        ("POST", Kind::Uploads) => context.open_upload(store, &route.repository),
        (_, Kind::Upload(number)) => context.upload(store, &route.repository, *number),
        ("GET" | "HEAD", Kind::Manifest(name)) => context.manifest(store, &route.repository, name),
        ("PUT", Kind::Manifest(name)) => context.put_manifest(store, &route.repository, name),
        ("GET", Kind::Referrers(digest)) if options.referrers => {
            Context::referrers(store, &route.repository, digest)
        }
        (_, Kind::Referrers(_)) => Answer::new(404),
        _ => Answer::error(405, "UNSUPPORTED", "not here"),
    }
}

struct Route {
    repository: String,
    kind: Kind,
}

enum Kind {
    Blob(String),
    Uploads,
    Upload(u64),
    Manifest(String),
    Referrers(String),
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v2/")?;
        let (repository, kind) =
            if let Some((repository, upload)) = rest.split_once("/blobs/uploads/") {
                let kind = match upload {
                    "" => Kind::Uploads,
                    number => Kind::Upload(number.parse().ok()?),
                };
                (repository, kind)
            } else if let Some((repository, digest)) = rest.split_once("/blobs/") {
                (repository, Kind::Blob(digest.to_owned()))
            } else if let Some((repository, name)) = rest.split_once("/manifests/") {
                (repository, Kind::Manifest(name.to_owned()))
            } else {
                let (repository, digest) = rest.split_once("/referrers/")?;
                (repository, Kind::Referrers(digest.to_owned()))
            };
        Some(Self {
            repository: repository.to_owned(),
            kind,
        })
    }
}

fn needed(request: &Request, route: &Route) -> Vec<String> {
    let actions = match request.method.as_str() {
        "GET" | "HEAD" if !matches!(route.kind, Kind::Upload(_)) => "pull",
        _ => "pull,push",
    };
    let from = request.queried("from").into_iter();
    let mut needed = vec![format!("repository:{}:{actions}", route.repository)];
    needed.extend(from.map(|name| format!("repository:{name}:pull")));
    needed
}

struct Context<'a> {
    request: &'a Request,
    shared: &'a Shared,
    keeps: bool,
}

impl Context<'_> {
    fn with_digest(&self, answer: Answer, digest: &str) -> Answer {
        if self.shared.options.says_digests {
            answer.header("Docker-Content-Digest", digest)
        } else {
            answer
        }
    }

    fn blob(&self, store: &mut Store, repository: &str, digest: &str) -> Answer {
        let is_there = store.repository(repository).blobs.contains(digest);
        let Some(bytes) = store.blobs.get(digest).filter(|_| is_there) else {
            return Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
        };
        let start = self.request.header("range").and_then(|range| {
            let start = range.strip_prefix("bytes=")?.strip_suffix('-')?;
            start.parse::<usize>().ok()
        });
        let answer = match start {
            Some(start) if start >= bytes.len() => return Answer::new(416),
            Some(start) => {
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                Answer::new(206)
                    .header("Content-Range", range)
                    .body(bytes[start..].to_vec())
            }
            None => Answer::new(200).body(bytes.clone()),
        };
        self.with_digest(answer, digest)
    }

    fn open_upload(&self, store: &mut Store, repository: &str) -> Answer {
        let asked = |name: &str| self.request.queried(name).into_iter().next();
        if let (Some(digest), Some(from)) = (asked("mount"), asked("from"))
            && self.shared.options.mounts
            && store.repository(&from).blobs.contains(&digest)
        {
            if self.keeps {
                store.repository(repository).blobs.insert(digest.clone());
            }
            let place = format!("/v2/{repository}/blobs/{digest}");
            return self.with_digest(Answer::new(201).header("Location", place), &digest);
        }
        let number = store.number();
        let upload = Upload {
            repository: repository.to_owned(),
            bytes: Vec::new(),
        };
        store.uploads.insert(number, upload);
        Answer::new(202)
            .header("Location", self.location(repository, number, 0))
            .header("Range", "0-0")
    }

    fn upload(&self, store: &mut Store, repository: &str, number: u64) -> Answer {
        let unknown = || {
            Answer::error(
                404,
                "BLOB_UPLOAD_UNKNOWN",
                "blob upload unknown to registry",
            )
        };
        let Some(upload) = store.uploads.get_mut(&number) else {
            return unknown();
        };
        // Some registries keep the upload's state in the address: who loses its query has lost the upload.
        let state = self.request.queried("_state");
        if upload.repository != repository || state.is_empty() {
            return unknown();
        }
        let body = &self.request.body;
        match self.request.method.as_str() {
            "DELETE" => {
                store.uploads.remove(&number);
                Answer::new(204)
            }
            "GET" => self.accepted(204, repository, number, upload),
            "PATCH" => {
                let range = self.request.header("content-range");
                let start = range.and_then(|range| range.split_once('-')?.0.parse().ok());
                if start.is_some_and(|start: usize| start != upload.bytes.len()) {
                    let range = format!("0-{}", upload.bytes.len().saturating_sub(1));
                    return Answer::new(416).header("Range", range);
                }
                upload.bytes.extend(body);
                self.accepted(202, repository, number, upload)
            }
            "PUT" => {
                let Some(mut upload) = store.uploads.remove(&number) else {
                    return unknown();
                };
                upload.bytes.extend(body);
                let digest = digest_of(&upload.bytes);
                if self.request.queried("digest") != [digest.clone()] {
                    return Answer::error(400, "DIGEST_INVALID", "provided digest did not match");
                }
                if self.keeps {
                    store.put_blob(repository, &upload.bytes);
                }
                let place = format!("/v2/{repository}/blobs/{digest}");
                self.with_digest(Answer::new(201).header("Location", place), &digest)
            }
            _ => Answer::new(405),
        }
    }

    fn accepted(&self, status: u16, repository: &str, number: u64, upload: &Upload) -> Answer {
        let size = upload.bytes.len();
        Answer::new(status)
            .header("Location", self.location(repository, number, size))
            .header("Range", format!("0-{}", size.saturating_sub(1)))
    }

    fn location(&self, repository: &str, number: u64, size: usize) -> String {
        let state = if self.shared.options.is_distribution {
            let state = json!({"Name": repository, "UUID": number.to_string(), "Offset": size});
            let signature = [0; 32];
            URL_SAFE.encode([&signature[..], state.to_string().as_bytes()].concat())
        } else {
            size.to_string()
        };
        let origin = match self.shared.options.name {
            Some(_) => &self.shared.own,
            None => "",
        };
        format!("{origin}/v2/{repository}/blobs/uploads/{number}?_state={state}")
    }

    fn manifest(&self, store: &mut Store, repository: &str, name: &str) -> Answer {
        if self.shared.options.knows_names && !store.repositories.contains_key(repository) {
            return Answer::error(404, "NAME_UNKNOWN", "repository name not known to registry");
        }
        let repository = store.repository(repository);
        let digest = repository
            .tags
            .get(name)
            .cloned()
            .unwrap_or_else(|| name.to_owned());
        match repository.manifests.get(&digest) {
            Some(manifest) => {
                let answer = Answer::new(200)
                    .header("Content-Type", manifest.kind.clone())
                    .body(manifest.bytes.clone());
                self.with_digest(answer, &digest)
            }
            None => Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
        }
    }

    fn put_manifest(&self, store: &mut Store, repository: &str, name: &str) -> Answer {
        let bytes = &self.request.body;
        let digest = digest_of(bytes);
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
            return Answer::error(400, "MANIFEST_INVALID", "manifest invalid");
        };
        if name.contains(':') && name != digest {
            return Answer::error(400, "DIGEST_INVALID", "provided digest did not match");
        }
        let own = store.repository(repository);
        let taken = own.tags.get(name).is_some_and(|old| *old != digest);
        if taken && self.shared.options.immutable_tags {
            return Answer::error(
                400,
                "TAG_INVALID",
                "the tag exists and the repository is immutable",
            );
        }
        let named = value["layers"]
            .as_array()
            .into_iter()
            .flatten()
            .chain(value.get("config"));
        let is_missing = |digest: &Value| {
            digest
                .as_str()
                .is_none_or(|digest| !own.blobs.contains(digest))
        };
        let missing = named
            .map(|blob| &blob["digest"])
            .find(|digest| is_missing(digest));
        let options = &self.shared.options;
        let checks = options.checks_manifests || options.is_distribution;
        if let (Some(missing), true) = (missing, checks) {
            let message = format!("blob unknown to registry: {missing}");
            return Answer::error(400, "MANIFEST_BLOB_UNKNOWN", &message);
        }
        let kind = self
            .request
            .header("content-type")
            .unwrap_or_default()
            .to_owned();
        if self.keeps {
            let tag = (!name.contains(':')).then_some(name);
            store.put_manifest(repository, tag, &kind, bytes);
        }
        let place = format!("/v2/{repository}/manifests/{digest}");
        let mut answer = Answer::new(201).header("Location", place);
        if let (Some(subject), true) = (
            value["subject"]["digest"].as_str(),
            self.shared.options.referrers,
        ) {
            answer = answer.header("OCI-Subject", subject);
        }
        self.with_digest(answer, &digest)
    }

    fn referrers(store: &mut Store, repository: &str, subject: &str) -> Answer {
        let manifests = store.repository(repository).manifests.iter();
        let listed: Vec<Value> = manifests
            .filter_map(|(digest, manifest)| {
                let value: Value = serde_json::from_slice(&manifest.bytes).ok()?;
                (value["subject"]["digest"] == subject).then(|| {
                    json!({"mediaType": manifest.kind, "digest": digest, "size": manifest.bytes.len(),
                        "artifactType": value["artifactType"]})
                })
            })
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed});
        Answer::new(200)
            .header("Content-Type", INDEX)
            .body(index.to_string().into_bytes())
    }
}
