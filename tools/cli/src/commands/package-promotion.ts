import { userInfo } from "node:os";
import type { ModelStore, Promotion } from "@millrace/model-package";
import type { Command } from "commander";
import { printTable } from "../output.ts";
import { packageLocation, packageReference } from "../package-location.ts";
import { type StoreOptions, storeCommand, withStore } from "../package-store.ts";
import { UsageError } from "../usage-error.ts";

interface PromotionOptions extends StoreOptions {
  readonly by?: string;
  readonly reason: string;
  readonly despiteGates?: boolean;
}

const withRecord = (command: Command): Command =>
  command
    .requiredOption("--reason <text>", "why, for whoever asks later")
    .option("--by <who>", "a person or a pipeline; default: the user that runs the command");

export const packagePromotionCommands = (): Command[] => [
  withRecord(
    storeCommand("promote <reference> <tag>", "points a tag at a package, and keeps a record of who, when and why"),
  )
    .option("--despite-gates", "also where the package did not pass its gates; the record says so", false)
    .action(async (text: string, tag: string, options: PromotionOptions) => {
      const { storeUrl, repository, reference } = packageReference(text, options.store);
      await withStore(storeUrl, (store) => promote(store, repository, reference, tag, options));
    }),
  withRecord(storeCommand("rollback <tag>", "promotes what a tag (name:tag) meant before its last promotion")).action(
    async (text: string, options: PromotionOptions) => {
      const { storeUrl, repository, tag } = tagOf(text, options.store);
      await withStore(storeUrl, async (store) => {
        const [newest] = await store.promotions(repository, tag);
        if (newest?.from === undefined) {
          throw new UsageError(
            `${repository}:${tag} has no promotion with a package before it: nothing to go back to.`,
          );
        }
        await promote(store, repository, `${repository}@${newest.from}`, tag, { ...options, despiteGates: true });
      });
    },
  ),
  storeCommand("history <tag>", "lists what a tag (name:tag) meant, the newest first")
    .option("--at <time>", "only what it meant at this time: RFC 3339, or a day")
    .option("--json", "print JSON: tag, from, to, by, at, reason, gates", false)
    .action(history),
];

const promote = async (
  store: ModelStore,
  repository: string,
  reference: string,
  tag: string,
  { by, reason, despiteGates = false }: PromotionOptions,
): Promise<void> => {
  const promoted = await store.promote(reference, { tag, by: by ?? userInfo().username, reason, despiteGates });
  const from = promoted.from === undefined ? "" : `, before ${promoted.from}`;
  console.log(`${repository}:${tag} is ${promoted.to}${from}, by ${promoted.by} at ${promoted.at.toISOString()}`);
};

const history = async (
  text: string,
  options: StoreOptions & { readonly at?: string; readonly json: boolean },
): Promise<void> => {
  const { storeUrl, repository, tag } = tagOf(text, options.store);
  const atMs = options.at === undefined ? undefined : timeOf(options.at);
  await withStore(storeUrl, async (store) => {
    const all = await store.promotions(repository, tag);
    const meant = all.find(({ at }) => atMs !== undefined && at.getTime() <= atMs);
    const shown = atMs === undefined ? all : meant === undefined ? [] : [meant];
    if (options.json) return console.log(JSON.stringify(shown, null, 2));
    if (shown.length === 0) {
      console.log(
        all.length === 0
          ? `${repository}:${tag} has no record of a promotion.`
          : `${repository}:${tag} has no record of what it meant at ${options.at}.`,
      );
      return;
    }
    printTable([["at", "package", "by", "reason", "gates"], ...shown.map(rowOf)]);
  });
};

const rowOf = ({ at, to, by, reason, gates }: Promotion): string[] => {
  const failed = gates.filter(({ passed }) => !passed).map(({ rule }) => rule);
  const told = failed.length > 0 ? `not passed: ${failed.join(", ")}` : gates.length > 0 ? "passed" : "none";
  return [at.toISOString(), to, by, reason, told];
};

const tagOf = (text: string, store: string | undefined) => {
  const { storeUrl, repository, tag } = packageLocation(text, store);
  if (tag === undefined) throw new UsageError(`${text} names no tag: expected name:tag.`);
  return { storeUrl, repository, tag };
};

/** A day is its end in UTC: what was in force when it was over. */
const timeOf = (text: string): number => {
  const isDay = /^\d{4}-\d\d-\d\d$/.test(text);
  const ms = Date.parse(isDay ? `${text}T23:59:59.999Z` : text);
  if (Number.isNaN(ms)) throw new UsageError(`--at expects a time such as 2026-11-20T09:00:00Z or a day, got ${text}.`);
  return ms;
};
