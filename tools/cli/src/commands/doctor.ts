import { statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { Health, HealthCheckResponse_ServingStatus } from "@millrace/contracts/grpc/health/v1/health";
import { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import { RpcError } from "@millrace/grpc";
import { Argument, Command, Option } from "commander";
import colors from "picocolors";
import { type ConnectionOptions, defaultAddresses, type ServiceName, withClient } from "../connection.ts";
import { sizeText } from "../output.ts";

/** What was found of one thing. */
interface Finding {
  readonly of: string;
  readonly state: "ok" | "warning" | "failed";
  readonly message: string;
  /** What to do about it; empty where nothing is to be done. */
  readonly remedy: string;
}

const services = Object.keys(defaultAddresses) as ServiceName[];
const timeoutMs = 5000;
/** Below it, a training set that spills or a copy of a query fills the disk. */
const leastTemporaryBytes = 2 * 1024 ** 3;

export const doctorCommand = (): Command =>
  new Command("doctor")
    .description("says what is wrong with an installation; exits 1 where something is")
    .addArgument(new Argument("[services...]", "only these").choices(services))
    .addOption(new Option("--token-file <file>", "a file with the bearer token").env("MILLRACE_CLIENT_TOKEN_FILE"))
    .addOption(
      new Option("--tls-ca <file>", "certificate authority of the services, PEM").env("MILLRACE_CLIENT_TLS_CA"),
    )
    .option("--json", "print JSON", false)
    .addHelpText(
      "after",
      `\nServices are looked for at ${services.map(addressOf).join(", ")}, or where MILLRACE_FEATURE_SERVING_ADDRESS and its likes say.`,
    )
    .action(examine);

const addressVariable = (service: ServiceName): string => `MILLRACE_${service.toUpperCase().replace("-", "_")}_ADDRESS`;
const addressOf = (service: ServiceName): string => process.env[addressVariable(service)] ?? defaultAddresses[service];

type DoctorOptions = Omit<ConnectionOptions, "address"> & { readonly json: boolean };

const examine = async (named: readonly ServiceName[], options: DoctorOptions): Promise<void> => {
  const asked = named.length === 0 ? services : named;
  const findings = (
    await Promise.all([thisMachine(), ...asked.map((service) => serviceFindings(service, options))])
  ).flat();
  if (options.json) console.log(JSON.stringify(findings, undefined, 2));
  else findings.forEach(print);
  if (findings.some(({ state }) => state === "failed")) process.exitCode = 1;
};

const print = ({ of, state, message, remedy }: Finding): void => {
  const paint = { ok: colors.green, warning: colors.yellow, failed: colors.red }[state];
  console.log(`${paint(state.padEnd(8))}${of}: ${message}`);
  if (remedy !== "") console.log(`        ${colors.dim(remedy)}`);
};

const thisMachine = async (): Promise<Finding[]> => {
  const { bavail, bsize } = await statfs(tmpdir());
  const free = bavail * bsize;
  const isLittle = free < leastTemporaryBytes;
  return [
    {
      of: "this machine",
      state: isLittle ? "warning" : "ok",
      message: `Node ${process.versions.node}, ${sizeText(free)} free in ${tmpdir()}`,
      remedy: isLittle
        ? "Training sets and queries that do not fit memory spill there: name another folder by TMPDIR."
        : "",
    },
  ];
};

const serviceFindings = async (service: ServiceName, options: DoctorOptions): Promise<Finding[]> => {
  const address = addressOf(service);
  const of = `${service} at ${address}`;
  const connection = { ...options, address };
  try {
    const isServing = await withClient(Health, connection, async (client) => {
      const { status } = await client.check({ service: grpcNames[service] }, { timeoutMs });
      return status === HealthCheckResponse_ServingStatus.SERVING;
    });
    if (!isServing) {
      const reasons = await readinessReasons(address);
      return [{ of, state: "failed", message: `it runs and is not ready${reasons}`, remedy: "Its log says more." }];
    }
    return (await contents[service](connection)).map((found) => ({ of, ...found }));
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    return [{ of, state: "failed", ...explained(error, service) }];
  }
};

const grpcNames: Readonly<Record<ServiceName, string>> = {
  "feature-serving": FeatureService.typeName,
  training: TrainingService.typeName,
  inference: GRPCInferenceService.typeName,
  monitoring: MonitoringService.typeName,
};

/** `/readyz` has a sentence a reason; its port is the next one, unless it was set otherwise. */
const readinessReasons = async (address: string): Promise<string> => {
  const [, host = "127.0.0.1", port = "0"] = /^(?:[a-z]+:\/{3})?(.*):(\d+)$/.exec(address) ?? [];
  try {
    const answer = await fetch(`http://${host}:${Number(port) + 1}/readyz`, { signal: AbortSignal.timeout(2000) });
    return `: ${(await answer.text()).trim().replaceAll("\n", "; ")}`;
  } catch {
    // The port may be another, or shut from here: then the log is what there is.
    return "";
  }
};

const explained = ({ code, message }: RpcError, service: ServiceName): Pick<Finding, "message" | "remedy"> => {
  if (code === "UNAUTHENTICATED") {
    return { message: "it wants a bearer token", remedy: "Name it: --token-file, or MILLRACE_CLIENT_TOKEN_FILE." };
  }
  if (code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED") {
    // What grpc-js says around the socket's own words is about its balancer.
    const why = /Error: (.+?)\. Resolution note/.exec(message)?.[1] ?? message;
    return {
      message: `not reached: ${why}`,
      remedy: `Start it (npx nx run ${service}:serve), or say where it is: ${addressVariable(service)}. With TLS: --tls-ca.`,
    };
  }
  return { message: `${code}: ${message}`, remedy: "Its log has the cause." };
};

type Content = Omit<Finding, "of">;
const ok = (message: string): Content => ({ state: "ok", message, remedy: "" });

/** What each service has to say for itself, by a call that changes nothing and reads its stores. */
const contents: Readonly<Record<ServiceName, (connection: ConnectionOptions) => Promise<Content[]>>> = {
  "feature-serving": (connection) =>
    withClient(FeatureService, connection, async (client) => {
      const { featureViews } = await client.listFeatureViews({}, { timeoutMs });
      if (featureViews.length > 0) return [ok(`ready, ${featureViews.length} feature views`)];
      return [{ state: "warning", message: "ready, and no definitions are applied", remedy: "millrace apply FOLDER" }];
    }),
  training: (connection) =>
    withClient(TrainingService, connection, async (client) => {
      const { runs } = await client.listRuns({ pageSize: 1 }, { timeoutMs });
      return [ok(runs.length === 0 ? "ready, no run yet" : `ready, its newest run is ${runs[0]?.id}`)];
    }),
  inference: (connection) =>
    withClient(GRPCInferenceService, connection, async (client) => {
      const { models } = await client.repositoryIndex({}, { timeoutMs });
      if (models.length === 0) {
        return [
          {
            state: "warning",
            message: "ready, and it serves no model",
            remedy: "millrace deploy MODEL PACKAGE, or --models FOLDER",
          },
        ];
      }
      const ready = models.filter(({ state }) => state === "READY");
      const others = models.filter(({ state }) => state !== "READY");
      return [
        ok(`ready, ${ready.length} of ${models.length} versions of models serve`),
        ...others.map(
          ({ name, version, state, reason }): Content => ({
            state: state === "LOADING" ? "warning" : "failed",
            message: `${name}${version === "" ? "" : ` version ${version}`} is ${state}${reason === "" ? "" : `: ${reason}`}`,
            remedy: state === "LOADING" ? "" : `millrace deployments ${name}`,
          }),
        ),
      ];
    }),
  monitoring: (connection) =>
    withClient(MonitoringService, connection, async (client) => {
      const { models } = await client.getStatus({}, { timeoutMs });
      if (models.length === 0) {
        return [
          {
            state: "warning",
            message: "ready, and it has seen no prediction",
            remedy: "Does inference log to the same event log and topic?",
          },
        ];
      }
      return models.map(({ model, message, predictions, openAlerts }): Content => {
        const alerts = openAlerts.map(({ kind }) => kind).join(", ");
        const said = `${model}: ${predictions} predictions${alerts === "" ? "" : `, open alerts ${alerts}`}`;
        return message === "" ? ok(said) : { state: "warning", message: `${said}; ${message}`, remedy: "" };
      });
    }),
};
