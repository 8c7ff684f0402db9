/** Media types and annotations of the OCI image specification and of the CNCF model specification that a package uses. */
export const mediaTypes = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  /** The same two under the names that docker gave them, as many base images have them. */
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerIndex: "application/vnd.docker.distribution.manifest.list.v2+json",
  artifact: "application/vnd.cncf.model.manifest.v1+json",
  config: "application/vnd.cncf.model.config.v1+json",
  weight: "application/vnd.cncf.model.weight.v1.raw",
  weightConfig: "application/vnd.cncf.model.weight.config.v1.raw",
  doc: "application/vnd.cncf.model.doc.v1.raw",
  /** A config that says nothing: `{}`. */
  empty: "application/vnd.oci.empty.v1+json",
  imageConfig: "application/vnd.oci.image.config.v1+json",
  tarLayer: "application/vnd.oci.image.layer.v1.tar",
  sigstoreBundle: "application/vnd.dev.sigstore.bundle.v0.3+json",
  /** Of ours: a record that a tag was moved to a package. */
  promotion: "application/vnd.millrace.promotion.v1+json",
} as const;

export const annotations = {
  /** Where the file lies within the package. */
  filePath: "org.cncf.model.filepath",
  /** What general OCI tools name the file by. */
  title: "org.opencontainers.image.title",
  /** In the index of a layout: the tag. */
  referenceName: "org.opencontainers.image.ref.name",
  /** On an image: the digest of the package that it is of. */
  packageDigest: "io.millrace.package.digest",
  /** On an image: the digest of the image that it is built on. */
  baseDigest: "org.opencontainers.image.base.digest",
  created: "org.opencontainers.image.created",
  /** Of a signature: what its bundle holds, and what its statement says. */
  bundleContent: "dev.sigstore.bundle.content",
  bundlePredicateType: "dev.sigstore.bundle.predicateType",
} as const;
