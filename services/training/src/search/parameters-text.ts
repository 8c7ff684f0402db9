/** Parameters and their values, to four digits, for a person. */
export const parametersText = (parameters: Readonly<Record<string, number>>): string =>
  Object.entries(parameters)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`)
    .join(", ");
