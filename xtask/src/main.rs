//! Chores, run as `cargo xtask CHORE`: one function each, and the one place that ends the process.

mod bench;
mod demo;
mod dist;
mod install;
mod steps;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask CHORE

  demo [--once]   set up, build Longshore, build examples/dash-minimal into an image, serve it;
                  --once looks at the page and stops
  test [--quick]  install what the tests need, run every check and every test;
                  --quick leaves out the end-to-end tests
  tidy            the rules that no compiler checks: arrows between crates, file heads, static programs
  dist            dist/: the executable in release, the lifecycle as an archive and as an image, and their sha256
  bench [NAME…]   tests/bench/NAME.sh, or all of them: Longshore beside its peers";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["demo"] => demo::demo(demo::Until::Stopped),
        ["demo", "--once"] => demo::demo(demo::Until::PageSeen),
        ["test"] => test::test(test::Extent::Everything),
        ["test", "--quick"] => test::test(test::Extent::Quick),
        ["tidy"] => tidy::tidy(),
        ["dist"] => dist::dist(),
        ["bench", ref names @ ..] => bench::bench(names),
        _ => Err(steps::ChoreError::Usage(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            steps::say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
