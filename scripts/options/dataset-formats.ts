// The names of the data formats, as the option `datasetFormat` knows them.
import { formats } from "@tunesmith/data";

/** Columns of a line at most, as the formatter has them. */
const width = 120;

/** `packages/core/src/options/dataset-formats.ts`. */
export function datasetFormatNames(): string {
  const names = formats.map(({ name }) => JSON.stringify(name));
  const line = `export const datasetFormats = [${names.join(", ")}] as const;`;
  const list = names.map((name) => `  ${name},\n`).join("");
  return `// The names of all data formats; written by \`npm run generate\` from packages/data/src/formats.

/** Names of all data formats, in the order in which a row is compared with them. */
${line.length <= width ? line : `export const datasetFormats = [\n${list}] as const;`}
`;
}
