// Which files of a repository are the rows of a configuration and a split.
import { DownloadError } from "@tunesmith/core";
import { parseDocument } from "yaml";
import * as z from "zod";
import type { RemoteFile } from "./listing.ts";

/** What is asked for of a data set; null: what there is only one of, else `default` and `train`. */
export interface DatasetChoice {
  name: string | null;
  split: string | null;
}

/** Files of one split of one configuration. */
export interface SplitFiles {
  name: string;
  split: string;
  files: RemoteFile[];
}

/** All splits of a repository: by its README's `configs`, else by the names of its files. */
export function splitsOf(files: readonly RemoteFile[], readme: string | null): SplitFiles[] {
  const rows = files.filter(({ path }) => rowFile.test(path));
  const declared = readme === null ? [] : declaredSplits(rows, readme);
  if (declared.length > 0) return declared;
  // Files of one kind: a repository that has its rows twice has them in Parquet.
  const parquet = rows.filter(({ path }) => path.endsWith(".parquet"));
  return grouped(
    parquet.length > 0 ? parquet : rows,
    (path) => converted(path) ?? { name: "default", split: splitByName(path) },
  );
}

/** The split that is asked for. What there is not is a `DownloadError` that names what there is. */
export function chosenSplit(splits: readonly SplitFiles[], choice: DatasetChoice, repo: string): SplitFiles {
  const names = [...new Set(splits.map(({ name }) => name))];
  const name = choice.name ?? (names.length === 1 ? names[0] : "default");
  const own = splits.filter((split) => split.name === name);
  if (own.length === 0)
    throw new DownloadError(
      `[${repo}] expected ${choice.name === null ? "a name, one of the configurations" : `the configuration "${choice.name}"`}, got ${listed(names)}; give one as name`,
    );
  const wanted = choice.split ?? "train";
  const found = own.find(({ split }) => split === wanted);
  if (found !== undefined) return found;
  throw new DownloadError(
    `[${repo}] expected the split "${wanted}", got ${listed(own.map(({ split }) => split))}; give one as split`,
  );
}

function listed(names: readonly string[]): string {
  return names.length === 0
    ? "no files of rows"
    : names
        .slice(0, 20)
        .map((name) => JSON.stringify(name))
        .join(", ");
}

/** Names of files of rows. What a repository says of itself is none. */
const rowFile =
  /^(?!(?:.*\/)?(?:dataset_infos?|state|config)\.json$).*(?:\.(?:jsonl|ndjson|json|csv|tsv)(?:\.gz)?|\.parquet)$/iu;

function grouped(files: readonly RemoteFile[], place: (path: string) => { name: string; split: string }): SplitFiles[] {
  const splits = new Map<string, SplitFiles>();
  for (const file of files) {
    const { name, split } = place(file.path);
    const key = JSON.stringify([name, split]);
    const known = splits.get(key) ?? { name, split, files: [] };
    known.files.push(file);
    splits.set(key, known);
  }
  const sorted = [...splits.values()];
  for (const split of sorted) split.files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return sorted;
}

/** The layout of the branch refs/convert/parquet: CONFIGURATION/SPLIT/0000.parquet. */
function converted(path: string): { name: string; split: string } | null {
  const [, name, split] = /^([^/]+)\/([^/]+)\/\d{4}\.parquet$/u.exec(path) ?? [];
  return name === undefined || split === undefined ? null : { name, split };
}

/** Words in names of files and folders, and the split each of them is (datasets' rules). */
const words: readonly [split: string, word: RegExp][] = [
  ["train", /train|training/u],
  ["validation", /validation|valid|val|dev/u],
  ["test", /test|testing|eval|evaluation/u],
];

function splitByName(path: string): string {
  // The name says more than the folder.
  for (const part of path.toLowerCase().split("/").reverse())
    for (const [split, word] of words)
      if (new RegExp(`(?:^|[^a-z0-9])(?:${word.source})(?:[^a-z0-9]|$)`, "u").test(part)) return split;
  return "train";
}

const paths = z.union([z.string(), z.array(z.string())]);
const configSchema = z.object({
  config_name: z.string(),
  data_files: z.union([z.string(), z.array(z.union([z.string(), z.object({ split: z.string(), path: paths })]))]),
});

/** Splits that the YAML at the top of a README declares; none where it does not, or not so that it can be read. */
function declaredSplits(files: readonly RemoteFile[], readme: string): SplitFiles[] {
  const [, top] = /^---\r?\n([\s\S]*?)\r?\n---/u.exec(readme) ?? [];
  if (top === undefined) return [];
  const document = parseDocument(top);
  const { configs = [] } = (document.errors.length > 0 ? {} : (document.toJS({ maxAliasCount: 100 }) ?? {})) as {
    configs?: unknown;
  };
  const { data } = z.array(configSchema).safeParse(configs);
  return (data ?? []).flatMap(({ config_name: name, data_files: declared }) => {
    const entries = (typeof declared === "string" ? [declared] : declared).map((entry) =>
      typeof entry === "string" ? { split: null, path: entry } : entry,
    );
    return entries.flatMap(({ split, path }) => {
      const patterns = (typeof path === "string" ? [path] : path).map(globPattern);
      const matching = files.filter((file) => patterns.some((pattern) => pattern.test(file.path)));
      return grouped(matching, (place) => ({ name, split: split ?? splitByName(place) }));
    });
  });
}

/** A glob of paths: `*` within a folder, `**` through folders, `?`, `{a,b}`. */
function globPattern(glob: string): RegExp {
  const signs: Readonly<Record<string, string>> = {
    "**/": "(?:.*/)?",
    "**": ".*",
    "*": "[^/]*",
    "?": "[^/]",
    "{": "(?:",
    "}": ")",
    ",": "|",
  };
  const source = glob
    .slice(0, 500)
    .replace(/^\.\//u, "")
    .replaceAll(/\*\*\/|\*\*|[\s\S]/gu, (sign) => signs[sign] ?? sign.replace(/[\\^$.*+?()[\]{}|]/gu, String.raw`\$&`));
  try {
    return new RegExp(`^${source}$`, "u");
  } catch {
    return /$^/u;
  }
}
