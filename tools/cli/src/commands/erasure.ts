import { type Value, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import {
  DeleteEntityResponseSchema,
  FeatureService,
  VerifyErasureResponseSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Command } from "commander";
import { type ConnectionOptions, serviceCommand, withClient } from "../connection.ts";
import { printMessage, timeText } from "../output.ts";
import { UsageError } from "../usage-error.ts";

/** The exit code where something still shows the entity. */
const foundExitCode = 3;

interface DeleteOptions extends ConnectionOptions {
  readonly key: readonly string[];
  readonly requestedBy: string;
  readonly json: boolean;
}

interface VerifyOptions extends ConnectionOptions {
  readonly json: boolean;
}

/** Erases one entity, and looks for what is left of it. */
export const erasureCommands = (): Command[] => [
  serviceCommand("feature-serving", "delete-entity <entity>", "erases all data of one entity, and prints a receipt")
    .requiredOption("--key <name=value...>", "the entity's keys; times as microseconds, bytes as base64")
    .option("--requested-by <text>", "who asked and why, kept with the receipt; not the entity's keys", "")
    .option("--json", "print the receipt as protobuf JSON", false)
    .action(deleteEntity),
  serviceCommand("feature-serving", "verify-erasure <receipt>", "scans for what is left of an erased entity")
    .option("--json", "print protobuf JSON", false)
    .addHelpText("after", `\nExit code: 0 nothing is left, ${foundExitCode} something is, 1 it could not be scanned.`)
    .action(verifyErasure),
];

const deleteEntity = async (entity: string, { key, requestedBy, json, ...options }: DeleteOptions): Promise<void> => {
  const given = new Map(key.map((text) => [text.split("=", 1)[0] ?? "", text.slice(text.indexOf("=") + 1)]));
  const malformed = key.find((text) => !text.includes("="));
  if (malformed !== undefined) throw new UsageError(`--key: expected name=value, got ${malformed}.`);
  await withClient(FeatureService, options, async (client) => {
    const { repository } = await client.getRepository({});
    const declared = repository?.entities.find(({ name }) => name === entity);
    const keys: Record<string, { readonly value: Value["value"] }> = {};
    for (const [name, text] of given) {
      const type = declared?.keys.find((one) => one.name === name)?.type ?? ValueType.STRING;
      keys[name] = { value: keyValue(name, text, type) };
    }
    const receipt = await client.deleteEntity({ entity, keys, requestedBy }, { timeoutMs: 30 * 60 * 1000 });
    if (json) {
      printMessage(DeleteEntityResponseSchema, receipt);
      return;
    }
    const { receiptId, onlineRows, logRecords, outside, erasedAt } = receipt;
    console.log(`receipt ${receiptId}, ${timeText(erasedAt)}`);
    console.log(`${onlineRows} online rows deleted, ${logRecords} records of topics hidden`);
    for (const place of outside) console.log(`still to be deleted by its owner: ${place}`);
  });
};

const verifyErasure = async (receiptId: string, { json, ...options }: VerifyOptions): Promise<void> => {
  await withClient(FeatureService, options, async (client) => {
    const answer = await client.verifyErasure({ receiptId }, { timeoutMs: 30 * 60 * 1000 });
    if (!answer.clean) process.exitCode = foundExitCode;
    if (json) {
      printMessage(VerifyErasureResponseSchema, answer);
      return;
    }
    for (const place of answer.scanned) console.log(`looked at ${place}`);
    for (const place of answer.found) console.log(`found: ${place}`);
    console.log(answer.clean ? "nothing is left" : `${answer.found.length} places still hold it`);
  });
};

const keyValue = (name: string, text: string, type: ValueType): Value["value"] => {
  const refuse = (expected: string): never => {
    throw new UsageError(`--key ${name}: expected ${expected}.`);
  };
  switch (type) {
    case ValueType.INT64:
      return { case: "int64", value: /^-?\d{1,19}$/.test(text) ? BigInt(text) : refuse("a whole number") };
    case ValueType.TIMESTAMP:
      return {
        case: "timestampUs",
        value: /^-?\d{1,19}$/.test(text) ? BigInt(text) : refuse("microseconds since 1970"),
      };
    case ValueType.BOOL:
      return { case: "bool", value: text === "true" || (text === "false" ? false : refuse("true or false")) };
    case ValueType.BYTES:
      return { case: "bytes", value: new Uint8Array(Buffer.from(text, "base64")) };
    default:
      return { case: "string", value: text };
  }
};
