#!/usr/bin/env -S node --conditions=@millrace/source
// Plain JavaScript, so that an old Node can still read the line that says what is wrong.
import module from "node:module";

const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  console.error(
    `millrace needs Node 24 or newer; this is ${process.version}. In the repository, \`npx millrace\` uses the pinned one.`,
  );
  process.exit(1);
}
// Compiling the sources is half the time of a short command.
module.enableCompileCache();
await import("../src/main.ts");
