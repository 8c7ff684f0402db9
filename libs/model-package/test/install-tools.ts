import { installTool, type PublicTool, publicTools, toolPath } from "./public-tools.ts";

for (const name of Object.keys(publicTools) as PublicTool[]) {
  installTool(name);
  console.log(toolPath(name));
}
