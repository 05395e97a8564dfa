//! The tables of watched sessions and their gaps: their rows, and the values that they become.

pub(crate) mod rows;
pub(crate) mod schema;
