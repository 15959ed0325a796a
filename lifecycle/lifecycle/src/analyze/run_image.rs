//! Chooses the run image when the platform does not name one: `run.toml` or, before Platform API 0.12, `stack.toml`.

use std::path::PathBuf;

use cnb_spec::run_image::{RunImage, RunToml, Stack};

use crate::files::{FileError, read_toml_if_there};
use crate::image_name::ImageName;
use crate::output::Output;

/// The file that lists the run images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunImageFile {
    /// `run.toml`, since Platform API 0.12.
    Run(PathBuf),
    /// `stack.toml`
    Stack(PathBuf),
}

impl RunImageFile {
    /// The run images in the file; none where there is no file.
    pub fn images(&self, output: &Output) -> Result<Vec<RunImage>, FileError> {
        let (kind, path, images) = match self {
            Self::Run(path) => {
                let run: Option<RunToml> = read_toml_if_there(path)?;
                ("run", path, run.map(|run| run.images))
            }
            Self::Stack(path) => {
                let stack: Option<Stack> = read_toml_if_there(path)?;
                ("stack", path, stack.map(|stack| vec![stack.run_image]))
            }
        };
        if images.is_none() {
            let path = path.display();
            output.info(format_args!("No {kind} metadata found at path \"{path}\""));
        }
        Ok(images.unwrap_or_default())
    }
}

/// Chooses among the first image and its mirrors: one in the registry of the image that is built, else the first. `accessible` says whether an image can be read.
pub fn choose_run_image(
    file: &RunImageFile,
    output_image: &ImageName,
    accessible: impl Fn(&str) -> bool,
    output: &Output,
) -> Result<String, ChooseRunImageError> {
    let images = file.images(output)?;
    let first = images.first().ok_or(ChooseRunImageError::NoneListed)?;
    choose_mirror(first, output_image, accessible)
}

/// Chooses among an image and its mirrors, as [`choose_run_image`] does.
pub fn choose_mirror(
    run_image: &RunImage,
    output_image: &ImageName,
    accessible: impl Fn(&str) -> bool,
) -> Result<String, ChooseRunImageError> {
    if run_image.image.is_empty() {
        return Err(ChooseRunImageError::NoneListed);
    }
    let in_same_registry = |name: &&str| {
        let parsed = name.parse::<ImageName>();
        parsed.is_ok_and(|name| name.registry() == output_image.registry())
    };
    let near = run_image.names().filter(in_same_registry);
    let mut candidates = near.chain(run_image.names());
    let chosen = candidates.find(|name| accessible(name));
    chosen
        .map(str::to_owned)
        .ok_or_else(|| ChooseRunImageError::NoneAccessible {
            tried: run_image.names().map(str::to_owned).collect(),
        })
}

/// Why no run image could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum ChooseRunImageError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no file, or nothing in it.
    #[error("-run-image is required when there is no run metadata available")]
    NoneListed,
    /// None of them can be read.
    #[error("failed to find accessible run image; tried {}", tried.join(", "))]
    NoneAccessible {
        /// The image and its mirrors.
        tried: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::output::Level;

    #[test]
    fn choose_run_image_near_then_first() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("run.toml");
        fs::write(
            &path,
            "[[images]]\nimage = 'a.io/run'\nmirrors = ['b.io/run', 'c.io/run']\n[[images]]\nimage = 'd.io/run'",
        )
        .unwrap();
        let file = RunImageFile::Run(path);
        let output = Output::new(Level::Error, |_, _| {});
        let choose = |app: &str, broken: &[&str]| {
            let accessible = |name: &str| !broken.contains(&name);
            let chosen = choose_run_image(&file, &app.parse().unwrap(), accessible, &output);
            chosen.map_err(|error| error.to_string())
        };
        assert_eq!(choose("b.io/app", &[]).unwrap(), "b.io/run");
        assert_eq!(choose("d.io/app", &[]).unwrap(), "a.io/run");
        assert_eq!(
            choose("b.io/app", &["b.io/run", "a.io/run"]).unwrap(),
            "c.io/run"
        );
        let error = choose("x", &["a.io/run", "b.io/run", "c.io/run"]).unwrap_err();
        assert!(error.ends_with("tried a.io/run, b.io/run, c.io/run"));
        let missing = RunImageFile::Stack(scratch.path().join("none"));
        let app = "x".parse().unwrap();
        assert!(matches!(
            choose_run_image(&missing, &app, |_| true, &output),
            Err(ChooseRunImageError::NoneListed)
        ));
    }
}
