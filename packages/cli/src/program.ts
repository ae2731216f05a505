// The command line: what it names is read, and the rest is known by name and description.
import { createRequire } from "node:module";
import { Command } from "commander";
import { helpLayout } from "./help.ts";
import type { Surroundings } from "./program/surroundings.ts";
import { type Entry, namedBy, table } from "./program/table.ts";

const { version } = createRequire(import.meta.url)("#package.json") as { version: string };

/** Flags that ask about the command line itself. */
const questions = ["--version", "-V", "--help", "-h", "help"];

/** Streams and the end of a command line. */
type Around = Omit<Surroundings, "argv">;

/** Runs a command line; what is wrong with it, help and version too, is thrown. Gives the program, which knows what ran. */
export async function runProgram(argv: readonly string[], around: Around): Promise<Command> {
  const named = namedBy(argv);
  const program = await buildProgram(named, { ...around, argv });
  await program.parseAsync(await normalised(argv, named, program), { from: "user" });
  return program;
}

async function buildProgram(named: readonly Entry[], surroundings: Surroundings): Promise<Command> {
  const { argv, streams } = surroundings;
  const { out, err } = streams;
  // Errors repeat what was typed; a question about the command line itself is answered without the rest of the program.
  const shown = argv.every((word) => questions.includes(word))
    ? (text: string) => text
    : (await import("@tunesmith/core")).terminalText;
  const program = new Command("tunesmith")
    .description("Fine-tune language models on your own machine.")
    .version(version)
    .exitOverride()
    .configureHelp(helpLayout)
    .configureOutput({
      getOutHelpWidth: () => out.columns ?? 80,
      getErrHelpWidth: () => err.columns ?? 80,
      writeOut: (text) => out.write(text),
      writeErr: (text) => err.write(shown(text)),
    });
  const commands = new Map([["", program]]);
  for (const entry of table) {
    const words = entry.path.split(" ");
    const above = commands.get(words.slice(0, -1).join(" ")) as Command;
    const command = above.command(words.at(-1) as string).description(entry.description);
    commands.set(entry.path, command);
    if (named.includes(entry)) (await entry.define?.())?.(command, surroundings);
  }
  return program;
}

/** The command line with flags as the command that it names knows them. */
async function normalised(argv: readonly string[], named: readonly Entry[], program: Command): Promise<string[]> {
  if (named.length === 0) return [...argv];
  const { flagsOf, normaliseFlags } = await import("./flags.ts");
  const flagsBelow = (command: Command): ReturnType<typeof flagsOf> => [
    ...flagsOf(command),
    ...command.commands.flatMap(flagsBelow),
  ];
  return normaliseFlags(argv, flagsBelow(program));
}
