//! The solver on small made-up suites.

mod cases;
mod made_up;
mod messages;
mod random;
