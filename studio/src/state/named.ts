// What masks that words found are called, and from which probability on they are shown.

/** The class of the project that goes by the word or by what it was understood as; else the one chosen; else the word's own name. */
export function categoryOf(said: string, understood: string | undefined, classes: readonly { readonly name: string }[], chosen: string | null): string {
  const names = [said, understood ?? said].map((name) => name.trim().toLowerCase());
  const own = classes.find((one) => names.includes(one.name.toLowerCase()));
  return own?.name ?? chosen ?? (understood ?? said).trim();
}

/** `wanted`, or so low that the best one is left. */
export function startOf(wanted: number, found: readonly { readonly probability: number }[]): number {
  const best = Math.max(0, ...found.map((one) => one.probability));
  return best >= wanted ? wanted : Math.floor(best * 100) / 100;
}
