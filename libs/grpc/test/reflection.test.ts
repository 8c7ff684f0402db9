import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import * as v1 from "@millrace/contracts/grpc/reflection/v1/reflection";
import * as v1alpha from "@millrace/contracts/grpc/reflection/v1alpha/reflection";
import { FeatureService, GetFeaturesRequestSchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { describe, expect, onTestFinished, test } from "vitest";
import { createClient, implement, openChannel, startGrpcServer } from "../src/index.ts";

const connect = async (reflection = true) => {
  const server = await startGrpcServer({ services: [implement(FeatureService, {})], reflection });
  onTestFinished(() => server.close());
  const channel = openChannel(server.address);
  onTestFinished(() => channel.close());
  return channel;
};

type Question = v1.ServerReflectionRequest["messageRequest"];

const ask = async (service: typeof v1.ServerReflection, questions: Question[]) => {
  const client = createClient(service, await connect());
  const requests = async function* () {
    for (const messageRequest of questions) {
      yield { messageRequest };
    }
  };
  const answers: v1.ServerReflectionResponse["messageResponse"][] = [];
  for await (const { messageResponse } of client.serverReflectionInfo(requests())) {
    answers.push(messageResponse);
  }
  return answers;
};

describe("reflection", () => {
  for (const [version, service] of [
    ["v1", v1.ServerReflection],
    ["v1alpha", v1alpha.ServerReflection as unknown as typeof v1.ServerReflection],
  ] as const) {
    test(`${version} lists the services, and gives files from which the contract can be rebuilt`, async () => {
      const [list, file] = await ask(service, [
        { case: "listServices", value: "*" },
        { case: "fileContainingSymbol", value: "millrace.feature.v1.FeatureService" },
      ]);
      const names = list?.case === "listServicesResponse" ? list.value.service.map(({ name }) => name) : [];
      expect(names).toEqual([
        "millrace.feature.v1.FeatureService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
      ]);
      const bytes = file?.case === "fileDescriptorResponse" ? file.value.fileDescriptorProto : [];
      const files = bytes.map((each) => fromBinary(FileDescriptorProtoSchema, each));
      expect(files[0]?.name).toBe("millrace/feature/v1/feature_service.proto");
      // A registry takes a file only after what it imports.
      const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: importsFirst(files) }));
      const rebuilt = registry.getMessage("millrace.feature.v1.GetFeaturesRequest");
      expect(rebuilt?.fields.map(({ name, number }) => [name, number])).toEqual(
        GetFeaturesRequestSchema.fields.map(({ name, number }) => [name, number]),
      );
    });
  }

  test("finds files, methods, fields, enum values and extensions, and says what is not there", async () => {
    const extendee = "google.protobuf.FieldOptions";
    const answers = await ask(v1.ServerReflection, [
      { case: "fileByFilename", value: "google/protobuf/timestamp.proto" },
      { case: "fileContainingSymbol", value: "millrace.feature.v1.FeatureService.GetFeatures" },
      { case: "fileContainingSymbol", value: "google.protobuf.Timestamp.seconds" },
      { case: "fileContainingSymbol", value: "grpc.health.v1.HealthCheckResponse.SERVING" },
      { case: "fileContainingSymbol", value: "google.rpc.ErrorInfo" },
      { case: "allExtensionNumbersOfType", value: extendee },
      { case: "fileContainingExtension", value: { containingType: extendee, extensionNumber: 1159 } as never },
      { case: "fileContainingSymbol", value: "millrace.feature.v1.Nothing" },
      { case: "fileByFilename", value: "nothing.proto" },
      { case: "allExtensionNumbersOfType", value: "nothing.Type" },
    ]);
    expect(answers.map(({ case: kind }) => kind)).toEqual([
      "fileDescriptorResponse",
      "fileDescriptorResponse",
      "fileDescriptorResponse",
      "fileDescriptorResponse",
      "fileDescriptorResponse",
      "allExtensionNumbersResponse",
      "fileDescriptorResponse",
      "errorResponse",
      "errorResponse",
      "errorResponse",
    ]);
    expect(answers[5]?.value).toMatchObject({ extensionNumber: [1159, 1160] });
    expect(answers[7]?.value).toMatchObject({ errorCode: 5 });
  });

  test("is not there when it is switched off", async () => {
    const client = createClient(v1.ServerReflection, await connect(false));
    const read = async () => {
      for await (const _answer of client.serverReflectionInfo(nothing())) {
        // Only the end matters here.
      }
    };
    await expect(read()).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
  });
});

const nothing = async function* () {};

const importsFirst = <F extends { name: string; dependency: string[] }>(files: readonly F[]): F[] => {
  const ordered = new Set<F>();
  const visit = (file: F) => {
    for (const name of file.dependency) {
      const dependency = files.find((each) => each.name === name);
      if (dependency !== undefined) {
        visit(dependency);
      }
    }
    ordered.add(file);
  };
  files.forEach(visit);
  return [...ordered];
};
