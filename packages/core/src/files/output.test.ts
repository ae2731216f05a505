import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../testing/scratch.ts";
import { fileOperations, writeText } from "./operations.ts";
import { writeOutputFile, writeOutputFolder } from "./output.ts";

afterEach(() => {
  fileOperations.before = null;
});

const fill = (text: string) => (folder: string) => writeText(join(folder, "weights"), text);
const gguf = (text: string) => (path: string) => writeText(path, `GGUF....tunesmith.version....${text}`);

/** A folder with a run in it: an adapter whose weights are a link into another folder, and a base model. */
async function scene() {
  const root = await scratchFolder(onTestFinished);
  const [adapter, base, blobs] = [join(root, "run/adapter"), join(root, "base"), join(root, "blobs")];
  for (const folder of [adapter, base, blobs]) await mkdir(folder, { recursive: true });
  await writeFile(join(base, "weights"), "base");
  await writeFile(join(blobs, "blob"), "trained");
  await symlink(join(blobs, "blob"), join(adapter, "weights"));
  return { root, adapter, base, blobs, inputs: [base, adapter] };
}

test("an output that is read, lies around what is read or is one of its files is refused, by whatever path it is named", async () => {
  const { root, adapter, base, blobs, inputs } = await scene();
  await symlink(adapter, join(root, "link"));
  await symlink(root, join(root, "run/up"));
  const around = [adapter, base, join(root, "run"), root, blobs, join(root, "link"), join(root, "run/up/base")];
  const spelt = [join(root, "run", "..", "base"), `${base}/`, join(root, "run/up/run/../base")];
  for (const path of [...around, ...spelt]) {
    const written = writeOutputFolder({ path, inputs, overwrite: true }, fill("new"));
    await expect(written, path).rejects.toMatchObject({ code: "ARGUMENT_INVALID" });
    await expect(written, path).rejects.toThrow(/apart from what is being read/u);
  }
  for (const path of [join(adapter, "weights"), join(base, "weights"), join(blobs, "blob")])
    await expect(writeOutputFile({ path, inputs, overwrite: true }, gguf("new")), path).rejects.toThrow(/being read/u);
  expect(await readFile(join(adapter, "weights"), "utf8")).toBe("trained");
  expect(await readFile(join(base, "weights"), "utf8")).toBe("base");
});

test("even an earlier export is not replaced while it is read", async () => {
  const root = await scratchFolder(onTestFinished);
  const [path, file] = [join(root, "merged"), join(root, "a.gguf")];
  await writeOutputFolder({ path, inputs: [], overwrite: false }, fill("base"));
  await writeOutputFile({ path: file, inputs: [], overwrite: false }, gguf("base"));
  await expect(writeOutputFolder({ path, inputs: [path], overwrite: true }, fill("new"))).rejects.toThrow(
    /being read/u,
  );
  await expect(writeOutputFile({ path: file, inputs: [file], overwrite: true }, gguf("new"))).rejects.toThrow(/read/u);
  expect(await readFile(join(path, "weights"), "utf8")).toBe("base");
});

test("an earlier export is replaced when asked, where a link leads to it too, and an empty folder always", async () => {
  const root = await scratchFolder(onTestFinished);
  const path = join(root, "deep/out");
  const place = { path, inputs: [], overwrite: false };
  await writeOutputFolder(place, fill("first"));
  await expect(writeOutputFolder(place, fill("second"))).rejects.toThrow(/got an earlier export/u);
  await writeFile(join(path, ".DS_Store"), "");
  await symlink(path, join(root, "link"));
  await writeOutputFolder({ ...place, path: join(root, "link"), overwrite: true }, fill("second"));
  expect(await readFile(join(path, "weights"), "utf8")).toBe("second");
  expect(await readdir(join(root, "deep"))).toEqual(["out"]);
  await mkdir(join(root, "empty"));
  await writeOutputFolder({ ...place, path: join(root, "empty") }, fill("third"));
  expect(await readdir(join(root, "empty"))).toEqual(["tunesmith-export.json", "weights"]);
  const file = { path: join(root, "a.gguf"), inputs: [], overwrite: true };
  await writeOutputFile(file, gguf("first"));
  await writeOutputFile(file, gguf("second"));
  expect(await readFile(file.path, "utf8")).toContain("second");
});

