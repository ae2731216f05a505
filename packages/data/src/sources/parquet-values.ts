// Values of Parquet as those of JSON: numbers digit for digit, keys in the order of the schema.
import { ExactNumber, keyOrder } from "@tunesmith/core";
import { type FileMetaData, parquetSchema, type SchemaElement, type SchemaTree } from "hyparquet";
import { excerpt } from "./excerpt.ts";

/** A value that cannot be one of a row. */
export class ValueError extends Error {}

/** Makes the fields of a row of what is decoded of it. */
export type Fields = (row: Record<string, unknown>) => object;

/**
 * How the rows of a file become fields, by its schema. Decimals are taken out of it, so that they are decoded as the whole numbers
 * they are stored as: scaled by a power of ten they would not be exact.
 */
export function columnsOf(metadata: FileMetaData): Fields {
  const scales = new Map<SchemaElement, number>();
  for (const element of metadata.schema) {
    if (isDecimal(element)) {
      scales.set(element, element.scale ?? (element.logical_type as { scale?: number } | undefined)?.scale ?? 0);
      delete element.converted_type;
      delete element.logical_type;
    }
    // Newer writers leave out the older word for the same.
    const { type } = element.logical_type ?? {};
    if (type === "LIST" || type === "MAP" || type === "JSON") element.converted_type ??= type;
  }
  const tree = parquetSchema(metadata);
  return (row) => structOf(row, tree, scales);
}

function isDecimal({ converted_type: converted, logical_type: logical }: SchemaElement): boolean {
  return converted === "DECIMAL" || logical?.type === "DECIMAL";
}

type Scales = ReadonlyMap<SchemaElement, number>;

function structOf(value: object, { children }: SchemaTree, scales: Scales): object {
  const known = new Map(children.map((child) => [child.element.name, child]));
  const entries = Object.entries(value).map(
    ([key, inner]) => [key, plainValue(inner, known.get(key), scales)] as const,
  );
  const fields: Record<PropertyKey, unknown> = Object.fromEntries(entries);
  const order = [...known.keys()].filter((key) => Object.hasOwn(fields, key));
  if (Object.keys(fields).some((key, place) => key !== order[place])) fields[keyOrder] = order;
  return fields;
}

/** A value of a list, a struct or a single one; `node` is where it stands in the schema, as far as that says it. */
function plainValue(value: unknown, node: SchemaTree | undefined, scales: Scales): unknown {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) {
    const item = itemOf(node);
    return value.map((inner) => plainValue(inner, item, scales));
  }
  if (value instanceof Date) return timeOf(value);
  if (value instanceof Uint8Array) return bytesOf(value, node?.element, scales);
  if (typeof value === "object")
    return node === undefined || isMap(node) ? mapOf(value, node, scales) : structOf(value, node, scales);
  return typeof value === "number" || typeof value === "bigint" ? numberOf(value, node?.element, scales) : value;
}

/** What the entries of a list are: below its node and that of the repetition. */
function itemOf(node: SchemaTree | undefined): SchemaTree | undefined {
  if (node?.element.converted_type !== "LIST") return node;
  const [repeated] = node.children;
  return repeated?.children.length === 1 ? repeated.children[0] : repeated;
}

function isMap({ element }: SchemaTree): boolean {
  return element.converted_type === "MAP" || element.logical_type?.type === "VARIANT";
}

function mapOf(value: object, node: SchemaTree | undefined, scales: Scales): object {
  const inner = node?.children[0]?.children.find(({ element }) => element.name === "value");
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plainValue(entry, inner, scales)]));
}

function numberOf(value: number | bigint, element: SchemaElement | undefined, scales: Scales): unknown {
  const scale = element === undefined ? undefined : scales.get(element);
  if (scale !== undefined) return decimal(BigInt(value), scale);
  if (typeof value === "bigint")
    return Number.isSafeInteger(Number(value)) ? Number(value) : new ExactNumber(String(value));
  const isFloat = element?.type === "FLOAT" || element?.type === "DOUBLE" || element?.logical_type?.type === "FLOAT16";
  if (!isFloat || !Number.isInteger(value) || Math.abs(value) >= 1e21) return value;
  return new ExactNumber(`${Object.is(value, -0) ? "-0" : value}.0`);
}

/** A whole number of 10^-scale. */
function decimal(unscaled: bigint, scale: number): unknown {
  if (scale <= 0) return numberOf(unscaled * 10n ** BigInt(-scale), undefined, new Map());
  const sign = unscaled < 0n ? "-" : "";
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, "0");
  return new ExactNumber(`${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`);
}

function timeOf(value: Date): string {
  if (Number.isNaN(value.getTime()))
    throw new ValueError("expected a date, got one out of range; fix or remove the row");
  return value.toISOString();
}

/** Bytes that are a decimal, a text that is not UTF-8, or whatever a column without a type holds: mostly text. */
function bytesOf(value: Uint8Array, element: SchemaElement | undefined, scales: Scales): unknown {
  const scale = element === undefined ? undefined : scales.get(element);
  if (scale !== undefined) return decimal(signed(value), scale);
  const isText = element?.converted_type === "UTF8" || element?.logical_type?.type === "STRING";
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(value);
  } catch {
    if (!isText) return value;
    const got = excerpt(Buffer.from(value).toString("latin1"));
    throw new ValueError(
      `expected UTF-8 in the column ${excerpt(element?.name ?? "")}, got other bytes in ${got}; fix or remove the row`,
    );
  }
}

/** A number in two's complement, the highest byte first. */
function signed(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  return BigInt.asIntN(8 * bytes.length, BigInt(`0x${Buffer.from(bytes).toString("hex")}`));
}
