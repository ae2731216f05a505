import { mixDatasets } from "@tunesmith/data";
import { expect, test } from "vitest";
import { conversations } from "../testing/scratch.ts";
import { trainer } from "../testing/sft-trainer.ts";

test("a data set that a mix has no row of is told, and one that gives few is not", async () => {
  const told = async (weight: number, other: number) => {
    const entries = [
      { dataset: conversations(9), weight },
      { dataset: conversations(4), weight: other },
    ];
    const { trainer: made } = await trainer({}, {}, { trainDataset: mixDatasets(entries) });
    return (await made.dryRun()).warnings.filter((text) => text.includes("nothing is trained of"));
  };
  expect(await told(1e-9, 1)).toEqual([
    expect.stringMatching(/nothing is trained of entry 1 \(weight 1e-9\): the mix/u),
  ]);
  expect(await told(1, 1e-9)).toEqual([
    expect.stringMatching(/nothing is trained of entry 2 \(weight 1e-9\): the mix/u),
  ]);
  expect(await told(1, 1)).toEqual([]);
});

test("a data set of a mix that is not read to its end is told", async () => {
  const told = async (stopping: "first_exhausted" | "all_exhausted") => {
    const entries = [{ dataset: conversations(3) }, { dataset: conversations(40) }];
    const { trainer: made } = await trainer({}, {}, { trainDataset: mixDatasets(entries, { stopping }) });
    const { data, warnings } = await made.dryRun();
    expect(data.parts?.map(({ isCut }) => isCut)).toEqual([
      undefined,
      stopping === "first_exhausted" ? true : undefined,
    ]);
    return warnings.filter((text) => text.includes("the mix ended"));
  };
  expect(await told("first_exhausted")).toEqual([
    expect.stringMatching(/the mix ended with the first data set .*, and entry 2 has some left; stopping "all_/u),
  ]);
  expect(await told("all_exhausted")).toEqual([]);
});

test("an evaluation set of the rows that are trained on is told, by its name where there are several", async () => {
  const rows = conversations(9);
  const told = async (evalDataset: object) => {
    const { trainer: made } = await trainer({}, {}, { trainDataset: rows, evalDataset: evalDataset as never });
    return (await made.dryRun()).warnings.filter((text) => text.includes("rows that are trained on"));
  };
  expect(await told(conversations(9))).toEqual([
    expect.stringMatching(/^evalDataset: these are the rows that are trained on, .*give held-out rows, or testSize$/u),
  ]);
  expect(await told({ seen: rows, other: conversations(4) })).toEqual([expect.stringMatching(/^evalDataset\.seen: /u)]);
  expect(await told(conversations(4))).toEqual([]);
});
