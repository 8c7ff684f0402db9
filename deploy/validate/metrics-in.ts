/** What PromQL has beside names of metrics. */
const words = new Set([
  ...["by", "without", "offset", "or", "unless", "and", "on", "ignoring", "bool"],
  ...["sum", "max", "min", "rate", "increase", "topk", "time", "histogram_quantile"],
]);

/** The metrics that an expression of PromQL asks for, without the suffixes of a histogram's series. */
export const metricsIn = (expr: string): string[] => {
  const bare = expr
    .replace(/\{[^}]*\}/g, " ")
    .replace(/\[[^\]]*\]/g, " ")
    .replace(/\b(?:by|without|on|ignoring) *\([^)]*\)/g, " ");
  const names = [...bare.matchAll(/(?<![0-9.$])\b[a-zA-Z_][a-zA-Z0-9_]*/g)].map(([name]) => name);
  return [...new Set(names.filter((name) => !words.has(name) && !/^\d*[smhd]$/.test(name)).map(withoutSuffix))];
};

const withoutSuffix = (name: string): string =>
  name.endsWith("_bucket") || name.endsWith("_seconds_count") ? name.replace(/_(?:bucket|count)$/, "") : name;
