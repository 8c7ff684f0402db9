import type { CompiledView } from "../compiled.ts";
import { AggregateStream } from "./aggregate-stream.ts";
import { LatestRowStream } from "./latest-row-stream.ts";
import type { ViewStream } from "./view-stream.ts";

export function createViewStream(view: CompiledView): ViewStream {
  return view.kind === "aggregate" ? new AggregateStream(view) : new LatestRowStream(view);
}
