import { clone } from "@bufbuild/protobuf";
import {
  type TfjsTrainer,
  type TrainingSpec,
  TrainingSpecSchema,
} from "@millrace/contracts/millrace/training/v1/training_spec";

/** A number of a spec that a search may set. */
export interface Parameter {
  readonly isWhole: boolean;
  /** Inclusive; undefined: any. */
  readonly least?: number;
  readonly most?: number;
  set(spec: TrainingSpec, value: number): void;
}

const ofNetwork = (
  isWhole: boolean,
  least: number,
  most: number,
  set: (trainer: TfjsTrainer, value: number) => void,
): Parameter => ({
  isWhole,
  least,
  most,
  set: ({ trainer }, value) => {
    if (trainer?.trainer.case === "tfjs") set(trainer.trainer.value, value);
  },
});

const networkParameters: ReadonlyMap<string, Parameter> = new Map([
  [
    "learningRate",
    ofNetwork(false, Number.MIN_VALUE, 10, (trainer, value) => Object.assign(trainer, { learningRate: value })),
  ],
  ["l2", ofNetwork(false, 0, 1000, (trainer, value) => Object.assign(trainer, { l2: value }))],
  ["epochs", ofNetwork(true, 1, 10_000, (trainer, value) => Object.assign(trainer, { epochs: value }))],
  ["batchSize", ofNetwork(true, 1, 1_000_000, (trainer, value) => Object.assign(trainer, { batchSize: value }))],
]);

/**
 * The parameters that a search over a spec may set, by name. Of a program's they are not known: any name is one, and its
 * value reaches the program alone.
 */
export const parameterOf = (spec: TrainingSpec, name: string): Parameter | undefined => {
  const trainer = spec.trainer?.trainer;
  if (trainer?.case === "command") {
    return /^[A-Za-z_][A-Za-z0-9_.]*$/.test(name) ? { isWhole: false, set: () => undefined } : undefined;
  }
  const known = networkParameters.get(name);
  if (known !== undefined || trainer?.case !== "tfjs") return known;
  if (name === "earlyStopping.patience" && trainer.value.earlyStopping !== undefined) {
    return ofNetwork(true, 1, 10_000, ({ earlyStopping }, patience) => {
      if (earlyStopping !== undefined) Object.assign(earlyStopping, { patience });
    });
  }
  return layerParameter(trainer.value, name);
};

const layerParameter = (trainer: TfjsTrainer, name: string): Parameter | undefined => {
  const [, place, kind] = /^layers\[(\d{1,3})\]\.(dense|dropout)$/.exec(name) ?? [];
  const layer = trainer.layers[Number(place)]?.layer;
  if (place === undefined || layer?.case !== kind) return undefined;
  const [isWhole, least, most] = kind === "dense" ? ([true, 1, 65_536] as const) : ([false, 0, 0.999] as const);
  return ofNetwork(isWhole, least, most, ({ layers }, value) => {
    const entry = layers[Number(place)];
    if (entry?.layer.case === "dense" || entry?.layer.case === "dropout") entry.layer.value = value;
  });
};

/** The names that a search over this spec's network may have, for an error. */
export const parameterNames = (spec: TrainingSpec): string => {
  const trainer = spec.trainer?.trainer;
  if (trainer?.case !== "tfjs") return "a name of letters, digits and underscores";
  const layers = trainer.value.layers.flatMap(({ layer }, place) =>
    layer.case === "dense" || layer.case === "dropout" ? [`layers[${place}].${layer.case}`] : [],
  );
  const patience = trainer.value.earlyStopping === undefined ? [] : ["earlyStopping.patience"];
  return `one of ${[...networkParameters.keys(), ...patience, ...layers].join(", ")}`;
};

/** The spec of one trial: its parameters set, and no search. */
export const withParameters = (spec: TrainingSpec, parameters: Readonly<Record<string, number>>): TrainingSpec => {
  const { search: _replaced, ...rest } = clone(TrainingSpecSchema, spec);
  const changed: TrainingSpec = rest;
  for (const [name, value] of Object.entries(parameters)) parameterOf(spec, name)?.set(changed, value);
  return changed;
};
