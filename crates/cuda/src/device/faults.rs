//! Tests of the emulated device itself: kernels that break a rule (`kernels/host/faults.cu`), and the allocator.

use tunesmith_ops::{Code, DType, Host, Memory, Result, View};

use super::buffer::Buffer;
use super::launch::Launch;
use crate::{Cuda, EmulatedOptions, Schedule};

fn device(schedule: Schedule) -> Cuda {
    Cuda::emulated(&EmulatedOptions { schedule, ..EmulatedOptions::default() }, DType::F32).expect("an emulated device")
}

/// A launch of 64 threads with 256 bytes of shared memory that writes to `out`.
fn launch<'a>(cuda: &'a Cuda, kernel: &'static str, inputs: &[&Buffer], out: &mut Buffer) -> Launch<'a> {
    let mut launch = cuda.launch(kernel).blocks(1, 64).shared(256);
    for input in inputs {
        launch = launch.read(input.view());
    }
    launch.write(&out.view_mut())
}

fn error_of(kernel: &'static str) -> String {
    let cuda = device(Schedule::Forward);
    let mut out = cuda.zeros(DType::I32, 64).expect("memory");
    launch(&cuda, kernel, &[], &mut out).run().expect_err("a fault").message
}

/// What a kernel without inputs leaves.
fn output_of(kernel: &'static str, schedule: Schedule) -> Result<[u8; 256]> {
    let cuda = device(schedule);
    let mut out = cuda.zeros(DType::I32, 64)?;
    launch(&cuda, kernel, &[], &mut out).run()?;
    let mut bytes = [0; 256];
    cuda.driver.download(out.address_of(0), &mut bytes)?;
    Ok(bytes)
}

#[test]
fn a_missing_barrier_gives_other_results_in_another_order() -> Result<()> {
    let mut seen = Vec::new();
    for schedule in [Schedule::Forward, Schedule::Reverse, Schedule::Shuffled(1), Schedule::Shuffled(2)] {
        seen.push(output_of("fault_missing_barrier", schedule)?);
    }
    for (i, one) in seen.iter().enumerate() {
        assert!(seen[..i].iter().all(|other| other != one), "schedule {i} gives what another one gave");
    }
    Ok(())
}

#[test]
fn a_warp_that_is_far_ahead_of_another_is_noticed() -> Result<()> {
    let [forward, reverse] =
        [Schedule::Forward, Schedule::Reverse].map(|schedule| output_of("fault_hasty_warp", schedule));
    assert_ne!(forward?, reverse?);
    Ok(())
}

#[test]
fn a_barrier_that_not_all_reach_ends_the_launch_with_the_places() {
    let message = error_of("fault_lonely_barrier");
    assert!(message.contains("faults.cu:") && message.contains("ended"), "{message}");
    assert!(error_of("fault_lonely_shuffle").contains("same barrier"));
    assert!(error_of("fault_partial_mask").contains("full mask"));
}

#[test]
fn a_device_serves_on_after_a_fault() -> Result<()> {
    let cuda = device(Schedule::Forward);
    let mut out = cuda.zeros(DType::I32, 64)?;
    assert!(launch(&cuda, "fault_lonely_barrier", &[], &mut out).run().is_err());
    launch(&cuda, "fault_missing_barrier", &[], &mut out).run()
}

#[test]
fn what_was_never_written_is_nan() -> Result<()> {
    let cuda = device(Schedule::Forward);
    let x = cuda.upload(Host::F32(&[1.0; 64]))?;
    let mut host = [0.0; 64];
    for (kernel, inputs) in [("fault_unwaited_copy", &[&x][..]), ("fault_unwritten", &[])] {
        let mut out = cuda.zeros(DType::F32, 64)?;
        launch(&cuda, kernel, inputs, &mut out).run()?;
        cuda.read(out.view(), &mut host)?;
        assert!(host.iter().all(|x| x.is_nan()), "{kernel}: {host:?}");
    }
    let fresh = cuda.undefined(DType::F32, 64)?;
    cuda.read(fresh.view(), &mut host)?;
    assert!(host.iter().all(|x| x.is_nan()), "{host:?}");
    Ok(())
}