test("what was not written here is never replaced, and no file of it is touched", async () => {
  const root = await scratchFolder(onTestFinished);
  const [folder, mixed] = [join(root, "letters"), join(root, "mixed")];
  await mkdir(folder);
  await writeFile(join(folder, "letter.txt"), "kept");
  await writeOutputFolder({ path: mixed, inputs: [], overwrite: false }, fill("old"));
  await writeFile(join(mixed, "notes.txt"), "kept");
  await writeFile(join(root, "b.gguf"), "GGUF of another program");
  await symlink(join(root, "nowhere"), join(root, "dangling"));
  const asked = { inputs: [], overwrite: true };
  await expect(writeOutputFolder({ path: folder, ...asked }, fill("new"))).rejects.toThrow(/letter\.txt/u);
  await expect(writeOutputFolder({ path: mixed, ...asked }, fill("new"))).rejects.toThrow(/notes\.txt/u);
  await expect(writeOutputFolder({ path: join(root, "b.gguf"), ...asked }, fill("new"))).rejects.toThrow(/a file/u);
  await expect(writeOutputFolder({ path: join(root, "dangling"), ...asked }, fill("new"))).rejects.toThrow(/nowhere/u);
  await expect(writeOutputFile({ path: join(root, "b.gguf"), ...asked }, gguf("new"))).rejects.toThrow(/another kind/u);
  await expect(writeOutputFile({ path: folder, ...asked }, gguf("new"))).rejects.toThrow(/a folder/u);
  expect(await readdir(root)).toEqual(["b.gguf", "dangling", "letters", "mixed"]);
  expect(await readFile(join(folder, "letter.txt"), "utf8")).toBe("kept");
  expect(await readFile(join(mixed, "weights"), "utf8")).toBe("old");
});

test("an end at any step leaves the old or the new export once the next one begins, and nothing else", async () => {
  let ended = false;
  for (let step = 0; !ended; step += 1) {
    const root = await scratchFolder(onTestFinished);
    const place = { path: join(root, "out"), inputs: [], overwrite: true };
    await writeOutputFolder(place, fill("old"));
    let count = 0;
    fileOperations.before = () => {
      if (count++ >= step) throw new Error("power cut");
    };
    ended = await writeOutputFolder(place, fill("new")).then(
      () => true,
      () => false,
    );
    fileOperations.before = null;
    const failing = writeOutputFolder(place, () => Promise.reject(new Error("no")));
    await expect(failing).rejects.toThrow("no");
    expect(["old", "new"]).toContain(await readFile(join(place.path, "weights"), "utf8"));
    expect(await readdir(root)).toEqual(["out"]);
  }
});

test("what other living processes write stays", async () => {
  const root = await scratchFolder(onTestFinished);
  const path = join(root, "out");
  await writeOutputFolder({ path, inputs: [], overwrite: true }, async (staged) => {
    const [mine = ""] = await readdir(root);
    const others = [mine.replace(`-${process.pid}-`, "-1-"), mine.replace(/-[\da-f]{8}-(?=\d+-)/u, "-00000000-")];
    const dead = [mine.replace(/[\da-f]{8}$/u, "00000000"), mine.replace(`-${process.pid}-`, "-4194304-")];
    for (const name of [...others, ...dead]) await mkdir(join(root, name));
    await writeOutputFolder({ path: join(root, "another"), inputs: [], overwrite: true }, fill("b"));
    expect(await readdir(root)).toEqual([...others, mine, "another"].sort());
    await writeText(join(staged, "weights"), "a");
  });
  expect(await readFile(join(path, "weights"), "utf8")).toBe("a");
});
