//! The app as a layer: the user's folder as it is where the build wrote nothing into it, else a copy with what was written.
//!
//! The folder's snapshot and its layer's digest are noted together, so that the next build of an unchanged folder opens no file of it.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use lifecycle::contents::AppSource;
use lifecycle::export::{Exported, Role};
use oci_image::layer::{FileKind, Modes, Selection};
use oci_image::{DiffId, TreePath};
use serde::{Deserialize, Serialize};
use store::overlay::{self, Change, LowerFiles};
use store::snapshot::{Snapshot, Watched};

use super::request::Request;
use super::workspace::Workspace;
use crate::commands::Context;
use crate::errors;
use crate::failure::Failure;

/// The kind of note that these are.
const NOTES: &str = "app-sources";

/// What is noted about an app.
#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    snapshot: Snapshot,
    layer: DiffId,
}

/// The app for the exporter, and its folder's snapshot if the folder itself is the layer's content.
#[derive(Debug)]
pub(crate) struct AppLayer {
    pub(crate) source: AppSource,
    snapshot: Option<Snapshot>,
}

pub(crate) fn look(
    request: &Request,
    workspace: &Workspace,
    context: &Context,
) -> Result<AppLayer, Failure> {
    let failed = |error: io::Error| {
        errors::storage("the app as it is after the build could not be read", &error)
    };
    if workspace.is_copy() {
        return Ok(AppLayer {
            source: AppSource {
                own_mode: workspace.app_mode(),
                ..AppSource::folder(workspace.app_upper())
            },
            snapshot: None,
        });
    }
    if !is_untouched(&request.app, workspace).map_err(failed)? {
        let merged = workspace.staging("app").map_err(failed)?.join("merged");
        overlay::merge(
            &request.app,
            &workspace.app_upper(),
            &merged,
            LowerFiles::CopySources,
        )
        .map_err(failed)?;
        return Ok(AppLayer {
            source: AppSource::folder(merged),
            snapshot: None,
        });
    }
    let hidden = workspace.hidden_paths();
    let at = TreePath::root();
    let selection = |path: &TreePath, _: FileKind| {
        if hidden.contains(path) {
            Selection::Leave
        } else {
            Selection::Take
        }
    };
    let watched = Watched {
        folder: &request.app,
        at: &at,
        selection: &selection,
        now: SystemTime::now(),
    };
    let noted: Option<Noted> = context
        .store
        .note(NOTES, &request.identity())
        .map_err(|error| errors::store(&error))?;
    let before = noted
        .as_ref()
        .map(|noted| &noted.snapshot)
        .cloned()
        .unwrap_or_default();
    let (snapshot, differences) = before
        .look_again(&watched)
        .map_err(|error| failed(io::Error::other(error)))?;
    for difference in differences.iter().filter(|_| noted.is_some()).take(5) {
        context.output.detail(&format!(
            "The app changed: {} ({:?})",
            difference.path, difference.what
        ));
    }
    let unchanged = noted
        .filter(|_| differences.is_empty())
        .map(|noted| noted.layer);
    let source = AppSource {
        path: request.app.clone(),
        hidden,
        modes: Modes::OfSources,
        own_mode: None,
        unchanged,
    };
    Ok(AppLayer {
        source,
        snapshot: Some(snapshot),
    })
}

impl AppLayer {
    /// Notes which layer the folder became. An app in slices has several, and is read anew each time.
    pub(crate) fn remember(
        &self,
        request: &Request,
        exported: &Exported,
        context: &Context,
    ) -> Result<(), Failure> {
        let mut parts = exported
            .layers
            .iter()
            .filter(|layer| matches!(layer.role, Role::App { .. }));
        let (Some(snapshot), Some(layer), None) = (&self.snapshot, parts.next(), parts.next())
        else {
            return Ok(());
        };
        let noted = Noted {
            snapshot: snapshot.clone(),
            layer: layer.blob.diff_id,
        };
        context
            .store
            .write_note(NOTES, &request.identity(), &noted)
            .map_err(|error| errors::store(&error))
    }
}

/// Is there nothing in the upper folder but the marks that hide what stays out, and the folders they are in?
fn is_untouched(app: &Path, workspace: &Workspace) -> io::Result<bool> {
    let upper = workspace.app_upper();
    let is_our_mark = |path: &Path| {
        let hidden = path
            .strip_prefix(&upper)
            .is_ok_and(|path| workspace.hidden().contains(path));
        hidden && overlay::is_whiteout(path).unwrap_or(false)
    };
    Ok(overlay::change_but_for(app, &upper, &is_our_mark)? == Change::Unchanged)
}
