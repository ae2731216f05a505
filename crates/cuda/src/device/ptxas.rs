//! What ptxas says of every kernel, held to a snapshot: registers, shared memory, spills, and the bytes of the fatbins.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::module::{ARCHS, MODULES, REPORTS, has_kernels, image_bytes};

/// Architectures that the snapshot holds: those of a build in passing.
const SNAPSHOT_ARCHS: &str = "80,90a";

/// Bytes of all fatbins that a package may carry.
const MOST_BYTES: usize = 20 << 20;

/// Kernels that put registers into memory, by the beginning of their names and the architecture, and why that is right.
const SPILLS: &[(&str, &str, &str)] = &[
    (
        "embedding_scatter_bf16_bf16",
        "sm_90a",
        "one word, written and read once a thread, is the price of 32 registers, with which 2048 threads fit on a \
         multiprocessor to hide the way to memory",
    ),
    (
        "rms_norm_forward_any_bf16",
        "sm_80",
        "rows that are not whole packs, which no published model has; ptxas stops at 64 registers though blocks of \
         512 threads leave it 128",
    ),
];

/// One kernel on one architecture.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Usage {
    kernel: String,
    arch: String,
    registers: usize,
    shared: usize,
    stack: usize,
    spilled: usize,
}

/// The number before `unit` in a line.
fn number(line: &str, unit: &str) -> Option<usize> {
    line.split_once(unit)?.0.split([' ', ',']).rfind(|word| !word.is_empty())?.parse().ok()
}

/// The kernels of a report, by name and architecture. What a function that was not inlined spills is its kernel's.
fn usages(report: &str) -> Vec<Usage> {
    let mut all: Vec<Usage> = Vec::new();
    for line in report.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let mut words = rest.split('\'');
            let (kernel, arch) = (words.next().unwrap_or_default(), words.nth(1).unwrap_or_default());
            all.push(Usage { kernel: kernel.to_owned(), arch: arch.to_owned(), ..Usage::default() });
        }
        let Some(usage) = all.last_mut() else { continue };
        usage.registers = number(line, " registers").unwrap_or(usage.registers);
        usage.shared = number(line, " bytes smem").unwrap_or(usage.shared);
        usage.stack = usage.stack.max(number(line, " bytes stack frame").unwrap_or(0));
        let spilled = [" bytes spill stores", " bytes spill loads"].map(|unit| number(line, unit).unwrap_or(0));
        usage.spilled += spilled.iter().sum::<usize>();
    }
    all.sort();
    all
}

/// Whether this build compiled for an architecture, such as `sm_80`.
fn is_built(arch: &str) -> bool {
    arch.strip_prefix("sm_").is_some_and(|arch| ARCHS.split(',').any(|built| built == arch))
}

/// Whether this build can say something of a line of the snapshot: the bytes of a fatbin are those of all architectures.
fn is_asked(line: &str) -> bool {
    match line.split(' ').nth(1) {
        _ if line.starts_with('#') => true,
        Some(arch) if arch.starts_with("sm_") => is_built(arch),
        _ => ARCHS == SNAPSHOT_ARCHS,
    }
}

/// True, and a line for the log, where there is nothing to hold to the snapshot.
fn skipped() -> bool {
    let reason = if !has_kernels() {
        "this build has no CUDA kernels"
    } else if ARCHS.split(',').all(|arch| SNAPSHOT_ARCHS.split(',').any(|known| known == arch)) {
        return false;
    } else {
        "TUNESMITH_CUDA_ARCHS asks for other architectures than the snapshot's"
    };
    println!("skipped: {reason}");
    true
}

