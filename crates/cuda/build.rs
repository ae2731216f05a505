//! Compiles `kernels/*.cu`: by nvcc into fatbins that the crate embeds, and, for the feature `emulated`, by g++ into a library
//! that runs them on the CPU.
//!
//! nvcc is looked for in `TUNESMITH_CUDA_HOME`, `CUDA_PATH`, `CUDA_HOME`, the checkout's `.cuda/` and `PATH`. Without it the
//! build holds no kernels and says so in one line; `TUNESMITH_REQUIRE_CUDA_KERNELS=1` makes that an error,
//! `TUNESMITH_SKIP_NVCC=1` asks for it. `TUNESMITH_CUDA_ARCHS` (`80,90a,100a,120`) says which architectures are compiled.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

type Outcome<T> = Result<T, String>;

/// Architectures of a build in passing: sm_80 code also runs on 86 and 89, and its PTX on every newer card. A release adds
/// `100a,120`.
const ARCHS: &str = "80,90a";

const VARIABLES: [&str; 7] = [
    "TUNESMITH_CUDA_HOME",
    "CUDA_PATH",
    "CUDA_HOME",
    "TUNESMITH_CUDA_ARCHS",
    "TUNESMITH_REQUIRE_CUDA_KERNELS",
    "TUNESMITH_SKIP_NVCC",
    "CXX",
];

fn main() {
    if let Err(message) = build() {
        println!("cargo::error={}", message.replace('\n', " "));
        eprintln!("{message}");
        std::process::exit(1);
    }
}

fn build() -> Outcome<()> {
    let root = path("CARGO_MANIFEST_DIR")?.join("../../kernels");
    let out = path("OUT_DIR")?;
    println!("cargo::rerun-if-changed={}", root.display());
    println!("cargo::rerun-if-changed=build.rs");
    for variable in VARIABLES {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let sources = Sources::read(&root)?;
    // Compiled kernels lie beside cargo's own output, OUT_DIR being target/…/build/CRATE-HASH/out: builds with and without the
    // emulated device share them.
    let shared = out.ancestors().nth(3).unwrap_or(&out).join("kernels");
    fs::create_dir_all(&shared).map_err(|error| error.to_string())?;
    let fatbins = fatbins(&sources, &shared)?;
    let text = table(&sources, &fatbins)? + &reports(&sources, &fatbins);
    fs::write(out.join("kernels.rs"), text).map_err(|error| error.to_string())?;
    if env::var_os("CARGO_FEATURE_EMULATED").is_some() {
        let library = emulated(&sources, &shared)?;
        println!("cargo::rustc-env=TUNESMITH_EMULATED_LIBRARY={}", library.display());
    }
    Ok(())
}

fn path(variable: &str) -> Outcome<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| format!("[build] expected {variable} from cargo, got nothing"))
}

fn is_set(variable: &str) -> bool {
    env::var(variable).is_ok_and(|value| value == "1")
}

/// The kernel files, and when a header of theirs last changed.
struct Sources {
    root: PathBuf,
    stems: Vec<String>,
    headers: SystemTime,
}

impl Sources {
    fn read(root: &Path) -> Outcome<Self> {
        let mut stems: Vec<String> = files(root)?
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "cu"))
            .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
            .collect();
        stems.sort();
        let mut headers = changed(&path("CARGO_MANIFEST_DIR")?.join("build.rs"))?;
        for file in files(&root.join("common"))?.into_iter().chain(files(&root.join("host"))?) {
            headers = headers.max(changed(&file)?);
        }
        Ok(Self { root: root.to_owned(), stems, headers })
    }

    fn source(&self, stem: &str) -> PathBuf {
        self.root.join(format!("{stem}.cu"))
    }

    /// True when `output` is newer than everything that went into it.
    fn fresh(&self, source: &Path, output: &Path) -> Outcome<bool> {
        match output.metadata().and_then(|data| data.modified()) {
            Ok(made) => Ok(made > self.headers && made > changed(source)?),
            Err(_) => Ok(false),
        }
    }
}

fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("[build] {}: {error}", folder.display()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect())
}

fn changed(file: &Path) -> Outcome<SystemTime> {
    let modified = file.metadata().and_then(|data| data.modified());
    modified.map_err(|error| format!("[build] {}: {error}", file.display()))
}

/// Runs `work` over the stems on as many threads as cargo allows.
fn each(stems: &[String], work: impl Fn(&str) -> Outcome<()> + Sync) -> Outcome<()> {
    let jobs = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(1).min(stems.len());
    let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(stem) = stems.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let (Err(error), Ok(mut failure)) = (work(stem), failure.lock()) {
                        failure.get_or_insert(error);
                    }
                }
            });
        }
    });
    failure.into_inner().ok().flatten().map_or(Ok(()), Err)
}

/// Where a file is written before it takes its name: one build never reads what another has half written.
fn unfinished(file: &Path) -> PathBuf {
    file.with_extension(format!("{}.part", std::process::id()))
}

/// Runs a compiler and gives what it printed.
fn run(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| format!("[build] {command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(text) } else { Err(format!("[build] {command:?} failed:\n{text}")) }
}

/// Where nvcc is, if anywhere.
fn nvcc() -> Option<PathBuf> {
    let name = format!("nvcc{}", env::consts::EXE_SUFFIX);
    let checkout = path("CARGO_MANIFEST_DIR").ok()?.join("../../.cuda/nvidia/cu13");
    let homes =
        ["TUNESMITH_CUDA_HOME", "CUDA_PATH", "CUDA_HOME"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let in_homes = homes.chain([checkout]).map(|home| home.join("bin"));
    let in_path = env::var_os("PATH").map(|paths| env::split_paths(&paths).collect::<Vec<_>>()).unwrap_or_default();
    in_homes.chain(in_path).map(|folder| folder.join(&name)).find(|nvcc| nvcc.is_file())
}

fn archs() -> String {
    env::var("TUNESMITH_CUDA_ARCHS").unwrap_or_else(|_| ARCHS.to_owned())
}

/// The fatbin of every stem; none without nvcc.
fn fatbins(sources: &Sources, out: &Path) -> Outcome<Vec<PathBuf>> {
    let wanted = is_set("TUNESMITH_REQUIRE_CUDA_KERNELS");
    let nvcc = if is_set("TUNESMITH_SKIP_NVCC") { None } else { nvcc() };
    let Some(nvcc) = nvcc else {
        let text = "no nvcc: this build has no CUDA kernels and runs on the CPU only; `npm run setup` fetches nvcc into .cuda/";
        if wanted {
            return Err(format!("[build] TUNESMITH_REQUIRE_CUDA_KERNELS=1 expected nvcc, got none; {text}"));
        }
        println!("cargo::warning={text}");
        return Ok(Vec::new());
    };
    let archs = archs();
    // The name holds what the file was made for, so that other architectures are other files.
    let fatbin = |stem: &str| out.join(format!("{stem}.{}.fatbin", archs.replace(',', "_")));
    each(&sources.stems, |stem| {
        let (source, target) = (sources.source(stem), fatbin(stem));
        if sources.fresh(&source, &target)? {
            return Ok(());
        }
        let mut command = Command::new(&nvcc);
        command
            // The path of the source goes into the fatbin: from here it is the same in every checkout.
            .current_dir(&sources.root)
            .args(["-fatbin", "-std=c++17", "-O3", "-Xptxas", "-v", "--compress-mode=size", "-I", "."]);
        for arch in archs.split(',') {
            command.arg("-gencode").arg(format!("arch=compute_{arch},code=sm_{arch}"));
        }
        command.args(["-gencode", "arch=compute_80,code=compute_80"]);
        let made = unfinished(&target);
        let report = run(command.arg(format!("{stem}.cu")).arg("-o").arg(&made))?;
        fs::write(target.with_extension("ptxas"), report).map_err(|error| error.to_string())?;
        fs::rename(made, target).map_err(|error| error.to_string())
    })?;
    Ok(sources.stems.iter().map(|stem| fatbin(stem)).collect())
}

/// Names of a file's kernels: what stands first in the brackets of a line that begins with a macro named after KERNEL.
fn entries(source: &Path) -> Outcome<Vec<String>> {
    let text = fs::read_to_string(source).map_err(|error| format!("[build] {}: {error}", source.display()))?;
    let name = |line: &str| {
        let (head, rest) = line.split_once('(')?;
        let is_macro = head.contains("KERNEL") && head.chars().all(|c| c == '_' || c.is_ascii_uppercase());
        let name = rest.split([',', ')']).next()?.trim();
        is_macro.then(|| name.to_owned())
    };
    let mut names: Vec<String> = text.lines().filter_map(name).collect();
    names.dedup();
    Ok(names)
}

/// The generated table: stem, fatbin (empty without nvcc), names of the kernels.
fn table(sources: &Sources, fatbins: &[PathBuf]) -> Outcome<String> {
    let mut text = String::from("pub static MODULES: &[Module] = &[\n");
    for (i, stem) in sources.stems.iter().enumerate() {
        let names = entries(&sources.source(stem))?;
        let image =
            fatbins.get(i).map_or("&[]".to_owned(), |path| format!("include_bytes!({:?})", path.display().to_string()));
        let _ = writeln!(text, "Module {{ stem: {stem:?}, image: {image}, kernels: &{names:?} }},");
    }
    text.push_str("];\n");
    Ok(text)
}

/// What ptxas printed when it made each fatbin, for the tests: stem, text.
fn reports(sources: &Sources, fatbins: &[PathBuf]) -> String {
    let mut text = format!("#[cfg(test)]\npub static ARCHS: &str = {:?};\n", archs());
    text.push_str("#[cfg(test)]\npub static REPORTS: &[(&str, &str)] = &[\n");
    for (stem, fatbin) in sources.stems.iter().zip(fatbins) {
        let report = fatbin.with_extension("ptxas").display().to_string();
        let _ = writeln!(text, "({stem:?}, include_str!({report:?})),");
    }
    text.push_str("];\n");
    text
}

/// The library of the emulated device.
fn emulated(sources: &Sources, out: &Path) -> Outcome<PathBuf> {
    let out = out.join("emulated");
    fs::create_dir_all(&out).map_err(|error| error.to_string())?;
    let compiler = env::var_os("CXX").unwrap_or_else(|| "g++".into());
    let host = sources.root.join("host");
    let flags = || {
        let mut command = Command::new(&compiler);
        command.arg("-O2").arg(format!("@{}", host.join("flags.txt").display()));
        if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
            // Fused multiply-adds, as a GPU has them.
            command.args(["-mavx2", "-mfma"]);
        }
        command
    };
    let object = |stem: &str| out.join(format!("{stem}.o"));
    let mut units = sources.stems.clone();
    units.extend(["device".to_owned(), "faults".to_owned()]);
    each(&units, |unit| {
        let source = match unit {
            "device" => host.join("device.cpp"),
            "faults" => host.join("faults.cu"),
            stem => sources.source(stem),
        };
        if sources.fresh(&source, &object(unit))? {
            return Ok(());
        }
        let mut command = flags();
        command.args(["-x", "c++", "-include"]).arg(host.join("shim.h")).arg("-I").arg(&sources.root);
        let made = unfinished(&object(unit));
        run(command.arg("-c").arg(&source).arg("-o").arg(&made))?;
        fs::rename(made, object(unit)).map_err(|error| error.to_string())
    })?;
    let library = out.join("libtunesmith_emulated.so");
    let made = unfinished(&library);
    run(flags().args(["-shared", "-pthread"]).args(units.iter().map(|unit| object(unit))).arg("-o").arg(&made))?;
    // A test that runs has the old file open and keeps it.
    fs::rename(made, &library).map_err(|error| error.to_string())?;
    Ok(library)
}
