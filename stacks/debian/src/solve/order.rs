//! The order in which packages can be unpacked and configured: what a package needs comes before it.
//!
//! Dependencies in Debian run in circles (libc6 and libgcc-s1). A circle is kept together; inside it only Pre-Depends
//! count, which never run in one (Debian policy 7.2). The essential packages come first, since every script relies on them.

use std::collections::BTreeMap;

use crate::universe::{CandidateId, Universe};

use super::{
    Field, Recommends,
    closure::{Chosen, needs},
};

/// The same packages, those needed first. The answer depends only on the set.
pub(crate) fn unpack_order(universe: &Universe, chosen: &[CandidateId]) -> Vec<CandidateId> {
    let mut ids = chosen.to_vec();
    ids.sort_by_key(|id| {
        (
            !universe.is_essential(*id),
            universe.priority(*id),
            universe.name(*id).clone(),
        )
    });
    let (all, pre) = edges(universe, &ids);
    let mut order = Vec::with_capacity(ids.len());
    for circle in components(&all) {
        order.extend(inside_circle(circle, &pre));
    }
    order
        .into_iter()
        .filter_map(|place| ids.get(place).copied())
        .collect()
}

type Edges = Vec<Vec<usize>>;

fn edges(universe: &Universe, ids: &[CandidateId]) -> (Edges, Edges) {
    let chosen = Chosen::new(universe, ids);
    let places: BTreeMap<CandidateId, usize> = ids.iter().copied().zip(0..).collect();
    let mut all = vec![Vec::new(); ids.len()];
    let mut pre = vec![Vec::new(); ids.len()];
    for (id, (all, pre)) in ids.iter().zip(all.iter_mut().zip(pre.iter_mut())) {
        for (field, group) in needs(universe, *id, Recommends::Leave) {
            let Some(place) = chosen
                .satisfier(&group)
                .and_then(|id| places.get(&id).copied())
            else {
                continue;
            };
            all.push(place);
            if field == Field::PreDepends {
                pre.push(place);
            }
        }
    }
    (all, pre)
}

fn inside_circle(mut circle: Vec<usize>, pre: &Edges) -> Vec<usize> {
    circle.sort_unstable();
    let number: BTreeMap<usize, usize> = circle.iter().copied().zip(0..).collect();
    let inner: Edges = circle
        .iter()
        .map(|place| {
            pre.get(*place)
                .into_iter()
                .flatten()
                .filter_map(|to| number.get(to).copied())
                .collect()
        })
        .collect();
    let order = components(&inner).into_iter().flatten();
    order
        .filter_map(|place| circle.get(place).copied())
        .collect()
}

/// Tarjan's strongly connected components, each after those it leads to. Written without recursion: an index decides how
/// deep chains are.
fn components(edges: &Edges) -> Vec<Vec<usize>> {
    let mut state = Tarjan {
        number: vec![None; edges.len()],
        low: vec![0; edges.len()],
        on_stack: vec![false; edges.len()],
        stack: Vec::new(),
        next: 0,
        found: Vec::new(),
    };
    for start in 0..edges.len() {
        if state.number.get(start) != Some(&None) {
            continue;
        }
        let mut calls = vec![(start, 0)];
        state.enter(start);
        while let Some((node, edge)) = calls.pop() {
            match edges.get(node).and_then(|targets| targets.get(edge)) {
                Some(&target) => {
                    calls.push((node, edge + 1));
                    if state.look(node, target) {
                        state.enter(target);
                        calls.push((target, 0));
                    }
                }
                None => state.leave(node, calls.last().map(|(parent, _)| *parent)),
            }
        }
    }
    state.found
}

struct Tarjan {
    number: Vec<Option<usize>>,
    low: Vec<usize>,
    on_stack: Vec<bool>,
    stack: Vec<usize>,
    next: usize,
    found: Vec<Vec<usize>>,
}

#[expect(
    clippy::indexing_slicing,
    reason = "all vectors have one entry a node, and nodes are numbered by `edges`"
)]
impl Tarjan {
    fn enter(&mut self, node: usize) {
        self.number[node] = Some(self.next);
        self.low[node] = self.next;
        self.next += 1;
        self.stack.push(node);
        self.on_stack[node] = true;
    }

    /// True if `target` was not seen before.
    fn look(&mut self, node: usize, target: usize) -> bool {
        match self.number[target] {
            None => true,
            Some(number) => {
                if self.on_stack[target] {
                    self.low[node] = self.low[node].min(number);
                }
                false
            }
        }
    }

    fn leave(&mut self, node: usize, parent: Option<usize>) {
        if let Some(parent) = parent {
            self.low[parent] = self.low[parent].min(self.low[node]);
        }
        if Some(self.low[node]) != self.number[node] {
            return;
        }
        let start = self
            .stack
            .iter()
            .rposition(|other| *other == node)
            .unwrap_or(0);
        let component = self.stack.split_off(start);
        for member in &component {
            self.on_stack[*member] = false;
        }
        self.found.push(component);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_needed_ones_first() {
        // 0 -> 1 -> 2 -> 1, 3 alone, 4 -> 0
        let edges = vec![vec![1], vec![2], vec![1], vec![], vec![0]];
        assert_eq!(components(&edges), [vec![1, 2], vec![0], vec![3], vec![4]]);
    }

    #[test]
    fn components_long_chain() {
        let edges: Edges = (1..200_000)
            .map(|next| vec![next])
            .chain([vec![]])
            .collect();
        let order: Vec<_> = components(&edges).into_iter().flatten().collect();
        assert_eq!(order.first(), Some(&199_999));
        assert_eq!(order.len(), 200_000);
    }
}
