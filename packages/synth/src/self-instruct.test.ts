import { mkdir, readFile, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { selfInstructFilters } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../../core/src/testing/scratch.ts";
import { spread } from "../../core/src/testing/trials.ts";
import type { GenerateFunction, GenerateTextOptions } from "./generate/generate.ts";
import type { SelfInstructEvent } from "./report.ts";
import { selfInstruct } from "./self-instruct.ts";
import { recordedGenerator } from "./testing/recorded.ts";
import { eventsOf, ownSeeds, reportOf } from "./testing/run.ts";
import { wordOverlap } from "./testing/word-overlap.ts";

const output = async () => join(await scratchFolder(onTestFinished), "made/rows.jsonl");
const ofType = <T extends SelfInstructEvent["type"]>(events: readonly SelfInstructEvent[], type: T) =>
  events.filter((event): event is Extract<SelfInstructEvent, { type: T }> => event.type === type);
/** What was made, without who had answered. */
const made = (events: readonly SelfInstructEvent[]) =>
  events.filter(({ type }) => type !== "request" && type !== "done");

/** A generator that counts what it is asked. */
function counting(): {
  generate: GenerateFunction;
  asked: { prompts: readonly string[]; options: GenerateTextOptions }[];
} {
  const asked: { prompts: readonly string[]; options: GenerateTextOptions }[] = [];
  return {
    asked,
    generate: (prompts, options) => {
      asked.push({ prompts, options });
      return recordedGenerator(prompts, options);
    },
  };
}

test("makes rows of seeds, and every candidate is kept, dropped by a filter that is named, or not needed", async () => {
  const events = await eventsOf();
  const report = reportOf(events);
  expect(report).toMatchObject({ seeds: 8, stopped: "complete", files: null });
  expect(report.rows.generated).toBeGreaterThan(50);
  expect(report.rows.seeds).toBe(8);
  expect(report.classification.yes + report.classification.no).toBe(40);
  for (const { candidates, kept, surplus, filters } of report.steps)
    expect(candidates).toBe(kept + surplus + filters.reduce((sum, { dropped }) => sum + dropped, 0));
  const dropped = ofType(events, "dropped");
  for (const { step, filters } of report.steps)
    for (const { name, dropped: count, what } of filters) {
      expect(dropped.filter((event) => event.step === step && event.filter === name)).toHaveLength(count);
      expect(what).toMatch(/\w/u);
    }
  const names = report.steps.flatMap(({ filters }) => filters.map(({ name }) => name));
  expect(names).toEqual([...selfInstructFilters]);
  const counts = Object.fromEntries(report.steps.flatMap(({ filters }) => filters.map((f) => [f.name, f.dropped])));
  for (const name of ["cut-reply", "too-short", "too-long", "blocklist", "similar", "cut-example", "same-as-input"])
    expect(counts[name], name).toBeGreaterThan(0);
  for (const { mostSimilar } of ofType(events, "instruction")) expect(mostSimilar?.score ?? 0).toBeLessThanOrEqual(0.7);
  for (const { mostSimilar } of dropped.filter(({ filter }) => filter === "similar"))
    expect(mostSimilar?.score).toBeGreaterThan(0.7);
  const tasks = ofType(events, "row").filter(({ source }) => source === "generated");
  for (const { task } of tasks) expect(tasks.filter((row) => row.task === task).length).toBeLessThanOrEqual(5);
});

test("the same seed gives the same rows, however the replies of a batch come; another seed gives others", async () => {
  const rows = async (...of: Parameters<typeof eventsOf>) => made(await eventsOf(...of));
  const first = await rows();
  const slowly: GenerateFunction = async (prompts, options) => {
    const all = await recordedGenerator(prompts, options);
    const late = all.map((reply, n) => new Promise<typeof reply>((resolve) => setTimeout(() => resolve(reply), 5 - n)));
    return Promise.all(late);
  };
  expect(await rows({ generate: slowly })).toEqual(first);
  expect(await rows({ seed: 43 })).not.toEqual(first);
  for (const requestsPerBatch of [1, 3])
    expect(await rows({ requestsPerBatch })).toEqual(await rows({ requestsPerBatch }));
});

test("prompts show six seeds and two generated instructions, shuffled and numbered; at the start seeds alone", async () => {
  const { generate, asked } = counting();
  const events = await eventsOf({ generate });
  const generated = new Set(ofType(events, "instruction").map(({ instruction }) => instruction.replace(/:$/u, "")));
  const shown = asked
    .filter(({ options }) => options.step === "instructions")
    .map(({ prompts }) =>
      prompts.map((prompt) => [...prompt.matchAll(/^\d+\. (.+)$/gmu)].map(([, text]) => text ?? "")),
    );
  const ofPool = (items: readonly string[]) => items.filter((text) => generated.has(text)).length;
  expect(shown[0]?.map((items) => [items.length, ofPool(items)])).toEqual(Array(5).fill([8, 0]));
  for (const batch of shown.slice(1)) for (const items of batch) expect([items.length, ofPool(items)]).toEqual([8, 2]);
  const places = shown
    .slice(1)
    .flat()
    .map((items) => items.findIndex((text) => generated.has(text)));
  expect(new Set(places).size).toBeGreaterThan(3);
  const [bootstrap, labels, instances] = (["instructions", "classification", "instances"] as const).map((step) =>
    asked.find(({ options }) => options.step === step),
  );
  expect(bootstrap?.prompts[0]).toMatch(/\n9\.$/u);
  expect(bootstrap?.options).toMatchObject({ temperature: 0.7, topP: 0.5, presencePenalty: 2, maxTokens: 1024 });
  expect(bootstrap?.options.stop).toEqual(["\n\n", "\n16.", "\n16 "]);
  expect(labels?.options).toMatchObject({ temperature: 0, maxTokens: 3 });
  expect(labels?.prompts[0]?.match(/^Labels: (?:yes|no)$/gmu)).toHaveLength(31);
  expect(labels?.prompts[0]?.match(/^Labels: yes$/gmu)).toHaveLength(12);
  expect(instances?.options).toMatchObject({ temperature: 0, presencePenalty: 1.5, maxTokens: 300 });
  expect(instances?.options.stop).toEqual(["Example 6", "Task:"]);
  expect(instances?.prompts[0]).toMatch(/\nClass label:$/u);
  expect(asked.at(-1)?.prompts[0]).toMatch(/\nExample 1$/u);
  expect(asked.at(-1)?.options.maxTokens).toBe(350);
  expect(new Set(asked.map(({ options }) => options.seed)).size).toBe(asked.length);
  // Endpoints may take no more than 31 bits.
  for (const { options } of asked) expect(options.seed).toBeLessThan(2 ** 31);
  const short = counting();
  await eventsOf({ generate: short.generate, numInstructions: 5, maxInstructionTokens: 77, maxInstanceTokens: 78 });
  const tokens = new Set(short.asked.map(({ options }) => `${options.step} ${options.maxTokens}`));
  expect(tokens).toEqual(new Set(["instructions 77", "classification 3", "instances 78"]));
});

test("with every filter off nothing is dropped", async () => {
  const report = reportOf(await eventsOf({ withoutFilters: ["all"] }));
  const filters = report.steps.flatMap((step) => step.filters);
  expect(filters).toHaveLength(selfInstructFilters.length);
  for (const filter of filters) expect(filter).toMatchObject({ enabled: false, dropped: 0 });
  const each = reportOf(await eventsOf({ withoutFilters: ["similar", "too-short"] }));
  const off = each.steps.flatMap((step) => step.filters).filter(({ enabled }) => !enabled);
  expect(off.map(({ name }) => name)).toEqual(["too-short", "similar"]);
});

test("the pool knows every instruction that was kept, also one that is like another", async () => {
  const events = await eventsOf({ withoutFilters: ["similar"], numInstructions: 120 });
  const scores = ofType(events, "instruction").map(({ mostSimilar }) => mostSimilar?.score ?? 0);
  expect(scores.slice(0, 100).filter((score) => score > 0.7).length).toBeGreaterThan(10);
  const pool = wordOverlap.rougePool();
  const all = ownSeeds.map(({ instruction }) => instruction);
  await pool.add(all);
  for (const { instruction, mostSimilar } of ofType(events, "instruction")) {
    const [{ index, score } = { index: null, score: 0 }] = await pool.mostSimilar([instruction]);
    expect(mostSimilar).toEqual(index === null ? null : { instruction: all[index], score });
    await pool.add([instruction]);
    all.push(instruction);
  }
});

test("which of too many instances stay, how a row is laid out and where it stands is drawn for each", async () => {
  const reply = Array.from({ length: 9 }, (_, n) => ` n${n}\nNumber: ${n}`).join("\nClass label:");
  const generate: GenerateFunction = (prompts, { step, seed }) =>
    prompts.map((_, n) =>
      step === "instructions"
        ? ` Turn a${seed}${n} b${seed}${n} c${seed}${n} over.`
        : step === "instances"
          ? reply
          : "yes",
    );
  const of = async (seed: number) =>
    ofType(await eventsOf({ generate, seed, numInstructions: 12, maxInstancesPerTask: 2 }), "row");
  const rows = await of(1);
  const generated = rows.filter(({ source }) => source === "generated");
  const choices = generated.map(({ task }) => {
    const ofTask = generated.filter((row) => row.task === task);
    return ofTask
      .map(({ completion }) => completion.trim())
      .sort()
      .join();
  });
  expect(new Set(choices).size).toBeGreaterThan(4);
  const layouts = generated.map(({ prompt }) => `${/^\w+:/u.exec(prompt)} ${/[A-Z]\w*:$/u.exec(prompt)}`);
  expect(new Set(layouts).size).toBeGreaterThan(3);
  const order = (rows: readonly { task: string }[]) =>
    rows.flatMap(({ task }) => (task.startsWith("seed") ? [task] : []));
  expect(order(rows)).toHaveLength(8);
  expect(order(await of(2))).not.toEqual(order(rows));
});

test("a reply that is neither yes nor no is told, and counts as no", async () => {
  const replies = ["Perhaps.", " YES", "no: it is free"];
  const generate: GenerateFunction = (prompts, options) =>
    options.step === "classification" ? prompts.map((_, n) => replies[n] ?? "no") : recordedGenerator(prompts, options);
  const events = await eventsOf({ generate, numInstructions: 3 });
  const found = ofType(events, "classification").map(({ isClassification }) => isClassification);
  expect([found, reportOf(events).classification]).toEqual([[null, true, false], { yes: 1, no: 1, unclear: 1 }]);
  const { generate: asking, asked } = counting();
  await eventsOf({
    numInstructions: 3,
    generate: (...of) => (of[1].step === "instances" ? asking(...of) : generate(...of)),
  });
  // Labels first, then all others.
  expect(asked.map(({ prompts }) => prompts.length)).toEqual([1, 2]);
});

test("where a generator goes on beyond a stop, the examples of the next task are not of this one", async () => {
  const own = " Word: ice\nOutput: cold\n\n";
  const generate: GenerateFunction = (prompts, { step, seed }) =>
    prompts.map((_, n) => {
      if (step === "instructions") return ` Say a${seed}${n} b${seed}${n} c${seed}${n} aloud.`;
      const more = `${own}Task: Another one.\nExample 1\nWord: sun\nOutput: hot`;
      return step === "classification" ? "no" : { text: more, finishReason: "length" as const };
    });
  const events = await eventsOf({ generate, numInstructions: 2, includeSeeds: false });
  const instances = ofType(events, "instance").map(({ input, output }) => [input, output]);
  // What was cut at its length had ended before.
  expect(instances).toEqual(Array(2).fill(["Word: ice", "cold"]));
});

test("a request that keeps something begins the count of idle ones again", async () => {
  let requests = 0;
  const generate: GenerateFunction = (_, { step }) => {
    requests += 1;
    return [
      step === "instructions" && requests % 3 === 0 ? ` Say w${requests} x${requests} y${requests} aloud.` : "no",
    ];
  };
  const limits = { numInstructions: 4, requestsPerBatch: 1, maxIdleRequests: 3 };
  expect(reportOf(await eventsOf({ generate, ...limits })).stopped).toBe("complete");
  requests = 0;
  expect(reportOf(await eventsOf({ generate, ...limits, maxIdleRequests: 2 })).stopped).toBe("maxIdleRequests");
});

test("limits end the search for instructions with a warning, and seeds are left out where asked for", async () => {
  const few = await eventsOf({ maxRequests: 7, includeSeeds: false, requestsPerBatch: 5 });
  expect(reportOf(few)).toMatchObject({ stopped: "maxRequests", rows: { seeds: 0 } });
  expect(reportOf(few).steps[0]?.requests).toBe(7);
  expect(ofType(few, "warning")[0]?.message).toMatch(/^\d+ instructions of 40 after 7 requests/u);
  const idle = await eventsOf({ generate: (prompts) => prompts.map(() => " Go."), maxIdleRequests: 10 });
  expect(reportOf(idle)).toMatchObject({ stopped: "maxIdleRequests", rows: { generated: 0, seeds: 8 } });
});

test("writes rows that are prompts and completions, and tasks that are seeds of another run", async () => {
  const path = await output();
  const report = reportOf(await eventsOf({ output: path }));
  const rows = (await readFile(path, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as object);
  expect(rows).toHaveLength(report.rows.generated + report.rows.seeds);
  for (const row of rows) expect(Object.keys(row)).toEqual(["prompt", "completion"]);
  const seeds = path.replace(".jsonl", ".tasks.jsonl");
  expect(report.files).toEqual({ rows: path, tasks: seeds, journal: path.replace(".jsonl", ".journal.jsonl") });
  expect(reportOf(await eventsOf({ seeds, numInstructions: 2, maxRequests: 5 })).seeds).toBe(40);
});

test("killed anywhere, a run goes on to the same files, and asks for nothing twice", async () => {
  const few = { numInstructions: 15, requestsPerBatch: 4 };
  const whole = await output();
  const events = await eventsOf({ output: whole, ...few });
  const journal = await readFile(whole.replace(".jsonl", ".journal.jsonl"));
  const ends = [...journal.keys()].filter((at) => journal[at] === 10).map((at) => at + 1);
  // At the end of lines, and within them: in the header too.
  const cuts = [0, 1, 30, ...spread(ends.length, 4).map((n) => ends[n] as number), ...spread(journal.length - 1, 5)];
  for (const cut of cuts) {
    const path = await output();
    const { generate, asked } = counting();
    await mkdir(dirname(path));
    const own = path.replace(".jsonl", ".journal.jsonl");
    await writeFile(own, journal.subarray(0, cut));
    const again = await eventsOf({ output: path, generate, ...few });
    expect(made(again), `cut at ${cut}`).toEqual(made(events));
    expect(await readFile(path)).toEqual(await readFile(whole));
    expect(await readFile(own)).toEqual(journal);
    const lines = ends.filter((end) => end <= cut).length;
    expect(asked).toHaveLength(ends.length - Math.max(1, lines));
    expect(ofType(again, "request").filter(({ resumed }) => !resumed)).toHaveLength(asked.length);
  }
}, 60_000);

test("a generator that fails ends the run, and the next goes on where it was", async () => {
  const path = await output();
  let calls = 0;
  const failing: GenerateFunction = (prompts, options) => {
    calls += 1;
    if (calls === 9) throw new Error("out of credit");
    return recordedGenerator(prompts, options);
  };
  await expect(eventsOf({ output: path, generate: failing })).rejects.toMatchObject({
    code: "CALLBACK_FAILED",
    message: expect.stringContaining("out of credit"),
  });
  const stop = new AbortController();
  const stopping: GenerateFunction = (prompts, options) => {
    stop.abort();
    return recordedGenerator(prompts, options);
  };
  await expect(eventsOf({ output: path, generate: stopping, signal: stop.signal })).rejects.toMatchObject({
    code: "ABORTED",
  });
  const { generate, asked } = counting();
  const events = await eventsOf({ output: path, generate });
  expect(made(events)).toEqual(made(await eventsOf()));
  expect(ofType(events, "request").filter(({ resumed }) => resumed)).toHaveLength(9);
  expect(asked).toHaveLength(ofType(events, "request").length - 9);
});

test("another configuration, a journal that was changed, and files of another kind are refused by name", async () => {
  const path = await output();
  await eventsOf({ output: path });
  const journal = path.replace(".jsonl", ".journal.jsonl");
  const before = await readFile(journal);
  const others: [Parameters<typeof eventsOf>[0], RegExp][] = [
    [
      { numInstructions: 41 },
      /journal.jsonl\] expected the options of the run that is there, numInstructions 40, got 41; give/u,
    ],
    [{ seed: 1, withoutFilters: ["similar"] }, /seed 42, got 1; withoutFilters \[\], got \["similar"\]/u],
    [
      { generate: { baseUrl: "http://127.0.0.1:9/v1", model: "m" } },
      /generator \{"type":"function"\}, got \{"type":"endpoint","model":"m"\}/u,
    ],
    [{ seeds: ownSeeds.slice(1) }, /seeds "[0-9a-f]+", got "[0-9a-f]+"/u],
  ];
  for (const [options, message] of others)
    await expect(eventsOf({ output: path, ...options })).rejects.toMatchObject({
      code: "OPTION_INVALID",
      message: expect.stringMatching(message),
    });
  expect(await readFile(journal)).toEqual(before);
  const lines = before.toString().split("\n");
  await writeFile(journal, [lines[0], lines[2], ""].join("\n"));
  await expect(eventsOf({ output: path })).rejects.toThrow(/:2\] expected the replies to request 0 of instructions/u);
  // Replies to other prompts at the same place, as another version would ask.
  const other = (lines[1] as string).replace(/"prompts":"[0-9a-f]{16}"/u, '"prompts":"0123456789abcdef"');
  await writeFile(journal, [lines[0], other, ""].join("\n"));
  await expect(eventsOf({ output: path })).rejects.toThrow(/:2\] expected the replies to request 0 of instructions/u);
  const first = JSON.parse(lines[1] as string) as { replies: { text: string; isCut: boolean }[] };
  for (const changed of [{ request: 7 }, { step: "rows" }, { replies: first.replies.slice(1) }]) {
    await writeFile(journal, [lines[0], JSON.stringify({ ...first, ...changed }), ""].join("\n"));
    await expect(eventsOf({ output: path })).rejects.toThrow(/:2\] expected the replies to request 0 of instructions/u);
  }
  await writeFile(journal, [lines[0], JSON.stringify({ ...first, replies: [{ text: "a" }] }), ""].join("\n"));
  await expect(eventsOf({ output: path })).rejects.toThrow(/:2\] expected the replies to a request, got/u);
  await writeFile(journal, [lines[0], '{"step": 1}', ""].join("\n"));
  await expect(eventsOf({ output: path })).rejects.toThrow(/:2\] expected the replies to a request, got/u);
  await writeFile(journal, '{"prompt": "mine"}\n');
  await expect(eventsOf({ output: path })).rejects.toThrow(/got "\{\\"prompt\\": \\"mine\\"\}"; nothing was changed/u);
  await writeFile(journal, "mine");
  await expect(eventsOf({ output: path })).rejects.toThrow(/got "mine"; nothing was changed/u);
  const taken = join(await scratchFolder(onTestFinished), "rows.jsonl");
  await writeFile(taken, "mine");
  await expect(eventsOf({ output: taken })).rejects.toThrow(/rows.jsonl\] expected a new path/u);
  expect(await readFile(taken, "utf8")).toBe("mine");
  await truncate(taken);
  await writeFile(taken, `${JSON.stringify(ownSeeds[0])}\n`);
  await expect(eventsOf({ output: taken, seeds: taken })).rejects.toThrow(/apart from what is being read/u);
});

