// The tables of docs/self-instruct.md are those of the code and of the committed result.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { selfInstruct } from "@tunesmith/sdk";
import { expect, test } from "vitest";
import type { Yield } from "../../benchmarks/synth/self-instruct.ts";
import { yieldTable } from "../../benchmarks/synth/yield-table.ts";

const read = (path: string) => readFile(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8");

test("the table of filters has each of them, with what it drops, in their order", async () => {
  const page = await read("docs/self-instruct.md");
  const rows = [...page.matchAll(/^\| `([a-z-]+)` \| (instructions|instances|rows) \| (.+) \|$/gmu)];
  const run = selfInstruct({
    seeds: [{ instruction: "Sing." }],
    generate: (prompts) => prompts.map(() => ""),
    maxRequests: 1,
  });
  for await (const event of run) {
    if (event.type !== "done") continue;
    const filters = event.report.steps.flatMap(({ step, filters }) =>
      filters.map(({ name, what }) => [name, step, what]),
    );
    expect(rows.map(([, ...cells]) => cells)).toEqual(filters);
    return;
  }
  expect.unreachable();
});

test("the yield is that of the committed result", async () => {
  const { yields } = JSON.parse(await read("benchmarks/results/self-instruct.json")) as { yields: Yield[] };
  expect(await read("docs/self-instruct.md")).toContain(`\n${yieldTable(yields)}\n`);
});
