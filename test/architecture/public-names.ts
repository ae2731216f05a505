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
 */
export function publicNames(entry: string, options: ts.CompilerOptions): PublicNames {
  const program = ts.createProgram([entry], { ...options, noEmit: true });
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
