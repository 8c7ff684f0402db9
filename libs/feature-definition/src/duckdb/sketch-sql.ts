import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { linearBelow, rawEstimateFactor, registers, valuesPerRegister } from "../sketch/distinct-sketch.ts";
import { codeOf, gamma, lnGamma } from "../sketch/percentile-sketch.ts";

/** `distinctCode` of a value, in SQL. */
export const distinctCodeSql = (value: string, type: ValueType): string => {
  const bytes =
    type === ValueType.STRING || type === ValueType.BYTES
      ? value
      : `CAST(${type === ValueType.TIMESTAMP ? `epoch_us(${value})` : value} AS VARCHAR)`;
  const register = "CAST('0x' || substr(h, 1, 3) AS BIGINT)";
  const rest = "CAST('0x' || substr(h, 4, 13) AS BIGINT)";
  const zeros = `CASE WHEN ${rest} = 0 THEN 53 ELSE 53 - length(bin(${rest})) END`;
  return inLet(`md5(${bytes})`, "h", `${register} * ${valuesPerRegister} + ${zeros}`);
};

/** `distinctEstimate` of a list of codes, in SQL; null where it has none. */
export const distinctEstimateSql = (codes: string): string => {
  const present = `list_sort(list_filter(${codes}, lambda c: c IS NOT NULL))`;
  const isGreatest = `i = len(s) OR s[i + 1] // ${valuesPerRegister} <> c // ${valuesPerRegister}`;
  const filled = inLet(present, "s", `list_filter(s, lambda c, i: ${isGreatest})`);
  const sum = `list_sum(list_transform(g, lambda c: pow(2.0, -(c % ${valuesPerRegister}))))`;
  const raw = `${double(rawEstimateFactor)} / (${registers} - len(g) + ${sum})`;
  const linear = `${registers}.0 * ln(${registers}.0 / (${registers} - len(g)))`;
  const estimate = `CASE WHEN ${raw} <= ${double(linearBelow)} AND len(g) < ${registers} THEN ${linear} ELSE ${raw} END`;
  return inLet(filled, "g", `CASE WHEN len(g) = 0 THEN NULL ELSE CAST(round(${estimate}) AS BIGINT) END`);
};

/** `percentileCode` of a value, in SQL. */
export const percentileCodeSql = (value: string): string => {
  const bucket = (size: string): string =>
    `${codeOf.bucketZero} + CAST(ceil(ln(${size}) / ${double(lnGamma)}) AS BIGINT)`;
  return inLet(
    `CAST(${value} AS DOUBLE)`,
    "d",
    `CASE WHEN d IS NULL THEN NULL WHEN isnan(d) THEN ${codeOf.notANumber} WHEN d = 0 THEN 0
      WHEN isinf(d) THEN CASE WHEN d > 0 THEN ${codeOf.infinity} ELSE -${codeOf.infinity} END
      WHEN d > 0 THEN ${bucket("d")} ELSE -(${bucket("-d")}) END`,
  );
};

/** `percentileValue` of a code, in SQL. */
export const percentileValueSql = (code: string): string => {
  const value = (size: string): string =>
    `2.0 * pow(${double(gamma)}, ${size} - ${codeOf.bucketZero}) / ${double(gamma + 1)}`;
  return inLet(
    code,
    "b",
    `CASE WHEN b IS NULL THEN NULL WHEN b = 0 THEN CAST(0 AS DOUBLE)
      WHEN b = ${codeOf.notANumber} THEN CAST('NaN' AS DOUBLE)
      WHEN abs(b) = ${codeOf.infinity} THEN sign(b) * CAST('Infinity' AS DOUBLE)
      WHEN b > 0 THEN ${value("b")} ELSE -(${value("-b")}) END`,
  );
};

/** Computes something once and names it. */
const inLet = (value: string, name: string, expression: string): string =>
  `list_transform([${value}], lambda ${name}: ${expression})[1]`;

/** A number with all its digits: DuckDB takes a bare one as a DECIMAL. */
const double = (value: number): string => `CAST('${value}' AS DOUBLE)`;
