// One message of a row: its role, its text, and whether it is trained.
import { asObject, type Message, messageRoles, nearestName, type TextPart } from "@tunesmith/core";
import { describe, entriesOf, RowError, shown, wellFormed } from "./format.ts";
import { isSharegptTurn, sharegptMessage, sharegptRoles } from "./sharegpt-turn.ts";
import { readWeight } from "./weights.ts";

const roles: readonly string[] = messageRoles;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Checks a message. A field whose value is null is absent, as writers of tables leave it. An assistant turn with `weight: 0` or
 * `train: false` is context only; another `weight` is that of its tokens in the loss.
 *
 * @param place of the message, for errors
 */
export function readMessage(value: unknown, place: string): Message {
  const given = asObject(value);
  const fields = given !== null && isSharegptTurn(given) ? sharegptMessage(given, place) : given;
  if (fields === null)
    throw new RowError(`expected { role, content } in ${place}, got ${describe(value)}; correct or remove it`);
  const message: Message = { ...fields, role: readRole(fields.role, place), content: readContent(fields, place) };
  return isTrained(fields, place) ? message : { ...message, train: false };
}

function readRole(role: unknown, place: string): string {
  if (typeof role === "string" && roles.includes(role)) return role;
  const got = shown(role);
  const nearest = typeof role === "string" ? (sharegptRoles.get(role.toLowerCase()) ?? nearestName(role, roles)) : null;
  const advice = nearest === null ? "rename it" : `did you mean "${nearest}"?`;
  throw new RowError(`expected a role in ${place}, one of ${roles.join(", ")}, got ${got}; ${advice}`);
}

/** Where a turn may hold what it says, or does, in place of its content. */
const besides = ["tool_calls", "function_call", "refusal"];

function readContent(fields: Fields, place: string): Message["content"] {
  const content = fields.content ?? null;
  if (typeof content === "string") return wellFormed(content, `${place}.content`);
  if (Array.isArray(content) && content.length > 0)
    return entriesOf(content, (part, index) => readPart(part, `${place}.content[${index}]`));
  if (content !== null)
    throw new RowError(`expected text in ${place}.content, got ${describe(content)}; write it as one text`);
  if (besides.some((field) => (fields[field] ?? null) !== null)) return null;
  throw new RowError(`expected text in ${place}.content, got null without tool_calls; add the text`);
}

/** A part of a content that is a list, as in OpenAI's chat format. What is not text cannot be trained on. */
function readPart(value: unknown, place: string): TextPart {
  const part: Fields = asObject(value) ?? {};
  const { type = "text", text } = part;
  if (type !== "text") {
    const got = shown(type);
    throw new RowError(`expected a part of type "text" in ${place}, got type ${got}; leave out what is not text`);
  }
  if (typeof text !== "string")
    throw new RowError(`expected { type: "text", text } in ${place}, got ${describe(text ?? value)}; correct it`);
  return { ...part, type, text: wellFormed(text, `${place}.text`) };
}

function isTrained(fields: Fields, place: string): boolean {
  const train = fields.train ?? true;
  if (typeof train !== "boolean")
    throw new RowError(`expected true or false in ${place}.train, got ${describe(train)}; correct it or leave it out`);
  const weight = readWeight(fields.weight, `${place}.weight`) ?? 1;
  if (weight !== 0 && weight !== 1 && fields.role !== "assistant")
    throw new RowError(
      `expected a weight on turns of the assistant only, got ${weight} in ${place}.weight; leave it out, or weigh all that is no answer with promptLossWeight`,
    );
  return train && weight !== 0;
}
