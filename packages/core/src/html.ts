// A page of HTML that stands alone, and text that must not become markup.

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text of rows is a stranger's: it must not become markup. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/gu, (sign) => entities[sign] ?? sign);
}

/** A page of HTML that needs no other file. The title is a text, style and body are markup. */
export function htmlPage(title: string, style: string, body: string): string {
  return `<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>${escapeHtml(title)}</title>\n<style>${style}</style>\n<h1>${escapeHtml(title)}</h1>\n${body}\n</html>\n`;
}
