import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Measured } from "./record.ts";

interface Line {
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  readonly command: string;
  readonly rows: readonly Measured[];
}

const folder = join(import.meta.dirname, "../records");

const number = (value: number | undefined): string =>
  value === undefined
    ? ""
    : Math.abs(value) >= 100
      ? Math.round(value).toLocaleString("en-US")
      : String(Number(value.toPrecision(3)));

/** Writes RESULTS.md from the newest line of every record: no figure in it was typed by hand. */
const sections = readdirSync(folder)
  .filter((name) => name.endsWith(".ndjson"))
  .sort()
  .map((name) => {
    const newest = JSON.parse(readFileSync(join(folder, name), "utf8").trim().split("\n").at(-1) ?? "{}") as Line;
    const rows = newest.rows.map(({ what, ours, unit, ceiling, ceilingName, runs, note }) => {
      const spread = `${number(Math.min(...runs))} – ${number(Math.max(...runs))}`;
      const ratio = ceiling === undefined ? "" : (ours / ceiling).toFixed(2);
      return `| ${what} | ${number(ours)} ${unit} | ${spread} | ${ceilingName ?? ""} ${number(ceiling)} | ${ratio} | ${note ?? ""} |`;
    });
    return [
      `## ${name.replace(".ndjson", "")}`,
      "",
      `\`${newest.command}\`, commit ${newest.commit}, ${newest.date.slice(0, 10)}, ${newest.machine}`,
      "",
      "| what | ours (median) | runs | ceiling or peer in the same run | ratio | |",
      "| --- | --- | --- | --- | --- | --- |",
      ...rows,
    ].join("\n");
  });
writeFileSync(
  join(import.meta.dirname, "../RESULTS.md"),
  `# Results\n\nPrinted from \`records/\` by \`npx nx run bench:results\`. A ratio compares two figures of the same run on the same machine; absolute figures of different machines do not compare.\n\n${sections.join("\n\n")}\n`,
);
console.log("RESULTS.md written");
