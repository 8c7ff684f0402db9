import { mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { FolderLock } from "./folder-lock.ts";
import { layoutOf } from "./layout.ts";
import { Narration } from "./narration.ts";
import { Platform } from "./platform.ts";
import { servicePlans } from "./services.ts";
import { type BackingServers, startBacking } from "./start-backing.ts";
import { tellCommands, tellSummary } from "./steps/ending.ts";
import { dateText, story } from "./story.ts";
import { prepareData, walkthrough } from "./walkthrough.ts";

const wholeNumber =
  (low: number, high: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < low || value > high)
      throw new InvalidArgumentError(`Expected a whole number from ${low} to ${high}.`);
    return value;
  };

/** UTC microseconds of a day on which a replay can end. */
const dayOfReplay = (text: string): number => {
  const atUs = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) * 1000 : Number.NaN;
  if (!(atUs > story.replayFromUs && atUs <= story.allReplayToUs)) {
    throw new InvalidArgumentError(
      `Expected a day after ${dateText(story.replayFromUs)}, at the latest ${dateText(story.allReplayToUs)}.`,
    );
  }
  return atUs;
};

interface Options {
  readonly once: boolean;
  readonly fresh: boolean;
  readonly all: boolean;
  readonly profile: "embedded" | "redis-kafka";
  readonly state: string;
  readonly portOffset: number;
  readonly predictOneIn: number;
  readonly until?: number;
}

const program = new Command("npm start --")
  .description(
    "The flights walkthrough: features, training, a package, serving and monitoring on real data, then a platform that you can call.",
  )
  .option("--once", "end when the walkthrough is done, instead of leaving the platform up", false)
  .option("--fresh", "begin without the state that an earlier walkthrough left", false)
  .option("--all", "replay and predict all flights to the end of the data (half an hour and more)", false)
  .addOption(
    new Option(
      "--profile <name>",
      "embedded: nothing but this process tree. redis-kafka: real Redis and Kafka on loopback",
    )
      .choices(["embedded", "redis-kafka"])
      .default("embedded"),
  )
  .addOption(
    new Option("--state <folder>", "where everything is kept").default(
      join(import.meta.dirname, "../../../.millrace"),
      ".millrace in the repository",
    ),
  )
  .option("--port-offset <n>", "added to every default port", wholeNumber(0, 50_000), 0)
  .option("--predict-one-in <n>", "predict one flight in this many", wholeNumber(1, 100_000), 30)
  .option("--until <date>", "end the replay at the beginning of this day, such as 2001-02-12", dayOfReplay)
  .action(async (options: Options) => {
    // What a stopped walkthrough still waits for is not waited for.
    process.exit(await run(options));
  });

/** Somebody pressed Ctrl-C, or asked the process to end. */
class StopRequest extends Error {
  constructor(signal: string) {
    super(`Stopped by ${signal}.`);
    this.name = "StopRequest";
  }
}

const run = async (options: Options): Promise<number> => {
  const narration = new Narration(process.stdout);
  const stop = new AbortController();
  const stopped = new Promise<never>((_, reject) => {
    stop.signal.addEventListener("abort", () => reject(stop.signal.reason));
  });
  // Somebody waits for it only while the walkthrough runs.
  stopped.catch(() => undefined);
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      // The second time there is no more patience: the services see that this process is gone.
      if (stop.signal.aborted) process.exit(130);
      stop.abort(new StopRequest(name));
    });
  }
  let lock: FolderLock | undefined;
  let platform: Platform | undefined;
  let backing: BackingServers | undefined;
  let finished = false;
  try {
    // Each profile has a state of its own: neither can clear or block the other's.
    const folder = join(options.state, options.profile);
    mkdirSync(folder, { recursive: true });
    lock = await FolderLock.take(folder);
    if (options.fresh) lock.clearFolder();
    if (options.profile === "redis-kafka") {
      backing = await narration.step("backing servers", "real Redis and Kafka on loopback", () =>
        startBacking(folder, options.fresh, narration),
      );
    }
    const layout = layoutOf(folder, backing);
    const wholeYear = options.all || (options.until ?? 0) > story.replayToUs;
    await prepareData(layout, wholeYear, narration);
    const plans = servicePlans(layout, options.portOffset);
    platform = new Platform({
      plans,
      logFolder: layout.logFolder,
      processFile: layout.processFile,
      onRestart: (service, how) => narration.warn(`${service} stopped (${how}) and was started again.`),
      onGiveUp: (error) => stop.abort(error),
    });
    const started = platform;
    await narration.step("platform", "four services, each a process of its own, on loopback", async () => {
      await Promise.race([started.start(), stopped]);
      for (const plan of plans) {
        narration.line(
          `${plan.name.padEnd(16)} grpc 127.0.0.1:${plan.grpcPort}  metrics http://127.0.0.1:${plan.metricsPort}/metrics  ${plan.purpose}`,
        );
      }
      narration.line(
        `stores: ${layout.onlineStoreUrl}, ${layout.eventLogUrl}, ${layout.modelStoreUrl}; logs in ${basename(layout.logFolder)}/`,
      );
    });
    const work = walkthrough(
      platform,
      {
        layout,
        predictOneIn: options.all ? 1 : options.predictOneIn,
        toUs: options.until ?? (options.all ? story.allReplayToUs : story.replayToUs),
        signal: stop.signal,
      },
      narration,
    );
    const summary = await Promise.race([work, stopped]);
    tellSummary(summary, layout, narration);
    tellCommands(plans, layout, narration);
    finished = true;
    if (!options.once) {
      narration.line("");
      narration.line("The platform stays up. Ctrl-C stops it.");
      await stopped;
    }
    return 0;
  } catch (error) {
    if (error instanceof StopRequest) {
      narration.line(error.message);
      return finished ? 0 : 130;
    }
    narration.warn(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
    return 1;
  } finally {
    for (const complaint of (await platform?.stop()) ?? []) narration.warn(complaint);
    await backing?.stop();
    lock?.release();
  }
};

await program.parseAsync();
