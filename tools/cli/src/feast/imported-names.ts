/** Names as ours may be: lower case, letters, digits and underscores. */
export class ImportedNames {
  readonly #notes: string[];
  readonly #changed = new Set<string>();
  constructor(notes: string[]) {
    this.#notes = notes;
  }

  of(name: string, what: string): string {
    const plain = name.toLowerCase().replace(/[^a-z0-9_]/g, "_");
    const own = (/^[a-z]/.test(plain) ? plain : `x_${plain}`).slice(0, 63);
    if (own !== name && !this.#changed.has(name)) {
      this.#changed.add(name);
      this.#notes.push(
        `The ${what} ${name} is called ${own} here: names are of lower-case letters, digits and underscores.`,
      );
    }
    return own;
  }
}
