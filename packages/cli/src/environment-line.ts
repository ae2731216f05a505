// The first line of every command: what runs here.
import { systemInfo } from "@tunesmith/sdk";
import pc from "picocolors";

/** The first line of every command: what runs here. */
export function environmentLine(threads: number | undefined): string {
  const { version, backends, instructionSet, threads: cores } = systemInfo();
  return `${pc.bold("tunesmith")} ${version}, ${backends[0]} (${instructionSet}), ${threads ?? cores} threads`;
}
