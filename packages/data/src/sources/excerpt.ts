// A few characters of a text for an error message.

/** At most 80 characters of a text, on one line and quoted, for an error message. */
export function excerpt(text: string): string {
  const flat = text.slice(0, 1000).replaceAll(/\s+/gu, " ").trim();
  return JSON.stringify(flat.length > 80 ? `${flat.slice(0, 79)}…` : flat);
}
