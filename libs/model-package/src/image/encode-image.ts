import type { EncodedManifest } from "../artifact-store.ts";
import { canonicalJson, type Json } from "../canonical-json.ts";
import type { Descriptor } from "../descriptor.ts";
import { type Digest, digestOf } from "../digest.ts";
import { descriptorJson, type EncodedBlob } from "../encode-package.ts";
import { annotations, mediaTypes } from "../media-types.ts";
import type { PackageFile } from "../package-content.ts";
import { PackageContentInvalidError } from "../package-content-invalid-error.ts";
import { PackageTooLargeError } from "../package-too-large-error.ts";
import { type BaseImage, type BasePlatform, imageArchitectures } from "./base-image.ts";
import { type TarFile, tarArchive, tarLimits } from "./tar-archive.ts";

/** A container image, ready to be written: blobs, then the manifests, then the index that names them. */
export interface EncodedImage {
  readonly blobs: readonly EncodedBlob[];
  readonly manifests: readonly EncodedManifest[];
  readonly index: EncodedManifest;
}

/** What a folder of a model may be called: on every file system, and as a model's name in Triton. */
const modelNameForm = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;

/**
 * The container image that carries a package's files, for what mounts or unpacks images and knows no artifacts. Under
 * `/models` it is a Triton model repository with one model, beside it the other files of the package:
 *
 *     /models/flight_delay/1/model.onnx
 *     /models/flight_delay/{README.md,baseline.binpb,golden.binpb,millrace.json}
 *
 * Equal packages give equal images, by digest.
 *
 * @param packageDigest becomes the annotation `io.millrace.package.digest`: an image names the package that it is of. It
 *   is no `subject`, for an image is no statement about a package.
 * @param base an image to build on, for what runs a program from it (KServe's modelcar runs `sh`); without one the image
 *   holds the files alone. Files are the same for every platform, of which a container runtime refuses others.
 * @throws PackageContentInvalidError where the model's name cannot name a folder.
 */
export const encodeImage = (
  name: string,
  packageDigest: Digest,
  files: ReadonlyMap<PackageFile, Uint8Array>,
  externalData: ReadonlyMap<string, Uint8Array>,
  base?: BaseImage,
): EncodedImage => {
  if (!modelNameForm.test(name)) {
    const expected = "at most 64 letters, digits, _, . or -, the first no . or -, for an image";
    throw new PackageContentInvalidError("manifest.name", expected, JSON.stringify(name));
  }
  const inImage = [
    ...[...files].map(([file, bytes]) => ({
      path: `models/${name}/${file === "model.onnx" ? "1/" : ""}${file}`,
      bytes,
    })),
    ...[...externalData].map(([path, bytes]) => ({ path: `models/${name}/1/${path}`, bytes })),
  ];
  inImage.forEach(checkFits);
  const layer = blob(mediaTypes.tarLayer, tarArchive(inImage));
  const notes = {
    [annotations.packageDigest]: packageDigest,
    ...(base === undefined ? {} : { [annotations.baseDigest]: base.digest }),
  };
  const platforms = base?.platforms ?? imageArchitectures.map((architecture) => ({ ...bare, architecture }));
  const images = platforms.map(({ architecture, layers, diffIds, runConfig }) => {
    // The base's own program would run before what the user of the image asks for.
    const { Entrypoint: _, Cmd: __, ...config } = runConfig;
    const imageConfig = jsonBlob(mediaTypes.imageConfig, {
      architecture,
      os: "linux",
      config,
      rootfs: { type: "layers", diff_ids: [...diffIds, layer.descriptor.digest] },
    });
    const manifest = jsonBlob(mediaTypes.manifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      config: descriptorJson(imageConfig.descriptor),
      layers: [...layers, layer].map(({ descriptor }) => descriptorJson(descriptor)),
      annotations: notes,
    });
    return { blobs: [...layers, imageConfig], manifest, platform: { architecture, os: "linux" } };
  });
  const index = jsonBlob(mediaTypes.index, {
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests: images.map(({ manifest, platform }) => ({ ...objectOf(manifest.descriptor), platform })),
    annotations: notes,
  });
  return {
    blobs: [layer, ...images.flatMap(({ blobs }) => blobs)],
    manifests: images.map(({ manifest }) => manifest),
    index,
  };
};

const bare: Omit<BasePlatform, "architecture"> = { layers: [], diffIds: [], runConfig: {} };

const checkFits = ({ path, bytes }: TarFile): void => {
  if (Buffer.byteLength(path) > tarLimits.pathBytes) {
    const expected = `paths of at most ${tarLimits.pathBytes} bytes in an image`;
    throw new PackageContentInvalidError("externalData", expected, JSON.stringify(path));
  }
  if (bytes.byteLength > tarLimits.fileBytes) {
    throw new PackageTooLargeError(`${path} in an image`, bytes.byteLength, tarLimits.fileBytes);
  }
};

const objectOf = (descriptor: Descriptor) => descriptorJson(descriptor) as { readonly [key: string]: Json };

const blob = (mediaType: string, bytes: Uint8Array): EncodedBlob => ({
  bytes,
  descriptor: { mediaType, digest: digestOf(bytes), size: bytes.byteLength },
});

const jsonBlob = (mediaType: string, value: Json): EncodedBlob => blob(mediaType, Buffer.from(canonicalJson(value)));
