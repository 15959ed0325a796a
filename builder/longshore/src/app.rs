//! The app folder: what of it goes into the build, and what its control files say.

pub(crate) mod control;
pub(crate) mod requested_buildpacks;
pub(crate) mod selection;
