// node scripts/times.mjs FILE: the table of what check and test noted in a file.
import { printTimesOf } from "./lib/times.mjs";

printTimesOf(process.argv[2] ?? "");
