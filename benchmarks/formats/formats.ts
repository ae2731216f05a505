// `npm run bench -- formats`: weights in and out in gigabytes a second. Each part is a file of this folder.
import { machine } from "../machine.ts";
import { load } from "./load.ts";
import { nf4 } from "./nf4.ts";

export async function formats(): Promise<Record<string, unknown>> {
  return { benchmark: "formats", machine: machine(), load: await load(), nf4: await nf4() };
}
