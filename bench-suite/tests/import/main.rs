//! Chains of blocks into a database: through the library on tables in memory, through the command
//! on disk, with the process killed, and, where `PLEACH_FIXTURES` names them, real chains.

mod command;
mod driver;
mod fixtures;
mod hints;
mod kill;
mod overlap;
mod refusals;
mod support;
