import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import {
  linearBelow,
  mostExact,
  rawEstimateFactor,
  registers,
  restBits,
  valuesPerRegister,
} from "../sketch/distinct-sketch.ts";
import {
  borderFactors,
  bucketBorder,
  codeOf,
  lnGamma,
  lowestBucket,
  relativeError,
} from "../sketch/percentile-sketch.ts";

/** `distinctHash` of a value, in SQL. */
export const distinctHashSql = (value: string, type: ValueType): string => {
  const bytes =
    type === ValueType.STRING || type === ValueType.BYTES
      ? value
      : `CAST(${type === ValueType.TIMESTAMP ? `epoch_us(${value})` : value} AS VARCHAR)`;
  return `CAST('0x' || substr(md5(${bytes}), 1, 12) AS BIGINT)`;
};

/** `registerCode` of a hash, in SQL. */
export const registerCodeSql = (hash: string): string => {
  const rest = `(${hash} & ${2 ** restBits - 1})`;
  const bits = `CASE WHEN ${rest} = 0 THEN 0 ELSE length(bin(${rest})) END`;
  return `(${hash} >> ${restBits}) * ${valuesPerRegister} + ${restBits + 1} - ${bits}`;
};

/**
 * How many different values there were, in SQL; null for none.
 * @param count how many different hashes.
 * @param codes a list of their register codes, which may hold nulls.
 */
export const distinctCountSql = (count: string, codes: string): string =>
  `CASE WHEN ${count} = 0 THEN NULL WHEN ${count} <= ${mostExact} THEN ${count} ELSE ${distinctEstimateSql(codes)} END`;

/** `distinctEstimate` of a list of codes, in SQL. */
const distinctEstimateSql = (codes: string): string => {
  const present = `list_sort(list_filter(${codes}, lambda c: c IS NOT NULL))`;
  const isGreatest = `i = len(s) OR s[i + 1] // ${valuesPerRegister} <> c // ${valuesPerRegister}`;
  const filled = inLet(present, "s", `list_filter(s, lambda c, i: ${isGreatest})`);
  const sum = `list_sum(list_transform(g, lambda c: pow(2.0, -(c % ${valuesPerRegister}))))`;
  const raw = `${double(rawEstimateFactor)} / (${registers} - len(g) + ${sum})`;
  const linear = `${registers}.0 * ln(${registers}.0 / (${registers} - len(g)))`;
  const estimate = `CASE WHEN ${raw} <= ${double(linearBelow)} AND len(g) < ${registers} THEN ${linear} ELSE ${raw} END`;
  return inLet(filled, "g", `CAST(round(${estimate}) AS BIGINT)`);
};

/** `percentileCode` of a value, in SQL. */
export const percentileCodeSql = (value: string): string => {
  const guess = `greatest(${lowestBucket}, CAST(ceil(ln(abs(d)) / ${double(lnGamma)}) AS BIGINT))`;
  const borders = `list_transform([g - 1, g], lambda i: ${borderSql("i")})`;
  const decided = `CASE WHEN abs(d) <= b[1] THEN g - 1 WHEN abs(d) > b[2] THEN g + 1 ELSE g END`;
  const bucket = inLet(
    guess,
    "g",
    inLet(borders, "b", `CAST(sign(d) AS BIGINT) * (${codeOf.bucketZero} + ${decided})`),
  );
  return inLet(
    `CAST(${value} AS DOUBLE)`,
    "d",
    `CASE WHEN d IS NULL THEN NULL WHEN isnan(d) THEN ${codeOf.notANumber}
      WHEN abs(d) <= ${double(bucketBorder(lowestBucket - 1))} THEN 0
      WHEN isinf(d) THEN CASE WHEN d > 0 THEN ${codeOf.infinity} ELSE -${codeOf.infinity} END
      ELSE ${bucket} END`,
  );
};

/** `percentileValue` of a code, in SQL. */
export const percentileValueSql = (code: string): string =>
  inLet(
    code,
    "b",
    `CASE WHEN b IS NULL THEN NULL WHEN b = 0 THEN CAST(0 AS DOUBLE)
      WHEN b = ${codeOf.notANumber} THEN CAST('NaN' AS DOUBLE)
      WHEN abs(b) = ${codeOf.infinity} THEN sign(b) * CAST('Infinity' AS DOUBLE)
      ELSE sign(b) * (${inLet(`abs(b) - ${codeOf.bucketZero + 1}`, "i", borderSql("i"))} * ${double(1 + relativeError)}) END`,
  );

/** `bucketBorder` of a bucket, in SQL: the same multiplications in the same order. */
const borderSql = (bucket: string): string => {
  const factors = borderFactors.map(
    (factor, bit) => `CASE WHEN abs(${bucket}) & ${2 ** bit} <> 0 THEN ${double(factor)} ELSE ${double(1)} END`,
  );
  return inLet(factors.join(" * "), "p", `CASE WHEN ${bucket} < 0 THEN ${double(1)} / p ELSE p END`);
};

/** Computes something once and names it. */
const inLet = (value: string, name: string, expression: string): string =>
  `list_transform([${value}], lambda ${name}: ${expression})[1]`;

/** A number with all its digits: DuckDB takes a bare one as a DECIMAL. */
const double = (value: number): string => `CAST('${value}' AS DOUBLE)`;
