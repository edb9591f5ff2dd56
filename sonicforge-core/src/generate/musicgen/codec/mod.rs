//! EnCodec.
