// The tarballs themselves: what is in them, how large they are, and what others' tools say of manifests and types.
import { join } from "node:path";
import { contentFaults } from "../../scripts/release/contents.ts";
import { publintOf, typesOf } from "../../scripts/release/lint.ts";
import { type Packed, stagedFolder } from "../../scripts/release/pack.ts";
import type { Outcome } from "../../scripts/release/report.ts";
import type { InstallCheck } from "./check.ts";

function mustPass(name: string, outcome: Outcome): void {
  if ("faults" in outcome) throw new Error(`${name}: ${outcome.faults.join("; ")}`);
}

const tarballs: InstallCheck = {
  id: "tarballs",
  async run(_, { folder, list }) {
    const faults = list.flatMap((packed) => contentFaults(packed, join(folder, "staged", stagedFolder(packed))));
    if (faults.length > 0) throw new Error(faults.join("\n"));
    const first = list.findIndex(({ triple }) => triple === null);
    if (list.slice(first).some(({ triple }) => triple !== null))
      throw new Error("expected the platforms before all others");
    const largest = list.reduce((most, packed) => (packed.size > most.size ? packed : most));
    return `the largest is ${largest.file}, ${(largest.size / 1e6).toFixed(1)} MB`;
  },
};

const linted = (id: string, ask: (packed: Packed, folder: string) => Promise<Outcome>): InstallCheck => ({
  id,
  async run(_, { folder, list }) {
    const ours = list.filter(({ triple }) => triple === null);
    for (const packed of ours) mustPass(packed.name, await ask(packed, folder));
    return `${ours.length} packages`;
  },
});

export const tarballChecks: readonly InstallCheck[] = [
  tarballs,
  linted("publint", publintOf),
  linted("arethetypeswrong", typesOf),
];
