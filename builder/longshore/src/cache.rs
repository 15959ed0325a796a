//! `longshore cache list` and `longshore cache prune`.

use std::time::Duration;

use store::Limits;

use crate::cli::PruneArgs;
use crate::commands::Context;
use crate::errors;
use crate::failure::Failure;
use crate::output::size;

/// Prints what the store holds.
pub(crate) fn list(context: &Context) -> Result<(), Failure> {
    let images = context
        .store
        .images()
        .map_err(|error| errors::store(&error))?;
    let usage = context
        .store
        .usage()
        .map_err(|error| errors::store(&error))?;
    let output = &context.output;
    output.result(&format!(
        "Images ({}, {}):",
        context.folders.data.display(),
        size(usage.blob_bytes)
    ));
    for image in &images {
        output.result(&format!("  {}  {}", image.name, image.manifest));
    }
    output.result(&format!("Caches ({}):", context.folders.cache.display()));
    output.result(&format!(
        "  {} unpacked layers, {}",
        usage.trees,
        size(usage.tree_bytes)
    ));
    output.result(&format!(
        "  {} downloads, {}",
        usage.downloads,
        size(usage.download_bytes)
    ));
    output.result(&format!("  {} apps with cached layers", usage.apps.len()));
    for (app, _) in &usage.apps {
        output.result(&format!("    {}", app.display()));
    }
    Ok(())
}

/// Removes what nothing needs, and says how much that was.
pub(crate) fn prune(arguments: &PruneArgs, context: &Context) -> Result<(), Failure> {
    let PruneArgs {
        older_than_days,
        keep_mb,
        all,
    } = *arguments;
    let limits = if all {
        Limits {
            app_age: Duration::ZERO,
            bytes: 0,
        }
    } else {
        let app_age = Duration::from_secs(older_than_days.saturating_mul(86_400));
        Limits {
            app_age,
            bytes: keep_mb.map_or(u64::MAX, |mb| mb.saturating_mul(1_000_000)),
        }
    };
    if context
        .store
        .is_held()
        .map_err(|error| errors::store(&error))?
    {
        context
            .output
            .info("Waiting for the builds and apps under way to end: they use what is kept");
    }
    let pruned = context
        .store
        .prune(&limits, &[], context.now)
        .map_err(|error| errors::store(&error))?;
    context.output.result(&format!(
        "Removed {} entries, {}",
        pruned.entries,
        size(pruned.bytes)
    ));
    Ok(())
}
