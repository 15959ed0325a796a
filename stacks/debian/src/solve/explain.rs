//! Why there is no solution, as a list of plain facts that cannot all be met.

use resolvo::{
    SolvableId, Solver,
    conflict::{Conflict, ConflictCause, ConflictEdge, ConflictNode},
};

use crate::{
    relation::Group,
    universe::{CandidateId, Universe},
};

use super::provider::Provider;

/// More lines than this explain nothing.
const MOST_FACTS: usize = 25;

/// The facts, from the requests downwards, one a line.
pub(crate) fn explain(solver: &Solver<Provider<'_>>, conflict: &Conflict) -> String {
    let provider = solver.provider();
    let graph = conflict.graph(solver).graph;
    let mut facts: Vec<(usize, String)> = Vec::new();
    for edge in graph.edge_indices() {
        let (Some((from, to)), Some(edge)) = (graph.edge_endpoints(edge), graph.edge_weight(edge))
        else {
            continue;
        };
        let (Some(from), Some(to)) = (graph.node_weight(from), graph.node_weight(to)) else {
            continue;
        };
        let fact = fact(provider, *from, *edge, *to);
        if !facts.iter().any(|(_, known)| *known == fact) {
            let rank = usize::from(!matches!(from, ConflictNode::Root))
                + usize::from(matches!(edge, ConflictEdge::Conflict(_)));
            facts.push((rank, fact));
        }
    }
    // What was asked for first, then what follows from it, conflicts last. The sort is stable.
    facts.sort_by_key(|(rank, _)| *rank);
    let left_out = facts.len().saturating_sub(MOST_FACTS);
    let mut lines: Vec<_> = facts
        .into_iter()
        .take(MOST_FACTS)
        .map(|(_, fact)| format!("- {fact}"))
        .collect();
    if left_out > 0 {
        lines.push(format!("- and {left_out} more relations"));
    }
    lines.join("\n")
}

fn fact(
    provider: &Provider<'_>,
    from: ConflictNode<SolvableId>,
    edge: ConflictEdge<SolvableId>,
    to: ConflictNode<SolvableId>,
) -> String {
    let universe = provider.universe();
    let shown = |id: CandidateId| format!("{} {}", universe.name(id), universe.version(id));
    let node = |node: ConflictNode<SolvableId>| match node {
        ConflictNode::Solvable(id) => shown(Provider::candidate(id)),
        ConflictNode::Root | ConflictNode::UnresolvedDependency | ConflictNode::Excluded(_) => {
            String::new()
        }
    };
    match (from, edge, to) {
        (ConflictNode::Root, ConflictEdge::Requires(requirement), _) => {
            let text = provider.requirement_text(requirement);
            match universe.installed_candidate(&text) {
                Some(id) => format!("{} is installed", shown(id)),
                None => format!("{text} is asked for"),
            }
        }
        (from, ConflictEdge::Requires(requirement), ConflictNode::UnresolvedDependency) => {
            let text = provider.requirement_text(requirement);
            let there = what_there_is(universe, &text);
            format!("{} needs '{text}', {there}", node(from))
        }
        (from, ConflictEdge::Requires(requirement), _) => {
            format!(
                "{} needs '{}'",
                node(from),
                provider.requirement_text(requirement)
            )
        }
        (from, ConflictEdge::Conflict(ConflictCause::Constrains(set)), to) => {
            format!(
                "{} conflicts with '{}', which {} is",
                node(from),
                provider.set_text(set),
                node(to)
            )
        }
        (
            from,
            ConflictEdge::Conflict(
                ConflictCause::ForbidMultipleInstances | ConflictCause::Locked(_),
            ),
            to,
        ) => {
            format!(
                "{} and {} are two versions of one package",
                node(from),
                node(to)
            )
        }
        (from, ConflictEdge::Conflict(ConflictCause::Excluded), ConflictNode::Excluded(reason)) => {
            format!(
                "{} has fields that cannot be read: {}",
                node(from),
                provider.reason(reason)
            )
        }
        (from, ConflictEdge::Conflict(ConflictCause::Excluded), _) => {
            format!("{} cannot be used", node(from))
        }
    }
}

fn what_there_is(universe: &Universe, group: &str) -> String {
    let parsed: Option<Group> = group.parse().ok();
    let ids = parsed
        .iter()
        .flat_map(|group| &group.0)
        .flat_map(|relation| universe.candidates(relation.name.as_str()));
    let versions: Vec<_> = ids
        .map(|id| format!("{} {}", universe.name(*id), universe.version(*id)))
        .collect();
    if versions.is_empty() {
        "and there is no such package".to_owned()
    } else {
        format!("but there is only {}", versions.join(", "))
    }
}
