import { FeatureStatus, type Value } from "@millrace/contracts/millrace/feature/v1/column";
import {
  type FeatureMismatch,
  FeatureService,
  type VerifyFeaturesSummary,
  VerifyFeaturesSummarySchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Command } from "commander";
import { type ConnectionOptions, serviceCommand, withClient } from "../connection.ts";
import { endProgress, enumName, printMessage, printTable, showProgress } from "../output.ts";
import { UsageError } from "../usage-error.ts";

/** The exit code where values differ, so that a pipeline can tell it from a verification that could not be done. */
const mismatchExitCode = 3;

interface VerifyOptions extends ConnectionOptions {
  readonly entities: string;
  readonly seed?: string;
  readonly tolerance: string;
  readonly json: boolean;
}

/** Compares what a feature service serves with what the offline engine computes from its sources' files. */
export const verifyCommand = (): Command =>
  serviceCommand(
    "feature-serving",
    "verify <service>",
    "compares served values with those computed from the sources' files",
  )
    .option("--entities <number>", "how many entities are drawn", "100")
    .option("--seed <number>", "draws the same entities again; default: others each time")
    .option("--tolerance <share>", "how far two numbers may lie apart, relative to the larger", "1e-9")
    .option("--json", "print the summary as protobuf JSON", false)
    .addHelpText("after", `\nExit code: 0 equal, ${mismatchExitCode} some value differs, 1 it could not be verified.`)
    .action(verify);

const verify = async (featureService: string, options: VerifyOptions): Promise<void> => {
  const entities = numberOf("--entities", options.entities, (value) => Number.isInteger(value) && value > 0);
  const tolerance = numberOf("--tolerance", options.tolerance, (value) => value >= 0 && value < 1);
  const { seed } = options;
  if (seed !== undefined && !/^\d{1,19}$/.test(seed)) throw new UsageError(`--seed: expected a number, got ${seed}.`);
  await withClient(FeatureService, options, async (client) => {
    const request = { featureService, entities, tolerance, ...(seed !== undefined && { seed: BigInt(seed) }) };
    for await (const { part } of client.verifyFeatures(request)) {
      if (part.case === "progress") showProgress(`${part.value.phase} ${part.value.rows || ""}`);
      if (part.case === "mismatch" && !options.json) {
        endProgress();
        console.log(mismatchText(part.value));
      }
      if (part.case === "summary") {
        endProgress();
        printSummary(part.value, options.json);
        if (part.value.features.some(({ mismatched }) => mismatched > 0n)) process.exitCode = mismatchExitCode;
      }
    }
  });
};

const printSummary = (summary: VerifyFeaturesSummary, asJson: boolean): void => {
  if (asJson) {
    printMessage(VerifyFeaturesSummarySchema, summary);
    return;
  }
  printTable([
    ["feature", "compared", "different", "greatest difference"],
    ...summary.features.map(({ name, compared, mismatched, greatestDifference }) => [
      name,
      String(compared),
      String(mismatched),
      greatestDifference === 0 ? "0" : greatestDifference.toExponential(1),
    ]),
  ]);
  const { rows, skippedRows, seed } = summary;
  const skipped =
    skippedRows === 0n ? "" : `; ${skippedRows} left out, since newer facts than the files have were applied`;
  console.log(`${rows} entities${skipped}; --seed ${seed} draws them again`);
};

const mismatchText = ({ feature, keys, atUs, served, computed, servedStatus }: FeatureMismatch): string => {
  const entity = Object.entries(keys).map(([name, value]) => `${name}=${valueText(value)}`);
  const at = new Date(Number(atUs / 1000n)).toISOString();
  const status = enumName(FeatureStatus, servedStatus);
  return `${feature} of ${entity.join(", ")} at ${at}: served ${valueText(served)} (${status}), computed ${valueText(computed)}`;
};

const valueText = (value: Value | undefined): string => {
  const held = value?.value;
  if (held === undefined || held.case === undefined) return "null";
  if (held.case === "list")
    return JSON.stringify(held.value, (_, part) => (typeof part === "bigint" ? String(part) : part));
  if (held.case === "bytes") return Buffer.from(held.value).toString("base64");
  return held.case === "timestampUs" ? new Date(Number(held.value / 1000n)).toISOString() : String(held.value);
};

const numberOf = (flag: string, text: string, isValid: (value: number) => boolean): number => {
  const value = Number(text);
  if (text.trim() === "" || !isValid(value)) throw new UsageError(`${flag}: expected another number, got ${text}.`);
  return value;
};
