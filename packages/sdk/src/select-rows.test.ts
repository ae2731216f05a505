import { fileURLToPath } from "node:url";
import { OptionError } from "@tunesmith/core";
import { loadModel } from "@tunesmith/native";
import { expect, test } from "vitest";
import { explain, explainRows } from "./explain.ts";
import { type SelectRowsOptions, selectRows } from "./select-rows.ts";
import { cleanRows } from "./testing/audit-rows.ts";

const model = await loadModel(fileURLToPath(new URL("../../../test/fixtures/models/llama", import.meta.url)));
const rows = [...cleanRows.slice(0, 8), { messages: [{ role: "user", content: "no answer" }] }];

/** Places of the rows that a run would train on, from 1. */
async function selected(options: SelectRowsOptions): Promise<number[]> {
  const found = await explainRows(selectRows(rows, options), { model, args: { onBadRow: "skip" }, examples: 20 });
  return found.rows.map(({ place }) => Number(place.split(":").at(-1)));
}

/** Mean loss of a row's trained tokens, as `inspect data --loss` shows it. */
async function lossOf(row: Record<string, unknown>): Promise<{ loss: number; answer: number[] }> {
  await using session = await model.createGenerator();
  const { tokens } = await explain(row, { model, session });
  const trained = tokens.filter(({ weight }) => weight > 0);
  const losses = trained.flatMap(({ loss }) => loss ?? []);
  return { loss: losses.reduce((sum, loss) => sum + loss, 0) / losses.length, answer: trained.map(({ id }) => id) };
}

const highest = (scores: readonly number[], count: number) =>
  [...scores.keys()]
    .filter((n) => !Number.isNaN(scores[n]))
    .sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0))
    .slice(0, count)
    .sort((a, b) => a - b)
    .map((n) => n + 1);

test("the rows with the highest loss are kept, and what cannot be used is left to the run", async () => {
  const losses = await Promise.all(cleanRows.slice(0, 8).map(async (row) => (await lossOf(row)).loss));
  expect(await selected({ by: "loss", keep: 3, model })).toEqual(highest(losses, 3));
  const found = await explainRows(selectRows(rows, { by: "loss", keep: 3, model }), {
    model,
    args: { onBadRow: "skip" },
  });
  expect(found.report.skipped.count).toBe(1);
});

test("instruction-following difficulty is the loss with the prompt over the loss without, below 1", async () => {
  const scores = await Promise.all(
    cleanRows.slice(0, 8).map(async (row) => {
      const { loss, answer } = await lossOf(row);
      const alone = await lossOf({ input_ids: answer });
      return loss / alone.loss < 1 ? loss / alone.loss : Number.NaN;
    }),
  );
  expect(scores.some((score) => !Number.isNaN(score))).toBe(true);
  expect(await selected({ by: "ifd", keep: 2, model })).toEqual(highest(scores, 2));
});

test("lengths and functions need no model, loss and ifd do", async () => {
  expect(await selected({ by: "length", keep: 2 })).toEqual(await selected({ by: byLength, keep: 2 }));
  expect(() => selectRows(rows, { by: "ifd", keep: 1 })).toThrow(OptionError);
  expect(() => selectRows(rows, { by: "loss", keep: 0, model })).toThrow("as keep, got 0");
  expect(() => selectRows(rows, { by: "best" as never, keep: 1 })).toThrow('"length" or a function');
});

function byLength(row: Record<string, unknown>): number {
  const [, answer] = row.messages as { content: string }[];
  return answer?.content.length ?? Number.NaN;
}

test("the longest answers are those of the columns that the run reads", async () => {
  const own = ["Four.", "Seventeen.", "Two."].map((a, n) => ({ q: `Question ${n}?`, a }));
  const args = { columns: { prompt: "q", completion: "a" } };
  const found = await explainRows(selectRows(own, { by: "length", keep: 1, args }), { model, args, examples: 3 });
  expect(found.rows.map(({ place }) => Number(place.split(":").at(-1)))).toEqual([2]);
});
