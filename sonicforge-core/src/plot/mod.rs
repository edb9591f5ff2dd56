//! TODO plot
