//! Alternatives without `update-alternatives`: the links that maintainer scripts would have made, made in the layer.
//!
//! ```text
//! update-alternatives --install LINK NAME PATH PRIORITY [--slave LINK NAME PATH]…
//! ```
//!
//! Where several packages offer the same link, the highest priority wins, as in dpkg's automatic mode. A script is a shell program, so only
//! plain calls are understood: literal words, variables that the script sets to a literal, and loops over such words.

use std::collections::BTreeMap;

use crate::shell_text::logical_lines;

/// One link offered by a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alternative {
    /// Where the link is wanted: `/usr/lib/x86_64-linux-gnu/libblas.so.3`.
    pub(crate) link: String,
    /// What it leads to.
    pub(crate) path: String,
    /// The larger, the better.
    pub(crate) priority: i64,
}

/// What a script says about alternatives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) alternatives: Vec<Alternative>,
    /// Whether there are calls that were not understood.
    pub(crate) has_unread: bool,
}

/// Reads the calls in a `postinst`.
pub(crate) fn offered(script: &str, architecture: &str) -> Offered {
    let mut offered = Offered::default();
    let mut variables =
        Variables::from([("DPKG_MAINTSCRIPT_ARCH".to_owned(), architecture.to_owned())]);
    // The loops around a line, outermost first: each with the values its variable takes, if they are known.
    let mut loops: Vec<(String, Option<Vec<String>>)> = Vec::new();
    for line in logical_lines(script) {
        let text = line.trim();
        if let Some((name, values)) = loop_head(text, &variables) {
            loops.push((name, values));
        } else if text == "done" || text.starts_with("done ") || text.ends_with("; done") {
            loops.pop();
        } else if let Some((name, value)) = assignment(text) {
            let value = expand(value.trim_matches(['"', '\'']), &variables);
            variables.extend(value.map(|value| (name.to_owned(), value)));
        }
        let Some((_, call)) = text.split_once("update-alternatives") else {
            continue;
        };
        if text.starts_with('#') || !call.contains("--install") {
            continue;
        }
        match in_all_rounds(call, &variables, &loops) {
            Some(alternatives) => offered.alternatives.extend(alternatives),
            None => offered.has_unread = true,
        }
    }
    offered
}

/// `for NAME in WORDS; do`
fn loop_head(text: &str, variables: &Variables) -> Option<(String, Option<Vec<String>>)> {
    let (name, words) = text.strip_prefix("for ")?.split_once(" in ")?;
    let (words, rest) = words.split_once(';').unwrap_or((words, ""));
    // A loop on one line ends there too; its calls are not worth a parser.
    if rest.contains("done") {
        return None;
    }
    let values =
        expand(words, variables).map(|words| words.split_whitespace().map(str::to_owned).collect());
    Some((name.trim().to_owned(), values))
}

/// The call, once for each value of the loops around it.
fn in_all_rounds(
    call: &str,
    variables: &Variables,
    loops: &[(String, Option<Vec<String>>)],
) -> Option<Vec<Alternative>> {
    let Some(((name, values), inner)) = loops.split_first() else {
        return read_call(call, variables);
    };
    let mut alternatives = Vec::new();
    for value in values.as_ref()? {
        let mut variables = variables.clone();
        variables.insert(name.clone(), value.clone());
        alternatives.extend(in_all_rounds(call, &variables, inner)?);
    }
    Some(alternatives)
}

type Variables = BTreeMap<String, String>;

/// The best path for each link.
pub(crate) fn best(
    alternatives: impl IntoIterator<Item = Alternative>,
) -> BTreeMap<String, String> {
    let mut best: BTreeMap<String, Alternative> = BTreeMap::new();
    for alternative in alternatives {
        match best.get(&alternative.link) {
            Some(other) if other.priority >= alternative.priority => {}
            _ => {
                best.insert(alternative.link.clone(), alternative);
            }
        }
    }
    best.into_iter()
        .map(|(link, alternative)| (link, alternative.path))
        .collect()
}

/// `NAME=value`, alone on its line.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.trim().split_once('=')?;
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_quoted =
        |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    let is_one_word = !value.contains([' ', '\t']) || is_quoted('"') || is_quoted('\'');
    let is_literal = is_one_word && !value.contains([';', '`', '(', '&', '|']);
    (is_name && is_literal).then_some((name, value))
}

/// `--install LINK NAME PATH PRIORITY`
const ALTERNATIVE_WORDS: usize = 5;

fn read_call(call: &str, variables: &Variables) -> Option<Vec<Alternative>> {
    let end = call.find([';', '&', '|', '>', ')']).unwrap_or(call.len());
    let words = call[..end]
        .split_whitespace()
        .map(|word| expand(word.trim_matches(['"', '\'']), variables));
    // What follows the five words of an alternative are slaves, manual pages mostly: an unknown variable there ends the list.
    let words: Vec<Option<String>> = words.collect();
    let known = words.iter().take_while(|word| word.is_some()).count();
    if known < words.len() && known < ALTERNATIVE_WORDS {
        return None;
    }
    let words: Vec<String> = words.into_iter().take(known).flatten().collect();
    let mut words = words.iter().map(String::as_str);
    let mut alternatives = Vec::new();
    let mut priority = None;
    while let Some(word) = words.next() {
        match word {
            "--install" => {
                let (link, _name, path) = (words.next()?, words.next()?, words.next()?);
                let own = words.next()?.parse().ok()?;
                priority = Some(own);
                alternatives.push(Alternative {
                    link: absolute(link)?,
                    path: absolute(path)?,
                    priority: own,
                });
            }
            "--slave" => {
                let (link, _name, path) = (words.next()?, words.next()?, words.next()?);
                alternatives.push(Alternative {
                    link: absolute(link)?,
                    path: absolute(path)?,
                    priority: priority?,
                });
            }
            "--quiet" | "--force" => {}
            _ => return None,
        }
    }
    Some(alternatives)
}

