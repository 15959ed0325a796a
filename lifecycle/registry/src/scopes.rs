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
        let mine = self.texts();
        let new = scopes.split(' ').filter(|scope| !scope.is_empty());
        self.other
            .extend(new.map(str::to_owned).filter(|scope| !mine.contains(scope)));
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
        let mine = self.texts();
        let reads = |name: &String| {
            self.read.contains(name)
                || self.write.as_ref() == Some(name)
                || mine.contains(&format!("repository:{name}:pull,push"))
        };
        needed.read.iter().all(reads)
            && needed
                .write
                .iter()
                .all(|name| mine.contains(&format!("repository:{name}:pull,push")))
            && needed.other.iter().all(|scope| mine.contains(scope))
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
    fn cover_push_includes_pull() {
        let push = Scopes::of("a", Right::Push).and_pull("b");
        for (needed, covered) in [
            (Scopes::of("a", Right::Pull), true),
            (Scopes::of("a", Right::Push), true),
            (Scopes::of("b", Right::Pull), true),
            (Scopes::of("b", Right::Push), false),
            (Scopes::of("c", Right::Pull), false),
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
