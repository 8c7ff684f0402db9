import type { BaseImage } from "@millrace/model-package";
import { type Command, Option } from "commander";
import { readPackageFolder, writePackageFolder } from "../package-folder.ts";
import { packageLocation, packageReference } from "../package-location.ts";
import { type StoreOptions, storeCommand, withStore } from "../package-store.ts";
import { UsageError } from "../usage-error.ts";

interface PushOptions extends StoreOptions {
  readonly asImage: boolean;
  readonly base?: string;
  readonly json: boolean;
}

interface ImageOptions extends StoreOptions {
  readonly tag?: string;
  readonly base?: string;
}

export const packageTransferCommands = (): Command[] => [
  storeCommand("push <source> <reference>", "packages a model: an ONNX file, or a folder with model.onnx")
    .option("--as-image", "also write the container image of the package, under the tag with -image behind it", false)
    .addOption(baseOption())
    .option("--json", "print JSON: repository, digest, tag, image", false)
    .addHelpText(
      "after",
      `
A folder may also have millrace.json, golden.json or golden.binpb, baseline.json or baseline.binpb, README.md, and the
files with weights that model.onnx names.`,
    )
    .action(push),
  storeCommand("pull <reference> <folder>", "writes the files of a package into a folder").action(pull),
  storeCommand("image <reference>", "writes the container image of a package, for Kubernetes and KServe's oci://")
    .option("--tag <tag>", "what to call the image; default: the package's tag with -image behind it")
    .addOption(baseOption())
    .action(image),
];

const baseOption = (): Option =>
  new Option("--base <reference>", "an image to build on, such as busybox, for what runs a program from the image");

const readBase = async (text: string | undefined, store: string | undefined): Promise<BaseImage | undefined> => {
  if (text === undefined) return undefined;
  const { storeUrl, reference } = packageReference(text, store);
  const { readBaseImage } = await import("@millrace/model-package");
  return readBaseImage(storeUrl, reference);
};

const push = async (source: string, text: string, options: PushOptions): Promise<void> => {
  const { storeUrl, repository, reference, tag } = packageLocation(text, options.store);
  if (reference?.includes("@")) {
    throw new UsageError(
      `${text} has a digest: what is pushed gets its digest from its content. Expected name or name:tag.`,
    );
  }
  const name = repository.split("/").at(-1) ?? repository;
  if (options.base !== undefined && !options.asImage) throw new UsageError("--base expects --as-image beside it.");
  const base = await readBase(options.base, options.store);
  const { content, ignored } = await readPackageFolder(source, name);
  await withStore(storeUrl, async (store) => {
    const tags = tag === undefined ? [] : [tag];
    const { digest } = await store.push(repository, content, tags);
    const imageTags = tags.map((one) => `${one}-image`);
    const image = options.asImage ? await store.pushImage(`${repository}@${digest}`, imageTags, base) : undefined;
    if (options.json) {
      const of = image === undefined ? {} : { image: { digest: image.digest, tag: imageTags[0] } };
      console.log(JSON.stringify({ repository, digest, tag, ...of }, null, 2));
      return;
    }
    console.log(`${repository}@${digest}${tag === undefined ? "" : `  ${tag}`}`);
    if (image !== undefined) console.log(`${repository}@${image.digest}  ${imageTags[0] ?? ""}  image`.trim());
    if (ignored.length > 0) console.log(`not in the package: ${ignored.join(", ")}`);
  });
};

const pull = async (text: string, folder: string, options: StoreOptions): Promise<void> => {
  const { storeUrl, reference } = packageReference(text, options.store);
  await withStore(storeUrl, async (store) => {
    const reader = await store.pull(reference);
    await writePackageFolder(reader, folder);
    console.log(`${folder}: ${reader.files.map(({ path }) => path).join(", ")} of ${reader.reference}`);
  });
};

const image = async (text: string, options: ImageOptions): Promise<void> => {
  const { storeUrl, repository, reference, tag } = packageReference(text, options.store);
  if (tag !== undefined && reference.includes("@")) {
    throw new UsageError(
      `${text} has both a tag and a digest, and the tag may be another package's. Expected name:tag or name@sha256:….`,
    );
  }
  const imageTag = options.tag ?? (tag === undefined ? undefined : `${tag}-image`);
  const base = await readBase(options.base, options.store);
  await withStore(storeUrl, async (store) => {
    const { digest, packageDigest } = await store.pushImage(reference, imageTag === undefined ? [] : [imageTag], base);
    console.log(`${repository}@${digest}  ${imageTag ?? ""}`.trim());
    console.log(`of the package ${packageDigest}`);
  });
};
