import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../testing/scratch.ts";
import { fileOperations, writeText } from "./operations.ts";
import { recoverFolder, removeFolder, removeLeftovers, replaceFile, replaceFolder } from "./replace.ts";

afterEach(() => {
  fileOperations.before = null;
});

/** Lets operation number `first` fail, with `forever` every later one as well: what a process does that ended there. */
function failAt(first: number, forever: boolean): () => number {
  let count = 0;
  fileOperations.before = () => {
    const number = count++;
    if (number === first || (forever && number > first)) throw new Error("power cut");
  };
  return () => {
    fileOperations.before = null;
    return count;
  };
}

const fill = (text: string) => async (folder: string) => {
  await writeText(join(folder, "a"), text);
  await writeText(join(folder, "b"), text);
};

/** The text of a folder whose two files agree; null where there is none. */
async function textOf(folder: string): Promise<string | null> {
  const [a, b] = await Promise.all(["a", "b"].map((name) => readFile(join(folder, name), "utf8").catch(() => null)));
  expect(a).toBe(b);
  return a ?? null;
}

/** Runs an attempt with a fault at its first operation, then at its second, and so on, until it ends without having met one. */
async function atEveryStep(
  forever: boolean,
  attempt: (root: string) => Promise<void>,
  check: (root: string, failed: boolean) => Promise<void>,
): Promise<number> {
  for (let step = 0; ; step += 1) {
    const root = await scratchFolder(onTestFinished);
    await fill("old")(await makeTarget(root));
    const end = failAt(step, forever);
    const error = await attempt(root).then(
      () => null,
      (caught: Error) => caught,
    );
    end();
    if (error !== null) expect(error.message).toBe("power cut");
    await check(root, error !== null);
    if (error === null) return step;
  }
}

async function makeTarget(root: string): Promise<string> {
  await mkdir(join(root, "target"));
  return join(root, "target");
}

test("a folder appears whole with its parents, and replaces what was there", async () => {
  const root = await scratchFolder(onTestFinished);
  const target = join(root, "deep", "target");
  await replaceFolder(target, fill("old"));
  expect(await textOf(target)).toBe("old");
  await replaceFolder(target, (folder) => writeText(join(folder, "c"), "new"));
  expect(await readdir(target)).toEqual(["c"]);
  expect(await readdir(join(root, "deep"))).toEqual(["target"]);
});

test("a failure at any step of replacing a folder leaves the old or the new one, and puts the old one back at once", async () => {
  const steps = await atEveryStep(
    false,
    (root) => replaceFolder(join(root, "target"), fill("new")),
    async (root, failed) => {
      const text = await textOf(join(root, "target"));
      expect(["old", "new"]).toContain(text);
      if (!failed) expect(text).toBe("new");
      // Only a failed removal leaves something, and only the old folder.
      if (text === "old") expect(await readdir(root)).toEqual(["target"]);
    },
  );
  expect(steps).toBeGreaterThanOrEqual(9);
});

test("an end at any step of replacing a folder leaves the old or the new one once it is looked after", async () => {
  await atEveryStep(
    true,
    (root) => replaceFolder(join(root, "target"), fill("new")),
    async (root) => {
      await recoverFolder(join(root, "target"));
      expect(["old", "new"]).toContain(await textOf(join(root, "target")));
      await removeLeftovers(root);
      expect(await readdir(root)).toEqual(["target"]);
    },
  );
});

test("the next replacement looks after the one that was cut off", async () => {
  await atEveryStep(
    true,
    (root) => replaceFolder(join(root, "target"), fill("new")),
    async (root) => {
      const failing = replaceFolder(join(root, "target"), () => Promise.reject(new Error("no")));
      await expect(failing).rejects.toThrow("no");
      expect(["old", "new"]).toContain(await textOf(join(root, "target")));
    },
  );
});

test("a failure or an end at any step of replacing a file leaves the old or the new one", async () => {
  for (const forever of [false, true]) {
    const steps = await atEveryStep(
      forever,
      (root) => replaceFile(join(root, "target", "a"), "new"),
      async (root, failed) => {
        const text = await readFile(join(root, "target", "a"), "utf8");
        expect(["old", "new"]).toContain(text);
        if (!failed) expect(text).toBe("new");
        await removeLeftovers(join(root, "target"));
        expect(await readdir(join(root, "target"))).toEqual(["a", "b"]);
      },
    );
    expect(steps).toBe(4);
  }
});

test("a folder that is removed is whole or gone at any step", async () => {
  await atEveryStep(
    true,
    (root) => removeFolder(join(root, "target")),
    async (root, failed) => {
      const text = await textOf(join(root, "target"));
      if (!failed) expect(text).toBeNull();
      await removeLeftovers(root);
      expect(await readdir(root)).toEqual(text === null ? [] : ["target"]);
    },
  );
});

test("only what a replacement left is removed", async () => {
  const root = await scratchFolder(onTestFinished);
  await writeFile(join(root, ".tmp-of-another-program"), "");
  await writeFile(join(root, "tmp-mine"), "");
  await removeLeftovers(root);
  expect(await readdir(root)).toEqual([".tmp-of-another-program", "tmp-mine"]);
});
