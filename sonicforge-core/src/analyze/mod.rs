//! TODO analyze
