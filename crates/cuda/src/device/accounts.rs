//! A device that only accounts for memory: it hands out addresses and runs no kernel, so a backend on it allocates exactly what
//! it would on the device it stands for, workspaces of ops included.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tunesmith_ops::Result;

use super::driver::{Address, Attributes, DenseProduct, Dimensions, Driver, Function};

/// Alignment of allocations, as cuMemAlloc gives it.
const ALIGNMENT: u64 = 256;

/// The device. What is asked about sizes and products is answered by the device it stands for.
#[derive(Debug)]
pub(crate) struct Accounts {
    of: Arc<dyn Driver>,
    next: AtomicU64,
}

impl Accounts {
    pub(crate) fn of(driver: Arc<dyn Driver>) -> Self {
        Self { of: driver, next: AtomicU64::new(ALIGNMENT) }
    }
}

impl Driver for Accounts {
    fn attributes(&self) -> &Attributes {
        self.of.attributes()
    }

    fn granularity(&self) -> usize {
        self.of.granularity()
    }

    fn keeps_values(&self) -> bool {
        false
    }

    /// There is always enough: what is too much is found by looking at the sum.
    fn allocate(&self, bytes: usize) -> Result<Option<Address>> {
        Ok(Some(self.next.fetch_add((bytes as u64).next_multiple_of(ALIGNMENT), Ordering::Relaxed)))
    }

    fn free(&self, _: Address) {}

    fn memory_info(&self) -> Result<(usize, usize)> {
        self.of.memory_info()
    }

    fn upload(&self, _: Address, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn download(&self, _: Address, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(0);
        Ok(())
    }

    fn copy(&self, _: Address, _: Address, _: usize) -> Result<()> {
        Ok(())
    }

    fn clear(&self, _: Address, _: usize) -> Result<()> {
        Ok(())
    }

    fn function(&self, _: &str) -> Result<Function> {
        Ok(Function(0))
    }

    fn launch(&self, _: Function, _: Dimensions, _: &str, _: &mut [*mut c_void]) -> Result<()> {
        Ok(())
    }

    fn offers_product(&self, product: &DenseProduct) -> Result<bool> {
        self.of.offers_product(product)
    }

    fn product_library(&self) -> Option<String> {
        self.of.product_library()
    }

    fn dense_product(&self, _: &DenseProduct) -> Result<()> {
        Ok(())
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}
