export { callMetrics } from "./call-metrics.ts";
export type { CallTraces } from "./call-traces.ts";
export { type DefaultPorts, type HostConfig, hostSettings } from "./host-settings.ts";
export { readSettings, SettingsInvalidError } from "./read-settings.ts";
export { type BuildService, runService } from "./run-service.ts";
export { serverSecurity } from "./security-settings.ts";
export type { Closeable, ServiceHost, Worker } from "./service-host.ts";
export { type Config, type Setting, type Settings, setting } from "./setting.ts";
export { settingsTable } from "./settings-table.ts";
