/** One series of a panel: a query of Prometheus, and the name that its results get. */
export interface Series {
  readonly expr: string;
  readonly legend: string;
}

/** A panel: one question, and the series that answer it. */
export interface Panel {
  readonly title: string;
  /** What to make of it, in a sentence. */
  readonly description: string;
  /** Grafana's name of the unit: `reqps`, `s`, `bytes`, `short`, `percentunit`. */
  readonly unit: string;
  readonly series: readonly Series[];
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** A dashboard as it is written here; `toGrafana` makes of it what Grafana reads. */
export interface Dashboard {
  /** Stable, so that links survive: it is the file's name too. */
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  /** Variables that narrow all panels, each the values of a label. */
  readonly variables: readonly { readonly name: string; readonly metric: string }[];
  readonly rows: readonly Row[];
}

const panelsInARow = 3;
const width = 24 / panelsInARow;
const height = 8;
const source = { type: "prometheus", uid: "$" + "{datasource}" };

/** The dashboard as Grafana imports it: schema 39, of Grafana 10 and later. */
export const toGrafana = ({ uid, title, description, variables, rows }: Dashboard): object => {
  const panels: object[] = [];
  let y = 0;
  for (const row of rows) {
    panels.push({
      id: panels.length + 1,
      type: "row",
      title: row.title,
      collapsed: false,
      gridPos: { h: 1, w: 24, x: 0, y },
      panels: [],
    });
    y += 1;
    for (const [index, panel] of row.panels.entries()) {
      const x = (index % panelsInARow) * width;
      const top = y + Math.floor(index / panelsInARow) * height;
      panels.push(toPanel(panel, panels.length + 1, { h: height, w: width, x, y: top }));
    }
    y += Math.ceil(row.panels.length / panelsInARow) * height;
  }
  return {
    uid,
    title,
    description,
    tags: ["millrace"],
    schemaVersion: 39,
    timezone: "utc",
    editable: true,
    refresh: "30s",
    time: { from: "now-6h", to: "now" },
    templating: {
      list: [
        { name: "datasource", type: "datasource", query: "prometheus", label: "Prometheus" },
        ...variables.map(({ name, metric }) => ({
          name,
          type: "query",
          datasource: source,
          query: { query: `label_values(${metric}, ${name})`, refId: name },
          refresh: 2,
          includeAll: true,
          allValue: ".*",
          multi: true,
          sort: 1,
          current: { selected: true, text: "All", value: "$__all" },
        })),
      ],
    },
    annotations: {
      list: [
        {
          name: "Alerts of millrace",
          datasource: source,
          enable: true,
          expr: 'ALERTS{alertname=~"Millrace.*",alertstate="firing"}',
          titleFormat: "{{alertname}}",
          iconColor: "red",
        },
      ],
    },
    panels,
  };
};

const toPanel = ({ title, description, unit, series }: Panel, id: number, gridPos: object): object => ({
  id,
  type: "timeseries",
  title,
  description,
  datasource: source,
  gridPos,
  fieldConfig: {
    defaults: { unit, min: 0, custom: { lineWidth: 1, fillOpacity: 8, showPoints: "never" } },
    overrides: [],
  },
  options: { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } },
  targets: series.map(({ expr, legend }, index) => ({
    refId: String.fromCharCode(65 + index),
    datasource: source,
    expr,
    legendFormat: legend,
  })),
});
