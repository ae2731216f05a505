// Where a kernel can be broken on purpose: every barrier, mask and bounds test of a page, each with a switch that takes it away.
//
// All mutants of a page are compiled at once (mutant schemata, Untch et al. 1993): `MUTANT(n)` is true in a process that was
// told to be mutant n. Only insertions are made, so lines keep their numbers.

/** One mutant of a page or header. */
export interface Mutant {
  /** Its number in the compiled library. */
  id: number;
  /** Path below the root. */
  file: string;
  line: number;
  kind: "barrier" | "bound";
  /** What the page says, in one line. */
  text: string;
  /** What is done to it. */
  change: string;
}

/** A mutant as what is put before and after a part of the code; `on` stands for its switch. */
interface Edit {
  start: number;
  end: number;
  kind: Mutant["kind"];
  change: string;
  before?: (on: string) => string;
  after?: (on: string) => string;
}

interface Token {
  text: string;
  start: number;
  end: number;
}

const blank = (text: string) => text.replaceAll(/[^\n]/g, " ");

/** The page's own code: comments, preprocessor lines, and what is between `#if` and `#endif` (the two worlds' wrappers) are blanked. */
function ownCode(text: string): string {
  return text
    .replaceAll(/\/\/[^\n]*/g, blank)
    .replaceAll(/^#if[\s\S]*?^#endif/gm, blank)
    .replaceAll(/^#(?:.*\\\n)*.*$/gm, blank)
    .replaceAll(/\bstatic_assert\([^;]*;|\bif constexpr \([^{]*\{/g, blank);
}

function tokens(code: string): Token[] {
  const token = /[A-Za-z_]\w*|\d[\w.]*|::|->|&&|\|\||[-+*/%&|^<>=!]=|<<|>>|\+\+|--|\S/g;
  return [...code.matchAll(token)].map(({ 0: text, index }) => ({ text, start: index, end: index + text.length }));
}

/** Walks from token `i` by `step` until one at the same depth is in `edges` or a bracket ends it; gives that token's index. */
function edge(all: readonly Token[], i: number, step: 1 | -1, edges: ReadonlySet<string>): number {
  const [opening, closing] = step === 1 ? ["([{", ")]}"] : [")]}", "([{"];
  let depth = 0;
  for (let at = i + step; at >= 0 && at < all.length; at += step) {
    const { text } = all[at] as Token;
    if (depth === 0 && (edges.has(text) || closing.includes(text))) return at;
    if (opening.includes(text)) depth += 1;
    if (closing.includes(text)) depth -= 1;
  }
  throw new Error(`[mutants] expected an end to the expression at ${(all[i] as Token).start}, got none`);
}

function* barriers(code: string): Generator<Edit> {
  for (const match of code.matchAll(/\b(?:__syncthreads|__syncwarp|copy_async_wait<([^>]+)>)\(\);/g)) {
    const [text, pending] = match;
    const place = { start: match.index, end: match.index + text.length, kind: "barrier" } as const;
    yield { ...place, change: "removed", before: (on) => `if (!${on}) ` };
    if (pending === undefined) continue;
    const fewer = `copy_async_wait<(${pending}) + 1>();`;
    yield { ...place, change: "one group fewer", before: (on) => `if (${on}) ${fewer} else ` };
  }
}

const comma: ReadonlySet<string> = new Set([","]);

/** `min` and `max`: either limit alone. */
function* limits(code: string, all: readonly Token[]): Generator<Edit> {
  for (const [i, name] of all.entries()) {
    if (!/^(?:min|max)$/.test(name.text) || all[i + 1]?.text !== "(") continue;
    const middle = edge(all, i + 1, 1, comma);
    const [open, split, close] = [i + 1, middle, edge(all, middle, 1, comma)].map((at) => all[at] as Token);
    if (open === undefined || split === undefined || close === undefined) continue;
    const first = code.slice(open.end, split.start).trim();
    const second = code.slice(split.end, close.start).trim();
    for (const [kept, lost] of [
      [first, second],
      [second, first],
    ]) {
      const change = `${name.text} without ${lost}`;
      yield {
        start: name.start,
        end: close.end,
        kind: "bound",
        change,
        before: (on) => `(${on} ? (${kept}) : `,
        after: () => ")",
      };
    }
  }
}

/** What a comparison ends at. */
const edges: ReadonlySet<string> = new Set("&& || ? : ; , return = += -= *= /= %= &= |= ^=".split(" "));

/** Comparisons that decide what is done: true or false, whichever lets through what the page keeps out. */
function* comparisons(code: string, all: readonly Token[]): Generator<Edit> {
  for (const [i, { text: operator, start: at, end: after }] of all.entries()) {
    const spaced = code[at - 1] === " " && code[after] === " ";
    const equal = operator === "==" && /^ (?:-100\b|id\b)/.test(code.slice(after));
    if (!(equal || (spaced && /^[<>]=?$/.test(operator)))) continue;
    const [left, right] = [edge(all, i, -1, edges), edge(all, i, 1, edges)];
    const [previous, first] = [all[left] as Token, all[left + 1] as Token];
    const [last, next] = [all[right - 1] as Token, all[right] as Token];
    const place = { start: first.start, end: last.end, kind: "bound" } as const;
    const text = code.slice(place.start, place.end).replaceAll(/\s+/g, " ");
    const joined = [previous.text, next.text];
    const head = code.slice(0, place.start);
    if (/\bwhile \($/.test(head)) continue;
    if (/\bfor \([^{}]*;\s*$/.test(head) && next.text === ";") {
      // A loop over what the data says goes one step too far; one over a number of the page is no test of a bound.
      const limit = code.slice(after, place.end);
      if (operator.startsWith("<") && /\b[a-z]/.test(limit))
        yield { ...place, change: "one step more", after: (on) => ` + ${on}` };
      continue;
    }
    const leaves = /\bif \($/.test(head) && /^\)\s*(?:\{\s*)?(?:return|continue|break)\b/.test(code.slice(next.start));
    const out = joined.includes("||") || ((leaves || equal) && !joined.includes("&&"));
    const answer = out ? "false" : "true";
    const [not, or] = answer === "true" ? ["", "||"] : ["!", "&&"];
    yield { ...place, change: `${text} → ${answer}`, before: (on) => `(${not}${on} ${or} (`, after: () => "))" };
  }
}

/** A file with all its switches in, and what each does. Numbers count on from `first`. */
export function mutate(file: string, text: string, first: number): { text: string; mutants: Mutant[] } {
  const code = ownCode(text);
  const all = tokens(code);
  const edits = [...barriers(code), ...limits(code, all), ...comparisons(code, all)];
  // What holds another one comes first; the order of equals is kept.
  edits.sort((a, b) => a.start - b.start || b.end - a.end);
  const lines = text.split("\n");
  const mutants = edits.map(({ start, kind, change }, i): Mutant => {
    const line = text.slice(0, start).split("\n").length;
    return { id: first + i, file, line, kind, text: lines[line - 1]?.trim() ?? "", change };
  });
  const insertions = edits.flatMap(({ start, end, before, after }, i) => {
    const on = `MUTANT(${first + i})`;
    return [
      { at: end, order: -1 - i, text: after?.(on) ?? "" },
      { at: start, order: i, text: before?.(on) ?? "" },
    ];
  });
  insertions.sort((a, b) => a.at - b.at || a.order - b.order);
  let [result, done] = ["", 0];
  for (const { at, text: inserted } of insertions) {
    result += text.slice(done, at) + inserted;
    done = at;
  }
  return { text: result + text.slice(done), mutants };
}