#[test]
fn registers_shared_memory_and_spills_are_the_snapshots() {
    if skipped() {
        return;
    }
    let mut now = String::from(
        "# Of a file the bytes of its fatbin; of its kernels, by architecture, the registers a thread and the bytes of static\n\
         # shared memory, of stack, and spilled (stores and loads).\n",
    );
    for (module, (_, report)) in MODULES.iter().zip(REPORTS) {
        let usages = usages(report);
        let told: BTreeSet<_> = usages.iter().map(|usage| usage.kernel.as_str()).collect();
        let untold: Vec<_> = module.kernels.iter().filter(|kernel| !told.contains(*kernel)).collect();
        assert!(untold.is_empty(), "kernels of which ptxas says nothing: {untold:?}");
        let _ = writeln!(now, "{}.cu {}", module.stem, module.image.len());
        for Usage { kernel, arch, registers, shared, stack, spilled } in usages {
            let _ = writeln!(now, "{kernel} {arch} {registers} {shared} {stack} {spilled}");
        }
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("snapshots/ptxas.txt");
    if std::env::var_os("TUNESMITH_UPDATE_SNAPSHOTS").is_some() && ARCHS == SNAPSHOT_ARCHS {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder to write to");
        fs::write(&path, &now).expect("a snapshot to write");
    }
    let snapshot = fs::read_to_string(&path).unwrap_or_default();
    let known: Vec<&str> = snapshot.lines().filter(|line| is_asked(line)).collect();
    let now: Vec<&str> = now.lines().filter(|line| is_asked(line)).collect();
    let differing: Vec<&&str> = now.iter().filter(|line| !known.iter().any(|known| agree(known, line))).collect();
    let (lines, known) = (now.len(), known.len());
    assert!(
        differing.is_empty() && lines == known,
        "{lines} lines for {known}, {differing:#?}: TUNESMITH_UPDATE_SNAPSHOTS=1 writes {}",
        path.display()
    );
}

/// Whether two lines of the snapshot say the same. A fatbin holds names of passing files, so that a build gives it some bytes more
/// or less than the last: one in a hundred is nothing.
fn agree(known: &str, line: &str) -> bool {
    let bytes =
        |line: &str| line.split_once(".cu ").and_then(|(stem, bytes)| Some((stem.to_owned(), bytes.parse().ok()?)));
    match (bytes(known), bytes(line)) {
        (Some((stem, known)), Some((other, now))) => stem == other && usize::abs_diff(known, now) <= known / 100,
        _ => known == line,
    }
}

#[test]
fn only_bytes_of_a_fatbin_may_differ_a_little() {
    assert!(agree("nf4.cu 34088", "nf4.cu 34072"));
    assert!(!agree("nf4.cu 34088", "nf4.cu 35000"));
    assert!(!agree("nf4.cu 34088", "rope.cu 34088"));
    assert!(!agree("adamw sm_80 40 0 0 0", "adamw sm_80 41 0 0 0"));
}

#[test]
fn kernels_spill_only_with_a_reason() {
    if skipped() {
        return;
    }
    let spilling: Vec<Usage> =
        REPORTS.iter().flat_map(|(_, report)| usages(report)).filter(|usage| usage.spilled > 0).collect();
    let of =
        |usage: &Usage| SPILLS.iter().position(|(name, arch, _)| usage.kernel.starts_with(name) && usage.arch == *arch);
    let unexplained: Vec<_> = spilling.iter().filter(|usage| of(usage).is_none()).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    let explained: BTreeSet<_> = spilling.iter().filter_map(of).collect();
    let reasons = SPILLS.iter().filter(|(_, arch, _)| is_built(arch)).count();
    assert_eq!(explained.len(), reasons, "a reason for kernels that do not spill");
}

#[test]
fn all_fatbins_fit_into_a_package() {
    if !has_kernels() {
        println!("skipped: this build has no CUDA kernels");
        return;
    }
    println!("{} bytes in {} fatbins", image_bytes(), MODULES.len());
    assert!(image_bytes() <= MOST_BYTES, "{} bytes", image_bytes());
}

#[test]
fn a_report_is_read_kernel_by_kernel() {
    let report = "ptxas info    : 0 bytes gmem\n\
                  ptxas info    : Compiling entry function 'b_f32' for 'sm_90a'\n\
                  ptxas info    : Function properties for b_f32\n    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads\n\
                  ptxas info    : Used 255 registers, used 1 barriers, 16 bytes stack, 64 bytes smem, 400 bytes cmem[0]\n\
                  ptxas info    : Compiling entry function 'a_f32' for 'sm_80'\n\
                  ptxas info    : Function properties for a_f32\n    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
                  ptxas info    : Used 32 registers, used 0 barriers, 400 bytes cmem[0]\n";
    let usage = |kernel: &str, arch: &str, [registers, shared, stack, spilled]: [usize; 4]| Usage {
        kernel: kernel.to_owned(),
        arch: arch.to_owned(),
        registers,
        shared,
        stack,
        spilled,
    };
    assert_eq!(usages(report), [usage("a_f32", "sm_80", [32, 0, 0, 0]), usage("b_f32", "sm_90a", [255, 64, 16, 20])]);
}
