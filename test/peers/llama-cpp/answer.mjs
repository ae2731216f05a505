// node answer.mjs MODEL.gguf [LORA.gguf] < REQUEST.json: greedy continuations by llama.cpp, as JSON on standard output.
//
// REQUEST: { maxNewTokens, prompts: [{ ids, text? }], stopAtEnd }. RESULT: { answers: [[ids]], tokenized: [[ids] or null] }, where
// `tokenized` is what llama.cpp's own tokenizer makes of a prompt's text.
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const [modelPath = "", loraPath] = process.argv.slice(2);
/** @type {{ maxNewTokens: number, stopAtEnd: boolean, prompts: { ids: number[], text?: string }[] }} */
const request = JSON.parse(await new Response(process.stdin).text());

const llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath, gpuLayers: 0, useMmap: true });
const longest = Math.max(...request.prompts.map(({ ids }) => ids.length)) + request.maxNewTokens + 8;
const context = await model.createContext({
  threads: 1,
  contextSize: longest,
  sequences: 1,
  flashAttention: false,
  ...(loraPath === undefined ? {} : { lora: { adapters: [{ filePath: loraPath, scale: 1 }] } }),
});
const answers = [];
const tokenized = [];
for (const { ids, text } of request.prompts) {
  const sequence = context.getSequence();
  const answer = [];
  for await (const token of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
    if (request.stopAtEnd && model.isEogToken(token)) break;
    answer.push(token);
    if (answer.length >= request.maxNewTokens) break;
  }
  sequence.dispose();
  answers.push(answer);
  tokenized.push(text === undefined ? null : [...model.tokenize(text, true)]);
}
process.stdout.write(JSON.stringify({ answers, tokenized }));
await llama.dispose();