fn absolute(path: &str) -> Option<String> {
    let is_plain = path.starts_with('/') && !path.split('/').any(|part| part == "..");
    is_plain.then(|| path.to_owned())
}

/// Replaces `$NAME` and `${NAME}`; nothing where one is unknown or the word is more than literals and variables.
fn expand(word: &str, variables: &Variables) -> Option<String> {
    let mut out = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, tail) = if let Some(braced) = after.strip_prefix('{') {
            braced.split_once('}')?
        } else {
            let end = after
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(after.len());
            after.split_at(end)
        };
        out.push_str(variables.get(name)?);
        rest = tail;
    }
    out.push_str(rest);
    (!out.contains(['`', '*', '?'])).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(script: &str) -> Vec<(String, String, i64)> {
        let offered = offered(script, "amd64");
        assert!(!offered.has_unread, "{script}");
        offered
            .alternatives
            .into_iter()
            .map(|found| (found.link, found.path, found.priority))
            .collect()
    }

    fn link(link: &str, path: &str, priority: i64) -> (String, String, i64) {
        (link.to_owned(), path.to_owned(), priority)
    }

    #[test]
    fn offered_blas() {
        let script = "#!/bin/sh\nset -e\nif [ \"$1\" = \"configure\" ]; then\n  update-alternatives --install \\\n    /usr/lib/x86_64-linux-gnu/libblas.so.3 \\\n    libblas.so.3-x86_64-linux-gnu \\\n    /usr/lib/x86_64-linux-gnu/blas/libblas.so.3 \\\n    10\nfi\n";
        let expected = link(
            "/usr/lib/x86_64-linux-gnu/libblas.so.3",
            "/usr/lib/x86_64-linux-gnu/blas/libblas.so.3",
            10,
        );
        assert_eq!(links(script), [expected]);
    }

    #[test]
    fn offered_slaves_and_variables() {
        let script = "DIR=/usr/lib/jvm\nJVM=$DIR/java-21\npriority=2111\nupdate-alternatives --quiet --install /usr/bin/java java ${JVM}/bin/java $priority --slave /usr/share/man/man1/java.1.gz java.1.gz \"$JVM/man/java.1.gz\" || true\n";
        let expected = [
            link("/usr/bin/java", "/usr/lib/jvm/java-21/bin/java", 2111),
            link(
                "/usr/share/man/man1/java.1.gz",
                "/usr/lib/jvm/java-21/man/java.1.gz",
                2111,
            ),
        ];
        assert_eq!(links(script), expected);
    }

    #[test]
    fn offered_in_loops() {
        let script = "tools='java keytool'\npriority=1711\nfor prog in animate $tools; do\n  slave=$(x)\n  update-alternatives --install /usr/bin/$prog \\\n  $prog /usr/lib/$prog.q16 $priority $slave\ndone\nupdate-alternatives --install /usr/bin/a a /usr/bin/b 1\n";
        let expected = [
            link("/usr/bin/animate", "/usr/lib/animate.q16", 1711),
            link("/usr/bin/java", "/usr/lib/java.q16", 1711),
            link("/usr/bin/keytool", "/usr/lib/keytool.q16", 1711),
            link("/usr/bin/a", "/usr/bin/b", 1),
        ];
        assert_eq!(links(script), expected);
    }

    #[test]
    fn offered_not_understood() {
        for script in [
            "for i in a b; do update-alternatives --install /usr/bin/$i $i /usr/lib/$i 10; done",
            "for i in $unknown; do\nupdate-alternatives --install /usr/bin/$i $i /usr/lib/$i 10\ndone",
            "update-alternatives --install /usr/bin/x x `which y` 10",
            "update-alternatives --install relative x /usr/bin/y 10",
            "update-alternatives --install /usr/bin/x x /usr/../y 10",
            "update-alternatives --install /usr/bin/x x /usr/bin/y ten",
        ] {
            let found = offered(script, "amd64");
            assert_eq!(
                found,
                Offered {
                    alternatives: Vec::new(),
                    has_unread: true
                },
                "{script}"
            );
        }
    }

    #[test]
    fn offered_nothing() {
        for script in [
            "",
            "update-alternatives --remove x /usr/bin/y\n",
            "# update-alternatives --install a\n",
        ] {
            assert_eq!(offered(script, "amd64"), Offered::default(), "{script}");
        }
    }

    #[test]
    fn best_by_priority_then_first() {
        let of = |path: &str, priority| Alternative {
            link: "/l".into(),
            path: path.into(),
            priority,
        };
        let best = best([of("/a", 10), of("/b", 40), of("/c", 40)]);
        assert_eq!(best, BTreeMap::from([("/l".to_owned(), "/b".to_owned())]));
    }
}
