//! The rules that no compiler checks. Every broken one is said, not only the first.

mod arrows;
mod program;
mod text;

use crate::steps::{ChoreError, built, metadata, say};

/// Looks at the crates' arrows, at every tracked file's text, and at the programs built so far.
pub(crate) fn tidy() -> Result<(), ChoreError> {
    say("+ tidy");
    let mut broken = arrows::broken(&metadata()?)?;
    broken.extend(text::broken()?);
    for profile in ["debug", "release"] {
        broken.extend(program::broken(&built(profile)?)?);
    }
    if broken.is_empty() {
        return Ok(());
    }
    for rule in &broken {
        say(&format!("tidy: {rule}"));
    }
    Err(ChoreError::Said(format!(
        "tidy: {} rules are broken",
        broken.len()
    )))
}
