//! From signed blocks to senders: exact, in order, ahead of execution, whatever a device does.

mod ahead;
mod exact;
mod faults;
mod signed;
