// What the package offers: models, tokenizers and facts about this machine.
export { type LoadModelOptions, loadModel } from "./model.ts";
export { type SystemInfo, systemInfo } from "./system-info.ts";
export { loadTokenizer } from "./tokenizer.ts";
