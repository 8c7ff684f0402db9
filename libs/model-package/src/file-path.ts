/**
 * Whether a file's path stays within the folder that someone unpacks a package to, on any system: relative, with `/`
 * between parts that are neither empty nor `.` nor `..`, without drive letters and null bytes.
 */
export const staysWithin = (path: string): boolean => {
  const parts = path.split(/[/\\]/);
  const leaves = parts.some((part) => part === "" || part === "." || part === "..");
  return !leaves && !/^[A-Za-z]:/.test(path) && !path.includes("\0") && path.length <= 255;
};

/** Paths with the same form are one file on some system: letters of either case, composed or not. */
export const pathForm = (path: string): string => path.normalize("NFC").toLowerCase();
