// JSON whose numbers and order of keys survive.
export { asNumber, asObject, ExactNumber, type JsonObject, keyOrder } from "./exact-number.ts";
export { maxJsonDepth, parseExact, repeatedKey } from "./parse.ts";
export { writeExact } from "./write.ts";
