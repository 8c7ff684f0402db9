import { openModelStore } from "../src/open-model-store.ts";
import { samplePackage } from "../src/sample-package.fixture.ts";

// A process that pushes packages until it is killed or has pushed as many as it was asked for:
// push-forever.ts URL NAME COUNT
const [url = "", name = "", count = "0"] = process.argv.slice(2);
const store = await openModelStore(url);
for (let number = 0; number < Number(count); number += 1) {
  await store.push("flight_delay", samplePackage({ card: `${name} ${number}` }), [`${name}-${number}`, "latest"]);
  process.stdout.write(`${number}\n`);
}
await store.close();
