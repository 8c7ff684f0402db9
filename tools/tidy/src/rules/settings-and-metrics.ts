import { type Finding, lineAt, type Rule } from "../finding.ts";
import type { Repository, TextFile, WorkspacePackage } from "../repository.ts";

const hostSettingsPath = "libs/service-host/src/host-settings.ts";

/** Each setting and metric of a service stands in its README, and its README names no others. */
export const settingsAndMetricsAreDocumented: Rule = (repository) =>
  repository.packages
    .filter(({ kind }) => kind === "service")
    .flatMap((service) => {
      const [readme] = repository.files(new RegExp(`^${service.folder}/README\\.md$`));
      return readme === undefined
        ? []
        : [...settingFindings(repository, service, readme), ...metricFindings(repository, service, readme)];
    });

const settingFindings = (repository: Repository, service: WorkspacePackage, readme: TextFile): Finding[] => {
  const own = repository.files(new RegExp(`^${service.folder}/src/settings\\.ts$`)).flatMap(settingsOf);
  const hosts = repository.files(new RegExp(`^${hostSettingsPath}$`)).flatMap(settingsOf);
  const known = new Set([...own, ...hosts]);
  const why =
    "a setting that is not in the table is not found, and one that is there only makes the service refuse to start";
  return [
    ...own
      .filter((name) => !new RegExp(`${name}(?![A-Z_])`).test(readme.text))
      .map((name) => ({
        path: readme.path,
        problem: `does not have the setting ${name}`,
        why,
        remedy: "print the table again: node src/main.ts --help",
      })),
    ...[...readme.text.matchAll(/MILLRACE_[A-Z_]*[A-Z]/g)]
      .filter(([name]) => !known.has(name) && name !== "MILLRACE_SEED")
      .map((match) => ({
        path: readme.path,
        line: lineAt(readme.text, match.index),
        problem: `names ${match[0]}, which is no setting of ${service.folder}`,
        why,
        remedy: "name the setting as it is in src/settings.ts, or remove it",
      })),
  ];
};

/** `onlineStoreUrl: setting(` is read from the environment as MILLRACE_ONLINE_STORE_URL. */
const settingsOf = ({ text }: TextFile): string[] =>
  [...text.matchAll(/^\s*([a-z][A-Za-z0-9]*): setting\(/gm)].map(
    ([, key = ""]) => `MILLRACE_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`,
  );

const metricFindings = (repository: Repository, service: WorkspacePackage, readme: TextFile): Finding[] => {
  const sources = repository
    .files(new RegExp(`^${service.folder}/src/.*\\.ts$`))
    .filter(({ path }) => !path.endsWith(".test.ts"));
  const why = "the README is where an operator looks up what a metric counts";
  return sources.flatMap(({ path, text }) =>
    [...text.matchAll(/\bname: "((?:millrace|nv)_[a-z0-9_]+)"/g)]
      .filter(([, name = ""]) => !new RegExp(`${name}(?![a-z0-9_])`).test(readme.text))
      .map((match) => ({
        path,
        line: lineAt(text, match.index),
        problem: `has the metric ${match[1]}, which ${readme.path} does not have`,
        why,
        remedy: `add it to the section Metrics of ${readme.path}, with its labels and unit`,
      })),
  );
};
