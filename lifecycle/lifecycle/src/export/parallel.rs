//! Several layers at a time.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many layers are worked on at once. Each is compressed on all processors, so that two are enough to keep them busy
/// while one of them ends; more would only cost memory.
const AT_ONCE: usize = 2;

/// Works on all items, in their order, and gives the results in the same order. `done` sees them in that order too, each as soon as
/// it and all before it are there.
pub(super) fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    done: impl Fn(&T, &R) + Sync,
) -> Vec<R> {
    struct Progress<R> {
        results: Vec<Option<R>>,
        next: usize,
        told: usize,
    }
    let progress = Mutex::new(Progress {
        results: items.iter().map(|_| None).collect(),
        next: 0,
        told: 0,
    });
    let lock = || progress.lock().unwrap_or_else(PoisonError::into_inner);
    let run = || {
        loop {
            let at = {
                let mut progress = lock();
                progress.next += 1;
                progress.next - 1
            };
            let Some(item) = items.get(at) else { return };
            let result = work(item);
            let mut progress = lock();
            progress.results[at] = Some(result);
            while let Some(Some(result)) = progress.results.get(progress.told) {
                done(&items[progress.told], result);
                progress.told += 1;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..AT_ONCE.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    let progress = progress
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    // The scope has ended, so every item was worked on.
    progress.results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn in_parallel_keeps_the_order() {
        let told = Mutex::new(Vec::new());
        let items = [30, 0, 20, 0, 10];
        let results = in_parallel(
            &items,
            |millis| {
                thread::sleep(Duration::from_millis(*millis));
                millis + 1
            },
            |_, result| told.lock().unwrap().push(*result),
        );
        assert_eq!(results, [31, 1, 21, 1, 11]);
        assert_eq!(*told.lock().unwrap(), results);
    }
}
