// The chat template that the option `chatTemplate` stands for.
import { readFile } from "node:fs/promises";
import { OptionError } from "../errors.ts";
import { expandHome } from "../files/home.ts";
import { fileOperation } from "../files/index.ts";
import { nearestName } from "../options/names.ts";
import { ownTemplates } from "./own-templates.ts";

/**
 * The text of a chat template: of one of our own, by its name; of a file; or the text itself, which has Jinja's braces. A file that is
 * not there is an `OptionError` with the nearest name.
 */
export async function chatTemplateText(given: string): Promise<string> {
  if (/\{[{%]/u.test(given)) return given;
  if (Object.hasOwn(ownTemplates, given)) return ownTemplates[given as keyof typeof ownTemplates];
  const path = expandHome(given);
  try {
    return await fileOperation("read", path, () => readFile(path, "utf8"));
  } catch (cause) {
    const names = Object.keys(ownTemplates);
    const nearest = nearestName(given, names);
    const advice = nearest === null ? "correct the path" : `did you mean "${nearest}"?`;
    throw new OptionError(
      `[chatTemplate] expected a template's text, the path of one, or one of ${names.join(", ")}, got ${JSON.stringify(given)}, where no file can be read; ${advice}`,
      { cause },
    );
  }
}
