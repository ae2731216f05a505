// npm run new:op S [--cuda]: makes the files of a stem, with a kernel page and its launcher where asked for, registers them, and
// leaves a suite that fails.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const pascal = (stem: string) => stem.replaceAll(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Without kernels the trait refuses by itself, and a GPU implements it with nothing. */
const contract = (stem: string, cuda: boolean) => `//! \`${stem}\`: what it does, in one line.

use crate::check::Call;
use crate::error::${cuda ? "Result" : "{Code, Error, Result}"};
use crate::memory::{Memory, TypedBuffer, View, ViewMut};

/// The formula (authors and year, arXiv number): \`y[i] = x[i]\`.
///
/// What forward saves. Tolerance f32: forward 2e-6 relative to the largest output; bf16: 4e-3. Edge sizes: 0, 1, 15, 16, 17, 4099.
pub trait ${pascal(stem)}: Memory {
    /// \`y[i] = x[i]\`; writes.
    ///
    /// # Errors
    /// \`ArgumentInvalid\` on unequal lengths.
${cuda ? required(stem) : refusing(stem)}
}

/// Checks the views of [\`${pascal(stem)}::${stem}_forward\`].
///
/// # Errors
/// \`ArgumentInvalid\` naming the view that does not fit.
pub fn check_forward<T: TypedBuffer>(call: Call, x: View<'_, T>, y: View<'_, T>) -> Result<()> {
    call.activations("x", x, y.len)?;
    call.activations("y", y, y.len)
}

/// The same in float64, written for reading.
pub mod reference {
    /// \`y\`.
    pub fn forward(x: &[f64]) -> Vec<f64> {
        x.to_vec()
    }
}
`;

const required = (stem: string) =>
  `    fn ${stem}_forward(&self, x: View<'_, Self::Buffer>, y: ViewMut<'_, Self::Buffer>) -> Result<()>;`;

const refusing = (stem: string) =>
  `    fn ${stem}_forward(&self, _x: View<'_, Self::Buffer>, _y: ViewMut<'_, Self::Buffer>) -> Result<()> {
        let text = "expected a backend with ${stem}, got one without; train this model on the CPU";
        Err(Error::new(Code::ModelUnsupported, "${stem}_forward", text))
    }`;

const cpu = (stem: string) => `//! \`${stem}\`: how the CPU does it.

use tunesmith_ops::{Code, Error, ${pascal(stem)}, Result, View, ViewMut, ${stem}};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::views::call;

impl ${pascal(stem)} for Cpu {
    fn ${stem}_forward(&self, x: View<'_, Buffer>, y: ViewMut<'_, Buffer>) -> Result<()> {
        ${stem}::check_forward(call("${stem}_forward"), x, y.as_view())?;
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
        let x = stage.round(inputs.normal(len));
        let mut y = stage.activation_output(len)?;
        stage.backend.${stem}_forward(stage.activations(&x)?.view(), y.view_mut())?;
        let (want, tolerance) = (reference::forward(&wide(&x)), stage.tolerance(2e-6, 4e-3));
        record.compare(format!("${stem}_forward {len}"), &stage.read(&y)?, &want, tolerance);
    }
    let (x, mut y) = (stage.activations(&[1.0; 2])?, stage.activation_output(3)?);
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

const launcher = (stem: string) => `//! \`${stem}\`: launches of \`kernels/${stem}.cu\`.

use tunesmith_ops::{${pascal(stem)}, Result, View, ViewMut, ${stem}};

use crate::device::Buffer;
use crate::elementwise::pack_blocks;
use crate::{Cuda, packs};

const THREADS: u32 = 256;

