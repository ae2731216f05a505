import { expectTypeOf, test } from "vitest";
import type { z } from "zod";
import type { deviceOptionsSchema } from "./device.ts";
import type { generationConfigSchema } from "./generation.ts";
import type { loraConfigSchema } from "./lora.ts";
import type { modelConfigSchema } from "./model.ts";
import type { DeviceOptions, GenerationConfig, LoraConfig, ModelConfig } from "./model-types.ts";
import type { sftConfigSchema } from "./sft.ts";
import type { trainingArgumentsSchema } from "./training-arguments.ts";
import type { SFTConfig, TrainingArguments } from "./types.ts";

/** True where two types hold the same keys and each is assignable to the other. */
type Same<A, B> = [keyof A, keyof B, A, B] extends [keyof B, keyof A, B, A] ? true : false;

// Checked by the compiler: a schema and its written type are one.
test("the written types are those of the schemas", () => {
  expectTypeOf<Same<TrainingArguments, z.input<typeof trainingArgumentsSchema>>>().toEqualTypeOf<true>();
  expectTypeOf<Same<SFTConfig, z.input<typeof sftConfigSchema>>>().toEqualTypeOf<true>();
  expectTypeOf<Same<LoraConfig, z.input<typeof loraConfigSchema>>>().toEqualTypeOf<true>();
  expectTypeOf<Same<ModelConfig, z.input<typeof modelConfigSchema>>>().toEqualTypeOf<true>();
  expectTypeOf<Same<DeviceOptions, z.input<typeof deviceOptionsSchema>>>().toEqualTypeOf<true>();
  expectTypeOf<Same<GenerationConfig, z.input<typeof generationConfigSchema>>>().toEqualTypeOf<true>();
  expectTypeOf<Same<{ a?: 1 }, { a?: 1; b?: 2 }>>().toEqualTypeOf<false>();
  expectTypeOf<Same<{ a?: 1 | 2 }, { a?: 1 }>>().toEqualTypeOf<false>();
});