#[test]
fn a_misaligned_access_and_wrong_arguments_are_errors() -> Result<()> {
    let cuda = device(Schedule::Forward);
    let x = cuda.upload(Host::F32(&[1.0; 80]))?;
    let mut out = cuda.zeros(DType::F32, 64)?;
    let message = launch(&cuda, "fault_misaligned", &[&x], &mut out).run().expect_err("a fault").message;
    assert!(message.contains("not aligned"), "{message}");
    let message = launch(&cuda, "fault_misaligned", &[], &mut out).run().expect_err("a missing argument").message;
    assert!(message.contains("arguments p p and got p"), "{message}");
    let swapped = cuda.launch("fault_misaligned").blocks(1, 64).int(3).write(&out.view_mut());
    assert!(swapped.run().is_err(), "an int in place of a pointer");
    for threads in [33, 96, 0] {
        let outcome = cuda.launch("fault_unwritten").blocks(1, threads).write(&out.view_mut()).run();
        assert!(outcome.is_err(), "{threads} threads");
    }
    assert_eq!(cuda.launch("no_such_kernel").blocks(1, 32).run().expect_err("a name").code, Code::Internal);
    Ok(())
}

#[test]
fn an_access_beyond_a_buffer_or_shared_memory_ends_the_launch_with_its_place() -> Result<()> {
    let cuda = device(Schedule::Forward);
    if !cuda.watches_memory() {
        println!("skipped: the emulated device is not watched here; `npm test -- --asan` runs this test");
        return Ok(());
    }
    let (x, exact) = (cuda.upload(Host::F32(&[1.0; 64]))?, cuda.upload(Host::F32(&[1.0; 65]))?);
    let mut out = cuda.zeros(DType::F32, 64)?;
    for (kernel, input, access) in [
        ("fault_read_beyond", &x, "READ of size 4"),
        ("fault_write_beyond", &x, "WRITE of size 4"),
        ("fault_shared_beyond", &x, "READ of size 4"),
        ("fault_copy_beyond", &x, "READ of size 16"),
    ] {
        let message = launch(&cuda, kernel, &[input], &mut out).run().expect_err("an access beyond memory").message;
        for part in [kernel, "heap-buffer-overflow", access, "faults.cu:", "thread "] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
    // With the element there, the same kernel passes.
    launch(&cuda, "fault_read_beyond", &[&exact], &mut out).run()
}

#[test]
fn memory_that_was_given_back_is_used_again() -> Result<()> {
    let cuda = device(Schedule::Forward);
    let sizes = [1000, 7, 4096];
    let step = || sizes.map(|len| cuda.zeros(DType::F32, len)).into_iter().collect::<Result<Vec<_>>>();
    drop(step()?);
    let (before, in_use) = (cuda.allocations(), cuda.memory_stats().in_use);
    assert_eq!(in_use, 0);
    for _ in 0..3 {
        let buffers = step()?;
        assert_eq!(cuda.memory_stats().in_use, sizes.iter().sum::<usize>() * 4);
        drop(buffers);
    }
    assert_eq!(cuda.allocations(), before, "a steady step asks the driver for nothing");
    let zeros = cuda.zeros(DType::F32, 7)?;
    let mut host = [1.0; 7];
    cuda.read(View::new(&zeros, 0, 7), &mut host)?;
    assert!(host.iter().all(|x| x.to_bits() == 0), "used again, but zero");
    Ok(())
}

#[test]
fn out_of_memory_says_what_was_asked_for_and_what_to_do() -> Result<()> {
    let options = EmulatedOptions { memory: 10_000, ..EmulatedOptions::default() };
    let cuda = Cuda::emulated(&options, DType::F32)?;
    drop(cuda.zeros(DType::F32, 1500)?);
    let held = cuda.zeros(DType::F32, 1000)?;
    let error = cuda.zeros(DType::F32, 2000).expect_err("too much");
    assert_eq!(error.code, Code::OutOfMemory);
    for part in ["8000 bytes", "4000 in use", "6000 at peak", "of 10000 free", "gradientCheckpointing"] {
        assert!(error.message.contains(part), "{part} in {error}");
    }
    drop(held);
    // What lay unused was given back to make room.
    drop(cuda.zeros(DType::F32, 2500)?);
    assert_eq!(cuda.zeros(DType::F32, usize::MAX).expect_err("too much").code, Code::ArgumentInvalid);
    Ok(())
}

#[test]
fn a_machine_without_a_driver_says_so() {
    match crate::probe() {
        Ok(found) => println!("skipped: a driver for CUDA {} is here", found.driver_version),
        Err(error) => {
            assert_eq!(error.code, Code::DeviceUnavailable);
            assert!(error.message.contains("NVIDIA driver") || error.message.contains("CUDA device"), "{error}");
            assert_eq!(Cuda::new(0, DType::Bf16).expect_err("no device").code, Code::DeviceUnavailable);
        }
    }
}

#[test]
fn the_activations_are_f32_or_bf16() {
    let error = Cuda::emulated(&EmulatedOptions::default(), DType::I32).expect_err("another dtype");
    assert_eq!(error.code, Code::ArgumentInvalid);
}
