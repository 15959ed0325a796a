//! The interpreter's own test before it goes into an image: every module of its standard library is imported once.

use buildpack_kit::command::{Environment, RunToolError, Show, ToolCommand};
use buildpack_kit::output::Output;
use std::path::Path;

/// Imports everything and prints a line for each failure, then how many went well.
///
/// What is left out of the layer, belongs to other operating systems, or does something when imported (`this`, `antigravity`) is not tried.
const CHECK: &str = r#"
import importlib, importlib.util, os, sys
skipped = set("""antigravity this idlelib lib2to3 test tkinter turtle turtledemo ensurepip _tkinter _gdbm _android_support _apple_support
_ios_support _aix_support _osx_support _scproxy _winapi _wmi _overlapped msvcrt nt ntpath nturl2path winreg winsound msilib _msi
sitecustomize usercustomize __main__ _testcapi _testlimitedcapi _testinternalcapi _testclinic _testclinic_limited _testbuffer _testmultiphase
_testsinglephase _testimportmultiple _testexternalinspection _ctypes_test _xxtestfuzz _xxinterpchannels _xxinterpqueues _xxsubinterpreters xxlimited xxlimited_35 xxsubtype
_interpchannels _interpqueues _interpreters _suggestions _pyrepl""".split())
# Not every interpreter is built with these.
optional = {"nis", "ossaudiodev", "_crypt", "crypt", "_dbm", "readline"}
names = getattr(sys, "stdlib_module_names", None)
if names is None:
    library = os.path.dirname(os.__file__)
    names = set(sys.builtin_module_names)
    for folder in (library, os.path.join(library, "lib-dynload")):
        for name in os.listdir(folder):
            stem = name.split(".")[0]
            if name.endswith((".py", ".so")) or os.path.isfile(os.path.join(folder, name, "__init__.py")):
                names.add(stem)
    names -= {"__phello__", "__future__", "LICENSE"}
import warnings
warnings.simplefilter("ignore")
count = 0
for name in sorted(set(names) - skipped):
    if name in optional and importlib.util.find_spec(name) is None:
        continue
    try:
        importlib.import_module(name)
        count += 1
    except BaseException as error:
        print("failed:", name, type(error).__name__, error)
for name in ("ctypes.util", "xml.etree.ElementTree", "multiprocessing.pool", "concurrent.futures.process", "encodings.idna", "email.mime.text",
             "http.server", "importlib.metadata", "json.decoder", "logging.handlers", "sqlite3.dbapi2", "urllib.request", "zoneinfo" if sys.version_info >= (3, 9) else "json"):
    try:
        importlib.import_module(name)
        count += 1
    except BaseException as error:
        print("failed:", name, type(error).__name__, error)
import ssl, sqlite3, zlib, lzma, bz2, ctypes, hashlib
hashlib.sha256(b"").hexdigest()
sqlite3.connect(":memory:").execute("select 1").fetchone()
ssl.create_default_context()
print("imported:", count)
"#;

/// Imports the whole standard library; gives the number of modules, or those that failed with their reasons.
pub(crate) fn check_standard_library(python: &Path) -> Result<usize, ImportCheckError> {
    // No variable of the build may help: the run image will not have it.
    let environment = Environment::from([
        ("PATH".into(), "/usr/bin:/bin".into()),
        ("LANG".into(), "C.UTF-8".into()),
    ]);
    let ran = ToolCommand::new(python, Path::new("/"), &environment)
        .args(["-I", "-S", "-B", "-c", CHECK])
        .run(Show::Nothing, &mut Output::captured())?;
    let failed: Vec<&str> = ran
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("failed: "))
        .collect();
    let count = ran
        .text
        .lines()
        .find_map(|line| line.strip_prefix("imported: ")?.parse().ok());
    match count {
        Some(count) if failed.is_empty() && ran.status.success() => Ok(count),
        _ if !failed.is_empty() => Err(ImportCheckError::Failed(failed.join("\n"))),
        _ => Err(ImportCheckError::Failed(ran.text)),
    }
}

/// Why the interpreter is not fit for use.
#[derive(Debug, thiserror::Error)]
pub enum ImportCheckError {
    /// It cannot be started.
    #[error(transparent)]
    Run(#[from] RunToolError),
    /// Some modules cannot be imported.
    #[error("modules of the standard library cannot be imported:\n{0}")]
    Failed(String),
}
