// The platforms that binaries are published for: how each is built, and on which machine it must train before it is.
import { parseTriple } from "@napi-rs/cli";

/** One platform. */
export interface Target {
  /** Rust's name; the same list is `napi.targets` in packages/native/package.json, and the matrices of release.yml. */
  triple: string;
  /** Runner of GitHub that compiles it. */
  builder: string;
  /** Whether zig links it: it has musl, and a glibc as old as that of any distribution that Node 20 runs on. */
  zig: boolean;
  /** Whether CUDA kernels are part of it: those of NVIDIA's platforms whose C library its driver supports. */
  kernels: boolean;
  /** Runner that installs and trains with it: a machine of its own kind. */
  runner: string;
  /** Image that it runs in there, where the runner's own system is another. */
  container: string;
}

const alpine = "node:20-alpine";
const here = { zig: false, kernels: false, container: "" };

export const targets: readonly Target[] = [
  {
    ...here,
    triple: "x86_64-unknown-linux-gnu",
    builder: "ubuntu-22.04",
    runner: "ubuntu-22.04",
    zig: true,
    kernels: true,
  },
  {
    ...here,
    triple: "aarch64-unknown-linux-gnu",
    builder: "ubuntu-22.04",
    runner: "ubuntu-22.04-arm",
    zig: true,
    kernels: true,
  },
  {
    ...here,
    triple: "x86_64-unknown-linux-musl",
    builder: "ubuntu-22.04",
    runner: "ubuntu-22.04",
    zig: true,
    container: alpine,
  },
  {
    ...here,
    triple: "aarch64-unknown-linux-musl",
    builder: "ubuntu-22.04",
    runner: "ubuntu-22.04-arm",
    zig: true,
    container: alpine,
  },
  { ...here, triple: "x86_64-apple-darwin", builder: "macos-14", runner: "macos-15-intel" },
  { ...here, triple: "aarch64-apple-darwin", builder: "macos-14", runner: "macos-14" },
  { ...here, triple: "x86_64-pc-windows-msvc", builder: "windows-2022", runner: "windows-2022" },
  { ...here, triple: "aarch64-pc-windows-msvc", builder: "windows-2022", runner: "windows-11-arm" },
];

/** Compute capabilities that a release compiles the kernels for: Ampere to Ada by 80, Hopper, data-centre and desktop Blackwell. */
export const cudaArchs = "80,90a,100a,120";

/** Bytes that the tarball of a platform may have: twelve million, and eight more where kernels are in it. */
export const packedLimit = ({ kernels }: Target): number => (kernels ? 20e6 : 12e6);

/** How Node names a target: the end of its package's name and the middle of its file's, such as `linux-x64-gnu`. */
export const platformOf = (triple: string): string => parseTriple(triple).platformArchABI;

/** The target of that name. Throws where there is none. */
export function targetOf(triple: string): Target {
  const found = targets.find((target) => target.triple === triple);
  if (found !== undefined) return found;
  const known = targets.map((target) => target.triple).join(", ");
  throw new Error(`[target] expected one of ${known}, got ${triple}; a new one begins in scripts/release/targets.ts`);
}
