import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { available } from "@millrace/backing";
import { parseAllDocuments } from "yaml";
import { checkSettingNames } from "./check-setting-names.ts";
import { type ToolName, toolPath } from "./tools.ts";

// `nx run deploy:validate`: everything that can be said of images, compose file and chart without an engine or a cluster.

const root = join(import.meta.dirname, "../..");
const chart = join(root, "deploy/helm/millrace");
const schemas = join(root, "deploy/kubernetes-schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json");
const kubernetesVersion = "1.37.2";
let failed = false;

const report = (what: string, problem: string | undefined): void => {
  console.log(`${problem === undefined ? "ok    " : "FAILED"}  ${what}${problem === undefined ? "" : `\n${problem}`}`);
  failed ||= problem !== undefined;
};

const run = (tool: ToolName, args: readonly string[], input = "") => {
  const { status, stdout, stderr, error } = spawnSync(toolPath(tool), args, { input, encoding: "utf8" });
  return { passed: status === 0, stdout, text: `${stdout}${stderr}${error?.message ?? ""}`.trim() };
};

const problemOf = ({ passed, text }: { passed: boolean; text: string }): string | undefined =>
  passed ? undefined : text || "It failed without a word.";

const dockerfiles = globSync("services/*/Dockerfile", { cwd: root }).sort();
report(
  `hadolint: ${dockerfiles.join(", ")}`,
  problemOf(
    run(
      "hadolint",
      dockerfiles.map((path) => join(root, path)),
    ),
  ),
);

const promtool = (what: string, ...args: string[]): void => {
  const { status, stdout, stderr } = spawnSync("promtool", args, {
    cwd: join(root, "deploy/prometheus"),
    encoding: "utf8",
  });
  report(`promtool ${what}`, problemOf({ passed: status === 0, text: `${stdout}${stderr}`.trim() }));
};
const hasPromtool = available("prometheus");
if (hasPromtool === true) {
  promtool("check config: prometheus.yml and its rules", "check", "config", "prometheus.yml");
  promtool("test rules: alert-rules.test.yaml", "test", "rules", "alert-rules.test.yaml");
} else if (process.env.CI === "true") report("promtool", hasPromtool);
else console.log(`skipped promtool: ${hasPromtool}`);

const composeFile = join(root, "deploy/compose/compose.yaml");
const compose = run("compose", [composeFile]);
report(`compose: ${relative(root, composeFile)}`, problemOf(compose));
const misspelt = run("compose", ["-"], "services: {a: {image: b, prots: []}}\n");
report("compose: a misspelt key is refused", misspelt.passed ? "The parser took `prots`." : undefined);

report("helm lint --strict", problemOf(run("helm", ["lint", "--strict", chart])));
const template = (...values: string[]) =>
  run("helm", [
    "template",
    "millrace",
    chart,
    "--kube-version",
    kubernetesVersion,
    // Settings are text, and Helm would take what looks like a number for one.
    ...values.flatMap((value) => [value.includes(".environment.") ? "--set-string" : "--set", value]),
  ]);

const services = ["feature-serving", "training", "inference", "monitoring"] as const;
const valueSets = {
  "default values": [],
  "inference alone": services.filter((name) => name !== "inference").map((name) => `services.${name}.enabled=false`),
  "registry credentials and a deployment": [
    "registryCredentialsSecret=docker",
    "deployments[0].model=flight_delay",
    "deployments[0].versions[0].version=1",
    "deployments[0].versions[0].package=flight_delay:candidate",
  ],
  "scaled by load, watched by the Prometheus operator, dashboards for Grafana": [
    "services.inference.autoscaling.enabled=true",
    "services.inference.autoscaling.metrics[0].type=Pods",
    "services.inference.autoscaling.metrics[0].pods.metric.name=nv_inference_pending_request_count",
    "services.inference.autoscaling.metrics[0].pods.target.type=AverageValue",
    "services.inference.autoscaling.metrics[0].pods.target.averageValue=64",
    "prometheus.serviceMonitor.enabled=true",
    "prometheus.serviceMonitor.labels.release=prometheus",
    "prometheus.rules.enabled=true",
    "grafana.dashboards.enabled=true",
  ],
  "callers of one namespace alone, metrics for nobody": [
    "networkPolicy.callers[0].namespaceSelector.matchLabels.team=shop",
    "networkPolicy.metricsFrom=null",
  ],
  "no callers but each other": ["networkPolicy.callers=null", "networkPolicy.metricsFrom=null"],
  "secrets as files": [
    "services.feature-serving.secrets[0].secret=sql-connections",
    "services.feature-serving.secrets[0].mountPath=/secrets/sql",
    "services.feature-serving.environment.MILLRACE_SQL_CONNECTIONS_FILE=/secrets/sql/connections",
    "services.feature-serving.temporarySpace=50Gi",
    "services.feature-serving.environment.MILLRACE_FEAST_HTTP_PORT=6566",
  ],
  "everything replicated on stores by URL": services.flatMap((name) => [
    `services.${name}.replicas=3`,
    `services.${name}.persistence.enabled=false`,
  ]),
};
const rendered: string[] = [];
for (const [name, values] of Object.entries(valueSets)) {
  const made = template(...values);
  const options = ["-strict", "-schema-location", schemas];
  report(
    `helm template and kubeconform: ${name}`,
    problemOf(made.passed ? run("kubeconform", options, made.stdout) : made),
  );
  rendered.push(made.stdout);
}
const broken = run(
  "kubeconform",
  ["-strict", "-schema-location", schemas],
  (rendered[0] ?? "").replaceAll("readinessProbe", "readynessProbe"),
);
report("kubeconform: a misspelt field is refused", broken.passed ? "It took `readynessProbe`." : undefined);

const refused = {
  "an unknown value": "services.training.replica=2",
  "a secret without a folder": "services.training.secrets[0].secret=x",
  "a URL of no store": "urls.modelStore=s3://bucket",
  "replicas on one volume": "services.training.replicas=2",
  "autoscaling on one volume": "services.training.autoscaling.enabled=true",
};
for (const [name, value] of Object.entries(refused)) {
  report(`helm template: ${name} is refused`, template(value).passed ? `The chart took ${value}.` : undefined);
}

const open = rendered.flatMap((text) =>
  parseAllDocuments(text)
    .map(
      (document) =>
        document.toJS() as { kind?: string; metadata?: { name: string }; spec?: { ingress?: { from?: unknown[] }[] } },
    )
    .filter(
      ({ kind, spec }) => kind === "NetworkPolicy" && spec?.ingress?.some(({ from }) => (from ?? []).length === 0),
    ),
);
report(
  "network policies: no rule without anyone in it, which would let everyone in",
  open.length === 0 ? undefined : open.map(({ metadata }) => metadata?.name).join(", "),
);

const documents = [...rendered, compose.stdout].flatMap((text) =>
  parseAllDocuments(text).map((document) => document.toJS()),
);
report("settings: every MILLRACE_ variable is one of the service's", checkSettingNames(root, documents));

const ignored = readFileSync(join(root, ".dockerignore"), "utf8");
report(".dockerignore: begins by leaving everything out", /^\*$/m.test(ignored) ? undefined : "There is no line `*`.");

process.exitCode = failed ? 1 : 0;
