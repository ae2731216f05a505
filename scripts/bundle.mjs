// The code of a package as few files, run in its folder by its `build` after tsc has written the types: opening hundreds of modules
// takes Node longer than running them.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

/** Of both kinds: what is imported when it is needed stays apart, and what several parts use is there once. */
const shared = /** @type {const} */ ({
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20.19",
  logLevel: "warning",
});

// Code of an earlier build goes: the names of shared files change with what they hold.
const code = (/** @type {string} */ path) => /\.js(?:\.map)?$/u.test(path);
if (existsSync("dist"))
  for (const path of readdirSync("dist", { encoding: "utf8", recursive: true }).filter(code))
    rmSync(join("dist", path));

// What a program imports leaves its dependencies out: a user's updates and overrides of them hold, and an error is of one class
// however it is reached.
await build({ ...shared, entryPoints: ["src/index.ts"], outdir: "dist", packages: "external" });

// A command line shares no object with another program: everything it needs is in its own files, read from the sources, of which a
// command opens those that it runs. Only the binary stays where npm has put it.
if (existsSync("src/main.ts")) {
  const outdir = "dist/program";
  const { metafile } = await build({
    ...shared,
    entryPoints: ["src/main.ts"],
    outdir,
    tsconfig: join(import.meta.dirname, "../tsconfig.json"),
    // Packages in CommonJS ask for Node's own modules by `require`, which an ES module lacks.
    banner: {
      js: 'import { createRequire as ofModule } from "node:module"; const require = ofModule(import.meta.url);',
    },
    metafile: true,
  });
  writeFileSync(join(outdir, "NOTICE.txt"), notices(Object.keys(metafile.inputs)));
}

/** The licences of what is in a bundle of others' work, which they want to stay with it. */
function notices(/** @type {string[]} */ inputs) {
  const folders = inputs.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/u.exec(path)?.[0] ?? []);
  const texts = [...new Set(folders)].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/iu.test(entry));
    if (file === undefined)
      throw new Error(`[${folder}] expected a file with its licence, got none; leave it out of the bundle`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  });
  return `The program in this folder holds these packages, each under its licence.\n\n${texts.join(`\n${"-".repeat(80)}\n\n`)}`;
}
