//! What a build of an app keeps for the next one: its cached layers, whose trees garbage collection then spares.

use std::path::PathBuf;

use oci_image::{DiffId, Digest};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::locks::Lock;
use crate::{Store, disk};

/// One app's cached layers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AppState {
    /// The app's folder, for people.
    pub app: PathBuf,
    /// When it was last built, in seconds since 1970.
    pub built: u64,
    /// The cached layers.
    pub layers: Vec<DiffId>,
    /// What the lifecycle wants to find again with them (the label `io.buildpacks.lifecycle.cache.metadata`).
    pub metadata: serde_json::Value,
}

/// An app's state, for one build at a time.
#[derive(Debug)]
pub struct AppCache {
    path: PathBuf,
    /// The state that the last build left; `None` for the first.
    pub state: Option<AppState>,
    _lock: Lock,
}

impl Store {
    /// Opens an app's cache, waiting for a build of the same app to end. `identity` says which app it is.
    pub fn app(&self, identity: &str) -> Result<AppCache, StoreError> {
        let key = Digest::of(identity.as_bytes()).hex();
        let lock = Lock::exclusive(&self.cache.join("locks").join(format!("app-{key}")))?;
        let path = self.cache.join("apps").join(format!("{key}.json"));
        Ok(AppCache {
            state: disk::read_json(&path)?,
            path,
            _lock: lock,
        })
    }

    /// The state of every app, with the file that holds it.
    pub(crate) fn app_states(&self) -> Result<Vec<(PathBuf, AppState)>, StoreError> {
        let folder = self.cache.join("apps");
        let mut states = Vec::new();
        for name in disk::names(&folder)? {
            let path = folder.join(name);
            if let Some(state) = disk::read_json(&path)? {
                states.push((path, state));
            }
        }
        Ok(states)
    }
}

impl AppCache {
    /// Keeps a new state, whole or not at all.
    pub fn save(&mut self, state: AppState) -> Result<(), StoreError> {
        disk::write_json(&self.path, &state)?;
        failpoint::reach("app-saved");
        self.state = Some(state);
        Ok(())
    }

    /// Forgets the state: the next build starts afresh.
    pub fn clear(&mut self) -> Result<(), StoreError> {
        disk::remove(&self.path)?;
        self.state = None;
        Ok(())
    }
}
