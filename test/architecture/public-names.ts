// The names that the package `tunesmith` offers, and the types that these mention, by the compiler.
import { join } from "node:path";
import ts from "typescript";
import { root } from "./tree.ts";

/** The public names of an entry file, and what is wrong with them. */
export interface PublicNames {
  /** `value NAME` or `type NAME`, sorted. */
  names: string[];
  /** Types of ours that a public declaration mentions though they are not public themselves: `NAME, in PUBLIC`. */
  hidden: string[];
}

/**
 * Reads the public names of an entry file.
 *
 * @param entry absolute path
 * @param options of the compiler
 * @param program what {@link publicProgram} has read, where it is there already
 */
export function publicNames(
  entry: string,
  options: ts.CompilerOptions,
  program: ts.Program = publicProgram(entry, options),
): PublicNames {
  const checker = program.getTypeChecker();
  const file = program.getSourceFile(entry);
  const module = file && checker.getSymbolAtLocation(file);
  if (module === undefined) throw new Error(`[${entry}] expected a module, got none; check the path`);
  const origin = (symbol: ts.Symbol) =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const exported = checker.getExportsOfModule(module);
  const origins = new Set(exported.map(origin));
  const isValue = (symbol: ts.Symbol) =>
    (origin(symbol).flags & ts.SymbolFlags.Value) !== 0 && !symbol.declarations?.some(ts.isTypeOnlyExportDeclaration);
  const hidden = exported.flatMap((symbol) =>
    mentioned(origin(symbol), checker)
      .map(origin)
      .filter((type) => isExported(type) && !origins.has(type))
      .map((type) => `${type.name}, in ${symbol.name}`),
  );
  return {
    names: exported.map((symbol) => `${isValue(symbol) ? "value" : "type"} ${symbol.name}`).sort(),
    hidden: [...new Set(hidden)].sort(),
  };
}

/** What the compiler reads from an entry file on; it can emit declarations. */
export function publicProgram(entry: string, options: ts.CompilerOptions): ts.Program {
  const declarations = { declaration: true, emitDeclarationOnly: true, noEmit: false, noEmitOnError: false };
  return ts.createProgram([entry], { ...options, ...declarations, allowJs: false });
}

/**
 * The declarations of the public names as a user's compiler gets them, without comments and sorted by name.
 *
 * @param entry absolute path
 * @param program of {@link publicProgram}
 */
export function publicTypes(entry: string, program: ts.Program): string {
  const emitted = new Map<string, string>();
  program.emit(undefined, (path, text) => emitted.set(path, text), undefined, true);
  const checker = program.getTypeChecker();
  const file = program.getSourceFile(entry);
  const module = file && checker.getSymbolAtLocation(file);
  const printer = ts.createPrinter({ removeComments: true });
  const parsed = new Map<string, ts.SourceFile>();
  const declarationFile = (source: string) => {
    const path = source.replace(/\.ts$/, ".d.ts");
    const known = parsed.get(path) ?? ts.createSourceFile(path, emitted.get(path) ?? "", ts.ScriptTarget.Latest, true);
    parsed.set(path, known);
    return known;
  };
  const declared = (symbol: ts.Symbol) => {
    const origin = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    const sources = new Set((origin.declarations ?? []).map((declaration) => declaration.getSourceFile().fileName));
    return [...sources]
      .map(declarationFile)
      .flatMap((source) =>
        source.statements
          .filter((statement) => namesOf(statement).includes(origin.name))
          .map((statement) => printer.printNode(ts.EmitHint.Unspecified, statement, source)),
      );
  };
  return (module === undefined ? [] : checker.getExportsOfModule(module))
    .map((symbol) => ({ name: symbol.name, text: declared(symbol).join("\n") }))
    .sort((a, b) => Number(a.name > b.name) - Number(a.name < b.name))
    .map(({ name, text }) => `// ${name}\n${text}\n`)
    .join("\n");
}

/** The names that a statement of a declaration file declares. */
function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.map(({ name }) => (ts.isIdentifier(name) ? name.text : ""));
  const { name } = statement as ts.Statement & { name?: ts.Node };
  return name !== undefined && ts.isIdentifier(name) ? [name.text] : [];
}

/** The options of the repository's own compiler run. */
export function compilerOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  return ts.parseJsonConfigFileContent(config, ts.sys, root).options;
}

/** Types named in the signatures of a declaration: neither bodies nor values, nor what is private. */
function mentioned(symbol: ts.Symbol, checker: ts.TypeChecker): ts.Symbol[] {
  const found: ts.Symbol[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isBlock(node) || (ts.isExpression(node) && !ts.isExpressionWithTypeArguments(node))) return;
    if ((ts.isClassElement(node) || ts.isTypeElement(node)) && isHidden(node)) return;
    const name = ts.isTypeReferenceNode(node) ? node.typeName : baseOfInterface(node);
    const type = name && checker.getSymbolAtLocation(name);
    if (type !== undefined) found.push(type);
    ts.forEachChild(node, visit);
  };
  for (const declaration of symbol.declarations ?? []) visit(declaration);
  return found;
}

/** What an interface extends; undefined for any other node. */
function baseOfInterface(node: ts.Node): ts.Node | undefined {
  const extended = ts.isExpressionWithTypeArguments(node) && ts.isInterfaceDeclaration(node.parent.parent);
  return extended ? node.expression : undefined;
}

function isHidden(member: ts.ClassElement | ts.TypeElement): boolean {
  if (member.name !== undefined && ts.isPrivateIdentifier(member.name)) return true;
  return ts.getJSDocTags(member).some(({ tagName }) => tagName.text === "internal");
}

/** Whether a type is one of ours that another file can name. */
function isExported(symbol: ts.Symbol): boolean {
  const [declaration] = symbol.declarations ?? [];
  if (declaration === undefined || declaration.getSourceFile().fileName.includes("/node_modules/")) return false;
  return (ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Export) !== 0;
}
