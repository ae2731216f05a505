// npm run -s prepared -- MODEL ROWS: prints what a run would train on, in one line of JSON, for checks from outside.
//
// { "examples": [{ "ids", "labels", "text" }] } holds every row that has a token to train on, whole; { "error" } says why there is
// nothing. The label of a token that is not trained is IGNORE_INDEX; `text` is the decoded ids, special tokens included.
import { parseOptions, sftConfigSchema } from "@tunesmith/core";
import { prepare } from "@tunesmith/data";
import { loadTokenizer } from "@tunesmith/native";

/** What is trained of a file of rows, or why nothing is. */
async function prepared(model: string, rows: string): Promise<object> {
  try {
    const tokenizer = await loadTokenizer(model);
    const options = parseOptions(sftConfigSchema, { maxLength: null });
    const { examples } = await prepare(rows, tokenizer, { ...options, name: "rows" });
    return {
      examples: Array.from(examples, ({ ids, labels }) => ({
        ids: [...ids],
        labels: [...labels],
        text: tokenizer.decode(ids, { skipSpecialTokens: false }),
      })),
    };
  } catch (error) {
    return { error: String(error) };
  }
}

const [model = "", rows = ""] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(await prepared(model, rows))}\n`);
