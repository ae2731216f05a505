// npm run names: reads the fields of transformers, TRL and PEFT from their wheels into docs/names.json; -- --check only compares.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Field, type NameTable, nameTable, tablePath, written } from "./table.ts";

const root = join(import.meta.dirname, "../..");

/** The versions that the table is of. */
const versions = { transformers: "5.24.0", trl: "1.16.0", peft: "0.21.2" };

/** Runs Python; what it prints on standard output. */
function python(...argv: string[]): string {
  const { status, stdout, stderr, error } = spawnSync("python3", argv, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (status === 0) return stdout;
  throw new Error(`[python3 ${argv.join(" ")}] expected exit code 0, got ${status ?? error?.message}: ${stderr}`);
}

function readWheels(): NameTable {
  const folder = process.env.TUNESMITH_WHEELS ?? mkdtempSync(join(tmpdir(), "tunesmith-names-"));
  try {
    const wheels = Object.entries(versions).map(([name, version]) => `${name}==${version}`);
    if (process.env.TUNESMITH_WHEELS === undefined)
      python("-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, ...wheels);
    const read = JSON.parse(python(join(root, "scripts/names/fields.py"), folder)) as {
      versions: Record<string, string>;
      fields: Field[];
    };
    return nameTable(read.versions, read.fields);
  } finally {
    if (process.env.TUNESMITH_WHEELS === undefined) rmSync(folder, { recursive: true });
  }
}

const text = written(readWheels());
const path = join(root, tablePath);
if (!process.argv.includes("--check")) writeFileSync(path, text);
else if (readFileSync(path, "utf8") !== text) {
  console.error(
    `[${tablePath}] expected the fields of the wheels with the verdicts of the schemas, got others; npm run names`,
  );
  process.exitCode = 1;
} else console.log(`${tablePath} is current`);
