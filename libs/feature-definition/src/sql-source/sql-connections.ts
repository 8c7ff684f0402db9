import { readFile } from "node:fs/promises";
import { parseEnv } from "node:util";
import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when the connection that a `sql` source names is not declared, or its declaration is no address. */
export class SqlConnectionInvalidError extends MillraceError {
  constructor(connection: string, explanation: string, cause?: unknown) {
    super("FAILED_PRECONDITION", Reason.SOURCE_DATA_INVALID, `The SQL connection ${connection} ${explanation}.`, {
      resource: { kind: "SQL connection", name: connection },
      ...(cause === undefined ? {} : { cause }),
    });
  }
}

/** Thrown when the database of a connection cannot be reached, or lets nobody in. */
export class SqlConnectionUnavailableError extends MillraceError {
  constructor(connection: string, why: string, cause: unknown) {
    const message = `The database of the SQL connection ${connection} is not available: ${why}.`;
    super("UNAVAILABLE", Reason.STORE_UNAVAILABLE, message, {
      resource: { kind: "SQL connection", name: connection },
      cause,
    });
  }
}

/**
 * The address of a connection from the file of connections: `NAME=postgres://USER:PASSWORD@HOST:PORT/DATABASE` a line.
 * The file is read each time, so that a changed password is in force without a restart.
 * @throws SqlConnectionInvalidError
 */
export const connectionAddress = async (connection: string, file: string | undefined): Promise<string> => {
  if (file === undefined) {
    throw new SqlConnectionInvalidError(connection, "is not declared: no file of SQL connections is set");
  }
  const content = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new SqlConnectionInvalidError(connection, "cannot be looked up: its file cannot be read", cause);
  });
  const declared = new Map(Object.entries(parseEnv(content)));
  const address = declared.get(connection);
  if (address === undefined) {
    const names = [...declared.keys()].sort().join(", ") || "none";
    throw new SqlConnectionInvalidError(connection, `is not declared in the file of SQL connections; it has ${names}`);
  }
  // The address stays out of the message: it carries the password.
  if (!/^postgres(ql)?:$/.test(URL.parse(address)?.protocol ?? "")) {
    throw new SqlConnectionInvalidError(connection, "has no address of the form postgres://USER@HOST:PORT/DATABASE");
  }
  return address;
};
