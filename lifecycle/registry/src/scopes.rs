//! What a bearer token has to allow: `repository:library/app:pull,push` (distribution's token scope documentation).

use std::collections::BTreeSet;

/// What may be done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// Read.
    Pull,
    /// Read and write.
    Push,
}

/// A set of scopes. What one is written to comes first: some token servers read only the first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Scopes {
    write: Option<String>,
    read: BTreeSet<String>,
    /// As the registry itself wrote them in a challenge.
    other: BTreeSet<String>,
}

impl Scopes {
    /// One repository.
    pub(crate) fn of(repository: &str, right: Right) -> Self {
        let mut scopes = Self::default();
        match right {
            Right::Pull => scopes.read.insert(repository.to_owned()),
            Right::Push => scopes.write.replace(repository.to_owned()).is_none(),
        };
        scopes
    }

    /// And reading another repository, to mount its blobs.
    pub(crate) fn and_pull(mut self, repository: &str) -> Self {
        if self.write.as_deref() != Some(repository) {
            self.read.insert(repository.to_owned());
        }
        self
    }

    /// And what the registry asked for in its own words.
    pub(crate) fn and_as_written(mut self, scopes: &str) -> Self {
        for scope in scopes.split(' ').filter(|scope| !scope.is_empty()) {
            if !self.includes(scope) {
                self.other.insert(scope.to_owned());
            }
        }
        self
    }

    /// Everything in both.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        let write = other
            .write
            .iter()
            .filter(|name| all.write.as_ref() != Some(name));
        let also_written: Vec<String> = match all.write {
            Some(_) => write
                .map(|name| format!("repository:{name}:pull,push"))
                .collect(),
            None => {
                all.write.clone_from(&other.write);
                Vec::new()
            }
        };
        all.other.extend(also_written);
        all.other.extend(other.other.iter().cloned());
        all.read.extend(other.read.iter().cloned());
        if let Some(name) = &all.write {
            all.read.remove(name);
        }
        all
    }

    /// Would a token for these do for the others?
    pub(crate) fn cover(&self, needed: &Self) -> bool {
        needed.texts().iter().all(|scope| self.includes(scope))
    }

    /// `repository:a:pull` is in `repository:a:pull,push`, and so is `push,pull`.
    fn includes(&self, scope: &str) -> bool {
        let split = |scope: &str| {
            let (name, actions) = scope.rsplit_once(':')?;
            let actions: BTreeSet<String> = actions.split(',').map(str::to_owned).collect();
            Some((name.to_owned(), actions))
        };
        let texts = self.texts();
        match split(scope) {
            Some((name, actions)) => texts
                .iter()
                .filter_map(|text| split(text))
                .any(|(mine, may)| mine == name && actions.is_subset(&may)),
            None => texts.iter().any(|text| text == scope),
        }
    }

    /// Each as it is sent.
    pub(crate) fn texts(&self) -> Vec<String> {
        let write = self
            .write
            .iter()
            .map(|name| format!("repository:{name}:pull,push"));
        let read = self
            .read
            .iter()
            .map(|name| format!("repository:{name}:pull"));
        write
            .chain(read)
            .chain(self.other.iter().cloned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_push_comes_first() {
        let scopes = Scopes::of("z", Right::Push).and_pull("a").and_pull("z");
        assert_eq!(
            scopes.texts(),
            ["repository:z:pull,push", "repository:a:pull"]
        );
    }

    #[test]
    fn and_as_written_adds_only_what_is_new() {
        let scopes = Scopes::of("a", Right::Push)
            .and_as_written("repository:a:pull repository:a:push,pull registry:catalog:*");
        assert_eq!(
            scopes.texts(),
            ["repository:a:pull,push", "registry:catalog:*"]
        );
    }

    #[test]
    fn cover_push_includes_pull() {
        let push = Scopes::of("a", Right::Push).and_pull("b");
        for (needed, covered) in [
            (Scopes::of("a", Right::Pull), true),
            (Scopes::of("a", Right::Push), true),
            (Scopes::of("b", Right::Pull), true),
            (Scopes::of("b", Right::Push), false),
            (Scopes::of("c", Right::Pull), false),
            (
                Scopes::of("a", Right::Pull).and_as_written("repository:a:push,pull"),
                true,
            ),
            (
                Scopes::of("a", Right::Pull).and_as_written("registry:catalog:*"),
                false,
            ),
        ] {
            assert_eq!(push.cover(&needed), covered, "{needed:?}");
            assert!(push.union(&needed).cover(&needed), "{needed:?}");
            assert!(needed.union(&push).cover(&push), "{needed:?}");
        }
    }
}
