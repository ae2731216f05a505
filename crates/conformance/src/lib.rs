//! Is a backend right? One suite per stem against the float64 references, and whole models against goldens.

pub mod goldens;
