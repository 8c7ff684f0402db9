import type { Command } from "commander";
import { serviceCommand } from "../connection.ts";
import { promote, rollBack } from "../declaration/traffic-change.ts";
import { UsageError } from "../usage-error.ts";
import { type ChangeOptions, changeDeclaration, changing } from "./change-declaration.ts";

/** `promote` and `rollback`: who has the traffic, by an edit of the deployments file. */
export const trafficCommands = (): Command[] => [
  changing(
    serviceCommand(
      "inference",
      "promote <model> <version>",
      "gives a version all traffic, or a share of it, and waits",
    ),
  )
    .option("--weight <percent>", "the share of the traffic; the others keep theirs relative to each other", "100")
    .action(async (model: string, version: string, options: ChangeOptions & { readonly weight: string }) => {
      const wanted = versionOf(version);
      const percent = percentOf(options.weight);
      await changeDeclaration(
        model,
        options,
        false,
        (document) => {
          promote(document, model, wanted, percent);
          return wanted;
        },
        ({ weight, shadow }) => !shadow && hasShare(weight, percent),
      );
    }),
  changing(
    serviceCommand("inference", "rollback <model>", "gives the traffic back to the version before the last promotion"),
  ).action(async (model: string, options: ChangeOptions) => {
    await changeDeclaration(
      model,
      options,
      false,
      (document) => rollBack(document, model),
      ({ weight }) => hasShare(weight, 100),
    );
  }),
];

/** @throws UsageError */
export const versionOf = (text: string): bigint => {
  if (!/^[1-9]\d{0,17}$/.test(text)) throw new UsageError(`A version is a whole number from 1, got ${text}.`);
  return BigInt(text);
};

/** @throws UsageError */
export const percentOf = (text: string): number => {
  const percent = Number(text);
  if (text === "" || !Number.isInteger(percent) || percent < 0 || percent > 100) {
    throw new UsageError(`--weight expects a whole number of percent from 0 to 100, got ${text}.`);
  }
  return percent;
};

/** Where another version has failed its weight falls to the others: a share may be more than was asked for. */
export const hasShare = (weight: number, percent: number): boolean => weight * 100 >= percent - 1e-9;
