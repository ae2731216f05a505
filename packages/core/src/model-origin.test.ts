import { expect, test } from "vitest";
import { originOf } from "./model-origin.ts";

const commit = "0123456789abcdef0123456789abcdef01234567";

test("the path of a model in the cache says where it comes from", () => {
  const origin = { name: "acorn-2/tiny.oak-1", revision: commit };
  for (const cache of ["/var/cache/huggingface/hub", "/models", "."])
    expect(originOf(`${cache}/models--acorn-2--tiny.oak-1/snapshots/${commit}`)).toEqual(origin);
  expect(originOf(`/c/models--acorn-2--tiny.oak-1/snapshots/${commit}/`)).toEqual(origin);
});

test("any other path says nothing", () => {
  for (const path of [
    "/srv/tiny-oak",
    "acorn/tiny-oak",
    `/c/models--acorn--oak/snapshots/${commit}/onnx`,
    "/c/models--acorn--oak/snapshots/main",
    `/c/datasets--acorn--oak/snapshots/${commit}`,
    `/c/models--acorn/snapshots/${commit}`,
    `/c/models--acorn--oak/blobs/${commit}`,
  ])
    expect(originOf(path)).toBeNull();
});
