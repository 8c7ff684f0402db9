import type { z } from "zod";

/** One setting: how its text is read, and a sentence that says what it is for. */
export interface Setting<T> {
  readonly schema: z.ZodType<T>;
  readonly sentence: string;
}

/** Settings by their key, `grpcPort`: the environment has it as `MILLRACE_GRPC_PORT`, the command line as `--grpc-port`. */
export type Settings = Readonly<Record<string, Setting<unknown>>>;

/** The values of settings. */
export type Config<S extends Settings> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never };

/**
 * Declares a setting.
 * @param schema reads the text of the environment or of the flag; `undefined` comes where there is none, so a default or
 * `optional()` belongs here. Booleans: `z.stringbool()`.
 * @param sentence what it is for, with its unit. The table in the README is printed from it.
 */
export const setting = <T>(schema: z.ZodType<T>, sentence: string): Setting<T> => ({ schema, sentence });

/** `grpcPort` as `MILLRACE_GRPC_PORT`. */
export const variableName = (key: string): string => `MILLRACE_${words(key).join("_").toUpperCase()}`;

/** `grpcPort` as `--grpc-port`. */
export const flagName = (key: string): string => `--${words(key).join("-").toLowerCase()}`;

const words = (key: string): string[] => key.replace(/([a-z0-9])([A-Z])/g, "$1 $2").split(" ");
