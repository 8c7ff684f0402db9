import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { barText, type RecordLine, round } from "./record.ts";

const folder = join(import.meta.dirname, "../records");

/** Writes RESULTS.md from the newest line of every record: no figure in it was typed by hand. */
const sections = readdirSync(folder)
  .filter((name) => name.endsWith(".ndjson"))
  .sort()
  .map((name) => {
    const newest = JSON.parse(readFileSync(join(folder, name), "utf8").trim().split("\n").at(-1) ?? "{}") as RecordLine;
    const rows = newest.rows.map((row) => {
      const { what, ours, unit, ceiling, ceilingName, runs, note } = row;
      const spread = `${round(Math.min(...runs))} – ${round(Math.max(...runs))}`;
      const beside = ceiling === undefined ? "" : `${ceilingName ?? ""} ${round(ceiling)}`;
      const ratio = ceiling === undefined ? "" : (ours / ceiling).toFixed(2);
      return `| ${what} | ${round(ours)} ${unit} | ${spread} | ${beside} | ${ratio} | ${barText(row)} | ${note ?? ""} |`;
    });
    const load =
      newest.loadAverage === undefined ? "" : `, load average ${newest.loadAverage.toFixed(2)} when it began`;
    return [
      `## ${name.replace(".ndjson", "")}`,
      "",
      `\`${newest.command}\`, commit ${newest.commit}, ${newest.date.slice(0, 10)}, ${newest.machine}${load}`,
      "",
      "| what | ours (median) | runs | ceiling or peer in the same run | ratio | bar | |",
      "| --- | --- | --- | --- | --- | --- | --- |",
      ...rows,
    ].join("\n");
  });
writeFileSync(
  join(import.meta.dirname, "../RESULTS.md"),
  `# Results\n\nPrinted from \`records/\` by \`npx nx run bench:results\`. A ratio compares two figures of the same run on the same machine; absolute figures of different machines do not compare.\n\n${sections.join("\n\n")}\n`,
);
console.log("RESULTS.md written");
