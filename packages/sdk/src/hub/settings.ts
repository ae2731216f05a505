// Where the hub, its cache and its token are.
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Where models come from and where they are kept. */
export interface HubSettings {
  /** Base address of the hub, without a slash at the end. */
  endpoint: string;
  /** Cache folder in Hugging Face's layout: `models--ORG--NAME/{blobs,refs,snapshots}`. */
  cacheDir: string;
  /** True: nothing is asked of the network. */
  offline: boolean;
  /** Access token, or null. Never logged, and sent to the endpoint's own host only. */
  token: string | null;
}

const yes = new Set(["1", "ON", "YES", "TRUE"]);

/**
 * Settings from the environment, by the names and defaults of Python's huggingface_hub: `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`,
 * `XDG_CACHE_HOME`, `HF_HUB_OFFLINE`, `HF_TOKEN`, `HF_TOKEN_PATH`. So models that Python has downloaded are found, and the other
 * way round.
 */
export function hubSettings(env: NodeJS.ProcessEnv = process.env): HubSettings {
  const home = env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "huggingface");
  return {
    endpoint: (env.HF_ENDPOINT ?? "https://huggingface.co").replace(/\/+$/u, ""),
    cacheDir: env.HF_HUB_CACHE ?? join(home, "hub"),
    offline: yes.has((env.HF_HUB_OFFLINE ?? "").toUpperCase()),
    token: env.HF_TOKEN?.trim() || savedToken(env.HF_TOKEN_PATH ?? join(home, "token")),
  };
}

/** The token that `hf auth login` has saved. */
function savedToken(path: string): string | null {
  try {
    return readFileSync(path, "utf8").trim() || null;
  } catch {
    return null;
  }
}
