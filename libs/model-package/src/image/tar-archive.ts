/** A regular file of an archive. */
export interface TarFile {
  /** With `/` between its parts; at most `tarLimits.pathBytes` bytes of UTF-8. */
  readonly path: string;
  /** At most `tarLimits.fileBytes`. */
  readonly bytes: Uint8Array;
}

/** What the fields of a ustar header can hold. */
export const tarLimits = { pathBytes: 99, fileBytes: 8 ** 11 - 1 } as const;

const blockBytes = 512;
const magic = "ustar\x0000";

/**
 * A tar archive (POSIX ustar) of files and the folders that they lie in. Equal files give equal bytes: paths are in
 * lexicographic order, and every entry has the owner 0, the time 0, and the mode 0755 (folders) or 0644 (files).
 */
export const tarArchive = (files: readonly TarFile[]): Uint8Array => {
  const folders = new Set(files.flatMap(({ path }) => foldersOf(path)));
  const entries = [...[...folders].map((path) => ({ path, bytes: undefined })), ...files].sort((a, b) =>
    a.path < b.path ? -1 : 1,
  );
  const sizes = entries.map(({ bytes }) => blockBytes + roundedUp(bytes?.byteLength ?? 0));
  // Two empty blocks end an archive.
  const archive = new Uint8Array(sizes.reduce((sum, size) => sum + size, 2 * blockBytes));
  let offset = 0;
  for (const [index, { path, bytes }] of entries.entries()) {
    writeHeader(archive.subarray(offset, offset + blockBytes), path, bytes?.byteLength);
    archive.set(bytes ?? [], offset + blockBytes);
    offset += sizes[index] ?? 0;
  }
  return archive;
};

const foldersOf = (path: string): string[] => {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => `${parts.slice(0, index + 1).join("/")}/`);
};

const roundedUp = (size: number): number => Math.ceil(size / blockBytes) * blockBytes;

/** Writes the fields of a ustar header at their offsets. Numbers are octal digits that end with a null byte. */
const writeHeader = (header: Uint8Array, path: string, sizeBytes: number | undefined): void => {
  const put = (offset: number, text: string) => header.set(new TextEncoder().encode(text), offset);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  put(0, path);
  put(100, octal(sizeBytes === undefined ? 0o755 : 0o644, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(sizeBytes ?? 0, 11));
  put(136, octal(0, 11));
  put(156, sizeBytes === undefined ? "5" : "0");
  put(257, magic);
  put(329, octal(0, 7));
  put(337, octal(0, 7));
  // The checksum is the sum of all bytes, with its own eight counted as spaces.
  put(148, " ".repeat(8));
  put(
    148,
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      6,
    )} `,
  );
};
