// Where a model of the Hugging Face Hub comes from: the cache's layout says so in its path.
import { resolve } from "node:path";

/** Where a model of the Hugging Face Hub comes from. */
export interface ModelOrigin {
  /** ORG/NAME. */
  name: string;
  /** Full commit id. */
  revision: string;
}

const layout = /[\\/]models--(?<org>[\w.-]+?)--(?<name>[\w.-]+)[\\/]snapshots[\\/](?<revision>[0-9a-f]{40})$/u;

/**
 * The origin of a model in a cache of Hugging Face's layout, `…/models--ORG--NAME/snapshots/COMMIT`; null for any other path. What is
 * written down names a model by this: a path of the cache means nothing elsewhere, and shows whose home it is in.
 */
export function originOf(path: string): ModelOrigin | null {
  const { org, name, revision } = layout.exec(resolve(path))?.groups ?? {};
  return org === undefined || name === undefined || revision === undefined
    ? null
    : { name: `${org}/${name}`, revision };
}
