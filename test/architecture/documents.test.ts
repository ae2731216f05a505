// What the documents say exists.
import { posix } from "node:path";
import { holds, type Rule, type Tree } from "./tree.ts";

const documents = (tree: Tree) => tree.matching(/^(?:(?:docs\/|benchmarks\/|kernels\/|test\/[^/]+\/)?[^/]+)\.md$/);

/** Rows of the PAPERS.md table: method, citation, file, test. */
const papersPointToFiles: Rule = (tree) => {
  const rows = tree
    .text("PAPERS.md")
    .split("\n")
    .filter((line) => /^\|(?!\s*(?:-|Method))/.test(line))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  return rows.flatMap(([method = "", citation = "", file = "", test = ""]) => {
    const paths = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "");
    const empty = [
      citation === "" && "a citation",
      paths(file).length === 0 && "a file",
      paths(test).length === 0 && "a test",
    ];
    return [
      ...empty.filter((what) => what !== false).map((what) => `PAPERS.md: ${method} lacks ${what}`),
      ...[...paths(file), ...paths(test)]
        .filter((path) => !tree.has(path))
        .map((path) => `PAPERS.md: ${method}: no such file ${path}`),
    ];
  });
};

const commandsExist: Rule = (tree) => {
  const { scripts } = JSON.parse(tree.text("package.json")) as { scripts: Record<string, string> };
  return documents(tree).flatMap((path) =>
    [...tree.text(path).matchAll(/\bnpm (?:run (?:--silent )?([a-z][\w-]*(?::[\w-]+)*)|(test)\b)/g)]
      .filter(([, script = "", test = ""]) => !((script || test) in scripts))
      .map(([command]) => `${path}: \`${command}\` is no script of package.json`),
  );
};

const linksLead: Rule = (tree) =>
  documents(tree).flatMap((path) =>
    [...tree.text(path).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map((match) => posix.join(posix.dirname(path), match[1] ?? ""))
      .filter((target) => !tree.has(target))
      .map((target) => `${path}: links to ${target}, which does not exist`),
  );

const readmeLimit = 6 * 1024;

/** A page that is read to its end; measurements, guides and tables have pages of their own in docs/. */
const readmeIsShort: Rule = (tree) => {
  const bytes = Buffer.byteLength(tree.text("README.md"));
  return bytes > readmeLimit
    ? [`README.md: ${bytes} bytes, the limit is ${readmeLimit}; give the detail to docs/`]
    : [];
};

/** Every page of docs/ is found from the README or from a page that it links to. */
const pagesAreFound: Rule = (tree) => {
  const linked = documents(tree).flatMap((path) =>
    [...tree.text(path).matchAll(/\]\(([^)#\s]+)/g)].map((match) => posix.join(posix.dirname(path), match[1] ?? "")),
  );
  return tree
    .matching(/^docs\/[^/]+\.md$/)
    .filter((page) => !linked.includes(page))
    .map((page) => `${page}: no document links to it`);
};

const files = { "package.json": '{ "scripts": { "build": "x" } }', "PAPERS.md": "" };

holds(
  "a row of PAPERS.md names a citation, files and tests that exist",
  papersPointToFiles,
  {
    "a.rs": "",
    "PAPERS.md":
      "| Method | Paper | File | Test |\n|---|---|---|---|\n| LoRA | Hu 2021 | `a.rs` | `b.rs` |\n| Adam | | `a.rs` | |\n",
  },
  [/LoRA: no such file b\.rs/, /Adam lacks a citation/, /Adam lacks a test/],
);

holds(
  "a command in a document is a script of package.json",
  commandsExist,
  { ...files, "README.md": "`npm run build`, `npm ci`, `npm run launch`, `npm test`" },
  [/npm run launch/, /npm test/],
);

holds(
  "a link in a document leads to a file",
  linksLead,
  { ...files, "README.md": "[a](PAPERS.md#x) [b](https://example.org) [c](docs/none.md)" },
  [/links to docs\/none\.md/],
);

holds(`the README has at most ${readmeLimit} bytes`, readmeIsShort, { "README.md": "é".repeat(readmeLimit / 2 + 1) }, [
  /6146 bytes/,
]);

holds(
  "every page of docs/ is linked to",
  pagesAreFound,
  { "README.md": "[a](docs/a.md#x)", "docs/a.md": "[b](b.md)", "docs/b.md": "", "docs/c.md": "" },
  [/docs\/c\.md/],
);
