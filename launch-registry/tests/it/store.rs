//! Context stores: the suite against emulators, and a store of our own that refuses.

mod emulators;
mod fake;
mod found;
mod refusals;
