import { createHash } from "node:crypto";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import {
  type DeploymentDeclaration,
  DeploymentDeclarationSchema,
} from "@millrace/contracts/millrace/inference/v1/deployment";
import { parseDocument } from "yaml";
import { DeclarationInvalidError } from "./declaration-invalid-error.ts";

/** A declaration and what it was read from. */
export interface ParsedDeclaration {
  readonly declaration: DeploymentDeclaration;
  /** `sha256:…` of the text. */
  readonly hash: string;
}

/**
 * Reads a declaration: YAML that is the protobuf JSON mapping of DeploymentDeclaration. An empty file deploys nothing.
 * @throws DeclarationInvalidError where it is no YAML or no such message; a key that the message lacks is named.
 */
export const parseDeclaration = (text: string): ParsedDeclaration => {
  const document = parseDocument(text, { uniqueKeys: true });
  const [problem] = document.errors;
  if (problem !== undefined) {
    throw new DeclarationInvalidError(
      [
        {
          field: `line ${problem.linePos?.[0].line ?? 1}`,
          expected: "YAML",
          got: problem.message.split("\n", 1)[0] ?? "",
        },
      ],
      problem,
    );
  }
  try {
    // An alias that names nothing, or too many of them, is only found here.
    const json = (document.toJS({ maxAliasCount: 100 }) ?? {}) as JsonValue;
    return { declaration: fromJson(DeploymentDeclarationSchema, json), hash: declarationHash(text) };
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new DeclarationInvalidError(
      [{ field: "deployments", expected: "a DeploymentDeclaration", got: message }],
      cause,
    );
  }
};

/** `sha256:…` of a declaration's text. */
export const declarationHash = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`;
