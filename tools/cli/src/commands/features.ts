import { type Column, FeatureStatus, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import {
  AsOf,
  FeatureService,
  FeatureViewStatus_State,
  GetFeaturesResponseSchema,
  ListFeatureServicesResponseSchema,
  ListFeatureServiceVersionsResponseSchema,
  ListFeatureViewsResponseSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import { type Command, Option } from "commander";
import { collect, columnsOf, microsecondsOf, timestampOf } from "../column-argument.ts";
import { type ConnectionOptions, serviceCommand, withClient } from "../connection.ts";
import { endProgress, enumName, printMessage, printTable, showProgress, timeText } from "../output.ts";
import { UsageError } from "../usage-error.ts";

const service = "feature-serving";
const command = (usage: string, description: string): Command => serviceCommand(service, usage, description);

export const featureCommands = (): Command[] => [
  command("materialize <view>", "loads a view's history into the online store")
    .option("--from <time>", "facts from this time on, UTC")
    .option("--to <time>", "facts before this time, UTC")
    .action(materialize),
  command("get-features [features...]", "reads features online: view.feature, view.* or --service")
    .option("--service <name>", "a feature service, instead of single features")
    .option("--service-version <version>", "an older version of the service that is still kept")
    .option("--entity <name=value>", "an entity key; many values with commas", collect, [])
    .option("--request <name=value>", "a request field", collect, [])
    .option("--at <time>", "the time asked for, UTC; default: now")
    .option("--json", "print protobuf JSON", false)
    .action(getFeatures),
  command("push <source>", "appends facts to a source's stream")
    .option("--column <name=value>", "a field of the source", collect, [])
    .option("--wait", "answer when the facts are served", false)
    .action(push),
  command("feature-views", "lists the applied views").option("--json", "print protobuf JSON", false).action(listViews),
  command("feature-services", "lists the applied feature services")
    .option("--json", "print protobuf JSON", false)
    .action(listServices),
  command("feature-service-versions [service]", "lists the versions that can be asked for, and what keeps them")
    .option("--json", "print protobuf JSON", false)
    .action(listVersions),
  command("release-version <service> <version>", "lets go of an older version of a feature service").action(release),
  command("sql <service>", "prints the SQL that computes a feature service offline")
    .addOption(
      new Option("--as-of <time>", "when a fact counts").choices(["EVENT_TIME", "KNOWN_AT"]).default("EVENT_TIME"),
    )
    .action(sql),
];

const materialize = async (
  view: string,
  options: ConnectionOptions & { from?: string; to?: string },
): Promise<void> => {
  await withClient(FeatureService, options, async (client) => {
    const from = timestampOf(options.from);
    const to = timestampOf(options.to);
    for await (const { rows, totalRows, keys, done } of client.materialize({
      view,
      ...(from && { from }),
      ...(to && { to }),
    })) {
      showProgress(`${rows} of ${totalRows} facts, ${keys} keys`);
      if (!done) continue;
      endProgress();
      console.log(`${rows} facts, ${keys} keys`);
    }
  });
};

interface GetFeaturesOptions extends ConnectionOptions {
  readonly service?: string;
  readonly serviceVersion?: string;
  readonly entity: readonly string[];
  readonly request: readonly string[];
  readonly at?: string;
  readonly json: boolean;
}

const getFeatures = async (features: string[], options: GetFeaturesOptions): Promise<void> => {
  if (features.length > 0 === (options.service !== undefined)) {
    throw new UsageError("get-features expects either features or --service.");
  }
  await withClient(FeatureService, options, async (client) => {
    const answer = await client.getFeatures({
      selection:
        options.service === undefined
          ? { case: "references", value: { features } }
          : { case: "featureService", value: options.service },
      featureServiceVersion: options.serviceVersion ?? "",
      entities: columnsOf("--entity", options.entity),
      request: columnsOf("--request", options.request),
      atUs: options.at === undefined ? [] : [microsecondsOf(options.at)],
      withEventTimes: true,
    });
    if (options.json) return printMessage(GetFeaturesResponseSchema, answer);
    printTable([
      ["feature", "row", "value", "status", "event time"],
      ...answer.features.flatMap(({ name, values, statuses, eventTimesUs }) =>
        [...statuses].map((status, row) => [
          name,
          String(row),
          status === FeatureStatus.PRESENT ? cellText(values, row) : "",
          enumName(FeatureStatus, status),
          eventTimesUs[row] ? new Date(Number(eventTimesUs[row] / 1000n)).toISOString() : "",
        ]),
      ),
    ]);
  });
};

const cellText = (values: Column["values"], row: number): string => {
  const inner = values?.values;
  if (inner === undefined) return "";
  switch (inner.case) {
    case "timestamps":
      return new Date(Number((inner.value.valuesUs[row] ?? 0n) / 1000n)).toISOString();
    case "lists":
      return "[…]";
    case undefined:
      return "";
    default:
      return String(inner.value.values[row]);
  }
};

const push = async (
  source: string,
  options: ConnectionOptions & { column: readonly string[]; wait: boolean },
): Promise<void> => {
  await withClient(FeatureService, options, async (client) => {
    const answer = await client.push({
      source,
      columns: columnsOf("--column", options.column),
      waitApplied: options.wait,
    });
    const places = answer.positions.map(({ partition, offset }) => `partition ${partition} up to ${offset}`).join(", ");
    console.log(`${answer.rows} rows appended: ${places}`);
  });
};

const listViews = async (options: ConnectionOptions & { json: boolean }): Promise<void> => {
  await withClient(FeatureService, options, async (client) => {
    const answer = await client.listFeatureViews({});
    if (options.json) return printMessage(ListFeatureViewsResponseSchema, answer);
    printTable([
      ["view", "version", "state", "entity", "source", "features", "newest event", "behind"],
      ...answer.featureViews.map((view) => [
        view.name,
        view.version,
        enumName(FeatureViewStatus_State, view.state),
        view.entity,
        view.source,
        view.features.map(({ name, type }) => `${name} ${enumName(ValueType, type)}`).join(", "),
        timeText(view.newestEvent),
        String(view.lagRecords),
      ]),
    ]);
  });
};

const listServices = async (options: ConnectionOptions & { json: boolean }): Promise<void> => {
  await withClient(FeatureService, options, async (client) => {
    const answer = await client.listFeatureServices({});
    if (options.json) return printMessage(ListFeatureServicesResponseSchema, answer);
    printTable([
      ["service", "version", "entity keys", "request fields", "features"],
      ...answer.featureServices.map((one) => [
        one.name,
        one.version,
        one.entityKeys.map(({ name }) => name).join(", "),
        one.requestFields.map(({ name }) => name).join(", "),
        one.features.map(({ name }) => name).join(", "),
      ]),
    ]);
  });
};

const listVersions = async (
  name: string | undefined,
  options: ConnectionOptions & { json: boolean },
): Promise<void> => {
  await withClient(FeatureService, options, async (client) => {
    const answer = await client.listFeatureServiceVersions({ name: name ?? "" });
    if (options.json) return printMessage(ListFeatureServiceVersionsResponseSchema, answer);
    printTable([
      ["service", "version", "in force", "last asked for", "kept by"],
      ...answer.versions.map((one) => [
        one.name,
        one.version,
        one.inForce ? "yes" : "",
        timeText(one.lastReadAt),
        one.keptBy.join("; "),
      ]),
    ]);
  });
};

const release = async (name: string, version: string, options: ConnectionOptions): Promise<void> => {
  await withClient(FeatureService, options, async (client) => {
    const { droppedViews } = await client.releaseFeatureServiceVersion({ name, version });
    console.log(`released; rows dropped of ${droppedViews.join(", ") || "no view: others read them"}`);
  });
};

const sql = async (name: string, options: ConnectionOptions & { asOf: string }): Promise<void> => {
  const asOf = options.asOf === "KNOWN_AT" ? AsOf.KNOWN_AT : AsOf.EVENT_TIME;
  await withClient(FeatureService, options, async (client) => {
    console.log((await client.getSql({ featureService: name, asOf })).sql);
  });
};
