// Rows for tests that train: the same on every machine.

/** Conversations of very unequal length. */
export function conversations(count: number): { messages: { role: string; content: string }[] }[] {
  const words = ["red", "green", "blue", "seven", "twelve", "north", "river", "stone"];
  const text = (seed: number, length: number) =>
    Array.from({ length }, (_, n) => words[(seed * 5 + n * 3 + n * n) % words.length]).join(" ");
  return Array.from({ length: count }, (_, row) => ({
    messages: [
      { role: "user", content: text(row, 1 + ((row * 7) % 11)) },
      { role: "assistant", content: text(row + 1, 1 + ((row * 5) % 13)) },
      ...(row % 3 === 0
        ? [
            { role: "user", content: text(row + 2, 2) },
            { role: "assistant", content: text(row + 3, 1 + (row % 4)) },
          ]
        : []),
    ],
  }));
}
