// Why the native binary is not there, and what to do about it: reinstalling helps in one case only.
import { createRequire } from "node:module";

/** What decides whether there can be a binary. */
export interface Host {
  platform: string;
  arch: string;
  /** Version of Node, without `v`. */
  node: string;
  /** Whether the C library is musl (Alpine). */
  isMusl: boolean;
  /** Whether the loader is found from the code: a bundler takes the code and leaves the files. */
  hasLoader: boolean;
  /** Path of a binary that is asked for by name (`NAPI_RS_NATIVE_LIBRARY_PATH`). */
  override: string | undefined;
  /** What the system's loader said of a binary that is there; undefined where none is. */
  refused: string | undefined;
}

/** Binaries that are published: those of `napi.targets` in package.json. */
export const published = [
  "linux-x64",
  "linux-arm64",
  "linux-x64-musl",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
  "win32-x64",
  "win32-arm64",
];

/** How a binary is made where none is published. */
const howToBuild =
  "build it from a clone of https://github.com/tunesmith/tunesmith with `npm run build`, which needs Rust, and name the file " +
  "packages/native/binding/tunesmith.*.node in NAPI_RS_NATIVE_LIBRARY_PATH";

/**
 * This process.
 *
 * @param code address of the code that loads; undefined in a bundle of CommonJS
 * @param loader what the loader is called
 * @param cause what the loader threw
 */
export function host(code: string | undefined, loader: string, cause: unknown): Host {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return {
    platform: process.platform,
    arch: process.arch,
    node: process.versions.node,
    isMusl: process.platform === "linux" && header.glibcVersionRuntime === undefined,
    hasLoader: code !== undefined && isFound(loader, code),
    override: process.env.NAPI_RS_NATIVE_LIBRARY_PATH,
    refused: refusal(cause),
  };
}

function isFound(name: string, code: string): boolean {
  try {
    return createRequire(code).resolve(name) !== "";
  } catch {
    return false;
  }
}

/** The message of the system's loader among an error and its causes. */
function refusal(error: unknown): string | undefined {
  for (let next = error; next instanceof Error; next = next.cause)
    if ((next as NodeJS.ErrnoException).code === "ERR_DLOPEN_FAILED") return next.message.split("\n", 1)[0];
  return undefined;
}

/** What to say where the binary does not load. */
export function whyMissing({ platform, arch, node, isMusl, hasLoader, override, refused }: Host): string {
  const target = `${platform}-${arch}${isMusl ? "-musl" : ""}`;
  const [major = 0, minor = 0] = node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    return `[native] expected Node 20.19 or newer, got ${node}; install a newer Node`;
  if (override !== undefined)
    return `[native] expected the binary for ${target} in NAPI_RS_NATIVE_LIBRARY_PATH, got ${override}, which does not load; correct it or unset it`;
  if (!published.includes(target))
    return `[native] expected one of the platforms ${published.join(", ")}, got ${target}; no binary is published for it: use one of these, or ${howToBuild}`;
  if (!hasLoader)
    return (
      "[native] expected the files of the package @tunesmith/native, got a bundle without them; leave the package " +
      "out of the bundle (esbuild --external:@tunesmith/native, serverExternalPackages of Next.js, external of Rollup and webpack)"
    );
  if (refused !== undefined)
    return `[native] expected the binary for ${target} to load, got: ${refused}; use a newer system (glibc 2.17), or ${howToBuild}`;
  return (
    `[native] expected the binary for ${target} (Node ${node}), looked for a package @tunesmith/native-${platform}-${arch}* and ` +
    "could not load it; install again without --omit=optional or --ignore-optional: npm i @tunesmith/native"
  );
}
