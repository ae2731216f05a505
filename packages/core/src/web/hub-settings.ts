// Where the hub, its cache and its token are.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { OptionError } from "../errors.ts";
import { expandHome, huggingFaceHome } from "../files/index.ts";

/** Where models come from and where they are kept. */
export interface HubSettings {
  /** Base address of the hub, without a slash at the end, a user or a password. */
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
 * way round. An endpoint or a token that cannot be one is an `OptionError`, which shows neither.
 */
export function hubSettings(env: NodeJS.ProcessEnv = process.env): HubSettings {
  return hubSettingsWith({}, env);
}

/** The same, with what a program has given in their place. */
export function hubSettingsWith(
  given: { [Key in keyof HubSettings]?: HubSettings[Key] | undefined },
  env: NodeJS.ProcessEnv = process.env,
): HubSettings {
  return {
    endpoint:
      given.endpoint === undefined
        ? checkedEndpoint(env.HF_ENDPOINT || "https://huggingface.co", "HF_ENDPOINT")
        : checkedEndpoint(given.endpoint, "endpoint"),
    cacheDir: given.cacheDir === undefined ? hubCacheFolder(env) : resolve(expandHome(given.cacheDir)),
    offline: given.offline ?? yes.has((env.HF_HUB_OFFLINE ?? "").toUpperCase()),
    token: given.token === undefined ? environmentToken(env) : checkedToken(given.token, "token"),
  };
}

/** The folder in which models of the hub are kept. */
export function hubCacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(expandHome(env.HF_HUB_CACHE || join(huggingFaceHome(env), "hub")));
}

/** The token of `HF_TOKEN`, or the one that `hf auth login` has saved. */
function environmentToken(env: NodeJS.ProcessEnv): string | null {
  const direct = checkedToken(env.HF_TOKEN ?? null, "HF_TOKEN");
  if (direct !== null) return direct;
  const path = expandHome(env.HF_TOKEN_PATH || join(huggingFaceHome(env), "token"));
  try {
    return checkedToken(readFileSync(path, "utf8"), path);
  } catch (error) {
    if (error instanceof OptionError) throw error;
    return null;
  }
}

/** A token goes into a header: what cannot stand there would end up in the words of an error. */
function checkedToken(text: unknown, place: string): string | null {
  if (text === null) return null;
  const token = typeof text === "string" ? text.trim() : "\n";
  if (token === "") return null;
  if (/^[\x21-\x7e]+$/u.test(token)) return token;
  const got = /[\r\n]/u.test(token) ? "more than one line" : "other characters";
  throw new OptionError(
    `[${place}] expected an access token, one line without spaces, got ${got}; correct it (it is not shown here)`,
  );
}

/** Only the host of an address may be shown: the rest can hold a password, also where it is no address. */
function checkedEndpoint(text: unknown, place: string): string {
  const url = typeof text === "string" && URL.canParse(text.trim()) ? new URL(text.trim()) : null;
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:";
  if (url !== null && isWeb && url.username + url.password + url.search + url.hash === "")
    return url.origin + url.pathname.replace(/\/+$/u, "");
  const got = url !== null && isWeb ? `one of ${url.host} with a user, a password or a query` : "something else";
  throw new OptionError(
    `[${place}] expected the address of a hub, such as https://huggingface.co, got ${got}; correct it (it is not shown here)`,
  );
}
