//! Arithmetic on CPU slices, in an order that does not depend on how rows are grouped.
