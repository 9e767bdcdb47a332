//! Pin: stub
