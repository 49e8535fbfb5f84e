//! The built `pleach replay` command, from outside.

mod blocks;
mod corrupt;
mod profile;
mod stateless;
mod support;
