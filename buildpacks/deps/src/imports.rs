//! Which modules are loaded when an app imports its packages: import statements, followed from file to file without running anything.
//!
//! Only statements that run when a module is loaded count: those in the first column, and those in blocks below it
//! (`if`, `try`, `with`), but not those in functions and classes. What a program imports by a computed name is not seen.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

/// One module-level import of an absolute module name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub(crate) module: String,
    /// Whether the statement stands in the first column, where no `try` catches a failure.
    pub(crate) unguarded: bool,
}

/// Every module that is loaded by importing `roots`, with what it imports.
pub(crate) fn loaded_modules(
    site_packages: &Path,
    roots: impl IntoIterator<Item = String>,
) -> Vec<(PathBuf, Vec<Import>)> {
    let mut queue: VecDeque<String> = roots.into_iter().collect();
    let mut seen: BTreeSet<String> = queue.iter().cloned().collect();
    let mut loaded = Vec::new();
    while let Some(module) = queue.pop_front() {
        let Some((file, is_package)) = file_of(site_packages, &module) else {
            continue;
        };
        let Ok(bytes) = std::fs::read(&file) else {
            continue;
        };
        let package = if is_package {
            module.clone()
        } else {
            parent(&module).unwrap_or_default().to_owned()
        };
        let imports = module_imports(&String::from_utf8_lossy(&bytes), &package);
        for import in &imports {
            // Importing a.b.c loads a and a.b first.
            for name in prefixes(&import.module) {
                if seen.insert(name.to_owned()) {
                    queue.push_back(name.to_owned());
                }
            }
        }
        loaded.push((file, imports));
    }
    loaded
}

fn file_of(site_packages: &Path, module: &str) -> Option<(PathBuf, bool)> {
    let path = site_packages.join(module.replace('.', "/"));
    let package = path.join("__init__.py");
    if package.is_file() {
        return Some((package, true));
    }
    let file = path.with_added_extension("py");
    file.is_file().then_some((file, false))
}

fn parent(module: &str) -> Option<&str> {
    module.rsplit_once('.').map(|(parent, _)| parent)
}

fn prefixes(module: &str) -> impl Iterator<Item = &str> {
    let ends = module
        .match_indices('.')
        .map(|(end, _)| end)
        .chain([module.len()]);
    ends.map(|end| &module[..end])
}

/// The imports that run when `source`, a module of `package`, is loaded.
fn module_imports(source: &str, package: &str) -> Vec<Import> {
    let mut imports = Vec::new();
    let mut in_definition = false;
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let statement = line.trim_start();
        if statement.is_empty() || statement.starts_with('#') {
            continue;
        }
        let unguarded = statement.len() == line.len();
        if unguarded {
            in_definition = ["def ", "class ", "async ", "@"]
                .iter()
                .any(|start| statement.starts_with(start));
        }
        if in_definition {
            continue;
        }
        let mut whole = without_comment(statement).to_owned();
        if !(whole.starts_with("import ")
            || whole.starts_with("from ")
            || whole.starts_with("__import__("))
        {
            continue;
        }
        while open_ended(&whole) {
            let Some(next) = lines.next() else { break };
            whole = format!(
                "{} {}",
                whole.trim_end_matches('\\'),
                without_comment(next).trim()
            );
        }
        imports.extend(
            statement_imports(&whole, package)
                .into_iter()
                .map(|module| Import { module, unguarded }),
        );
    }
    imports
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim_end()
}

fn open_ended(statement: &str) -> bool {
    statement.ends_with('\\') || (statement.contains('(') && !statement.contains(')'))
}

fn statement_imports(statement: &str, package: &str) -> Vec<String> {
    let first_word = |text: &str| {
        text.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    if let Some(call) = statement.strip_prefix("__import__(") {
        return call
            .split(['"', '\''])
            .nth(1)
            .map(str::to_owned)
            .into_iter()
            .collect();
    }
    if let Some(names) = statement.strip_prefix("import ") {
        return names
            .split(',')
            .map(first_word)
            .filter(|name| !name.is_empty())
            .collect();
    }
    let Some((from, names)) = statement
        .strip_prefix("from ")
        .and_then(|rest| rest.split_once(" import"))
    else {
        return Vec::new();
    };
    let Some(base) = absolute(from.trim(), package) else {
        return Vec::new();
    };
    let names = names.trim().trim_start_matches('(').trim_end_matches(')');
    let members = names
        .split(',')
        .map(first_word)
        .filter(|name| !name.is_empty() && name != "*")
        // Whether that is a module or a value shows when its file is looked for.
        .map(|name| format!("{base}.{name}"));
    std::iter::once(base.clone()).chain(members).collect()
}

/// `..x` in package `a.b` is `a.x`.
fn absolute(from: &str, package: &str) -> Option<String> {
    let rest = from.trim_start_matches('.');
    let dots = from.len() - rest.len();
    if dots == 0 {
        return Some(rest.to_owned());
    }
    let mut base = package;
    for _ in 1..dots {
        base = parent(base)?;
    }
    Some(if rest.is_empty() {
        base.to_owned()
    } else {
        format!("{base}.{rest}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_imports_every_form() {
        let source = "\
import a.b, c as d  # why
from . import (
    e,  # one
    f as g,
)
from ..h import i
from j \\
    import k
try:
    import l
except ImportError:
    pass
def function():
    import never
class C:
    import never
__import__('m').n
";
        let found: Vec<(String, bool)> = module_imports(source, "p.q")
            .into_iter()
            .map(|import| (import.module, import.unguarded))
            .collect();
        let expected = [
            ("a.b", true),
            ("c", true),
            ("p.q", true),
            ("p.q.e", true),
            ("p.q.f", true),
            ("p.h", true),
            ("p.h.i", true),
            ("j", true),
            ("j.k", true),
            ("l", false),
            ("m", true),
        ];
        assert_eq!(
            found,
            expected.map(|(name, unguarded)| (name.to_owned(), unguarded))
        );
    }

    #[test]
    fn loaded_modules_follows_files() {
        let site = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("app/__init__.py", "from .core import x\n"),
            ("app/core.py", "import lib.deep\n"),
            ("app/tool.py", "import never\n"),
            ("lib/__init__.py", ""),
            ("lib/deep.py", "import app\nimport elsewhere\n"),
        ] {
            let path = site.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let files: Vec<String> = loaded_modules(site.path(), ["app".to_owned()])
            .into_iter()
            .map(|(file, _)| {
                file.strip_prefix(site.path())
                    .unwrap()
                    .display()
                    .to_string()
            })
            .collect();
        assert_eq!(
            files,
            [
                "app/__init__.py",
                "app/core.py",
                "lib/__init__.py",
                "lib/deep.py"
            ]
        );
    }
}
