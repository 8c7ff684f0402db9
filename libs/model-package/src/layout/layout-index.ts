import { canonicalJson, type Json } from "../canonical-json.ts";
import { type Descriptor, readDescriptor } from "../descriptor.ts";
import type { Digest } from "../digest.ts";
import { descriptorJson } from "../encode-package.ts";
import { annotations, mediaTypes } from "../media-types.ts";

/**
 * The `index.json` of an OCI image layout: which manifests it holds, and which tags point at them. A tag is the
 * annotation `org.opencontainers.image.ref.name` of an entry; a manifest without any tag has one entry without it.
 * Entries that we do not understand (other digest algorithms) are kept as they are.
 */
export class LayoutIndex {
  readonly #entries: readonly Json[];

  private constructor(entries: readonly Json[]) {
    this.#entries = entries;
  }

  static readonly empty = new LayoutIndex([]);

  /** Undefined where the text is no index. */
  static parse(text: string): LayoutIndex | undefined {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return undefined;
    }
    if (typeof value !== "object" || value === null || !("manifests" in value) || !Array.isArray(value.manifests)) {
      return undefined;
    }
    return new LayoutIndex(value.manifests as Json[]);
  }

  /** The manifest that a tag points at. */
  tagged(tag: string): Digest | undefined {
    return this.#descriptors().find((entry) => tagOf(entry) === tag)?.digest;
  }

  /** The entry of a manifest, whatever its tags. */
  find(digest: Digest): Descriptor | undefined {
    return this.#descriptors().find((entry) => entry.digest === digest);
  }

  /** Each listed manifest once. */
  manifests(): Descriptor[] {
    return [...new Map(this.#descriptors().map((entry) => [entry.digest, entry])).values()];
  }

  tags(): string[] {
    return this.#descriptors()
      .map(tagOf)
      .filter((tag) => tag !== undefined)
      .sort();
  }

  /** The index with this manifest in it and the tags moved to it. A manifest that lost its last tag stays listed. */
  with(manifest: Descriptor, tags: readonly string[]): LayoutIndex {
    const kept = this.#entries.filter((entry) => !tags.includes(tagOf(readDescriptor(entry)) ?? "\0"));
    const listed = (digest: Digest) => kept.some((entry) => readDescriptor(entry)?.digest === digest);
    const untagged = this.#descriptors().filter(
      (entry, index, all) =>
        entry.digest !== manifest.digest &&
        !listed(entry.digest) &&
        all.findIndex(({ digest }) => digest === entry.digest) === index,
    );
    const added =
      tags.length === 0
        ? listed(manifest.digest)
          ? []
          : [withTag(manifest, undefined)]
        : tags.map((tag) => withTag(manifest, tag));
    const withoutSuperfluous = kept.filter((entry) => {
      const descriptor = readDescriptor(entry);
      return descriptor?.digest !== manifest.digest || tagOf(descriptor) !== undefined || tags.length === 0;
    });
    return new LayoutIndex([
      ...withoutSuperfluous,
      ...untagged.map((entry) => descriptorJson(withTag(entry, undefined))),
      ...added.map(descriptorJson),
    ]);
  }

  toString(): string {
    return canonicalJson({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: this.#entries });
  }

  #descriptors(): Descriptor[] {
    return this.#entries.map(readDescriptor).filter((entry) => entry !== undefined);
  }
}

const tagOf = (entry: Descriptor | undefined): string | undefined => entry?.annotations?.[annotations.referenceName];

/** An entry as it is without its tag. */
export const withoutTag = (entry: Descriptor): Descriptor => withTag(entry, undefined);

const withTag = (entry: Descriptor, tag: string | undefined): Descriptor => {
  const { [annotations.referenceName]: _, ...others } = entry.annotations ?? {};
  const notes = tag === undefined ? others : { ...others, [annotations.referenceName]: tag };
  const { annotations: __, ...bare } = entry;
  return Object.keys(notes).length === 0 ? bare : { ...bare, annotations: notes };
};
