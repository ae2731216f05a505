// What both sides of a training benchmark are given; the file that `peers/torch_sft.py` reads too.

/** A training benchmark. */
export interface Spec {
  /** Hugging Face folder, read by both. */
  model: string;
  /** PEFT folder both start from; or, where there is no peer, a new adapter on every linear layer. */
  adapter: string | { r: number };
  rows: { input_ids: number[]; labels: number[] }[];
  /** One per step: their count is the number of steps. */
  learning_rates: number[];
  batch_size: number;
  gradient_accumulation_steps: number;
  max_grad_norm: number;
  dtype: "float32" | "bfloat16";
  attention: "sdpa" | "eager";
  threads: number;
  /** NF4 with double quantisation for the linear layers. Default false. */
  load_in_4bit?: boolean;
  /** Recompute layers in backward. Default false. */
  gradient_checkpointing?: boolean;
  /** Folder of our quantised weights. Default: none is kept. */
  quantized_cache?: string;
}

/** First line of a side. */
export interface StartLine {
  event: "start";
  load_seconds: number;
}

/** One optimizer step. */
export interface StepLine {
  step: number;
  loss: number;
  grad_norm: number;
  seconds: number;
  /** Tokens of the data, prompts included, padding not. */
  useful_tokens: number;
}

/** Last line of a side. */
export interface EndLine {
  event: "end";
  peak_rss_bytes: number;
  /** What our engine's own count gives; the peer has none. */
  engine_peak_bytes?: number;
}
