//! Bytecode for every module, `unchecked-hash` (PEP 552): Python neither compiles at start nor looks at the sources' times, and the same
//! source gives the same bytes.
//!
//! uv could compile too, but it compiles everything anew each time, which is most of an installation's duration. Here
//! bytecode of the last build is taken over for every module whose source is the same.

use crate::command::Environment;
use crate::digest;
use crate::interpreter::Interpreter;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

/// Compiles one file per line of standard input and answers with a line. Files that are no Python 3 (templates, old code) stay sources.
///
/// marshal writes an object in another way if anything else refers to it (`FLAG_REF`, where `Py_REFCNT` is not 1), so the bytes would depend
/// on what the process has done before: names are interned, and other modules have some of them too. Here everything in a module's code is
/// held once more while it is written, so that all of it counts as referred to, whatever else there is. marshal also says whether a text is interned,
/// and texts of one Latin-1 character (or none) are one object for the whole process: before Python 3.12 whatever used one as a name had it interned.
/// Here all of them are. Last, equal constant sets of a module (`x in {"a", "b"}`, or a display of three and more) are one object, unless the
/// process has had one of their texts interned: then every place gets a set of its own (`intern_constants` in CPython's codeobject.c), which
/// marshal writes at length. So a module with such sets is compiled once more while the texts of the first time are held, interned: every place
/// then has its own.
const WORKER: &str = "\
import importlib.machinery, importlib.util, marshal, os, sys, types

def hold(value, held):
    held.append(value)
    if type(value) is str and (not value or len(value) == 1 and value < '\\u0100'):
        sys.intern(value)
    if isinstance(value, (tuple, frozenset)):
        for item in value:
            hold(item, held)
    elif isinstance(value, types.CodeType):
        hold((value.co_name, getattr(value, 'co_qualname', ''), value.co_filename), held)
        hold((value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars), held)
        hold(value.co_consts, held)

def compile_file(path):
    with open(path, 'rb') as file:
        source = file.read()
    loader = importlib.machinery.SourceFileLoader('', path)
    code = loader.source_to_code(source, path)
    held = []
    hold(code, held)
    if any(type(value) is frozenset for value in held):
        code = loader.source_to_code(source, path)
        hold(code, held)
    # PEP 552: hash-based, unchecked.
    header = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, 'little') + importlib.util.source_hash(source)
    target = importlib.util.cache_from_source(path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, 'wb') as file:
        file.write(header + marshal.dumps(code))

for line in sys.stdin.buffer:
    try:
        compile_file(os.fsdecode(line[:-1]))
    except Exception:
        pass
    sys.stdout.buffer.write(b'\\n')
    sys.stdout.buffer.flush()
";

/// Compiles every `.py` file below `site_packages` that has no bytecode yet; gives how many there were.
pub fn compile(
    site_packages: &Path,
    interpreter: &Interpreter,
    environment: &Environment,
    workers: usize,
) -> io::Result<usize> {
    let tag = cache_tag(interpreter);
    let mut files = sources(site_packages)?;
    files.retain(|source| !bytecode_path(source, &tag).is_file());
    let count = files.len();
    // Largest last: they are taken from the end, and a long file at the very end would leave the other workers idle.
    files.sort_by_key(|file| {
        (
            fs::metadata(file).map_or(0, |metadata| metadata.len()),
            file.clone(),
        )
    });
    let queue = Mutex::new(files);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers.clamp(1, count.max(1)))
            .map(|_| scope.spawn(|| work(&queue, &interpreter.executable, environment)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a bytecode worker panicked")))
        })
    })?;
    Ok(count)
}

