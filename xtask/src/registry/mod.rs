//! Registry client: stub
