// The parameter groups of a run: which trained tensors learn at which peak rate, and how much they decay.
import {
  type ParameterGroupOptions,
  type ParameterKind,
  type ParsedLoraConfig,
  type ParsedTrainingArguments,
  parameterKinds,
  type SessionInfo,
} from "@tunesmith/core";

/** The options that groups come from. */
type GroupArguments = Pick<
  ParsedTrainingArguments,
  "learningRate" | "weightDecay" | "loraplusLrRatio" | "embeddingLearningRate" | "lrGroups"
>;

/** The peak learning rate of a run: 2e-4 for an adapter (Unsloth, QLoRA paper), 2e-5 for full fine-tuning (TRL). */
export function peakLearningRate(
  { learningRate }: Pick<GroupArguments, "learningRate">,
  { fullFinetuning }: Pick<ParsedLoraConfig, "fullFinetuning">,
): number {
  return learningRate ?? (fullFinetuning ? 2e-5 : 2e-4);
}

/**
 * One group for each of the engine's, under its name: those of PEFT's `create_loraplus_optimizer`, and of Unsloth's trainer for the
 * embedding. Norms and biases do not decay (Hugging Face's Trainer).
 */
export function parameterGroups(
  args: GroupArguments,
  peft: Pick<ParsedLoraConfig, "fullFinetuning">,
): ParameterGroupOptions[] {
  const { weightDecay: decay, loraplusLrRatio, embeddingLearningRate } = args;
  const peak = peakLearningRate(args, peft);
  // LoRA+ (arXiv:2402.12354) is about adapters.
  const faster = peak * (peft.fullFinetuning ? 1 : (loraplusLrRatio ?? 1));
  const groups: Readonly<Record<ParameterKind, Pick<ParameterGroupOptions, "rate" | "decay">>> = {
    decay: { rate: peak, decay },
    no_decay: { rate: faster, decay: 0 },
    embedding: { rate: embeddingLearningRate ?? peak, decay },
    lora_b: { rate: faster, decay },
  };
  const ofKind = (kind: ParameterKind) => ({ name: kind, parameters: [kind], ...groups[kind] });
  return [
    ...(args.lrGroups ?? []).flatMap((group, index) => ownGroups(group, index, groups)),
    ...parameterKinds.map(ofKind),
  ];
}

type LrGroup = NonNullable<GroupArguments["lrGroups"]>[number];

/** What to say of groups of `lrGroups` that no tensor is left for, and of a last one that changes nothing of its tensors. */
export function idleGroups(
  { lrGroups }: Pick<GroupArguments, "lrGroups">,
  { parameterGroups: groups }: Pick<SessionInfo, "parameterGroups">,
): string[] {
  return (lrGroups ?? []).flatMap(({ pattern, learningRate, weightDecay }, index, all) => {
    const says = (why: string) => [
      `lrGroups[${index}] with the pattern ${JSON.stringify(pattern)} has no effect: ${why}`,
    ];
    const own = groups.filter(({ name }) => name.startsWith(numbered(index, "")));
    if (own.every(({ parameters }) => parameters === 0))
      return says("groups before it have every tensor that it finds");
    // One before others may keep its tensors from them.
    const isLast = index === all.length - 1;
    const changes = learningRate !== undefined || weightDecay !== undefined;
    return isLast && !changes ? says("it has neither learningRate nor weightDecay, and no group comes after it") : [];
  });
}

/** The name of a group of its own, which no other group begins with. */
function numbered(index: number, name: string): string {
  return `${index + 1}: ${name}`;
}

/** The tensors of one expression, kinds that learn and decay alike together. */
function ownGroups(
  { pattern, learningRate, weightDecay, name = pattern }: LrGroup,
  index: number,
  groups: Readonly<Record<ParameterKind, Pick<ParameterGroupOptions, "rate" | "decay">>>,
): ParameterGroupOptions[] {
  const alike = new Map<string, ParameterGroupOptions>();
  for (const kind of parameterKinds) {
    const rate = learningRate ?? groups[kind].rate;
    const decay = weightDecay ?? groups[kind].decay;
    const key = `${rate} ${decay}`;
    const found = alike.get(key);
    const suffix = alike.size === 0 ? "" : ` ${kind}`;
    if (found === undefined)
      alike.set(key, { name: numbered(index, `${name}${suffix}`), parameters: [kind], pattern, rate, decay });
    else found.parameters.push(kind);
  }
  return [...alike.values()];
}
