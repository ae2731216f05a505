// Items that are token ids already.
import type { ItemKind } from "./item.ts";
import { labelWhere } from "./mask.ts";

/** Token ids of a row, as they are: no token is added. */
export interface TokenizedItem {
  ids: Int32Array;
  /** Per token whether it is trained: `[length]`. */
  trained: readonly boolean[];
}

/** Rows that were tokenised elsewhere. There is no text in them to be continued. */
export const tokenizedKind: ItemKind<TokenizedItem> = {
  async encode(items) {
    return items.map(({ ids, trained }) => ({
      ids,
      labels: labelWhere(ids, trained),
      turns: 1,
      prefixMismatch: false,
    }));
  },
  async prompt() {
    return null;
  },
};
