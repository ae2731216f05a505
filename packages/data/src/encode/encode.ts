// Sends items through door A, those of one kind together.
import type { Tokenizer } from "@tunesmith/core";
import type { EncodedItem, EncodeOptions, Item, ItemKind } from "./item.ts";
import { weighted } from "./mask.ts";

/** Sends items through door A, those of one kind together; results in the order of the items. */
export async function encodeItems(
  items: readonly Item[],
  tokenizer: Tokenizer,
  options: EncodeOptions,
): Promise<EncodedItem[]> {
  const places = new Map<ItemKind<unknown>, number[]>();
  for (const [place, { kind }] of items.entries()) {
    const known = places.get(kind);
    if (known === undefined) places.set(kind, [place]);
    else known.push(place);
  }
  const encoded: EncodedItem[] = new Array(items.length);
  for (const [kind, chosen] of places) {
    const values = chosen.map((place) => items[place]?.value);
    const results = await kind.encode(values, tokenizer, options);
    for (const [n, place] of chosen.entries()) {
      const { weight = 1 } = items[place] as Item;
      const result = results[n] as EncodedItem;
      encoded[place] = weight === 1 ? result : { ...result, ...weighted(result, weight) };
    }
  }
  return encoded;
}
