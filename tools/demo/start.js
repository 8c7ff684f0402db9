// Plain JavaScript, so that an old Node can still read the line that says what is wrong.
import module from "node:module";

const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  console.error(`millrace needs Node 24 or newer; this is ${process.version}. On Linux, \`npm ci\` brings one.`);
  process.exit(1);
}
module.enableCompileCache();
await import("./src/main.ts");
