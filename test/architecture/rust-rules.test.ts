// Rules for Rust that no lint knows.
import { holds, places, type Rule, withoutTests } from "./tree.ts";

const unsafeRooms = /^crates\/(?:cpu|cuda|formats|node)\//;

const unsafeOnlyInItsRooms: Rule = (tree) =>
  tree
    .matching(/\.rs$/)
    .filter((path) => !unsafeRooms.test(path))
    .flatMap((path) =>
      places(path, tree.code(path), /\bunsafe\b(?!_)/).map(
        (place) => `${place}: unsafe outside cpu, cuda, formats and node`,
      ),
    );

/** A `SAFETY:` line in the comment above an `unsafe` block or impl. */
const unsafeHasAReason: Rule = (tree) =>
  tree.matching(unsafeRooms).flatMap((path) => {
    if (!path.endsWith(".rs")) return [];
    const lines = tree.text(path).split("\n");
    const code = tree.code(path).split("\n");
    return code.flatMap((line, index) => {
      if (!/\bunsafe (?:\{|impl\b)/.test(line)) return [];
      const above = lines.slice(Math.max(0, index - 8), index + 1).join("\n");
      return above.includes("SAFETY:") ? [] : [`${path}:${index + 1}: unsafe without a SAFETY comment`];
    });
  });

/** The attributes of a function, from `#[napi…]` down to its `fn`. */
const exported =
  /#\[napi(?:\(([^\]]*)\))?\]((?:\s*(?:#\[[^\]]*\]|\/\/[^\n]*))*)\s*pub (?:unsafe )?(?:async )?fn (\w+)/g;

const exportsCatchPanics: Rule = (tree) =>
  tree
    .matching(/^crates\/node\/src\/.*\.rs$/)
    .flatMap((path) =>
      [...tree.text(path).matchAll(exported)]
        .filter((match) => !match[1]?.includes("catch_unwind"))
        .map((match) => `${path}: ${match[3]} must be #[napi(catch_unwind)]; a panic would end Node`),
    );

const familyFile = /^crates\/engine\/src\/families\/(?!(?:mod|family|names)\.rs)([^/]+)\.rs$/;

/** No behaviour is read from a model's name: a family's name stands in its own file of data and nowhere else. */
const familiesAreData: Rule = (tree) => {
  const families = tree.matching(familyFile).map((path) => familyFile.exec(path)?.[1] ?? "");
  const named = new RegExp(`\\b(?:${families.join("|")})\\b(?!\\.cpp)`, "i");
  return (
    tree
      .matching(
        /^(?:crates\/(?:ops|cpu|engine|node)\/src|packages\/(?:core|native|data|curriculum|synth|trainer)\/src)\/.*\.(?:rs|ts)$/,
      )
      // A chat template of our own is named by whoever asks for it.
      .filter(
        (path) =>
          !path.includes("/families/") &&
          !path.includes("/core/src/templates/") &&
          !/\.test\.ts$|(?:^|\/)tests?(?:\/|\.rs$)/.test(path),
      )
      .flatMap((path) =>
        places(path, withoutTests(tree.code(path)), named).map(
          (place) => `${place}: a model family's name outside families/`,
        ),
      )
  );
};

/** A block of code in a doc comment would be a test of its own that `npm test` does not run: what is shown is text. */
const documentationHoldsNoTests: Rule = (tree) =>
  tree.matching(/^(?:crates|benchmarks)\/.*\.rs$/).flatMap((path) => {
    const fences = tree.text(path).matchAll(/^[ \t]*\/\/[/!] ```(\w*)/gm);
    // Every other fence closes a block.
    return [...fences]
      .filter(([, language], index) => index % 2 === 0 && language !== "text")
      .map(() => `${path}: expected \`\`\`text in a doc comment; tests stand next to the code`);
  });

holds(
  "unsafe code stays in the rooms that need it",
  unsafeOnlyInItsRooms,
  {
    "crates/engine/src/layer.rs": "// unsafe in a comment\n#![deny(unsafe_code)]\nunsafe { read() }\n",
    "crates/cpu/src/simd.rs": "unsafe {}",
  },
  [/layer\.rs:3: unsafe outside/],
);

holds(
  "every unsafe block says why it is sound",
  unsafeHasAReason,
  {
    "crates/cpu/src/a.rs": "// SAFETY: the pointer is ours.\nlet x = unsafe { *p };\n",
    "crates/cpu/src/b.rs": "let x = unsafe { *p };\n",
  },
  [/b\.rs:1: unsafe without/],
);

holds(
  "a panic cannot cross the binding",
  exportsCatchPanics,
  {
    "crates/node/src/lib.rs":
      "#[napi(catch_unwind)]\npub fn good() {}\n#[napi(getter, catch_unwind)]\n#[must_use]\npub fn fine() {}\n#[napi]\n/// Doc.\npub fn bad() {}\n",
  },
  [/bad must be/],
);

holds(
  "no behaviour is read from a model's name",
  familiesAreData,
  {
    "crates/engine/src/families/mod.rs": "",
    "crates/engine/src/families/qwen2.rs": '"qwen2"',
    "crates/engine/src/decoder.rs": '// like qwen2\nif family == "qwen2" {}\n',
    "packages/trainer/src/a.ts": 'const name = "Qwen2";\n',
  },
  [/decoder\.rs:2/, /a\.ts:1/],
);

holds(
  "documentation holds no tests",
  documentationHoldsNoTests,
  {
    "crates/ops/src/a.rs": "/// ```text\n/// y = x\n/// ```\npub fn a() {}\n",
    "crates/ops/src/b.rs": "/// ```text\n/// y\n/// ```\n///\n/// ```\n/// b();\n/// ```\npub fn b() {}\n",
  },
  [/b\.rs: expected/],
);
