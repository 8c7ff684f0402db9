import { parse } from "yaml";

/** A deployment of a pipeline, in the JSON form of its message. */
export interface PipelineDeployment {
  readonly model: string;
  readonly pipeline: object;
}

export const pipeline = (model: string, yaml: string): PipelineDeployment => ({
  model,
  pipeline: parse(yaml) as object,
});

/** An ensemble of Triton: `double`, then `ten`. */
export const twoSteps = (datatype: string) => `
input [ { name: "IN" data_type: ${datatype} dims: [ 2 ] } ]
output [ { name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }, { name: "MID" data_type: TYPE_FP32 dims: [ 2 ] } ]
ensemble_scheduling { step [
  { model_name: "double" model_version: -1
    input_map { key: "x" value: "IN" } output_map { key: "y" value: "MID" } },
  { model_name: "ten" model_version: -1
    input_map { key: "x" value: "MID" } output_map { key: "score" value: "OUT" } }
] }
`;

/** An ensemble of the pipeline `circle`. */
export const ofCircle = `
input [ { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] } ]
ensemble_scheduling { step [ { model_name: "circle" model_version: -1
  input_map { key: "x" value: "IN" } output_map { key: "y" value: "OUT" } } ] }
`;
const ensemble = pipeline(
  "ensemble",
  `
  outputs: { score: mean.mean }
  steps:
    - { name: mean, model: mean, inputs: { a: a.score, b: second, c: c.score } }
    - { name: a, model: one, inputs: { x: prepare.y } }
    - { name: b, model: ten, inputs: { x: prepare.y }, outputs: { score: second } }
    - { name: c, model: hundred, inputs: { x: prepare.y } }
    - { name: prepare, model: double, inputs: { x: raw } }
  `,
);
const byText = pipeline(
  "by_text",
  `
  outputs: { greeting: greet.greeting, x: greet.x_out }
  steps:
    - name: greet
      router:
        tensor: country
        routes: [{ equals: NL, model: hoi }, { equals: BE, model: bonjour }, { equals: Österreich, model: servus }]
        otherwise: hello
  `,
);
const byNumber = pipeline(
  "by_number",
  `
  outputs: { y: chosen.y }
  steps:
    - name: chosen
      router: { tensor: x, routes: [{ lessThan: 0, model: minus }, { atLeast: 10.5, model: plus }] }
  `,
);
const byBool = pipeline(
  "by_bool",
  `
  outputs: { y: chosen.y }
  steps:
    - name: chosen
      router: { tensor: on, routes: [{ equals: true, model: on }, { equals: false, model: off }] }
  `,
);
const byWhole = pipeline(
  "by_whole",
  `
  outputs: { y: chosen.y }
  steps:
    - name: chosen
      router: { tensor: kind, routes: [{ equals: 1, model: minus }], otherwise: plus }
  `,
);
const failing = pipeline(
  "failing",
  `
  outputs: { y: next.y }
  steps:
    - { name: look, model: table, inputs: { x: index } }
    - { name: next, model: swapped, inputs: { x: look.y } }
  `,
);
const patient = pipeline(
  "patient",
  `
  outputs: { y: second.y }
  steps:
    - { name: first, model: slow }
    - { name: second, model: slow, inputs: { x: first.y } }
  `,
);
const outer = pipeline(
  "outer",
  `
  outputs: { score: last.y }
  steps:
    - { name: inner, model: ensemble }
    - { name: last, model: swapped, inputs: { x: inner.score } }
  `,
);
const followed = pipeline("followed", "{ outputs: { y: only.y }, steps: [{ name: only, model: follows }] }");
export const circle = pipeline("circle", "{ outputs: { y: a.y }, steps: [{ name: a, model: minus }] }");
const reshaping = pipeline(
  "reshaping",
  "{ outputs: { y: last.y }, steps: [{ name: first, model: reshape }, { name: last, model: double, inputs: { x: first.y } }] }",
);

/** Every pipeline that the tests call. */
export const examplePipelines: readonly PipelineDeployment[] = [
  ensemble,
  byText,
  byNumber,
  byBool,
  byWhole,
  failing,
  patient,
  outer,
  followed,
  circle,
  reshaping,
];
