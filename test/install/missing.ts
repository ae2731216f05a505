// Errors where no binary loads: each of the three reasons is made, and its message says what to do about that one.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, type Format } from "esbuild";
import type { InstallCheck } from "./check.ts";
import { makePlace, mustEnd, mustSay, type Place } from "./place.ts";

const asking = `
import { systemInfo } from "@tunesmith/sdk";
try {
  console.log("version", systemInfo().version);
} catch (error) {
  console.log(error.name, error.code, error.message);
}
`;

/** What the program prints that asks the engine for its version. */
async function answer(place: Place, args: readonly string[] = []): Promise<string> {
  writeFileSync(join(place.folder, "ask.mjs"), asking);
  return mustEnd(await place.node([...args, "ask.mjs"])).out;
}

const otherPlatform: InstallCheck = {
  id: "missing: platform",
  async run(place) {
    const pretend = (name: string, value: string) =>
      `data:text/javascript,Object.defineProperty(process, ${JSON.stringify(name)}, { value: ${JSON.stringify(value)} })`;
    const said = await answer(place, ["--import", pretend("platform", "freebsd")]);
    mustSay(
      said,
      /^BinaryMissingError BINARY_MISSING \[native\] expected one of the platforms linux-x64, .*win32-arm64, got freebsd-x64/u,
    );
    mustSay(said, /build it from a clone of .* with `npm run build`/u);
    mustSay(await answer(place, ["--import", pretend("arch", "riscv64")]), /got linux-riscv64/u);
    return "";
  },
};

const leftOut: InstallCheck = {
  id: "missing: optional dependencies",
  async run(_, release) {
    using place = await makePlace(release, { flags: ["--omit=optional"] });
    const said = await answer(place);
    mustSay(
      said,
      /looked for a package @tunesmith\/native-\S+ and could not load it; install again without --omit=optional/u,
    );
    const { out } = mustEnd(await place.tunesmith(["doctor"]), 1);
    mustSay(out, /^bad\s+engine .*--omit=optional/mu);
    return "";
  },
};

const bundled: InstallCheck = {
  id: "missing: bundled",
  async run(place) {
    writeFileSync(join(place.folder, "ask.mjs"), asking);
    const bundle = async (format: Format, folder: string, external: string[] = []) => {
      const outfile = join(folder, `ask.${format === "esm" ? "mjs" : "cjs"}`);
      // As esbuild's users write it: packages in CommonJS ask for Node's own modules by `require`, which an ES module lacks.
      const banner =
        'import { createRequire as ofModule } from "node:module"; const require = ofModule(import.meta.url);';
      const withRequire = format === "esm" ? { banner: { js: banner } } : {};
      const entry = { ...withRequire, entryPoints: [join(place.folder, "ask.mjs")], outfile, external, format };
      await build({ ...entry, bundle: true, platform: "node", logLevel: "silent" });
      return mustEnd(await place.node([outfile])).out;
    };
    const elsewhere = mkdtempSync(join(tmpdir(), "tunesmith-bundle-"));
    try {
      for (const format of ["esm", "cjs"] as const)
        mustSay(
          await bundle(format, elsewhere),
          /got a bundle without them; leave the package out of the bundle \(esbuild --external:@tunesmith\/native/u,
        );
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
    // Where the package is installed next to it, a bundle finds the binary, and so does one that leaves the package out.
    const beside = join(place.folder, "bundle");
    mustSay(await bundle("esm", beside), /^version \d/u);
    mustSay(await bundle("esm", beside, ["@tunesmith/native"]), /^version \d/u);
    return "";
  },
};

export const missingChecks: readonly InstallCheck[] = [otherPlatform, leftOut, bundled];
