//! Is a backend right? One suite per stem against the float64 references, with seeded inputs over the edge sizes its
//! contract names, and whole models against goldens.

pub mod adafactor;
pub mod adamw;
pub mod attention;
pub mod blockwise_step;
pub mod cross_entropy;
pub mod device;
pub mod dora;
pub mod dropout;
pub mod elementwise;
pub mod elementwise_step;
pub mod embedding;
pub mod goldens;
pub mod grad_norm;
pub mod grouped_matmul;
pub mod inputs;
pub mod lora_matmul;
pub mod matmul;
pub mod muon;
pub mod neftune;
pub mod nf4;
pub mod record;
pub mod rms_norm;
pub mod rope;
pub mod router;
pub mod sgd;
pub mod stage;
pub mod suites;
pub mod swiglu;

pub use inputs::Inputs;
pub use record::{Case, Record};
pub use stage::Stage;
