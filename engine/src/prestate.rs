//! The one thing the engine asks of a state: that threads can read it side by side.

use std::{error::Error, fmt::Debug};

use revm::DatabaseRef;

/// A state to read from: revm's [`DatabaseRef`], shared between threads.
///
/// Implemented for everything that qualifies; there is nothing to implement by hand.
pub trait Prestate:
    DatabaseRef<Error: Error + Send + Sync + 'static> + Debug + Send + Sync + 'static
{
}

impl<T> Prestate for T where
    T: DatabaseRef<Error: Error + Send + Sync + 'static> + Debug + Send + Sync + 'static
{
}
