import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { RegionPlace } from "../protocol/infer-parameters.ts";
import { SharedMemoryInvalidError, SharedMemoryOffError } from "./shared-memory-errors.ts";

/** A registered part of a shared memory object. */
export interface Region {
  readonly name: string;
  /** The object's name, as the caller gave it. */
  readonly key: string;
  /** Where the region begins in the object, in bytes. */
  readonly offset: number;
  readonly byteSize: number;
}

/** Most regions that may be registered at once: each holds an open file. */
const maxRegions = 1024;

/**
 * The system shared memory extension: tensors that a caller on this machine leaves in POSIX shared memory, and outputs
 * that are written there. On Linux such an object is a file below /dev/shm, so that it is read and written as one: no
 * memory is mapped, and a caller that makes its object smaller gets an error and crashes nobody.
 *
 * A region keeps its file open from Register to Unregister, as a mapping would: the caller may unlink the name before.
 */
export class SystemSharedMemory {
  readonly #folder: string;
  readonly #regions = new Map<string, Region & { readonly file: number }>();

  /** @param folder where the objects are. */
  constructor(folder = "/dev/shm") {
    this.#folder = folder;
  }

  /** @throws SharedMemoryInvalidError where the name is taken, or the key names no object that holds the region. */
  register({ name, key, offset, byteSize }: Region): void {
    if (name === "") throw invalid("INVALID_ARGUMENT", "name", "a name", "none");
    if (this.#regions.has(name)) throw invalid("ALREADY_EXISTS", "name", "one that is not registered", name);
    if (this.#regions.size >= maxRegions) {
      throw invalid("RESOURCE_EXHAUSTED", "name", `at most ${maxRegions} regions at once`, "one more");
    }
    const file = this.#open(key);
    try {
      const stat = fstatSync(file);
      if (!stat.isFile()) throw invalid("INVALID_ARGUMENT", "key", "a shared memory object", key);
      if (byteSize === 0) throw invalid("INVALID_ARGUMENT", "byte_size", "1 or more", "0");
      if (offset + byteSize > stat.size) {
        throw invalid(
          "INVALID_ARGUMENT",
          "byte_size",
          `a region within the ${stat.size} bytes of ${key}`,
          `${byteSize} bytes from ${offset}`,
        );
      }
    } catch (error) {
      closeSync(file);
      throw error;
    }
    this.#regions.set(name, { name, key, offset, byteSize, file });
  }

  /** Forgets a region, or all of them where the name is empty. One that is not registered is no error. */
  unregister(name: string): void {
    for (const region of name === "" ? [...this.#regions.values()] : [this.#regions.get(name)]) {
      if (region === undefined) continue;
      this.#regions.delete(region.name);
      closeSync(region.file);
    }
  }

  /** The region of a name, or all of them where it is empty. @throws SharedMemoryInvalidError */
  status(name: string): readonly Region[] {
    return name === "" ? [...this.#regions.values()] : [this.#find("name", name)];
  }

  /**
   * Copies a tensor's bytes out of a region.
   * @param tensor names the tensor in the error. @throws SharedMemoryInvalidError
   */
  read(tensor: string, place: RegionPlace): Uint8Array {
    const region = this.#within(tensor, place);
    const bytes = Buffer.allocUnsafe(place.byteSize);
    for (let done = 0; done < bytes.length; ) {
      const read = readSync(region.file, bytes, done, bytes.length - done, region.offset + place.offset + done);
      if (read === 0) throw shrunk(tensor, region);
      done += read;
    }
    return bytes;
  }

  /**
   * Copies a tensor's bytes into a region.
   * @param tensor names the tensor in the error. @throws SharedMemoryInvalidError
   */
  write(tensor: string, place: RegionPlace, data: Uint8Array): void {
    const region = this.#within(tensor, place);
    if (data.byteLength > place.byteSize) {
      throw invalid(
        "INVALID_ARGUMENT",
        `${tensor}.parameters.shared_memory_byte_size`,
        `at least the ${data.byteLength} bytes of the output`,
        `${place.byteSize}`,
      );
    }
    const from = region.offset + place.offset;
    // A write beyond the end would make the object larger.
    if (fstatSync(region.file).size < from + data.byteLength) throw shrunk(tensor, region);
    for (let done = 0; done < data.byteLength; ) {
      done += writeSync(region.file, data, done, data.byteLength - done, from + done);
    }
  }

  /** Forgets every region. */
  close(): void {
    this.unregister("");
  }

  #open(key: string): number {
    const name = key.startsWith("/") ? key.slice(1) : key;
    if (!/^[^/\0]{1,255}$/.test(name) || name === "." || name === "..") {
      throw invalid("INVALID_ARGUMENT", "key", "the name of a shared memory object, without a path", key);
    }
    try {
      return openSync(join(this.#folder, name), constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      const got = error instanceof Error && "code" in error ? `${key} (${String(error.code)})` : key;
      throw invalid("INVALID_ARGUMENT", "key", "a shared memory object that can be read and written", got);
    }
  }

  #find(field: string, name: string): Region & { readonly file: number } {
    const region = this.#regions.get(name);
    if (region === undefined) throw invalid("NOT_FOUND", field, "a registered region of system shared memory", name);
    return region;
  }

  #within(tensor: string, { region: name, offset, byteSize }: RegionPlace): Region & { readonly file: number } {
    const region = this.#find(`${tensor}.parameters.shared_memory_region`, name);
    if (offset + byteSize > region.byteSize) {
      throw invalid(
        "INVALID_ARGUMENT",
        `${tensor}.parameters.shared_memory_byte_size`,
        `a place within the ${region.byteSize} bytes of the region ${name}`,
        `${byteSize} bytes from ${offset}`,
      );
    }
    return region;
  }
}

/** @throws SharedMemoryOffError where the service has none. */
export const needMemory = (memory: SystemSharedMemory | undefined): SystemSharedMemory => {
  if (memory === undefined) throw new SharedMemoryOffError();
  return memory;
};

const invalid = (...parts: ConstructorParameters<typeof SharedMemoryInvalidError>): SharedMemoryInvalidError =>
  new SharedMemoryInvalidError(...parts);

const shrunk = (tensor: string, { name, key }: Region): SharedMemoryInvalidError =>
  invalid(
    "INVALID_ARGUMENT",
    `${tensor}.parameters.shared_memory_region`,
    `${name} to be as large as it was registered`,
    `${key}, which became smaller`,
  );
