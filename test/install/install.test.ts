// The short form of the check as a user: install, train, resume, generate. `npm run test:nightly -- install` runs the whole of it.
import { afterAll, beforeAll, expect, test } from "vitest";
import { bench, chat, trainAndResume } from "./commands.ts";
import { importAndGenerate, requireAndGenerate } from "./modules.ts";
import { openedFiles } from "./opened.ts";
import { makePlace, makeRelease, type Place, type Release } from "./place.ts";

let release: Release;
let place: Place;

beforeAll(async () => {
  release = await makeRelease();
  place = await makePlace(release);
});

afterAll(() => {
  place[Symbol.dispose]();
  release[Symbol.dispose]();
});

test("the platforms are published before what names them, and every package after those it needs", () => {
  const names = release.list.map(({ name, triple }) => (triple === null ? name : "platform"));
  expect(names.lastIndexOf("platform")).toBeLessThan(names.indexOf("@tunesmith/core"));
  expect(names.indexOf("@tunesmith/core")).toBeLessThan(names.indexOf("@tunesmith/native"));
  expect(names.at(-1)).toBe("tunesmith");
});

test("what is installed from the tarballs measures the machine, trains, is interrupted and resumed to the same bytes, and generates", async () => {
  for (const check of [bench, trainAndResume, chat, importAndGenerate, requireAndGenerate])
    await check.run(place, release);
});

test("a command opens few files before its first line", async () => {
  await openedFiles.run(place, release);
});
