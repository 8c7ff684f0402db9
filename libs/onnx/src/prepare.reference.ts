import type { Categories, FittedPreparation } from "./network-input.ts";

/**
 * Prepares one raw value, slowly and obviously: the judge of the exported graph and of whoever prepares whole columns.
 * A null is NaN or the empty string. Answers the prepared columns, or for an embedding its index.
 */
export const prepareReference = (preparation: FittedPreparation, raw: number | bigint | boolean | string): number[] => {
  switch (preparation.kind) {
    case "standardize": {
      const x = Number(raw);
      if (!Number.isFinite(x)) {
        return [0];
      }
      const scaled = preparation.log1p ? Math.sign(x) * Math.log(1 + Math.abs(x)) : x;
      return [(scaled - preparation.mean) / preparation.deviation];
    }
    case "cyclic": {
      const x = Number(raw);
      const angle = x * ((2 * Math.PI) / preparation.period);
      return Number.isFinite(x) ? [Math.sin(angle), Math.cos(angle)] : [0, 0];
    }
    case "one-hot": {
      const index = indexOf(preparation.categories, raw);
      return Array.from({ length: preparation.categories.length + 1 }, (_, place) => (place === index ? 1 : 0));
    }
    case "embedding":
      return [indexOf(preparation.categories, raw)];
  }
};

const indexOf = (categories: Categories, raw: number | bigint | boolean | string): number => {
  const place = categories.findIndex((category) =>
    typeof category === "string" ? category === raw : typeof raw !== "string" && Number(category) === Number(raw),
  );
  return place === -1 ? categories.length : place;
};