test("one process at a time writes, and leaving early gives the file back", async () => {
  const path = await output();
  const usual = {
    seeds: ownSeeds,
    generate: recordedGenerator,
    output: path,
    numInstructions: 40,
    maxIdleRequests: 60,
  };
  for await (const event of selfInstruct(usual, wordOverlap)) {
    if (event.type !== "instruction") continue;
    await expect(eventsOf({ output: path })).rejects.toMatchObject({ code: "LOCKED" });
    break;
  }
  expect(reportOf(await eventsOf({ output: path })).stopped).toBe("complete");
});

test("wrong options and wrong replies are named", async () => {
  const call = (options: object) => () =>
    selfInstruct({ seeds: ownSeeds, generate: recordedGenerator, ...options } as never, wordOverlap);
  expect(call({ numInstruction: 5 })).toThrow(/did you mean "numInstructions"/u);
  expect(call({ withoutFilters: ["simlar"] })).toThrow(/withoutFilters.*expected/u);
  expect(call({ maxSimilarity: 2 })).toThrow(/\[maxSimilarity\]/u);
  expect(call({ seeds: undefined })).toThrow(/expected seeds, got nothing/u);
  expect(call({ seeds: 5 })).toThrow(/\[selfInstruct.seeds\] expected a path or a list/u);
  expect(call({ generate: "gpt" })).toThrow(/\[selfInstruct.generate\] expected a function, a model/u);
  expect(call({ prompting: "chat" })).toThrow(/\[prompting\] expected a model or an endpoint, got a function/u);
  expect(call({ repetitionPenalty: 1.2 })).toThrow(/\[repetitionPenalty\] expected a Tunesmith model/u);
  expect(call({ output: 5 })).toThrow(/\[selfInstruct.output\] expected a path/u);
  const replies: [unknown, RegExp][] = [
    [["one"], /expected one text for each of 5 prompts, got 1/u],
    ["text", /expected one text for each of 5 prompts, got string/u],
    [Array(5).fill(7), /for prompt 0, got 7; correct the function/u],
    [Array(5).fill({ text: "a", finishReason: "eos" }), /for prompt 0, got \{"text":"a","finishReason":"eos"\}/u],
  ];
  for (const [given, message] of replies)
    await expect(eventsOf({ generate: () => given as never })).rejects.toThrow(message);
});