fn work(queue: &Mutex<Vec<PathBuf>>, python: &Path, environment: &Environment) -> io::Result<()> {
    let next = || queue.lock().ok().and_then(|mut files| files.pop());
    let Some(mut file) = next() else {
        return Ok(());
    };
    // `-I` would keep the app's variables and modules out too, but PYTHONHASHSEED as well: before Python 3.11 a set of
    // strings is written in the order of its hashes.
    let plain = environment
        .iter()
        .filter(|(name, _)| !name.as_bytes().starts_with(b"PYTHON"));
    let mut child = Command::new(python)
        .args(["-B", "-s", "-S", "-W", "ignore", "-c", WORKER])
        .current_dir("/")
        .env_clear()
        .envs(plain)
        .env("PYTHONHASHSEED", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (Some(mut questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("no pipes to the bytecode worker"));
    };
    let mut answers = BufReader::new(answers);
    let mut answer = Vec::new();
    loop {
        questions.write_all(&[file.as_os_str().as_bytes(), b"\n"].concat())?;
        answer.clear();
        if answers.read_until(b'\n', &mut answer)? == 0 {
            return Err(io::Error::other(format!(
                "Python ended while compiling '{}'",
                file.display()
            )));
        }
        match next() {
            Some(another) => file = another,
            None => break,
        }
    }
    drop(questions);
    child.wait()?;
    Ok(())
}

/// Every Python source below `folder`.
fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.map_err(io::Error::other)?;
        let is_source =
            entry.file_type().is_file() && entry.path().extension() == Some(OsStr::new("py"));
        // The worker reads one name a line.
        if is_source && !entry.path().as_os_str().as_bytes().contains(&b'\n') {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// `cpython-313`: PEP 3147.
fn cache_tag(interpreter: &Interpreter) -> String {
    let (major, minor) = interpreter.facts.minor_numbers();
    format!("cpython-{major}{minor}")
}

/// `a/b.py` -> `a/__pycache__/b.cpython-313.pyc`
fn bytecode_path(source: &Path, tag: &str) -> PathBuf {
    let mut name = source.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{tag}.pyc"));
    source.with_file_name("__pycache__").join(name)
}

/// Bytecode of the last environment, kept while that is replaced by a new one of the same interpreter.
#[derive(Debug)]
pub struct Salvage {
    folder: tempfile::TempDir,
    tag: String,
    /// Source (relative) -> digest of the source.
    sources: BTreeMap<PathBuf, String>,
}

impl Salvage {
    /// Copies all bytecode of `site_packages` to a folder of its own below `scratch`.
    pub fn collect(
        site_packages: &Path,
        interpreter: &Interpreter,
        scratch: &Path,
    ) -> io::Result<Self> {
        let mut salvage = Self {
            folder: tempfile::tempdir_in(scratch)?,
            tag: cache_tag(interpreter),
            sources: BTreeMap::new(),
        };
        for source in sources(site_packages)? {
            let bytecode = bytecode_path(&source, &salvage.tag);
            let Ok(relative) = source.strip_prefix(site_packages) else {
                continue;
            };
            if bytecode.is_file() {
                let kept = salvage.folder.path().join(relative);
                fs::create_dir_all(kept.parent().unwrap_or(salvage.folder.path()))?;
                fs::copy(&bytecode, kept)?;
                salvage
                    .sources
                    .insert(relative.to_owned(), digest::of_file(&source)?);
            }
        }
        Ok(salvage)
    }

    /// Gives the bytecode to every module of `site_packages` whose source is the same; tells how many.
    pub fn restore(&self, site_packages: &Path) -> io::Result<usize> {
        let mut restored = 0;
        for (relative, digest) in &self.sources {
            let source = site_packages.join(relative);
            if digest::of_file(&source).ok().as_ref() != Some(digest) {
                continue;
            }
            let bytecode = bytecode_path(&source, &self.tag);
            fs::create_dir_all(bytecode.parent().unwrap_or(site_packages))?;
            fs::copy(self.folder.path().join(relative), bytecode)?;
            restored += 1;
        }
        Ok(restored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytecode_path_of_a_module() {
        assert_eq!(
            bytecode_path(Path::new("/s/a/b.c.py"), "cpython-313"),
            Path::new("/s/a/__pycache__/b.c.cpython-313.pyc")
        );
    }
}
