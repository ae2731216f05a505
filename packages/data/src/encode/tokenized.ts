// Items that are token ids already.
import { type ItemKind, refuseWithoutResponse, refuseWithoutTurns } from "./item.ts";
import { supervise } from "./mask.ts";

/** Token ids of a row, as they are: no token is added. */
export interface TokenizedItem {
  ids: Int32Array;
  /** Loss weight per token, null for one that is not trained: `[length]`. */
  weights: readonly (number | null)[];
}

/** Rows that were tokenised elsewhere. There is no text in them to be continued. */
export const tokenizedKind: ItemKind<TokenizedItem> = {
  async encode(items, _, options) {
    const { promptLossWeight = 0 } = options;
    const isWhole = ({ weights }: TokenizedItem) => weights.every((weight) => weight !== null);
    if (items.some(isWhole)) refuseWithoutResponse(options, "token ids without labels or masks");
    if (items.some(isWhole)) refuseWithoutTurns(options, "token ids without labels or masks");
    return items.map(({ ids, weights }) => ({
      ids,
      ...supervise(
        ids,
        Float32Array.from(weights, (weight) => weight ?? promptLossWeight),
      ),
      turns: 1,
      prefixMismatch: false,
    }));
  },
  async prompt() {
    return null;
  },
};
