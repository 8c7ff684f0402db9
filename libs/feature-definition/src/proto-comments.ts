import type { DescEnum, DescEnumValue, DescField, DescFile, DescMessage } from "@bufbuild/protobuf";

type Described = DescMessage | DescEnum | DescField | DescEnumValue;

/** The comments that stand before definitions in .proto files. */
export class ProtoComments {
  readonly #byFile = new Map<DescFile, ReadonlyMap<string, string>>();

  /** On one line; empty where there is none. The file needs its source information. */
  of(definition: Described): string {
    const file = fileOf(definition);
    let comments = this.#byFile.get(file);
    if (comments === undefined) {
      const locations = file.proto.sourceCodeInfo?.location ?? [];
      comments = new Map(locations.map(({ path, leadingComments }) => [path.join("."), leadingComments]));
      this.#byFile.set(file, comments);
    }
    return (comments.get(pathOf(definition).join(".")) ?? "").replaceAll(/\s+/g, " ").trim();
  }
}

const fileOf = (definition: Described): DescFile =>
  definition.kind === "field" || definition.kind === "enum_value" ? definition.parent.file : definition.file;

/** Where a definition stands in its FileDescriptorProto: field numbers and indices in turn. */
const pathOf = (definition: Described): number[] => {
  switch (definition.kind) {
    case "field":
      return [...pathOf(definition.parent), 2, definition.parent.proto.field.indexOf(definition.proto)];
    case "enum_value":
      return [...pathOf(definition.parent), 2, definition.parent.proto.value.indexOf(definition.proto)];
    case "message": {
      const { parent, file, proto } = definition;
      return parent === undefined
        ? [4, file.proto.messageType.indexOf(proto)]
        : [...pathOf(parent), 3, parent.proto.nestedType.indexOf(proto)];
    }
    case "enum": {
      const { parent, file, proto } = definition;
      return parent === undefined
        ? [5, file.proto.enumType.indexOf(proto)]
        : [...pathOf(parent), 4, parent.proto.enumType.indexOf(proto)];
    }
  }
};
