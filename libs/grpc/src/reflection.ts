import type { DescFile, DescService } from "@bufbuild/protobuf";
import { createRegistry, type Registry, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { file_google_rpc_error_details } from "@millrace/contracts/google/rpc/error_details";
import * as v1 from "@millrace/contracts/grpc/reflection/v1/reflection";
import * as v1alpha from "@millrace/contracts/grpc/reflection/v1alpha/reflection";
import { implement, type ServiceImplementation } from "./service-implementation.ts";
import { statusNumber } from "./status-code.ts";

/**
 * The standard reflection service, v1 and v1alpha, straight from the descriptors that protobuf-es generated: tools such
 * as grpcurl need no .proto files. A file answer holds the file and all that it imports.
 */
export const reflectionServices = (services: readonly DescService[]): ServiceImplementation[] => {
  const all = [...services, v1.ServerReflection, v1alpha.ServerReflection];
  const index = new FileIndex(all);
  const answer = (request: v1.ServerReflectionRequest | v1alpha.ServerReflectionRequest) => ({
    validHost: request.host,
    messageResponse: index.answer(request.messageRequest),
  });
  return [
    implement(v1.ServerReflection, {
      serverReflectionInfo: async function* (requests) {
        for await (const request of requests) {
          yield { ...answer(request), originalRequest: request };
        }
      },
    }),
    implement(v1alpha.ServerReflection, {
      serverReflectionInfo: async function* (requests) {
        for await (const request of requests) {
          yield { ...answer(request), originalRequest: request };
        }
      },
    }),
  ];
};

type Question = v1.ServerReflectionRequest["messageRequest"] | v1alpha.ServerReflectionRequest["messageRequest"];

class FileIndex {
  readonly #services: readonly DescService[];
  readonly #files = new Map<string, DescFile>();
  readonly #registry: Registry;
  readonly #encoded = new Map<DescFile, Uint8Array>();

  constructor(services: readonly DescService[]) {
    this.#services = services;
    const add = (file: DescFile) => {
      const name = file.proto.name;
      if (!this.#files.has(name)) {
        this.#files.set(name, file);
        file.dependencies.forEach(add);
      }
    };
    for (const service of services) {
      add(service.file);
    }
    // Clients ask for these when they show the details of an error.
    add(file_google_rpc_error_details);
    this.#registry = createRegistry(...this.#files.values());
  }

  answer(question: Question) {
    switch (question.case) {
      case "listServices":
        return {
          case: "listServicesResponse" as const,
          value: { service: this.#services.map(({ typeName }) => ({ name: typeName })) },
        };
      case "fileByFilename":
        return this.#fileAnswer(this.#files.get(question.value), `file ${question.value}`);
      case "fileContainingSymbol":
        return this.#fileAnswer(this.#fileOfSymbol(question.value), `symbol ${question.value}`);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = question.value;
        const extension = this.#extensionsOf(containingType).find(({ number }) => number === extensionNumber);
        return this.#fileAnswer(extension?.file, `extension ${extensionNumber} of ${containingType}`);
      }
      case "allExtensionNumbersOfType": {
        if (this.#registry.getMessage(question.value) === undefined) {
          return notFound(`type ${question.value}`);
        }
        const extensionNumber = this.#extensionsOf(question.value).map(({ number }) => number);
        return {
          case: "allExtensionNumbersResponse" as const,
          value: { baseTypeName: question.value, extensionNumber },
        };
      }
      default:
        return {
          case: "errorResponse" as const,
          value: { errorCode: statusNumber("INVALID_ARGUMENT"), errorMessage: "The request asks nothing." },
        };
    }
  }

  #extensionsOf(typeName: string) {
    return [...this.#registry]
      .filter((desc) => desc.kind === "extension")
      .filter((extension) => extension.extendee.typeName === typeName);
  }

  /** Types are known by their full name; fields, enum values and methods by their parent's. */
  #fileOfSymbol(symbol: string): DescFile | undefined {
    const own = this.#registry.get(symbol);
    if (own !== undefined) {
      return own.file;
    }
    const dot = symbol.lastIndexOf(".");
    const parentName = symbol.slice(0, Math.max(0, dot));
    const member = symbol.slice(dot + 1);
    const parent = this.#registry.get(parentName);
    const members =
      parent?.kind === "message"
        ? [...parent.fields, ...parent.oneofs]
        : parent?.kind === "service"
          ? parent.methods
          : [];
    if (parent !== undefined && members.some(({ name }) => name === member)) {
      return parent.file;
    }
    // An enum value is a sibling of its enum.
    for (const desc of this.#registry) {
      if (desc.kind === "enum" && siblingName(desc.typeName, member) === symbol) {
        if (desc.values.some(({ name }) => name === member)) {
          return desc.file;
        }
      }
    }
    return undefined;
  }

  #fileAnswer(file: DescFile | undefined, what: string) {
    if (file === undefined) {
      return notFound(what);
    }
    const files = new Set<DescFile>();
    const add = (next: DescFile) => {
      if (!files.has(next)) {
        files.add(next);
        next.dependencies.forEach(add);
      }
    };
    add(file);
    return {
      case: "fileDescriptorResponse" as const,
      value: { fileDescriptorProto: [...files].map((each) => this.#encode(each)) },
    };
  }

  #encode(file: DescFile): Uint8Array {
    let bytes = this.#encoded.get(file);
    if (bytes === undefined) {
      bytes = toBinary(FileDescriptorProtoSchema, file.proto);
      this.#encoded.set(file, bytes);
    }
    return bytes;
  }
}

const siblingName = (typeName: string, member: string): string => {
  const scope = typeName.slice(0, Math.max(0, typeName.lastIndexOf(".")));
  return scope === "" ? member : `${scope}.${member}`;
};

const notFound = (what: string) => ({
  case: "errorResponse" as const,
  value: { errorCode: statusNumber("NOT_FOUND"), errorMessage: `There is no ${what} here.` },
});
