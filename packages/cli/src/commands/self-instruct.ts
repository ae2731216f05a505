// `tunesmith synth self-instruct`: rows of seed tasks, written by a model or at an endpoint.
import {
  AbortError,
  expandHome,
  kebabCase,
  OptionError,
  type OptionKeys,
  onlyGiven,
  sortOptionsBeside,
  terminalText,
} from "@tunesmith/core";
import type { EndpointOptions, FastLanguageModel, SelfInstructOptions, SelfInstructReport } from "@tunesmith/sdk";
import pc from "picocolors";
import { placeSchemas, synthSchemas } from "../flags.ts";
import { environmentLine } from "../view/environment-line.ts";
import type { Output } from "../view/screen.ts";
import { Screen } from "../view/screen.ts";
import { synthLines, synthStatus } from "../view/synth-lines.ts";
import { Interrupt } from "./interrupt.ts";
import { openModel, revisionOf } from "./load-model.ts";
import { modelOf } from "./run-target.ts";
import type { Streams } from "./train.ts";
import { endpointKey, required } from "./write.ts";

/** Flags besides those of the schemas. */
interface SynthFlags {
  seeds?: string;
  output?: string;
  model?: string;
  adapter?: string;
  endpoint?: string;
  endpointModel?: string;
  requestsPerMinute?: string;
  json?: boolean;
}

const keys: OptionKeys<SynthFlags> = {
  seeds: "optional",
  output: "optional",
  model: "optional",
  adapter: "optional",
  endpoint: "optional",
  endpointModel: "optional",
  requestsPerMinute: "optional",
  json: "optional",
};

/** `tunesmith synth self-instruct`. Gives the exit code: 0, or that of the signal that stopped it. */
export async function selfInstructFrom(flags: Record<string, unknown>, { out, err }: Streams): Promise<number> {
  const [sorted, given] = sortOptionsBeside(synthSchemas, keys, flags, "tunesmith synth self-instruct");
  const config = onlyGiven(sorted.config, flags);
  const seeds = expandHome(required("--seeds", given.seeds, "a file of seed tasks"));
  const output = expandHome(required("--output", given.output, "the file of rows to write"));
  const endpoint = endpointOf(given);
  if ((given.model === undefined) === (endpoint === null))
    throw new OptionError("[--model] expected either --model or --endpoint, got both or neither; give one of them");
  if (endpoint !== null) refuseModelFlags(given, onlyGiven({ ...sorted.place, ...sorted.modelConfig }, flags));
  const told = given.json === true ? err : out;
  told.write(`${environmentLine(sorted.place)}\n`);
  const model = given.model === undefined ? null : await modelFor(given, flags, sorted, err);
  try {
    return await toEnd({ ...config, seeds, output, generate: model ?? (endpoint as EndpointOptions) }, given, {
      out,
      err,
    });
  } finally {
    await model?.dispose();
  }
}

/** Makes the rows, shows how it goes, and says at the end what came of it. */
async function toEnd(
  options: SelfInstructOptions,
  { model, json = false }: SynthFlags,
  { out, err }: Streams,
): Promise<number> {
  const screen = new Screen(json ? err : out);
  const interrupt = new Interrupt((signal) => {
    screen.settle();
    screen.print(pc.yellow(signal === "first" ? "stopping: what has been answered is kept" : "stopped at once"));
  });
  let report: SelfInstructReport | null = null;
  try {
    const { selfInstruct } = await import("@tunesmith/sdk");
    for await (const event of selfInstruct({ ...options, signal: interrupt.signal })) {
      if (json) out.write(`${terminalText(JSON.stringify(event))}\n`);
      if (event.type === "request") screen.status(synthStatus(event, options.numInstructions), { last: false });
      if (event.type === "warning") screen.print(`${pc.yellow("warning:")} ${terminalText(event.message)}`);
      if (event.type === "done") report = event.report;
    }
    screen.clear();
    if (report !== null) (json ? err : out).write(synthLines(report, model ?? "ORG/NAME"));
    return 0;
  } catch (error) {
    screen.settle();
    if (!(error instanceof AbortError) || interrupt.exitCode === null) throw error;
    screen.print("the same command goes on from here");
    return interrupt.exitCode;
  } finally {
    interrupt.dispose();
  }
}

/** What says how a model is opened here says nothing to an endpoint. */
function refuseModelFlags({ adapter }: SynthFlags, ofModel: object): void {
  const names = [...(adapter === undefined ? [] : ["adapter"]), ...Object.keys(ofModel)];
  if (names.length > 0)
    throw new OptionError(
      `[--endpoint] expected no options of a model that is opened here, got ${names.map((name) => `--${kebabCase(name)}`).join(", ")}; leave them out, or give --model`,
    );
}

async function modelFor(
  { model = "", adapter }: SynthFlags,
  flags: Record<string, unknown>,
  { place }: { place: Parameters<typeof openModel>[2] },
  err: Output,
): Promise<FastLanguageModel> {
  const found = await modelOf(model, adapter);
  // Flags beat how the run held its weights.
  const weights = { ...found.weights, ...onlyGiven(flagsOfModel(flags), flags) };
  return openModel(found.model, err, {
    ...place,
    ...weights,
    ...(found.adapter !== null && { adapter: found.adapter }),
    ...revisionOf(found.revision),
  });
}

function flagsOfModel(flags: Record<string, unknown>): object {
  return Object.fromEntries(Object.keys(placeSchemas.modelConfig.shape).map((name) => [name, flags[name]]));
}

/** The endpoint that the flags name. */
function endpointOf({ endpoint, endpointModel, requestsPerMinute }: SynthFlags): EndpointOptions | null {
  if (endpoint === undefined && endpointModel === undefined && requestsPerMinute === undefined) return null;
  if (endpoint === undefined || endpointModel === undefined)
    throw new OptionError("[--endpoint] expected an address and --endpoint-model, got one of them; give both");
  return {
    baseUrl: endpoint,
    model: endpointModel,
    ...endpointKey(),
    ...(requestsPerMinute !== undefined && { requestsPerMinute: Number(requestsPerMinute) }),
  };
}
