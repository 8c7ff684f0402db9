import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { available } from "./available.ts";
import { kafkaLibrary } from "./kafka.ts";

const run = (command: string, args: readonly string[], cwd?: string): void => {
  console.log(`+ ${command} ${args.join(" ")}`);
  execFileSync(command, args, {
    stdio: "inherit",
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
};

const give = (why: string): never => {
  console.error(why);
  process.exit(1);
};

/** What is there is left as it is, so that this costs nothing the second time. */
const debianPackages = [
  ...(available("redis") === true ? [] : ["redis-server"]),
  ...(available("registry") === true ? [] : ["docker-registry"]),
  ...(available("postgres") === true ? [] : ["postgresql"]),
  ...(available("prometheus") === true ? [] : ["prometheus"]),
];
if (debianPackages.length > 0) {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    const missing = debianPackages.join(" and ");
    give(`${missing} missing. Install with your package manager, or use deploy/compose for the servers.`);
  }
  run("apt-get", ["update", "-qq"]);
  run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...debianPackages]);
}
if (available("kafka") !== true) {
  mkdirSync(kafkaLibrary, { recursive: true });
  const folder = join(import.meta.dirname, "../kafka");
  run(
    "mvn",
    [
      "-q",
      "-B",
      "-f",
      join(folder, "pom.xml"),
      "dependency:copy-dependencies",
      `-DoutputDirectory=${kafkaLibrary}`,
      "-DincludeScope=runtime",
    ],
    dirname(folder),
  );
}
for (const name of ["redis", "kafka", "registry", "postgres", "prometheus"] as const) {
  const answer = available(name);
  if (answer !== true) give(answer);
  console.log(`${name} is here`);
}
