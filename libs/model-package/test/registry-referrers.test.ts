import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../src/digest.ts";
import { mediaTypes } from "../src/media-types.ts";
import { expectReason } from "../src/model-store.contract.ts";
import type { ModelStore } from "../src/model-store.ts";
import { openModelStore } from "../src/open-model-store.ts";
import { samplePackage } from "../src/sample-package.fixture.ts";
import { generateSigningKey, signerFromPem } from "../src/signing/signing-key.ts";
import { type DockerRegistry, skipWithoutRegistry, startDockerRegistry } from "./docker-registry.ts";
import { type FrontCall, type RegistryFront, startRegistryFront } from "./registry-front.ts";

const key = generateSigningKey();
const signer = signerFromPem(key.privateKeyPem);
const trusted = [{ name: "release.pub", pem: key.publicKeyPem }];

interface Entry {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
}

const isManifestPut = ({ method, url }: FrontCall) => method === "PUT" && url.includes("/manifests/sha256:");
const isListPut = ({ method, url }: FrontCall) => method === "PUT" && url.includes("/manifests/sha256-");
const indexOf = (manifests: readonly Entry[]) =>
  JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests });
const entriesOf = (body: Buffer | string): Entry[] => JSON.parse(body.toString()).manifests;

describe.skipIf(skipWithoutRegistry)("the signatures of a package in a registry", () => {
  let registry: DockerRegistry;
  let front: RegistryFront;
  let store: ModelStore;
  let count = 0;

  beforeAll(async () => {
    registry = await startDockerRegistry();
  });
  afterAll(() => registry.stop());
  afterEach(async () => {
    await store.close();
    await front.close();
  });

  const open = async (answer: Parameters<typeof startRegistryFront>[1]) => {
    front = await startRegistryFront(registry.host, answer);
    store = await openModelStore(`oci://${front.host}`);
  };
  /** A package of its own for each test, which the registry's list belongs to. */
  const push = async () => {
    count += 1;
    const card = `of test ${count}`;
    return { repository: "signed", ...(await store.push("signed", samplePackage({ card }))) };
  };
  const listTag = (digest: string) => `http://${registry.host}/v2/signed/manifests/sha256-${digest.slice(7)}`;
  const taggedList = (digest: string) => fetch(listTag(digest), { headers: { accept: mediaTypes.index } });
  const putList = (digest: string, entries: readonly Entry[]) =>
    fetch(listTag(digest), { method: "PUT", headers: { "content-type": mediaTypes.index }, body: indexOf(entries) });
  /** Some manifest of the registry that someone else attached. */
  const foreign = async (): Promise<Entry> => {
    const { digest } = await push();
    const size = (await (await fetch(`http://${registry.host}/v2/signed/manifests/${digest}`)).arrayBuffer())
      .byteLength;
    return { mediaType: mediaTypes.manifest, digest, size, artifactType: "application/x" };
  };

  test("come page by page from its own list where it keeps one, and no tag is written", async () => {
    const listed: Entry[] = [
      { mediaType: mediaTypes.manifest, digest: digestOf(Buffer.from("x")), size: 1, artifactType: "application/x" },
    ];
    await open(async (call, forward) => {
      const parsed = isManifestPut(call) ? JSON.parse(call.body.toString()) : {};
      if (parsed.subject !== undefined) {
        const { mediaType, artifactType } = parsed;
        listed.push({ mediaType, artifactType, digest: digestOf(call.body), size: call.body.byteLength });
        const answer = await forward(call);
        const headers = { ...Object.fromEntries(answer.headers), "oci-subject": parsed.subject.digest };
        return new Response(await answer.arrayBuffer(), { status: answer.status, headers });
      }
      if (!call.url.includes("/referrers/")) {
        return undefined;
      }
      const page = Number(new URL(call.url, "http://x").searchParams.get("page") ?? 0);
      const next = page + 1 < listed.length ? { link: `<${call.url.split("?")[0]}?page=${page + 1}>; rel="next"` } : {};
      return new Response(indexOf(listed.slice(page, page + 1)), {
        headers: { "content-type": mediaTypes.index, ...next },
      });
    });
    const signed = await push();
    await store.sign(`signed@${signed.digest}`, signer);
    await store.sign(`signed@${signed.digest}`, signer);
    expect(listed).toHaveLength(3);
    expect(await store.verifySignature(signed, trusted)).toMatchObject({ signature: listed[1]?.digest });
    expect((await taggedList(signed.digest)).status).toBe(404);
  });

  test("are listed under the tag of the digest where it keeps none, beside what others listed", async () => {
    await open(async () => undefined);
    const signed = await push();
    const other = await foreign();
    expect((await putList(signed.digest, [other])).status).toBe(201);
    const { signature } = await store.sign(`signed@${signed.digest}`, signer);
    const answer = await taggedList(signed.digest);
    expect(answer.headers.get("content-type")).toBe(mediaTypes.index);
    expect(JSON.parse(await answer.text())).toMatchObject({
      schemaVersion: 2,
      mediaType: mediaTypes.index,
      manifests: [
        other,
        {
          digest: signature,
          mediaType: mediaTypes.manifest,
          artifactType: mediaTypes.sigstoreBundle,
          annotations: { "dev.sigstore.bundle.content": "dsse-envelope" },
        },
      ],
    });
    expect(await store.verifySignature(signed, trusted)).toEqual({ keyName: "release.pub", signature });
    expect(await store.tags("signed")).toEqual([]);
  });

  test("are found by the tag where the registry sends to a web page in place of its list", async () => {
    await open(async ({ url }) => {
      if (url === "/page") return new Response("<html>", { headers: { "content-type": "text/html" } });
      return url.includes("/referrers/")
        ? new Response(null, { status: 303, headers: { location: "/page" } })
        : undefined;
    });
    const signed = await push();
    const { signature } = await store.sign(`signed@${signed.digest}`, signer);
    expect(await store.verifySignature(signed, trusted)).toEqual({ keyName: "release.pub", signature });
  });

  test("lose none to another who writes first, where the registry minds If-Match", async () => {
    let other: Entry | undefined;
    await open(async (call) => {
      if (!isListPut(call) || other === undefined) return undefined;
      const digest = `sha256:${call.url.split("sha256-")[1]}`;
      const before = await taggedList(digest);
      if (before.status === 200 && before.headers.get("etag") !== call.headers["if-match"]) {
        return new Response(null, { status: 412 });
      }
      const present = before.status === 200 ? entriesOf(await before.text()) : [];
      if (present.some((entry) => entry.digest === other?.digest)) return undefined;
      await putList(digest, [...present, other]);
      return new Response(null, { status: 412 });
    });
    const signed = await push();
    other = await foreign();
    const first = await store.sign(`signed@${signed.digest}`, signer);
    const digests = entriesOf(await (await taggedList(signed.digest)).text()).map(({ digest }) => digest);
    expect(digests).toEqual([other.digest, first.signature]);
    expect(front.calls.filter(isListPut)).toHaveLength(2);
  });

  test("are listed again where another wrote over the list at the same moment", async () => {
    let overwritten = 0;
    await open(async (call, forward) => {
      if (!isListPut(call) || overwritten > 0) return undefined;
      overwritten += 1;
      const answer = await forward(call);
      await putList(`sha256:${call.url.split("sha256-")[1]}`, []);
      return answer;
    });
    const signed = await push();
    const { signature } = await store.sign(`signed@${signed.digest}`, signer);
    expect(overwritten).toBe(1);
    expect(await store.verifySignature(signed, trusted)).toEqual({ keyName: "release.pub", signature });
  });

  test("are not claimed to be there where others always write over the list", async () => {
    await open(async (call) => (isListPut(call) ? new Response(null, { status: 201 }) : undefined));
    const signed = await push();
    await expectReason(store.sign(`signed@${signed.digest}`, signer), "REGISTRY_UNAVAILABLE", "UNAVAILABLE");
  });

  test("are a REGISTRY_UNAVAILABLE, not none, where the registry does not answer for its list", async () => {
    await open(async ({ url }) => (url.includes("/referrers/") ? new Response(null, { status: 503 }) : undefined));
    const signed = await push();
    await expectReason(store.verifySignature(signed, trusted), "REGISTRY_UNAVAILABLE", "UNAVAILABLE");
  });
});
