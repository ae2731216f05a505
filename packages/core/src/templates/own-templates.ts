// Chat templates of our own, for base models that come without one; what the assistant wrote is marked by generation tags.

/** How a family writes its turns. Each value is an expression of Jinja. */
interface Layout {
  /** Written before everything else. Default: nothing. */
  begin?: string;
  /** Statements before the turns, and before what is written of each. Default: none. */
  prepare?: string;
  prepareTurn?: string;
  /** What opens a turn of `message`. */
  open: string;
  /** What a turn says. */
  text: string;
  /** What closes a turn of the assistant, and is trained. */
  close: string;
  /** What closes any other turn. */
  closeOther: string;
  /** Written after what closes a turn. Default: nothing. */
  after?: string;
  /** What opens the answer that is asked for. */
  prompt: string;
  /** Written at the end of a conversation that is complete. Default: nothing. */
  end?: string;
}

function written(expression: string | undefined): string {
  return expression === undefined ? "" : `{{ ${expression} }}`;
}

/** The template of a layout. Blocks stand without white space between them, so none has to be trimmed. */
function template({ prepare = "", prepareTurn = "", ...layout }: Layout): string {
  const { begin, open, text, close, closeOther, after, prompt, end } = layout;
  const answer = `{% generation %}{{ ${text} + ${close} }}{% endgeneration %}`;
  return [
    ...[prepare, written(begin)],
    ...[`{% for message in messages %}${prepareTurn}`, written(open)],
    `{% if message['role'] == 'assistant' %}${answer}{% else %}{{ ${text} + ${closeOther} }}{% endif %}`,
    ...[written(after), "{% endfor %}"],
    `{% if add_generation_prompt %}${written(prompt)}${end === undefined ? "" : `{% else %}${written(end)}`}{% endif %}`,
  ].join("");
}

const chatml: Layout = {
  open: "'<|im_start|>' + message['role'] + '\\n'",
  text: "message['content']",
  close: "'<|im_end|>'",
  closeOther: "'<|im_end|>'",
  after: "'\\n'",
  prompt: "'<|im_start|>assistant\\n'",
};

/** Takes a system message out of the messages, to stand in front of the first turn. */
const systemFirst =
  "{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\\n\\n' %}{% set messages = messages[1:] %}{% else %}{% set first = '' %}{% endif %}";

/** Refuses what a family whose turns alternate cannot write. */
const alternating =
  "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('expected turns of user and assistant by turns; join neighbours of one role') }}{% endif %}";

/**
 * Our own chat templates by the name that the option `chatTemplate` has for them. On plain conversations each writes what the family's
 * own does: ChatML without a default system message, Llama 3, Qwen 2.5, Gemma 3, Mistral 7B v0.3, Phi 3. Tools are not written.
 */
export const ownTemplates = {
  chatml: template(chatml),
  llama3: template({
    begin: "bos_token",
    open: "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'",
    text: "message['content'] | trim",
    close: "'<|eot_id|>'",
    closeOther: "'<|eot_id|>'",
    prompt: "'<|start_header_id|>assistant<|end_header_id|>\\n\\n'",
  }),
  qwen: template({
    ...chatml,
    begin:
      "'' if messages[0]['role'] == 'system' else '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n'",
  }),
  gemma: template({
    prepare: systemFirst,
    begin: "bos_token",
    prepareTurn: alternating,
    open: "'<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' + (first if loop.first else '')",
    text: "message['content'] | trim",
    close: "'<end_of_turn>'",
    closeOther: "'<end_of_turn>'",
    after: "'\\n'",
    prompt: "'<start_of_turn>model\\n'",
  }),
  mistral: template({
    prepare: systemFirst,
    begin: "bos_token",
    prepareTurn: alternating,
    open: "' ' if message['role'] == 'assistant' else '[INST] ' + (first if loop.first else '')",
    text: "message['content']",
    close: "eos_token",
    closeOther: "'[/INST]'",
    prompt: "''",
  }),
  phi: template({
    open: "'<|' + message['role'] + '|>\\n'",
    text: "message['content']",
    close: "'<|end|>'",
    closeOther: "'<|end|>'",
    after: "'\\n'",
    prompt: "'<|assistant|>\\n'",
    end: "eos_token",
  }),
} as const;

/** The name of one of our own chat templates. */
export type OwnTemplate = keyof typeof ownTemplates;
