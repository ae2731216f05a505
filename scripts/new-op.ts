// npm run new:op S: makes the four files of a stem, registers them, and leaves a suite that fails.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const pascal = (stem: string) => stem.replaceAll(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());

const contract = (stem: string) => `//! \`${stem}\`: what it does, in one line.

use crate::error::Result;
use crate::memory::{Memory, View, ViewMut};

/// The formula (authors and year, arXiv number): \`y[i] = x[i]\`.
///
/// What forward saves. Tolerance f32: forward 2e-6 relative to the largest output. Edge sizes: 0, 1, 15, 16, 17, 4099.
pub trait ${pascal(stem)}: Memory {
    /// \`y[i] = x[i]\`; writes.
    ///
    /// # Errors
    /// \`ArgumentInvalid\` on unequal lengths.
    fn ${stem}_forward(&self, x: View<'_, Self::Buffer>, y: ViewMut<'_, Self::Buffer>) -> Result<()>;
}

/// The same in binary64, written for reading.
pub mod reference {
    /// \`y\`.
    pub fn forward(x: &[f64]) -> Vec<f64> {
        x.to_vec()
    }
}
`;

const cpu = (stem: string) => `//! \`${stem}\`: how the CPU does it.

use tunesmith_ops::{Code, Error, ${pascal(stem)}, Result, View, ViewMut};

use crate::Cpu;
use crate::memory::Buffer;

impl ${pascal(stem)} for Cpu {
    fn ${stem}_forward(&self, x: View<'_, Buffer>, y: ViewMut<'_, Buffer>) -> Result<()> {
        let got = format!("the template of \`npm run new:op\` for {} and {} elements", x.len, y.len);
        Err(Error::new(Code::Internal, "${stem}", format!("expected an implementation, got {got}")))
    }
}
`;

const suite = (stem: string) => `//! Suite of \`${stem}\`.

use tunesmith_ops::${stem}::reference;
use tunesmith_ops::{Backend, Result};

use crate::inputs::wide;
use crate::{Inputs, Record, Stage};

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Backend>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = Inputs::new(seed);
    for len in [0, 1, 15, 16, 17, 4099] {
        let x = inputs.normal(len);
        let mut y = stage.output(len)?;
        stage.backend.${stem}_forward(stage.floats(&x)?.view(), y.view_mut())?;
        record.compare(format!("${stem}_forward {len}"), &stage.read(&y)?, &reference::forward(&wide(&x)), 2e-6);
    }
    let (x, mut y) = (stage.floats(&[1.0; 2])?, stage.output(3)?);
    record.refused("${stem} of unequal lengths", &stage.backend.${stem}_forward(x.view(), y.view_mut()));
    Ok(())
}
`;

const benchmark = (stem: string) => `//! Benchmark of \`${stem}\`: where in a model it runs, and at which size.

use tunesmith_ops::{Backend, Result};

use crate::bench::{Bench, Work};

/// Times forward.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    let (len, backend) = (bench.tokens * bench.model.hidden, bench.backend);
    let (x, mut y) = (bench.activations(len, 1.0)?, bench.output(len)?);
    bench.time("${stem}_forward", Work::Bytes(2 * bench.width() * len), || backend.${stem}_forward(x.view(), y.view_mut()))
}
`;

const files: Record<string, (stem: string) => string> = {
  "crates/ops/src": contract,
  "crates/cpu/src": cpu,
  "crates/conformance/src": suite,
  "benchmarks/kernels": benchmark,
};

type Edit = [file: string, place: RegExp, replacement: (stem: string) => string];

/** Where a stem is registered. Order does not matter here: rustfmt sorts modules and imports. */
const edits: Edit[] = [
  ["crates/ops/src/lib.rs", /^pub mod adamw;\n/m, (stem) => `$&pub mod ${stem};\n`],
  ["crates/ops/src/lib.rs", /^pub use adamw::.*;\n/m, (stem) => `$&pub use ${stem}::${pascal(stem)};\n`],
  ["crates/ops/src/lib.rs", /^(pub trait Backend:\n(?: {4}.*\n)+)\{/m, (stem) => `$1    + ${pascal(stem)}\n{`],
  ["crates/cpu/src/lib.rs", /^mod adamw;\n/m, (stem) => `$&mod ${stem};\n`],
  ["crates/conformance/src/lib.rs", /^pub mod adamw;\n/m, (stem) => `$&pub mod ${stem};\n`],
  ["crates/conformance/src/suites.rs", /^(use crate::\{[\s\S]*?)(,?\s*\};)/m, (stem) => `$1, ${stem}$2`],
  [
    "crates/conformance/src/suites.rs",
    /^ {8}\("adamw", adamw::suite\),\n/m,
    (stem) => `$&        ("${stem}", ${stem}::suite),\n`,
  ],
  ["benchmarks/kernels/main.rs", /^mod adamw;\n/m, (stem) => `$&mod ${stem};\n`],
  ["benchmarks/kernels/main.rs", /^ {8}\("adamw", .*\n/m, (stem) => `$&        ("${stem}", ${stem}::run),\n`],
];

/**
 * Makes a stem below `root` and returns the paths it made. Nothing is written when anything is in the way.
 *
 * @throws Error when the name is no stem or is taken
 */
export function newOp(root: string, stem: string): string[] {
  if (!/^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$/.test(stem)) {
    throw new Error(`[new:op] expected a name such as log_prob, got ${stem === "" ? "none" : stem}`);
  }
  const made = Object.keys(files).map((folder) => `${folder}/${stem}.rs`);
  const taken = made.find((path) => existsSync(join(root, path)));
  if (taken !== undefined) throw new Error(`[new:op] expected a new name, got ${stem}; ${taken} exists`);
  const texts = new Map<string, string>();
  for (const [file, place, replacement] of edits) {
    const before = texts.get(file) ?? readFileSync(join(root, file), "utf8");
    if (!place.test(before)) throw new Error(`[new:op] expected ${place} in ${file}; mend scripts/new-op.ts`);
    texts.set(file, before.replace(place, replacement(stem)));
  }
  for (const [folder, template] of Object.entries(files)) texts.set(`${folder}/${stem}.rs`, template(stem));
  for (const [path, text] of texts) writeFileSync(join(root, path), text);
  return made;
}

function main(): void {
  const root = join(import.meta.dirname, "..");
  const stem = process.argv[2] ?? "";
  const made = newOp(root, stem);
  const crates = ["ops", "cpu", "conformance", "kernels"].flatMap((name) => ["-p", `tunesmith-${name}`]);
  execFileSync("cargo", ["fmt", ...crates], { cwd: root, stdio: "inherit" });
  console.log(made.join("\n"));
  console.log(
    `\nThe suite fails now: cargo test --release -p tunesmith-conformance. CONTRIBUTING.md says how to go on.`,
  );
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  try {
    main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
