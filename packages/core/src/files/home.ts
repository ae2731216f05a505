// The home folder in paths, which no shell has expanded in a file, in a program, or after an equals sign.
import { homedir } from "node:os";
import { join } from "node:path";

/** A path with `~` and `~/…` at its start as the home folder; any other path, `~name` included, as it is. */
export function expandHome(path: string): string {
  if (path === "~") return homedir();
  return path.startsWith("~/") || path.startsWith("~\\") ? join(homedir(), path.slice(2)) : path;
}

/** The folder of everything that comes from Hugging Face (`HF_HOME`, `XDG_CACHE_HOME`). Default `~/.cache/huggingface`. */
export function huggingFaceHome(env: NodeJS.ProcessEnv = process.env): string {
  return expandHome(env.HF_HOME || join(env.XDG_CACHE_HOME || join("~", ".cache"), "huggingface"));
}
