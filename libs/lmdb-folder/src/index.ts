export { bootId } from "./boot-id.ts";
export { FolderUnusableError } from "./folder-unusable-error.ts";
export {
  type Durability,
  type LmdbFolder,
  type LmdbTable,
  openLmdbFolder,
  type TableOptions,
} from "./open-lmdb-folder.ts";
