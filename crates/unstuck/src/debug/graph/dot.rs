//! The graph in graphviz's language.

use std::fmt;

use super::{Edge, Graph, Leaf, Line};
use crate::debug::json::Text;
use crate::debug::{On, TaskState};

/// What graphviz draws: boxes for tasks, bold while they run; rounded ones for what else is awaited.
pub(super) struct Dot<'a>(pub(super) &'a Graph);

impl fmt::Display for Dot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "digraph awaits {{")?;
        writeln!(f, "  rankdir=LR; node [shape=box];")?;
        for (at, task) in self.0.tasks().iter().enumerate() {
            let style = if matches!(task.state, TaskState::Running(_)) { " style=bold" } else { "" };
            // Graphviz reads the escapes of JSON as its own.
            writeln!(f, "  n{at} [label={}{style}];", Text(&Line(task).to_string()))?;
            for (number, awaits) in task.awaits.iter().enumerate() {
                match self.0.target(awaits) {
                    Some((to, edge)) => {
                        let style = match edge {
                            Edge::Joins => "",
                            Edge::Shielded => " [style=dashed label=shield]",
                            Edge::Lock => " [label=lock]",
                        };
                        writeln!(f, "  n{at} -> n{to}{style};")?;
                    }
                    None if matches!(awaits.on, On::Task { .. }) => {} // it has just ended
                    None => {
                        let label = Leaf(awaits).to_string();
                        writeln!(f, "  n{at}_{number} [label={} style=rounded];", Text(&label))?;
                        writeln!(f, "  n{at} -> n{at}_{number};")?;
                    }
                }
            }
        }
        writeln!(f, "}}")
    }
}
