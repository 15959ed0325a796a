//! The phases as programs, called one after another by hand with buildpacks written in bash, and what they write compared with the specification's files.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod build;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod detect;
#[cfg(test)]
mod docker;
#[cfg(test)]
mod export;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod images;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod left_behind;
#[cfg(test)]
mod library;
#[cfg(test)]
mod rebase;
#[cfg(test)]
mod rebuild;
#[cfg(test)]
mod registry;