impl ${pascal(stem)} for Cuda {
    fn ${stem}_forward(&self, x: View<'_, Buffer>, y: ViewMut<'_, Buffer>) -> Result<()> {
        ${stem}::check_forward(self.call("${stem}_forward"), x, y.as_view())?;
        let (len, dtype) = (y.len, self.dtype);
        let wide = packs::wide(16, &[x, y.as_view()]);
        let launch = self.launch_activations("${stem}_forward_f32", "${stem}_forward_bf16");
        launch.blocks(pack_blocks(len, dtype), THREADS).long(len).read(x).write(&y).flag(wide).run()
    }
}
`;

/** The files of a stem; the kernel page begins as kernels/template has it. */
function filesOf(root: string, stem: string, cuda: boolean): Record<string, string> {
  const files = {
    [`crates/ops/src/${stem}.rs`]: contract(stem, cuda),
    [`crates/cpu/src/${stem}.rs`]: cpu(stem),
    [`crates/conformance/src/${stem}.rs`]: suite(stem),
    [`benchmarks/kernels/${stem}.rs`]: benchmark(stem),
  };
  if (!cuda) return files;
  const page = readFileSync(join(root, "kernels/template/stem.cu"), "utf8");
  return {
    ...files,
    [`kernels/${stem}.cu`]: page.replaceAll(/\bstem_/g, `${stem}_`),
    [`crates/cuda/src/${stem}.rs`]: launcher(stem),
  };
}

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
  [
    "crates/engine/src/plan/ledger.rs",
    /^(use tunesmith_ops::\{[\s\S]*?)(,?\s*\};)/m,
    (stem) => `$1, ${pascal(stem)}$2`,
  ],
  [
    "crates/engine/src/plan/ledger.rs",
    /^impl Backend for Ledger /m,
    (stem) => `impl ${pascal(stem)} for Ledger {
    free! {
        ${stem}_forward(In<'_>, Out<'_>);
    }
}

$&`,
  ],
  ["benchmarks/kernels/main.rs", /^mod adamw;\n/m, (stem) => `$&mod ${stem};\n`],
  ["benchmarks/kernels/main.rs", /^ {8}\("adamw", .*\n/m, (stem) => `$&        ("${stem}", ${stem}::run),\n`],
];

/** Where kernels are registered, and where a backend without them says so. */
const withKernels: Edit[] = [
  ["crates/cuda/src/lib.rs", /^mod adamw;\n/m, (stem) => `$&mod ${stem};\n`],
  [
    "crates/conformance/tests/cuda.rs",
    /^(use tunesmith_conformance::\{[\s\S]*?)(,?\s*\};)/m,
    (stem) => `$1, ${stem}$2`,
  ],
  [
    "crates/conformance/tests/cuda.rs",
    /^#\[test\]\nfn nf4_meets_its_contract/m,
    (stem) => `#[test]
fn ${stem}_meets_its_contract() {
    check(${stem}::suite);
}

$&`,
  ],
];
const withoutKernels: Edit[] = [
  ["crates/cuda/src/lib.rs", /^(use tunesmith_ops::\{[\s\S]*?)(,?\s*\};)/m, (stem) => `$1, ${pascal(stem)}$2`],
  [
    "crates/cuda/src/lib.rs",
    /^impl Backend for Cuda /m,
    (stem) => `// No kernels yet: it refuses, and says so.\nimpl ${pascal(stem)} for Cuda {}\n\n$&`,
  ],
];

/**
 * Makes a stem below `root` and returns the paths it made. Nothing is written when anything is in the way.
 *
 * @throws Error when the name is no stem or is taken
 */
export function newOp(root: string, stem: string, { cuda = false } = {}): string[] {
  if (!/^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$/.test(stem)) {
    throw new Error(`[new:op] expected a name such as log_prob, got ${stem === "" ? "none" : stem}`);
  }
  const files = filesOf(root, stem, cuda);
  const made = Object.keys(files);
  const taken = made.find((path) => existsSync(join(root, path)));
  if (taken !== undefined) throw new Error(`[new:op] expected a new name, got ${stem}; ${taken} exists`);
  const texts = new Map<string, string>();
  for (const [file, place, replacement] of [...edits, ...(cuda ? withKernels : withoutKernels)]) {
    const before = texts.get(file) ?? readFileSync(join(root, file), "utf8");
    if (!place.test(before)) throw new Error(`[new:op] expected ${place} in ${file}; fix scripts/new-op.ts`);
    texts.set(file, before.replace(place, replacement(stem)));
  }
  for (const [path, text] of [...texts, ...Object.entries(files)]) writeFileSync(join(root, path), text);
  return made;
}

function main(): void {
  const root = join(import.meta.dirname, "..");
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { cuda: { type: "boolean" } } });
  // Without `--` before it npm keeps the flag for itself.
  const cuda = values.cuda === true || process.env.npm_config_cuda === "true";
  const made = newOp(root, positionals[0] ?? "", { cuda });
  const crates = ["ops", "cpu", "cuda", "engine", "conformance", "kernels"].flatMap((name) => [
    "-p",
    `tunesmith-${name}`,
  ]);
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
